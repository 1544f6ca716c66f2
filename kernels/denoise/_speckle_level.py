"""The strength of speckle, estimated per image, and the filters whose parameter it is.

    level = 1.3 * median over blocks of 8 x 8 pixels of  sd / |mean|  (linear images)
                                                     or  sd           (log-compressed images)

Speckle covers the whole image while edges cross few blocks, so the median block is one without.
The sd of a small window of mere speckle scatters around the true one, the more the coarser the
grain is; 1.3 times that, nearly all of these windows are smoothed and edges still stand out. On
images with known truth this is the best multiple, or within 0.3 dB of it.

Blocks without any variation (the black around a sector) and blocks with a NaN or an infinity are
left out; an image of only such blocks has level 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._inner import inner
from .._kernel import Filter
from .._parameter import AUTO, Parameter
from .._threads import run

DOMAINS = ("log", "linear")
BLOCK = 8
MOST = 1 << 12  # blocks an image, at most; more hardly change the median
MARGIN = np.float32(1.3)
MISSING = np.float32(np.inf)

_source = _cuda.Cuda(__file__)


class SpeckleFilter(Filter):
    """A filter whose `speckle` is estimated from the images, for their `domain` if it has one."""

    def settle(self, images: Any, chosen: Any) -> dict[str, Any]:
        """The level of each image on their device."""
        if isinstance(chosen["speckle"], str):
            chosen = {**chosen, "speckle": speckle_level(images, chosen.get("domain", "linear"))}
        return super().settle(images, chosen)


def speckle_level(images: Any, domain: str = "linear") -> Any:
    """Speckle of each image of a batch (n, h, w): (n,) float32, on the device of the images."""
    n, h, w = images.shape
    rows, columns = max(min(BLOCK, h), 1), max(min(BLOCK, w), 1)
    down, across = h // rows, w // columns
    step = max(1, -(-down * across // MOST))  # of the rows of blocks that are looked at
    bands = -(-down // step)
    values = _cuda.empty(images, (n, bands * across), np.float32)
    levels = _cuda.empty(images, (n,), np.float32)
    sizes = (rows, columns, step, bands, int(domain == "log"))
    if not values.size:
        levels[...] = 0
    elif isinstance(images, np.ndarray):
        images = np.ascontiguousarray(images).view()
        images.flags.writeable = False
        run(_some_bands, n * bands, images, values, *sizes, least=16)
        levels[...] = _medians(values)
    else:
        gpu_level(images, values, levels, *sizes)
    return levels


def speckle_parameter() -> Parameter:
    """`speckle`, "auto" by default."""
    return Parameter(
        AUTO,
        "strength of the speckle: sd over mean, or of log-compressed images sd in grey levels; "
        "0.52 / sqrt(looks) for amplitude, 1 / sqrt(looks) for intensity",
        above=0,
        estimate=speckle_level,
    )


# ---- CPU


@compiled
def _some_bands(first, stop, images, values, rows, columns, step, bands, log):
    """Rows of blocks first .. stop - 1 of the batch."""
    across = images.shape[2] // columns
    sums, squares = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for item in range(first, stop):
        image, band = divmod(item, bands)
        y = band * step * rows
        line = values[image][band * across : (band + 1) * across]
        for k in range(across):
            origin = _sum_columns(images[image], y, k * columns, rows, columns, sums, squares)
            line[k] = _variation(origin, sums, squares, rows * columns, log)


@inner
def _sum_columns(image, y, x, rows, columns, sums, squares):
    """Sums of a block's columns, of deviations from its first pixel: nothing cancels."""
    origin = np.float32(image[y, x])
    for i in range(BLOCK):
        sums[i] = squares[i] = np.float32(0.0)
    for j in range(rows):
        row = image[y + j][x : x + columns]
        for i in range(columns):
            d = np.float32(row[i]) - origin
            sums[i] += d
            squares[i] += d * d
    return origin


@inner
def _variation(origin, sums, squares, count, log):
    """sd / |mean| of a block, or its sd."""
    share = np.float32(1.0) / np.float32(count)
    shift, square = _tree(sums) * share, _tree(squares) * share
    variance, mean = square - shift * shift, origin + shift
    if not (variance > 0 and variance < np.inf and (log or mean != 0)):
        return MISSING
    return np.sqrt(variance) if log else np.sqrt(variance) / abs(mean)


@inner
def _tree(v):
    """The sum of eight, in the order of a warp's exchange."""
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))


def _medians(values: np.ndarray) -> np.ndarray:
    """MARGIN times the lower median of each row without the missing ones; 0 without any."""
    ordered = np.sort(values, axis=1)
    present = np.isfinite(ordered).sum(axis=1)
    middle = np.maximum(present - 1, 0) // 2
    return np.where(present > 0, MARGIN * ordered[np.arange(len(values)), middle], 0)


# ---- GPU


def gpu_level(
    images: Any, values: Any, levels: Any, rows: int, columns: int, step: int, bands: int, log: int
) -> None:
    """A launch for the blocks, one for the medians; nothing waits for the device."""
    n, h, w = images.shape
    across = w // columns
    grid = (-(-across // 32), min(bands, 65535), min(n, 65535))
    sizes = (n, h, w, rows, columns, step, bands, log)
    _source.function("variations", PIXEL=images.dtype)(grid, 256, images, values, *sizes)
    _source.function("medians", PIXEL=images.dtype)(
        min(n, 1 << 20), 256, values, levels, n, bands * across
    )
