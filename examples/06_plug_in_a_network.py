"""Train and use a network of one's own: an Equinox module and a Flax NNX module.

`Network(init, apply)` is all there is to it: two pure functions. `init` makes the trees that are
trained (params) and remembered (state); `apply` gives logits, features and the new state.
"""

import jax
import numpy as np

from medkern.engine.learn import Settings
from medkern.engine.learn.cnn.fit import fit
from medkern.engine.learn.cnn.network import Network


def from_equinox() -> Network:
    """A module is a tree itself: its arrays are the parameters, its functions stay here."""
    import equinox as eqx

    class Small(eqx.Module):
        conv: eqx.nn.Conv2d
        dense: eqx.nn.Linear

        def __init__(self, key: jax.Array):
            first, second = jax.random.split(key)
            self.conv = eqx.nn.Conv2d(1, 8, 3, padding=1, key=first)
            self.dense = eqx.nn.Linear(8, 2, key=second)

        def __call__(self, image: jax.Array) -> tuple[jax.Array, jax.Array]:
            maps = jax.nn.relu(self.conv(image.transpose(2, 0, 1)))  # Equinox: (c, h, w)
            features = maps.mean(axis=(1, 2))
            return self.dense(features), features

    _, static = eqx.partition(Small(jax.random.key(0)), eqx.is_array)

    def init(key, shape):
        return eqx.filter(Small(key), eqx.is_array), {}

    def apply(params, state, images, train):
        logits, features = jax.vmap(eqx.combine(params, static))(images)
        return logits, features, state

    return Network(init, apply)


def from_flax() -> Network:
    """A module is split into a description, its parameters and its other variables."""
    from flax import nnx

    class Small(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.conv = nnx.Conv(1, 8, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
            self.dense = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
            features = nnx.relu(self.norm(self.conv(images))).mean(axis=(1, 2))
            return self.dense(features), features

    described, _, _ = nnx.split(Small(nnx.Rngs(0)), nnx.Param, ...)

    def init(key, shape):
        _, params, state = nnx.split(Small(nnx.Rngs(key)), nnx.Param, ...)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(state)

    def apply(params, state, images, train):
        module = nnx.merge(described, params, state)
        (module.train if train else module.eval)()
        logits, features = module(images)
        _, _, after = nnx.split(module, nnx.Param, ...)
        return logits, features, nnx.to_pure_dict(after)

    return Network(init, apply)


# smooth or rough: no single pixel tells them apart, a convolution does
rng = np.random.default_rng(0)
truth = np.arange(240) % 2
rough = rng.integers(0, 256, (240, 16, 16))
smooth = (rough + np.roll(rough, 1, 1) + np.roll(rough, 1, 2)) // 3
images = np.where(truth[:, None, None] == 0, rough, smooth).astype(np.uint8)
train, val, test = slice(0, 140), slice(140, 190), slice(190, 240)
settings = Settings(epochs=5, batch=20, rate=3e-2, shift=0, intensity=0)

for name, plug_in in {"Equinox": from_equinox, "Flax NNX": from_flax}.items():
    try:
        network = plug_in()
    except ImportError as missing:
        print(f"{name:<8} skipped: {missing.name} is not installed")
        continue
    cnn, history = fit(
        (images[train], truth[train]), (images[val], truth[val]), 8, 2, settings,
        lambda *_: None, network=network,
    )  # fmt: skip
    right = (cnn.predict(images[test]).argmax(axis=1) == truth[test]).mean()
    features = cnn.features(images[test])
    print(f"{name:<8} {right:.0%} of 50 test images right, {features.shape[1]} features each")
