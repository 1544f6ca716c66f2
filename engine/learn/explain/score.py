"""What the maps explain: the logit of a class, of a batch of images, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cnn import loss
from ..cnn.network import Network, residual
from ..cnn.trained import CUSTOM, Cnn, check_pixels
from ..errors import LearnError

BATCH = 8
_LEAST = 1e-6  # a probability further out has no slope in float32


def network_of(cnn: Cnn) -> Network:
    """The network's functions; ours in float32 on any device: steps of bfloat16 do not add up."""
    d = cnn.design
    if d.architecture == CUSTOM:
        return d.network(cnn.network)
    return residual(d.outputs, d.architecture, d.width, d.blocks, d.task == "ordinal", "float32")


def of_class(task: str, logits: jax.Array, classes: jax.Array) -> jax.Array:
    """(n,) the logit of each row's class: the network's own; of an ordinal class, whose network
    has cut points and no class, log(p / (1 - p)) of its probability."""
    if task == "ordinal":
        p = loss.probabilities(task, logits).clip(_LEAST, 1 - _LEAST)
        logits = jnp.log(p) - jnp.log1p(-p)
    return jnp.take_along_axis(logits, classes[:, None], axis=1)[:, 0]


def chosen(cnn: Cnn, pixels: Any, classes: int | np.ndarray | None) -> np.ndarray:
    """(n,) class numbers: those given, one for all or one a row, or the most probable ones."""
    check_pixels(pixels, cnn.design)
    if classes is None:
        return cnn.predict(pixels).argmax(axis=1).astype(np.int32)
    wanted = np.asarray(classes)
    good = wanted.dtype.kind in "iu" and wanted.shape in ((), (len(pixels),))
    if not good or ((wanted < 0) | (wanted >= cnn.design.classes)).any():
        raise LearnError(
            f"explain: classes are {classes!r}; allowed: 0 .. {cnn.design.classes - 1}, one for "
            f"all images or one for each of the {len(pixels)}"
        )
    return np.broadcast_to(wanted, (len(pixels),)).astype(np.int32)


def in_batches(
    function: Callable[[np.ndarray, np.ndarray], tuple[jax.Array, ...]],
    pixels: np.ndarray,
    classes: np.ndarray,
    batch: int = BATCH,
) -> list[np.ndarray]:
    """Every result of `function` for all rows; batches are filled up, so it compiles once."""
    parts = []
    for start in range(0, max(len(pixels), 1), batch):
        rows = slice(start, start + batch)
        missing = batch - len(pixels[rows])
        done = function(
            np.pad(pixels[rows], ((0, missing), *[(0, 0)] * (pixels.ndim - 1))),
            np.pad(classes[rows], (0, missing)),
        )
        parts.append([np.asarray(part)[: batch - missing] for part in done])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
