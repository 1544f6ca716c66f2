"""Banks of separable filters on the CPU: tiles, all products of a tile while its pixels are near.

A tile with its borders is a flat array, and so are its rows and slices: along every axis

    out[i] = sum over k of taps[k] source[start + k step + i]

with step 1, the width of the tile, or the size of a slice; only borders are computed in vain.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled, frozen_view
from .._inner import inner
from ._separable import BORDERS, Bank

TILE = {2: (1, 32, 1024), 3: (8, 16, 256)}  # slices, rows, columns: memory likes long rows
BLOCK = 1024  # sums that the first level cache holds with their pixels
NAN = np.float32(np.nan)
INFINITE = np.float32(np.inf)


class Products(NamedTuple):
    """A bank as compiled code takes it; images are volumes of one slice, of which z is left out."""

    taps: np.ndarray
    radii: np.ndarray
    first_new: np.ndarray
    both: np.ndarray
    largest: bool

    @classmethod
    def of(cls, bank: Bank) -> Products:
        left_out = 3 - bank.axes
        return cls(
            np.pad(bank.taps(), ((0, 0), (left_out, 0), (0, 0))),
            np.pad(bank.radii.astype(np.int64), ((0, 0), (left_out, 0))),
            np.array(bank.first_new()) + left_out,
            np.array(bank.both),
            bank.largest,
        )


def apply(
    images: np.ndarray, out: np.ndarray, bank: Bank, borders: str, absolute: bool = False
) -> None:
    """out = what the bank makes of the images, or of their absolute values."""
    flat = images.ndim == 3
    volumes, results = (images[:, None], out[:, None]) if flat else (images, out)
    n, d, h, w = volumes.shape
    size = TILE[bank.axes]
    tiles = n * prod(-(-a // b) for a, b in zip((d, h, w), size, strict=True))
    products = Products.of(bank)
    reach = tuple(products.radii.max(axis=0).tolist())
    _threads.run(
        *(_some_tiles, tiles, frozen_view(volumes), results, products),
        *(size, reach, BORDERS.index(borders), absolute),
    )


@inner
def _place(i, n, borders):
    """The index that stands for i on an axis of n pixels; -1 where there is none."""
    if 0 <= i < n:
        return i
    if borders == 0:
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i
    if borders == 1:
        return min(max(i, 0), n - 1)
    return i % n if borders == 2 else -1


@inner
def _load(tile, image, y, x, borders, absolute):
    """tile[j, i] = image[y + j, x + i] as float32, NaN where it is not finite."""
    h, w = image.shape
    rows, columns = tile.shape
    left, right = min(max(-x, 0), columns), max(min(w - x, columns), 0)
    for j in range(rows):
        line, at = tile[j], _place(y + j, h, borders)
        if at < 0:
            line[:] = 0
            continue
        row = image[at]
        middle, inside = line[left:right], row[x + left : x + right]
        for i in range(len(middle)):
            middle[i] = np.float32(inside[i])
        for outside in ((0, left), (right, columns)):
            for i in range(outside[0], outside[1]):
                k = _place(x + i, w, borders)
                line[i] = np.float32(row[k]) if k >= 0 else np.float32(0)
        for i in range(columns):
            value = abs(line[i]) if absolute else line[i]
            line[i] = value if abs(value) < INFINITE else NAN


@inner
def _weigh(memory, to, count, start, step, taps):
    """The sum above for i < count, out = memory[to:], source = memory.

    Four taps at once: the sums are read and written less often.
    """
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        sums = memory[to + first : to + first + size]
        sums[:] = 0
        k = 0
        while k + 4 <= len(taps):
            at = start + first + k * step
            a, b = memory[at : at + size], memory[at + step : at + step + size]
            at += 2 * step
            c, d = memory[at : at + size], memory[at + step : at + step + size]
            p, q, r, s = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
            for i in range(size):
                sums[i] = sums[i] + p * a[i] + q * b[i] + r * c[i] + s * d[i]
            k += 4
        while k < len(taps):
            at = start + first + k * step
            a, p = memory[at : at + size], taps[k]
            for i in range(size):
                sums[i] = sums[i] + p * a[i]
            k += 1


@inner
def _pool(pooled, sums, first, largest, both):
    """pooled = the sum or the largest of what it is and the sums; NaN stays."""
    for i in range(len(sums)):
        new, old = abs(sums[i]) if both else sums[i], pooled[i]
        if first:
            pooled[i] = new
        elif largest:
            pooled[i] = old if new <= old or old != old else new
        else:
            pooled[i] = old + new


@inner
def _respond(memory, pooled, k, products, borders, layout):
    """pooled = what the products make of slice k of the tile at the start of memory."""
    taps, radii, first_new, both, largest = products
    places, steps, counts = layout
    sums = memory[places[3] : places[3] + counts[2]]
    for t in range(len(taps)):
        for axis in range(first_new[t], 3):
            radius = radii[t, axis]
            start = places[axis] + (borders[axis] - radius) * steps[axis]
            if axis == 0:
                start += k * steps[0]
            of = taps[t, axis, : 2 * radius + 1]
            _weigh(memory, places[axis + 1], counts[axis], start, steps[axis], of)
        _pool(pooled, sums, t == 0, largest, both[t])


@compiled
def _some_tiles(first, stop, volumes, out, products, size, reach, borders, absolute):
    """Tiles first .. stop - 1 of the batch; `reach` is how far the kernels go along each axis."""
    _, d, h, w = volumes.shape
    deep, down, across = -(-d // size[0]), -(-h // size[1]), -(-w // size[2])
    (bz, by, bx), slices = reach, min(size[0], d)
    rows, columns = min(size[1], h), min(size[2], w)
    high, width, together = rows + 2 * by, columns + 2 * bx, slices + 2 * bz
    area, band = high * width, rows * width
    memory = np.empty((together + 1) * area + 2 * band, np.float32)
    tile = memory[: together * area].reshape((together, high, width))
    pooled = np.empty(band, np.float32)
    after = together * area
    flat = products.first_new[0] > 0  # the slice of an image is what a sum along z would give
    places = (0, 0 if flat else after, after + area, after + area + band)
    layout = places, (area, width, 1), (area, band, band - 2 * bx)
    for item in range(first, stop):
        rest, x = item // across, item % across * columns
        rest, y = rest // down, rest % down * rows
        volume, z = rest // deep, rest % deep * slices
        for k in range(min(slices, d - z) + 2 * bz):
            at = _place(z - bz + k, d, borders)
            if at < 0:
                tile[k] = 0
            else:
                _load(tile[k], volumes[volume, at], y - by, x - bx, borders, absolute)
        for k in range(min(slices, d - z)):
            _respond(memory, pooled[: band - 2 * bx], k, products, reach, layout)
            for j in range(min(rows, h - y)):
                line = out[volume, z + k, y + j, x : x + columns]
                row = pooled[j * width :]
                for i in range(len(line)):
                    line[i] = row[i]
