"""What the kernels that stabilise a variance share: pixels in chunks, tables, launches, numbers of
an image.

A table holds equally spaced values; what lies between two of them is linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _cuda
from .._inner import inner
from .._kernel import Quality
from .._threads import run
from .noise import noise

CHUNK = 1 << 13  # pixels
THREADS, GRID = 256, 65535
PIXEL_DTYPES = ("float32", "uint8", "uint16", "int16")  # the result of an inverse
STREAM = Quality(registers=40, sector_efficiency=0.9)
TABLE = Quality(
    registers=40,
    sector_efficiency=0.75,
    bank_conflicts=6.0,
    excuse="every lane looks up its own place of a table in shared memory; a table of 1025 numbers "
    "ends within a sector",
)


@inner
def look_up(places, values, slopes):
    """places[i] <- the value there, counted in cells; the end value beyond the ends and for NaN."""
    last = np.float32(values.size - 1)
    for i in range(places.size):
        place = places[i] if places[i] > np.float32(0.0) else np.float32(0.0)
        places[i] = place if place < last else last
    for i in range(places.size):  # apart, because this loop has no vectors
        place = places[i]
        cell = np.intp(place)
        places[i] = values[cell] + (place - np.float32(cell)) * slopes[cell]


@inner
def take_slopes(slopes, values):
    """What each value lacks to the next; 0 for the last."""
    for i in range(values.size - 1):
        slopes[i] = values[i + 1] - values[i]
    slopes[values.size - 1] = np.float32(0.0)


def run_pixels(work: Callable[..., Any], images: np.ndarray, out: np.ndarray, *args: Any) -> None:
    """work(first, stop, images, out, *args) on chunks of pixels; images and out are (n, pixels)."""
    images, out = images.reshape(len(images), -1), out.reshape(len(out), -1)
    chunks = len(images) * -(-images.shape[1] // CHUNK)
    run(work, chunks, images, out, *args)


@inner
def chunk_of(number, pixels):
    """Image, first and last pixel of a chunk."""
    image, part = divmod(number, -(-pixels // CHUNK))
    return image, part * CHUNK, min((part + 1) * CHUNK, pixels)


def launch(function: Callable[..., None], images: Any, *args: Any) -> None:
    """function(images, *args, n, pixels): eight pixels a thread, a row of the grid an image."""
    n, pixels = len(images), images.size // len(images)
    grid = min(-(-pixels // (8 * THREADS)), 1 << 20), min(n, GRID)
    function(grid, THREADS, images, *args, n, pixels)


def on_device_of(images: Any, table: np.ndarray) -> Any:
    """The table where the images are."""
    if isinstance(images, np.ndarray):
        return table
    copy = _cuda.empty(images, table.shape, table.dtype)
    copy.set(table)
    return copy


def each(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(n,) numbers in float64, to go with the images."""
    return values.astype(np.float64).reshape(-1, *(1,) * (images.ndim - 1))


def estimated(images: Any, model: str, column: int, none: float) -> Any:
    """(n,) float32: what `noise` finds in each image; `none` where it finds nothing."""
    values, _ = noise(images, model=model)
    found = _cuda.empty(images, (len(images),), np.float32)
    found[...] = values[:, column]
    found[~(found > 0)] = none
    return found


def to_dtype(values: np.ndarray, dtype: str) -> np.ndarray:
    """float64 values as pixels: integers rounded, NaN as 0, ends of the range where outside."""
    if dtype == "float32":
        return values.astype(np.float32)
    info = np.iinfo(dtype)
    return np.clip(np.rint(np.nan_to_num(values, nan=0.0)), info.min, info.max).astype(dtype)
