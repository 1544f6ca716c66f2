"""Train a network and classical models on arrays, keep them in one file, load it, predict."""

import tempfile
from pathlib import Path

import numpy as np

from medkern import kernels as mk
from medkern.engine.features import Features
from medkern.engine.learn import Settings, load, save
from medkern.engine.learn.train import train

rng = np.random.default_rng(0)
labels = np.array(["fine", "coarse"] * 120)
images = rng.integers(0, 256, (240, 32, 32)).astype(np.uint8)
images[labels == "coarse"] = mk.median(images[labels == "coarse"], radius=1)
patients = [f"patient-{i // 2}" for i in range(240)]  # two images each: never on both sides

values, names = mk.glcm(images, levels=16)
features = Features(values, names, tuple(str(i) for i in range(240)))
settings = Settings(epochs=4, width=8, batch=32)
trained = train(images, 8, features, labels.tolist(), patients, settings=settings)

path = Path(tempfile.mkdtemp()) / "texture.medkern"
save(trained.model, path)  # JSON and arrays, no code
model = load(path)

test = trained.split.rows("test")
for name, probabilities in model.predict(images[test], features.rows(test)).items():
    called = np.array(model.labels)[probabilities.argmax(axis=1)]
    print(f"{name:<10} {(called == labels[test]).mean():.0%} of {len(test)} test images right")
