"""A small task and a small network, so that tests of training spend no time on either."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medkern.engine.learn import Settings
from medkern.engine.learn.cnn.network import Network

FAST = Settings(epochs=4, batch=32, width=4, rate=1e-2, shift=0.1, models=("cnn",))


def stripes(n: int, side: int = 12, seed: int = 0, dtype: Any = np.uint8):
    """Horizontal (0) or vertical (1) stripes of any phase in noise: no pixel tells them apart."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    wave = np.sin(np.arange(side)[None] * 2 + generator.uniform(0, 6, (n, 1)))
    image = np.where(truth[:, None, None] == 1, wave[:, None, :], wave[:, :, None])
    image = image + generator.normal(size=(n, side, side))
    top = np.iinfo(dtype).max
    return ((image * 0.1 + 0.5).clip(0, 1) * top).astype(dtype), truth


def plain(outputs: int = 2, spoil: Callable[[jax.Array], jax.Array] | None = None) -> Network:
    """One hidden layer of 8; its state counts the training steps. spoil(steps) multiplies the
    logits. Compiled in a tenth of the time of a residual network."""

    def init(key: jax.Array, shape: tuple[int, ...]) -> tuple[Any, Any]:
        first = 0.1 * jax.random.normal(key, (int(np.prod(shape)), 8))
        return {"first": first, "last": jnp.zeros((8, outputs))}, {"steps": jnp.zeros(())}

    def apply(params: Any, state: Any, x: jax.Array, train: bool):
        features = jax.nn.relu(x.reshape(len(x), -1) @ params["first"])
        logits = features @ params["last"]
        if spoil:
            logits = logits * spoil(state["steps"])
        return logits, features, {"steps": state["steps"] + 1.0} if train else state

    return Network(init, apply)


PLAIN = plain()


def nothing(model: str, done: int, total: int, figures: Any) -> None:
    """Progress that nobody looks at."""


def programs(jitted: Any) -> int:
    """How many programs were compiled for a jitted function."""
    return jitted._cache_size()
