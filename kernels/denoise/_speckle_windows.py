"""Mean and variance of a sliding window, safe from cancellation, shared by the speckle filters.

Two groups of na and nb pixels, with d = mean_b - mean_a and spread = sum of squared deviations:

    mean = mean_a + d nb / (na + nb);  spread = spread_a + spread_b + d^2 na nb / (na + nb)

Windows of 1, 2, 4 .. rows are put together to 2 radius + 1 rows, then columns likewise. No pixel
is ever subtracted again, so nothing drifts, a NaN stays in the windows that hold it, and the
result does not depend on how the image is cut into tiles.

source  T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, 1983
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

from .._cuda import Cuda
from .._inner import inner
from .._kernel import Quality

TILE_ROWS, TILE_COLUMNS = 32, 512  # a tile and its four planes stay in the second level cache
GRID = 65535
THREADS = 256
TILES = Quality(
    sector_efficiency=0.45,
    excuse="a tile of float32 windows in shared memory is 64 pixels wide: of 8-bit pixels two "
    "sectors, and one more on each side for the border, which the cache serves",
)


def reference_statistics(images: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of every window in float64; NaN where it holds a NaN or an infinity."""
    size: Any = (1,) + (2 * radius + 1,) * (images.ndim - 1)
    bad = ~np.isfinite(images)
    pixels = np.where(bad, 0, images).astype(np.float64)
    level = pixels.mean(axis=tuple(range(1, images.ndim)), keepdims=True)
    pixels -= level
    mean = scipy.ndimage.uniform_filter(pixels, size, mode="nearest")
    variance = scipy.ndimage.uniform_filter(pixels**2, size, mode="nearest") - mean**2
    bad = scipy.ndimage.maximum_filter(bad, size, mode="nearest")
    mean, variance = mean + level, np.maximum(variance, 0)
    return np.where(bad, np.nan, mean), np.where(bad, np.nan, variance)


def tiling(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Rows and columns of a tile, and tiles in the batch; the columns are shared out evenly."""
    n, h, w = shape
    across = -(-w // TILE_COLUMNS)
    columns = -(-w // across)
    rows = min(TILE_ROWS, h)
    return rows, columns, n * across * -(-h // rows)


@inner
def _add(mean, spread, more_mean, more_spread, count, more):
    """Groups of `count` pixels, each with one of `more` pixels added, in place."""
    weight = np.float32(more) / np.float32(count + more)
    factor = np.float32(count) * weight
    for i in range(mean.size):
        d = more_mean[i] - mean[i]
        mean[i] = mean[i] + d * weight
        spread[i] = (spread[i] + more_spread[i]) + (d * d) * factor


@inner
def _merge(mean, spread, one, one_spread, other, other_spread, factor):
    """Two groups of the same size each; `factor` is half that size."""
    for i in range(mean.size):
        d = other[i] - one[i]
        mean[i] = one[i] + d * np.float32(0.5)
        spread[i] = (one_spread[i] + other_spread[i]) + (d * d) * factor


@inner
def _pair(mean, spread, one, other):
    """Two single pixels each."""
    for i in range(mean.size):
        d = other[i] - one[i]
        mean[i] = one[i] + d * np.float32(0.5)
        spread[i] = (d * d) * np.float32(0.5)


@inner
def _load_row(line, row, x):
    """line[i] = row[x + i], outside the row its nearest pixel."""
    left = min(max(-x, 0), line.size)
    right = max(min(row.size - x, line.size), left)
    before, inside, after = line[:left], line[left:right], line[right:]
    pixels = row[x + left : x + right]
    for i in range(before.size):
        before[i] = np.float32(row[0])
    for i in range(inside.size):
        inside[i] = np.float32(pixels[i])
    for i in range(after.size):
        after[i] = np.float32(row[row.size - 1])


@inner
def load_pixels(tile, image, y, x):
    """tile[j, i] = image[y + j, x + i] as float32, outside the image its nearest pixel."""
    for j in range(len(tile)):
        _load_row(tile[j], image[min(max(y + j, 0), len(image) - 1)], x)


@inner
def workspace(rows, columns, radius):
    """Memory for `window_statistics`: four planes of a tile with its border."""
    return np.empty((4, rows + 2 * radius, columns + 2 * radius), np.float32)


@inner
def load_windows(memory, image, y, x, radius):
    """Mean and spread of the windows of the tile at (y, x), to memory[0] and memory[1]."""
    mean, spread, part, part_spread = memory[0], memory[1], memory[2], memory[3]
    rows = len(mean)
    load_pixels(mean, image, y - radius, x - radius)
    _widen_down(mean, spread, part, part_spread, 2 * radius + 1)
    for j in range(rows - 2 * radius):
        _widen_right(mean[j], spread[j], part, part_spread, 2 * radius + 1)


@inner
def _widen_down(mean, spread, part, part_spread, side):
    """The pixels in `mean` become windows of `side` rows; `part` holds those of 2, 4 .. rows."""
    rows, columns = mean.shape
    have, size = np.int64(1), np.int64(2)
    for j in range(rows):
        line = spread[j]
        for i in range(columns):
            line[i] = np.float32(0.0)
    for j in range(rows - 1):
        _pair(part[j], part_spread[j], mean[j], mean[j + 1])
    while True:
        if side & size:
            for j in range(rows - have - size + 1):
                k = j + have
                _add(mean[j], spread[j], part[k], part_spread[k], have, size)
            have += size
        if 2 * size > side:
            break
        for j in range(rows - 2 * size + 1):
            k = j + size
            _add(part[j], part_spread[j], part[k], part_spread[k], size, size)
        size *= 2


@inner
def _widen_right(mean, spread, part, part_spread, side):
    """Windows of one column, `side` pixels each, become windows of `side` columns."""
    columns = mean.size
    have, size = np.int64(1), np.int64(2)
    here, here_spread, there, there_spread = part[0], part_spread[0], part[1], part_spread[1]
    length = columns - 1
    factor = np.float32(0.5) * np.float32(side)
    _merge(here[:length], here_spread[:length], mean, spread, mean[1:], spread[1:], factor)
    while True:
        if side & size:
            length = columns - have - size + 1
            line, line_spread = here[have:], here_spread[have:]
            _add(mean[:length], spread[:length], line, line_spread, side * have, side * size)
            have += size
        if 2 * size > side:
            break
        length = columns - 2 * size + 1
        factor = np.float32(0.5) * np.float32(side * size)
        line, line_spread = here[size:], here_spread[size:]
        _merge(there[:length], there_spread[:length], here, here_spread, line, line_spread, factor)
        here, here_spread, there, there_spread = there, there_spread, here, here_spread
        size *= 2


class WindowsCuda(Cuda):
    """The CUDA source beside a Python file, after that of the windows."""

    @cached_property
    def source(self) -> str:
        return Path(__file__).with_suffix(".cuh").read_text() + super().source


def launch_tiles(
    function: str, source: Cuda, images: Any, radius: int, *args: Any, **more: Any
) -> None:
    """A thread block a tile: small tiles where windows are large, for all is in shared memory."""
    n, h, w = images.shape
    rows, columns = (16, 64) if radius <= 7 else (8, 32)
    macros: dict[str, Any] = {
        "PIXEL": images.dtype,
        "RADIUS": radius,
        "TILE_ROWS": rows,
        "TILE_COLUMNS": columns,
    }
    macros |= more
    grid = (-(-w // columns), min(-(-h // rows), GRID), min(n, GRID))
    source.function(function, **macros)(grid, THREADS, images, *args, n, h, w)
