"""A trained network: how grey levels become its input, and its probabilities and features for any
number of images through one compiled program.

    x = pixels / (2^bits - 1)                              0 .. 1
    z = (x - mean) / (deviation + 0.02)                    the image's own, or the training set's
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import LearnError, ModelError
from ..settings import STANDARDISE, TASKS
from . import _jax, loss, network
from .network import Network

FLOOR = 0.02  # added to the deviation, so that an empty image is not blown up to pure noise
BATCH = 64
CUSTOM = "custom"  # the architecture of a network that is not one of ours

assert _jax  # imported for what it sets


@dataclass(frozen=True)
class Design:
    """Everything that fixes the network but its weights.

    size (h, w) or (d, h, w); bits of grey; classes; width and blocks of the network, 0 for the
    architecture's own; standardise "image" or "data"; mean and deviation of the training pixels as
    shares of the grey range; architecture "light", "resnet18" or "custom" (width and blocks then
    say nothing); task "classes", "ordinal" or "labels"; channels 1 or 3; rank 2 or 3. ModelError
    outside the ranges.
    """

    size: tuple[int, ...]
    bits: int
    classes: int
    width: int
    blocks: int
    standardise: str
    mean: float
    deviation: float
    architecture: str = "light"
    task: str = "classes"
    channels: int = 1
    rank: int = 2

    def __post_init__(self) -> None:
        for name, value, low, high in (
            *(("side in pixels", side, 4, 8192) for side in self.size),
            ("bits", self.bits, 1, 16), ("classes", self.classes, 2, 1000),
            ("width", self.width, 0, 512), ("blocks", self.blocks, 0, 9), ("rank", self.rank, 2, 3),
        ):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ModelError(f"cnn: {name} is {value!r}; allowed: {low} .. {high}")
        if len(self.size) != self.rank:
            raise ModelError(f"cnn: size is {self.size}, which is not of rank {self.rank}")
        for name, allowed in (
            ("standardise", STANDARDISE), ("task", TASKS), ("channels", (1, 3)),
            ("architecture", (*network.PLANS, CUSTOM)),
        ):  # fmt: skip
            value = getattr(self, name)
            if value not in allowed or isinstance(value, bool):
                raise ModelError(
                    f"cnn: {name} is {value!r}; allowed: {', '.join(map(str, allowed))}"
                )
        for name in ("mean", "deviation"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 0 <= value <= 1:
                raise ModelError(f"cnn: {name} is {value!r}; allowed: 0 .. 1")

    @property
    def outputs(self) -> int:
        """How many logits its network gives."""
        return loss.outputs(self.task, self.classes)

    def network(self, own: Network | None = None) -> Network:
        """The network's functions; `own` for "custom" alone, else ModelError."""
        if (own is None) == (self.architecture == CUSTOM):
            state = "needs its Network, which no file holds" if own is None else "is one of ours"
            raise ModelError(f"cnn: the {self.architecture!r} architecture {state}")
        return own or network.residual(
            self.outputs, self.architecture, self.width, self.blocks, self.task == "ordinal"
        )

    def fresh(self, key: jax.Array, own: Network | None = None) -> tuple[Any, Any]:
        """New parameters and state."""
        return self.network(own).init(key, (*self.size, self.channels))


def scale(pixels: jax.Array, design: Design) -> jax.Array:
    """uint8 or uint16 (n, h, w), (n, h, w, 3) or (n, d, h, w) -> standardised float32, channels
    last: (n, h, w, 1) and so on. The channels of an image share one mean and deviation."""
    x = pixels.astype(jnp.float32) / (2**design.bits - 1)
    if design.channels == 1:
        x = x[..., None]
    if design.standardise == "image":
        inside = tuple(range(1, x.ndim))
        mean, deviation = x.mean(inside, keepdims=True), x.std(inside, keepdims=True)
    else:
        mean, deviation = design.mean, design.deviation
    return (x - mean) / (deviation + FLOOR)


