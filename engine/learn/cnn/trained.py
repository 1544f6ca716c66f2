"""A trained network: how grey levels become its input, and its probabilities for any number of
images through one compiled program.

    x = pixels / (2^bits - 1)                              0 .. 1
    z = (x - mean) / (deviation + 0.02)                    the image's own, or the training set's
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import LearnError, ModelError
from ..settings import STANDARDISE
from . import _jax, network

FLOOR = 0.02  # added to the deviation, so that an empty image is not blown up to pure noise
BATCH = 64

assert _jax  # imported for what it sets


@dataclass(frozen=True)
class Design:
    """Everything that fixes the network but its weights.

    size (h, w) pixels; bits of grey; classes; width and blocks of the network; standardise "image"
    or "data"; mean and deviation of the training pixels as shares of the grey range.
    """

    size: tuple[int, int]
    bits: int
    classes: int
    width: int
    blocks: int
    standardise: str
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("height", self.size[0], 4, 8192), ("width in pixels", self.size[1], 4, 8192),
            ("bits", self.bits, 1, 16), ("classes", self.classes, 2, 1000),
            ("width", self.width, 1, 512), ("blocks", self.blocks, 1, 9),
        ):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ModelError(f"cnn: {name} is {value!r}; allowed: {low} .. {high}")
        if self.standardise not in STANDARDISE:
            raise ModelError(f"cnn: standardise is {self.standardise!r}; allowed: image, data")
        for name in ("mean", "deviation"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 0 <= value <= 1:
                raise ModelError(f"cnn: {name} is {value!r}; allowed: 0 .. 1")

    def fresh(self, key: jax.Array) -> tuple[network.Tree, network.Tree]:
        """New parameters and state."""
        return network.init(key, (*self.size, 1), self.classes, self.width, self.blocks)


def scale(pixels: jax.Array, design: Design) -> jax.Array:
    """uint8 or uint16 (n, h, w) -> standardised float32 (n, h, w, 1)."""
    x = pixels.astype(jnp.float32) / (2**design.bits - 1)
    if design.standardise == "image":
        mean = x.mean(axis=(1, 2), keepdims=True)
        deviation = x.std(axis=(1, 2), keepdims=True)
    else:
        mean, deviation = design.mean, design.deviation
    return ((x - mean) / (deviation + FLOOR))[..., None]


@dataclass(frozen=True, eq=False)
class Cnn:
    """A network with its weights: nested dicts of float32 arrays."""

    design: Design
    params: network.Tree
    state: network.Tree

    def predict(self, pixels: Any, batch: int = BATCH) -> np.ndarray:
        """Probabilities (n, classes) float32 of images (n, h, w).

        NumPy or, without a copy, any array on JAX's own device that speaks DLPack (CuPy). The last
        rows are filled up to `batch`, so one program is compiled; a row's result depends on that
        row alone. LearnError for another size or type than the network was trained on.
        """
        check_pixels(pixels, self.design)
        if not isinstance(pixels, np.ndarray):
            pixels = jnp.from_dlpack(pixels)
        parts = []
        for start in range(0, len(pixels), batch):
            rows = pixels[start : start + batch]
            filled = _fill(rows, batch)
            done = probabilities(self.params, self.state, filled, self.design)
            parts.append(np.asarray(done)[: len(rows)])
        return np.concatenate(parts) if parts else np.empty((0, self.design.classes), np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights, flat: {"params/stem/weight": ..., "state/stem/mean": ...}."""
        return flatten({"params": self.params, "state": self.state})

    @classmethod
    def from_arrays(cls, design: Design, arrays: dict[str, np.ndarray]) -> Cnn:
        """The network these arrays hold; ModelError unless they are exactly what it needs."""
        wanted = flatten(_shapes(design))
        if set(arrays) != set(wanted):
            odd = sorted(set(arrays) ^ set(wanted))[0]
            raise ModelError(f"cnn: array {odd!r} is {'unknown' if odd in arrays else 'missing'}")
        for name, need in wanted.items():
            array = arrays[name]
            if array.dtype != need.dtype or array.shape != need.shape:
                raise ModelError(
                    f"cnn: array {name!r} is {array.dtype} {array.shape}, "
                    f"not {need.dtype} {need.shape}"
                )
            if not np.isfinite(array).all():
                raise ModelError(f"cnn: array {name!r} holds NaN or infinity")
            if name.endswith("/var") and (array < 0).any():
                raise ModelError(f"cnn: array {name!r} holds a negative variance")
        tree = unflatten(arrays)
        return cls(design, tree["params"], tree["state"])


@partial(jax.jit, static_argnames="design")
def probabilities(
    params: network.Tree, state: network.Tree, pixels: jax.Array, design: Design
) -> jax.Array:
    """The compiled prediction: (n, h, w) -> (n, classes)."""
    logits, _, _ = network.apply(params, state, scale(pixels, design), train=False)
    return jax.nn.softmax(logits)


def check_pixels(pixels: Any, design: Design) -> None:
    """LearnError unless these are uint8 or uint16 images of the network's size."""
    shape, dtype = tuple(getattr(pixels, "shape", ())), str(getattr(pixels, "dtype", "nothing"))
    if len(shape) != 3 or shape[1:] != design.size:
        raise LearnError(f"cnn: images are {shape}, the network takes (n, {design.size[0]}, "
                         f"{design.size[1]})")  # fmt: skip
    if dtype not in ("uint8", "uint16"):
        raise LearnError(f"cnn: pixels are {dtype}; allowed: uint8, uint16")


def flatten(tree: network.Tree, prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> {"a/b/c": leaf}."""
    flat: dict[str, Any] = {}
    for name, part in tree.items():
        flat |= (
            flatten(part, f"{prefix}{name}/") if isinstance(part, dict) else {prefix + name: part}
        )
    return flat


def unflatten(flat: dict[str, Any]) -> network.Tree:
    """The inverse of `flatten`."""
    tree: network.Tree = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        part = tree
        for folder in folders:
            part = part.setdefault(folder, {})
        part[name] = leaf
    return tree


def _shapes(design: Design) -> network.Tree:
    """Shapes and dtypes of the weights, without making any."""
    params, state = jax.eval_shape(design.fresh, jax.random.key(0))
    return {"params": params, "state": state}


def _fill(rows: Any, batch: int) -> Any:
    missing = batch - len(rows)
    if not missing:
        return rows
    pad = np.pad if isinstance(rows, np.ndarray) else jnp.pad
    return pad(rows, ((0, missing), (0, 0), (0, 0)))
