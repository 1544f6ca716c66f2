"""Gaussians on the CPU: tiles that stay in the second level cache, all axes of a tile at once."""

from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled, frozen_view
from .._inner import inner
from .._pixels import load_tile, store_tile
from ._gaussian_plan import EDGE, TAPS, WHOLE, WIDE, Pyramid, reach, weights
from ._gaussian_vector import BLOCK, symmetric_sums, weighted_sums

ROWS, COLUMNS = 64, 2048  # of a tile: whole rows, because memory likes to be read in order
WIDE_COLUMNS = 1024  # of a tile of a wide Gaussian, which has more rows in its borders
STRIP = 16  # rows of a tile that are summed along y, then along x
CHUNK = 4 * BLOCK  # pixels of a strip that the first level cache holds with their neighbours
DEEP_ROWS, DEEP_COLUMNS = 16, 128  # of a tile in a volume
SLICES = 16  # that are summed along z together


def smooth(images: np.ndarray, out: np.ndarray, sigma: float, truncate: float) -> None:
    """out = the smoothed images."""
    if sigma < WIDE:
        _sum(images, out, [weights(sigma, reach(sigma, truncate))])
    else:
        _sum_wide(images, out, sigma)


def difference(
    images: np.ndarray, out: np.ndarray, low: float, high: float, truncate: float
) -> None:
    """out = the images smoothed with sigma = low, minus the images smoothed with sigma = high."""
    if high < WIDE:
        _sum(images, out, [weights(sigma, reach(sigma, truncate)) for sigma in (low, high)])
    else:
        smooth(images, out, low, truncate)
        wide = np.empty_like(out)
        smooth(images, wide, high, truncate)
        np.subtract(out, wide, out=out)