@dataclass(frozen=True, eq=False)
class Cnn:
    """A network with its weights: nested dicts of float32 arrays, or what a plugged-in `network`
    made."""

    design: Design
    params: Any
    state: Any
    network: Network | None = None

    def predict(self, pixels: Any, batch: int = BATCH) -> np.ndarray:
        """Probabilities (n, classes) float32 of images (n, h, w), (n, h, w, 3) or (n, d, h, w).

        Rows sum to 1, but for the task "labels", whose columns are independent. See `answers`.
        """
        return self.answers(pixels, batch)[0]

    def features(self, pixels: Any, batch: int = BATCH) -> np.ndarray:
        """The last layer's inputs (n, f) float32, f = 4 width (light), 512 (resnet18)."""
        return self.answers(pixels, batch)[1]

    def answers(self, pixels: Any, batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and features together, for the cost of one.

        NumPy or, without a copy, any array on JAX's own device that speaks DLPack (CuPy). Every
        call of the one compiled program sees `batch` rows; a row's result depends on that row
        alone. LearnError for another size or type than the network was trained on.
        """
        check_pixels(pixels, self.design)
        parts: list[Any] = []
        for rows, fresh in _batches(pixels, batch):
            done = answer(*self._weights, rows, self.design, self._network)
            if parts:  # while the device works on this batch, the last one comes back
                parts[-1] = jax.tree.map(np.asarray, parts[-1])
            parts.append((done[0][fresh:], done[1][fresh:]) if fresh else done)
        if not parts:
            return self._nothing()
        p, features = (np.concatenate(part) for part in zip(*parts, strict=True))
        return p[: len(pixels)], features[: len(pixels)]

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights, flat: {"params/stem/weight": ..., "state/stem/mean": ...}."""
        return flatten({"params": self.params, "state": self.state})

    @classmethod
    def from_arrays(
        cls, design: Design, arrays: dict[str, np.ndarray], network: Network | None = None
    ) -> Cnn:
        """The network these arrays hold; ModelError unless they are exactly what it needs."""
        params, state = jax.eval_shape(partial(design.fresh, own=network), jax.random.key(0))
        shapes = {"params": params, "state": state}
        wanted = flatten(shapes)
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
        tree = unflatten(arrays, shapes)
        return cls(design, tree["params"], tree["state"], network)

    @cached_property
    def _network(self) -> Network:
        return self.design.network(self.network)

    @cached_property
    def _weights(self) -> tuple[Any, Any]:
        """On the device, once."""
        return jax.device_put((self.params, self.state))

    def _nothing(self) -> tuple[np.ndarray, np.ndarray]:
        shape = (1, *self.design.size, *((3,) if self.design.channels == 3 else ()))
        one = jax.ShapeDtypeStruct(shape, np.uint8)
        made = jax.eval_shape(
            partial(answer, design=self.design, network=self._network),
            self.params, self.state, one,
        )  # fmt: skip
        p, features = (np.empty((0, *part.shape[1:]), np.float32) for part in made)
        return p, features


@partial(jax.jit, static_argnames=("design", "network"))
def answer(
    params: Any, state: Any, pixels: jax.Array, design: Design, network: Network
) -> tuple[jax.Array, jax.Array]:
    """The compiled prediction: pixels of n images to probabilities (n, k) and features (n, f)."""
    logits, features, _ = network.apply(params, state, scale(pixels, design), train=False)
    return loss.probabilities(design.task, logits), features.astype(jnp.float32)


def check_pixels(pixels: Any, design: Design) -> None:
    """LearnError unless these are uint8 or uint16 images of the network's size."""
    shape, dtype = tuple(getattr(pixels, "shape", ())), str(getattr(pixels, "dtype", "nothing"))
    wanted = (*design.size, 3) if design.channels == 3 else design.size
    if len(shape) != len(wanted) + 1 or shape[1:] != wanted:
        sizes = ", ".join(map(str, wanted))
        raise LearnError(f"cnn: images are {shape}, the network takes (n, {sizes})")
    if dtype not in ("uint8", "uint16"):
        raise LearnError(f"cnn: pixels are {dtype}; allowed: uint8, uint16")


def flatten(tree: Any) -> dict[str, Any]:
    """A tree -> {"a/b/c": leaf}, a leaf's name being its path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        if isinstance(leaf, jax.Array)
        else leaf
        for path, leaf in leaves
    }


def unflatten(flat: dict[str, Any], like: Any) -> Any:
    """The inverse of `flatten`: leaves by name in the tree `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), [flat[name] for name in flatten(like)])


def _batches(pixels: Any, batch: int) -> Iterator[tuple[Any, int]]:
    """`batch` rows at a time, and how many of them came before already: the last rows are filled
    up with those before them, or with zeros where there are fewer than `batch` at all.

    Rows are cut where they lie (NumPy, CuPy: a view) and handed over by DLPack.
    """
    n = len(pixels)
    for start in range(0, n, batch):
        first = max(0, min(start, n - batch))
        rows = pixels[first : first + batch]
        if not isinstance(rows, np.ndarray):
            rows = jnp.from_dlpack(rows)
        if n < batch:
            pad = np.pad if isinstance(rows, np.ndarray) else jnp.pad
            rows = pad(rows, ((0, batch - n), *((0, 0),) * (rows.ndim - 1)))
        yield rows, start - first
