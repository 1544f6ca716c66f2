"""Moduli of filters in the frequency domain, on the GPU: transforms of 16 lines in a block."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._cuda import Cuda, empty
from ._separable import BORDERS
from ._separable_gpu import _upload
from ._tiles import Plane, Tiles, roots

LANES = 16
THREADS = 256
TOGETHER = 1 << 24  # complex pixels that wait between the axes, twice: 256 MB


def apply(
    source: Cuda,
    images: Any,
    out: Any,
    plane: Plane,
    cut: Tiles,
    gains: np.ndarray,
    largest: bool,
    borders: str,
) -> None:
    """Add the moduli of all filters to out or, with `largest`, compare them with it."""
    high, wide = cut.sides
    number = plane.volumes * plane.slices * cut.number[0] * cut.number[1]
    together = min(number, max(TOGETHER // (high * wide), 1))
    spectra, products = (empty(images, (together, high, wide, 2), np.float32) for _ in range(2))
    filters = _upload(images, gains)
    down, across = (_upload(images, roots(side)) for side in cut.sides)
    functions = ("forward_rows", "columns_of_tiles", "backward_rows")
    macros = {"PIXEL": images.dtype, "HIGH": high, "WIDE": wide, "BORDERS": BORDERS.index(borders)}
    forward, columns, backward = (source.function(name, **macros) for name in functions)
    where = cut.radius, *cut.number, *plane[1:]
    along_x, along_y = (min(4 * side, THREADS) for side in (wide, high))
    for first in range(0, number, together):
        count = min(together, number - first)
        of_rows, of_columns = (count * side // LANES for side in cut.sides)
        of_kept = count * -(-cut.kept[0] // LANES)
        forward(of_rows, along_x, images, spectra, across, first, *where)
        columns(of_columns, along_y, spectra, spectra, down, None)
        for gain in filters:
            columns(of_columns, along_y, spectra, products, down, gain)
            backward(of_kept, along_x, products, out, across, first, *where, largest)
