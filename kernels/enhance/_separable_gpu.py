"""Banks of separable filters on the GPU: one pass over memory an axis and product."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .._cuda import Cuda, empty
from ._separable import BORDERS, Bank

THREADS = 256
SET, ADD, LARGEST, BOTH = 0, 1, 2, 4  # what a pass does with its sum


def apply(
    source: Cuda, images: Any, out: Any, bank: Bank, borders: str, absolute: bool = False
) -> None:
    """out = what the bank makes of the images, or of their absolute values."""
    shape, last = images.shape, bank.axes - 1
    between = [empty(images, shape, np.float32) for _ in range(last)]  # after the first axes
    taps = _upload(images, bank.taps())
    for t, (radii, new) in enumerate(zip(bank.radii.tolist(), bank.first_new(), strict=True)):
        pool = (LARGEST if bank.largest else ADD) if t else SET
        for axis in range(new, bank.axes):
            given = between[axis - 1] if axis else images
            run = source.function(
                "separable_pass",
                PIXEL=given.dtype, RADIUS=radii[axis], BORDERS=BORDERS.index(borders),
                ABSOLUTE=absolute and axis == 0,
            )  # fmt: skip
            how = pool + BOTH * bank.both[t] if axis == last else SET
            target = out if axis == last else between[axis]
            sizes = prod(shape), shape[axis + 1], prod(shape[axis + 2 :])
            run(-(-sizes[0] // THREADS), THREADS, given, target, taps[t, axis], *sizes, how)


def _upload(images: Any, values: np.ndarray) -> Any:
    """The values on the device of the images."""
    there = empty(images, values.shape, values.dtype)
    if isinstance(there, np.ndarray):
        there[...] = values
    else:
        there.set(values)
    return there
