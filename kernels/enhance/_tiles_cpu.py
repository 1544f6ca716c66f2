"""Moduli of filters in the frequency domain, on the CPU.

A tile is kept in pencils: 16 lines side by side, pixel after pixel; between the axes it is turned.
Real and imaginary parts are two arrays; swapped, the same transform is the inverse one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled, frozen_view
from .._inner import inner
from ._separable import BORDERS
from ._separable_cpu import INFINITE, _place
from ._tiles import Plane, Tiles, reversed_order, roots
from ._tiles_vectors import LANES, butterfly, turn, weigh


class Axis(NamedTuple):
    """What a transform along an axis needs."""

    roots: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, side: int) -> Axis:
        return cls(roots(side).reshape(-1), reversed_order(side))


def apply(
    images: np.ndarray,
    out: np.ndarray,
    plane: Plane,
    cut: Tiles,
    gains: np.ndarray,
    largest: bool,
    borders: str,
) -> None:
    """Add the moduli of all filters to out or, with `largest`, compare them with it."""
    items = plane.volumes * plane.slices * cut.number[0] * cut.number[1]
    axes = tuple(Axis.of(side) for side in cut.sides)
    pixels, pooled = frozen_view(images).reshape(-1), out.reshape(-1)
    flat = gains.reshape(len(gains), -1)
    where = plane, cut.number, cut.kept, cut.radius, BORDERS.index(borders)
    _threads.run(_some_tiles, items, pixels, pooled, where, axes, flat, largest)


@inner
def _transform(re, im, start, roots):
    """The Fourier transform of 16 lines, whose pixels come in reversed order."""
    n, q = len(roots) // 2, 1
    while q < n:
        for first in range(0, n, 4 * q):
            for j in range(q):
                butterfly(re, im, start + (first + j) * LANES, q * LANES, roots, n // (4 * q) * j)
        q *= 4


@inner
def _load(tile, pixels, base, plane, y, x, border):
    """The pixels from row y and column x on; 0 for those that are not finite."""
    for j in range(tile.shape[0]):
        at = _place(y + j, plane.rows, border)
        if at < 0:
            tile[j] = 0
            continue
        row = pixels[base + at * plane.row :]
        for i in range(tile.shape[1]):
            k = x + i
            if k < 0 or k >= plane.columns:
                k = _place(k, plane.columns, border)
            value = np.float32(row[k * plane.column]) if k >= 0 else np.float32(0)
            tile[j, i] = value if abs(value) < INFINITE else np.float32(0)


@inner
def _pool(pooled, re, im, largest):
    """The sum, or the largest, of what is pooled and the moduli; NaN stays."""
    for i in range(len(pooled)):
        new, old = np.sqrt(re[i] * re[i] + im[i] * im[i]), pooled[i]
        if largest:
            pooled[i] = old if new <= old or old != old else new
        else:
            pooled[i] = old + new


@inner
def _forward(tile, lines, spectrum, down, across):
    """spectrum = the Fourier transform of a tile, in pencils of 16 columns."""
    re, im, high, wide = lines[0], lines[1], len(down.order), len(across.order)
    for top in range(0, high, LANES):
        start = top * wide
        for left in range(0, wide, LANES):
            turn(re, start, across.order, left, tile, start + left, wide)
        im[start : start + LANES * wide] = 0
        _transform(re, im, start, across.roots)
        for left in range(0, wide, LANES):
            for part in range(2):
                of, to = lines[part], spectrum[part]
                turn(to, left * high, down.order, top, of, start + left * LANES, LANES)
    for left in range(0, wide, LANES):
        _transform(spectrum[0], spectrum[1], left * high, down.roots)


@inner
def _products(spectrum, gain, pencil, lines, down, across):
    """lines = the spectrum times the gains, back along y, in pencils of 16 rows."""
    high, wide = len(down.order), len(across.order)
    for left in range(0, wide, LANES):
        for part in range(2):
            for k in range(high):
                to, of, at = down.order[k] * LANES, k * wide + left, left * high + k * LANES
                weigh(pencil[part], to, gain, of, spectrum[part], at)
        _transform(pencil[1], pencil[0], 0, down.roots)
        for part in range(2):
            for top in range(0, high, LANES):
                of = pencil[part]
                turn(lines[part], top * wide, across.order, left, of, top * LANES, LANES)


@inner
def _begin(pooled, tile, out, start, plane, radius, rows, columns, order):
    """pooled = what the planes before have left in out, in pencils of 16 rows."""
    for j in range(rows):
        line, row = out[start + j * plane.row :], tile[radius + j, radius:]
        for i in range(columns):
            row[i] = line[i * plane.column]
    flat, wide = tile.reshape(-1), tile.shape[1]
    for top in range(radius // LANES * LANES, radius + rows, LANES):
        for left in range(0, wide, LANES):
            turn(pooled, top * wide, order, left, flat, top * wide + left, wide)


@inner
def _end(pooled, out, start, plane, radius, rows, columns, wide):
    """out = what is pooled."""
    for j in range(radius, radius + rows):
        line = out[start + (j - radius) * plane.row :]
        of = j // LANES * LANES * wide + radius * LANES + j % LANES
        for i in range(columns):
            line[i * plane.column] = pooled[of + i * LANES]


@compiled
def _some_tiles(first, stop, pixels, out, where, axes, gains, largest):
    """Tiles first .. stop - 1 of all images."""
    plane, number, kept, radius, border = where
    down, across = axes
    high, wide = len(down.order), len(across.order)
    spectrum = np.empty((2, high * wide), np.float32)
    lines = np.empty((2, high * wide), np.float32)
    pencil = np.empty((2, high * LANES), np.float32)
    pooled = np.empty(high * wide, np.float32)
    tile = np.empty((high, wide), np.float32)
    straight = np.arange(wide)
    for item in range(first, stop):
        rest, x = item // number[1], item % number[1] * kept[1]
        image, y = rest // number[0], rest % number[0] * kept[0]
        base = image // plane.slices * plane.volume + image % plane.slices * plane.between
        start = base + y * plane.row + x * plane.column
        rows, columns = min(kept[0], plane.rows - y), min(kept[1], plane.columns - x)
        _load(tile, pixels, base, plane, y - radius, x - radius, border)
        _forward(tile.reshape(-1), lines, spectrum, down, across)
        _begin(pooled, tile, out, start, plane, radius, rows, columns, straight)
        for gain in gains:
            _products(spectrum, gain, pencil, lines, down, across)
            for top in range(radius // LANES * LANES, radius + rows, LANES):
                _transform(lines[1], lines[0], top * wide, across.roots)
                a = top * wide + radius * LANES
                b = a + columns * LANES
                _pool(pooled[a:b], lines[0][a:b], lines[1][a:b], largest)
        _end(pooled, out, start, plane, radius, rows, columns, wide)