class Tiles(NamedTuple):
    """Tiles of equal size that cover an image of h x w pixels."""

    h: int
    w: int
    rows: int
    columns: int
    number: int

    @classmethod
    def of(cls, h: int, w: int, rows: int, columns: int, multiple: int = 1) -> "Tiles":
        """At most `rows` x `columns`, both a multiple of something; at least a block wide."""
        rows = _up(-(-h // -(-h // rows)), multiple)
        columns = max(_up(-(-w // -(-w // columns)), multiple), BLOCK)
        return cls(h, w, rows, columns, -(-h // rows) * -(-w // columns))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


@inner
def _corner(item, tiles):
    """Image, y and x of a tile; they are counted along rows, then downwards, then by images."""
    image, place = divmod(item, tiles.number)
    across = -(-tiles.w // tiles.columns)
    return image, place // across * tiles.rows, place % across * tiles.columns


@inner
def _shifts(radius, step):
    """How far the pixels before and after lie, at distance 0 .. radius."""
    before, after = np.empty(radius + 1, np.intp), np.empty(radius + 1, np.intp)
    for k in range(radius + 1):
        before[k], after[k] = -k * step, k * step
    return before, after


@inner
def _sum_rows(out, to, rows, width, source, of, before, after, taps):
    """Symmetric sums for `width` pixels of `rows` rows, from out[to] and source[of] on."""
    for start in range(0, width, CHUNK):
        x = min(start, width - BLOCK)
        count = min(CHUNK, width - x)
        for j in range(rows):
            at, here = to + j * out.shape[1] + x, of + j * source.shape[1] + x
            symmetric_sums(out, at, source, here, before, after, taps, count)


# ---- narrow: the sum as it stands, or the first of two sums minus the second


def _sum(images: np.ndarray, out: np.ndarray, gaussians: list[np.ndarray]) -> None:
    h, w = images.shape[-2:]
    radii = np.array([len(taps) - 1 for taps in gaussians])
    taps = np.zeros((len(radii), radii.max() + 1), np.float32)
    for row, values in zip(taps, gaussians, strict=True):
        row[: len(values)] = values
    if images.ndim == 3:
        work, tiles = _sum_images, Tiles.of(h, w, ROWS, COLUMNS)
    else:
        work, tiles = _sum_volumes, Tiles.of(h, w, DEEP_ROWS, DEEP_COLUMNS)
    straight = images.ndim == 3 and out.dtype == np.float32 and len(radii) == 1 and w >= BLOCK
    sums = out if straight else np.empty((0,) * images.ndim, np.float32)
    _threads.run(work, len(images) * tiles.number, images, out, sums, taps, radii, tiles)


@inner
def _workspace(rows, columns, border):
    """A tile with its borders, and a strip of it summed along y."""
    width = (columns + 2 * border + 15) // 16 | 1  # cache lines: odd, so that rows share no set
    tile = np.empty((rows + 2 * border, 16 * width), np.float32)
    return tile, np.empty((min(rows, STRIP), 16 * width), np.float32)


@inner
def _sum_strip(out, to, rows, columns, tile, first, border, middle, taps):
    """`rows` rows of a tile from `first` on, summed along y and then along x, from out[to] on."""
    width, radius = tile.shape[1], len(taps) - 1
    up, down = _shifts(radius, width)
    left, right = _shifts(radius, np.intp(1))
    here, start = (first + border) * width, np.intp(0)
    _sum_rows(middle, start, rows, width, tile, here, up, down, taps)
    _sum_rows(out, to, rows, columns, middle, border, left, right, taps)


@inner
def _take(result, other):
    """result -= other"""
    for j in range(len(result)):
        line, one = result[j], other[j]
        for i in range(len(line)):
            line[i] = line[i] - one[i]


@compiled
def _sum_images(first, stop, images, out, sums, taps, radii, tiles):
    """Straight into `sums` if it has the images' size, else by way of strips of float32."""
    border, rows, columns = taps.shape[1] - 1, min(tiles.rows, STRIP), tiles.columns
    tile, middle = _workspace(tiles.rows, columns, border)
    results = np.empty((len(radii) * rows, columns), np.float32)
    weights = taps[0, : radii[0] + 1]
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        load_tile(tile, images[image], y - border, x - border)
        bottom = min(tiles.rows, tiles.h - y)
        for top in range(0, bottom, rows):
            count = min(rows, bottom - top)
            if sums.size:
                to = (y + top) * tiles.w + x
                width = min(columns, tiles.w - x)
                _sum_strip(sums[image], to, count, width, tile, top, border, middle, weights)
                continue
            for g in range(len(radii)):
                of = taps[g, : radii[g] + 1]
                at = g * results.size // 2
                _sum_strip(results, at, count, columns, tile, top, border, middle, of)
            if len(radii) > 1:
                _take(results[:rows], results[rows:])
            store_tile(out[image], y + top, x, results[:count])


@compiled
def _sum_volumes(first, stop, images, out, _, taps, radii, tiles):
    """A tile at a time through the slices; as many as a step along z needs are kept in slabs."""
    d, border, rows, columns = images.shape[1], taps.shape[1] - 1, tiles.rows, tiles.columns
    depth, size, pitch = min(d, SLICES), rows * columns, (rows + 1) * columns
    deep, zero = depth + 2 * border, np.intp(0)
    tile, middle = _workspace(rows, columns, border)
    slabs = np.empty((len(radii) * deep, pitch), np.float32)
    lines = slabs.reshape((len(radii) * deep * (rows + 1), columns))
    results = np.empty((len(radii) * depth, size), np.float32)
    for item in range(first, stop):
        volume, y, x = _corner(item, tiles)
        for z in range(0, d, depth):
            known = 2 * border if z else 0
            for g in range(len(radii)):
                for k in range(g * deep, g * deep + known):
                    _copy(slabs[k], slabs[k + depth])
            for k in range(known, deep):
                level = min(max(z - border + k, 0), d - 1)
                load_tile(tile, images[volume, level], y - border, x - border)
                for g in range(len(radii)):
                    at, weights = (g * deep + k) * pitch, taps[g, : radii[g] + 1]
                    _sum_strip(lines, at, rows, columns, tile, zero, border, middle, weights)
            for g in range(len(radii)):
                here, weights = (g * deep + border) * pitch, taps[g, : radii[g] + 1]
                before, after = _shifts(radii[g], pitch)
                to = g * depth * size
                _sum_rows(results, to, depth, size, slabs, here, before, after, weights)
            if len(radii) > 1:
                _take(results[:depth], results[depth:])
            for k in range(min(depth, d - z)):
                store_tile(out[volume, z + k], y, x, results[k].reshape((rows, columns)))


@inner
def _copy(to, of):
    for i in range(len(to)):
        to[i] = of[i]


# ---- wide: three narrow ones


def _sum_wide(images: np.ndarray, out: np.ndarray, sigma: float) -> None:
    step = Pyramid.of(sigma)
    finite = np.ones(len(images), np.uint8)
    coarse = _shrink(images, step, finite)
    inner = np.empty_like(coarse)
    smooth(frozen_view(coarse), inner, step.inner, WHOLE)
    _grow(frozen_view(inner), out, step, finite)


# ---- first step: blur and keep every f-th pixel


def _shrink(images: np.ndarray, step: Pyramid, finite: np.ndarray) -> np.ndarray:
    """The coarse images; `finite` becomes 0 where a pixel of an image is not."""
    *_, h, w = images.shape
    f, taps = step.factor, step.shrink_weights
    slices = images.reshape(-1, h, w)
    coarse = np.empty((len(slices), step.coarse(h), step.coarse(w)), np.float32)
    tiles = Tiles.of(*coarse.shape[1:], ROWS // f, WIDE_COLUMNS // f)
    _threads.run(_shrink_images, len(slices) * tiles.number, slices, coarse, f, taps, tiles, finite)
    if images.ndim == 3:
        return coarse
    n, d, deep = *images.shape[:2], step.coarse(images.shape[1])
    result = np.empty((n, deep, *coarse.shape[1:]), np.float32)
    flat = result.reshape(n * deep, -1)
    _threads.run(_shrink_depth, n * deep, coarse.reshape(n * d, -1), flat, d, f, taps)
    return result


@compiled
def _shrink_images(first, stop, images, coarse, f, taps, tiles, finite):
    """Along y for every f-th row, then along x for every f-th pixel."""
    radius, slices, zero = len(taps) - 1, len(images) // len(finite), np.intp(0)
    part = tiles.columns + 2 * radius // f + 1
    width = f * part
    tile = np.empty((f * (tiles.rows + 2 * EDGE), width), np.float32)
    lines = np.empty((tiles.rows, width), np.float32)
    sorted_lines = np.empty((tiles.rows, width), np.float32)
    result = np.empty((tiles.rows, tiles.columns), np.float32)
    up, down = _shifts(radius, width)
    left, right = _shifts(radius, np.intp(1))
    here = _sorted_place(radius, f, part)
    for k in range(radius + 1):
        left[k] = _sorted_place(radius - k, f, part) - here
        right[k] = _sorted_place(radius + k, f, part) - here
    every = tile.reshape((-1, f * width))
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        load_tile(tile, images[image], (y - EDGE) * f - radius, (x - EDGE) * f - radius)
        _sum_rows(lines, zero, tiles.rows, width, every, radius * width, up, down, taps)
        for j in range(tiles.rows):
            _sort(lines[j], sorted_lines[j], f)
        _sum_rows(result, zero, tiles.rows, tiles.columns, sorted_lines, here, left, right, taps)
        store_tile(coarse[image], y, x, result)
        if not _all_finite(result):
            finite[image // slices] = 0


@inner
def _sorted_place(x, f, part):
    """Where pixel x of a line is after `_sort`."""
    return x % f * part + x // f


@inner
def _sort(line, ordered, f):
    """By x mod f, so that every f-th pixel lies beside the one before."""
    part = len(line) // f
    for p in range(f):
        phase = ordered[p * part : (p + 1) * part]
        for i in range(part):
            phase[i] = line[i * f + p]


@inner
def _all_finite(tile):
    """Whether no value is NaN or infinite: of those the difference from themselves is not zero."""
    lost = False
    for j in range(len(tile)):
        line = tile[j]
        for i in range(len(line)):
            lost |= line[i] - line[i] != np.float32(0)
    return not lost


@compiled
def _shrink_depth(first, stop, volumes, coarse, d, f, taps):
    """The third axis: n volumes of d slices, a row of pixels each."""
    radius, pixels = len(taps) - 1, volumes.shape[1]
    deep = len(coarse) * d // len(volumes)
    before, after = _shifts(radius, np.intp(0))
    for item in range(first, stop):
        volume, place = divmod(item, deep)
        z = (place - EDGE) * f
        middle = min(max(z, 0), d - 1)
        for k in range(radius + 1):
            before[k] = (min(max(z - k, 0), d - 1) - middle) * pixels
            after[k] = (min(max(z + k, 0), d - 1) - middle) * pixels
        at = (volume * d + middle) * pixels
        row = np.intp(1)
        _sum_rows(coarse, item * pixels, row, pixels, volumes, at, before, after, taps)


# ---- last step: put the pixels back and blur


def _grow(coarse: np.ndarray, out: np.ndarray, step: Pyramid, finite: np.ndarray) -> None:
    """The images from the coarse ones; NaN where those were not finite."""
    *_, h, w = out.shape
    f, taps = step.factor, step.grow_weights
    if out.ndim == 4:
        n, d, deep = *out.shape[:2], coarse.shape[1]
        slices = np.empty((n * d, *coarse.shape[2:]), np.float32)
        flat = slices.reshape(n * d, -1)
        _threads.run(_grow_depth, n * d, coarse.reshape(n * deep, -1), flat, d, f, taps)
        coarse = frozen_view(slices)
    slices = out.reshape(-1, h, w)
    tiles = Tiles.of(h, w, ROWS, WIDE_COLUMNS, f)
    items = len(slices) * tiles.number
    _threads.run(_grow_images, items, coarse, slices, f, taps, tiles, finite)


@inner
def _weigh_rows(out, to, width, source, of, step, taps):
    """Weighted sums for `width` pixels of all rows of `out`, from out[0, to] and source[of] on."""
    for start in range(0, width, CHUNK):
        x = min(start, width - BLOCK)
        count = min(CHUNK, width - x)
        for j in range(len(out)):
            at, here = to + j * out.shape[1] + x, of + j * source.shape[1] + x
            weighted_sums(out, at, source, here, step, taps, count)


@compiled
def _grow_depth(first, stop, coarse, volumes, d, f, taps):
    """The third axis: n volumes of d slices, a row of pixels each."""
    pixels = coarse.shape[1]
    deep = len(coarse) * d // len(volumes)
    for item in range(first, stop):
        volume, z = divmod(item, d)
        at = (volume * deep + z // f + 1) * pixels
        _weigh_rows(volumes[item : item + 1], np.intp(0), pixels, coarse, at, pixels, taps[z % f])


@compiled
def _grow_images(first, stop, coarse, out, f, taps, tiles, finite):
    """Along x on the coarse rows, then along y."""
    slices, part = len(out) // len(finite), max(tiles.columns // f, BLOCK)
    rows, columns = tiles.rows // f, tiles.columns
    tile = np.empty((rows + TAPS - 1, part + TAPS), np.float32)
    phase = np.empty((len(tile), part), np.float32)
    wide = np.empty((len(tile), part * f), np.float32)
    result = np.empty((tiles.rows, columns), np.float32)
    every = result.reshape((rows, f * columns))
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        load_tile(tile, coarse[image], y // f + 1, x // f + 1)
        for p in range(f):
            _weigh_rows(phase, np.intp(0), part, tile, np.intp(0), np.intp(1), taps[p])
            for j in range(len(tile)):
                line, one = wide[j], phase[j]
                for i in range(part):
                    line[i * f + p] = one[i]
        for p in range(f):
            _weigh_rows(every, p * columns, columns, wide, np.intp(0), wide.shape[1], taps[p])
        if not finite[image // slices]:
            result[:] = np.nan
        store_tile(out[image], y, x, result)
