"""Where a network looks, what its pixels add up to, and which features a classical model needs."""

import numpy as np

from medkern import kernels as mk
from medkern.engine.features import Features
from medkern.engine.learn import Settings
from medkern.engine.learn.explain.cases import Rows, explain_images, weigh
from medkern.engine.learn.train import train

rng = np.random.default_rng(0)
images = rng.normal(110, 20, (300, 28, 28))
bright = np.arange(300) % 2 == 1
corner = rng.integers(2, 18, (300, 2))  # of a faint blob that every second image has
for row in np.flatnonzero(bright):
    y, x = corner[row]
    images[row, y : y + 8, x : x + 8] += 40
images = images.clip(0, 255).astype(np.uint8)
labels = np.where(bright, "blob", "none").tolist()

measured = {"glcm": mk.glcm(images, levels=16), "histogram": mk.histogram(images, levels=16)}
names = tuple(name for _, columns in measured.values() for name in columns)
values = np.concatenate([part for part, _ in measured.values()], axis=1)
features = Features(values, names, tuple(str(i) for i in range(300)))

settings = Settings(models=("cnn", "logistic"), epochs=6, width=8, batch=32, order=("none", "blob"))
trained = train(images, 8, features, labels, settings=settings)

test = trained.split.rows("test")
rows = Rows(images[test], features.rows(test))
about = explain_images(trained.model, rows, of="blob")
assert about.gradcam is not None and about.integrated is not None  # the model has a network
hits = 0
for place, cam in zip(corner[test][bright[test]], about.gradcam[bright[test]], strict=True):
    y, x = np.unravel_index(cam.argmax(), cam.shape)
    hits += bool((abs(np.array([y, x]) - place - 3.5) <= 6).all())
print(f"Grad-CAM has its peak at the blob in {hits} of {bright[test].sum()} test images")
print(f"integrated gradients sum to the logit in {about.integrated.complete.mean():.0%}")

weighed = weigh(trained.model, rows, bright[test].astype(int))
assert weighed is not None  # the model has classical heads
name, families, _ = weighed
for family in families:
    interval = f"{0 - family.high:+.3f} to {0 - family.low:+.3f}"
    print(f"{name} without {family.name:<10} AUC {0 - family.drop:+.3f} ({interval})")
