"""Gaussians on the CPU: tiles that stay in the second level cache, all axes of a tile at once."""

from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled
from .._pixels import store_tile
from ._gaussian_plan import EDGE, TAPS, WHOLE, WIDE, Pyramid, reach, weights
from ._gaussian_vector import BLOCK, symmetric_sums, weighted_sums

ROWS, COLUMNS = 64, 2048  # of a tile: whole rows, because memory likes to be read in order
STRIP = 16  # rows of a tile that are summed along y, then along x
CHUNK = 4 * BLOCK  # pixels of a strip that the first level cache holds with their neighbours
DEEP_COLUMNS = 128  # of a strip of a volume: those of all slices within reach are kept
ODD = 16  # rows of a tile lie this far from a multiple of BLOCK, so that they share no cache set


def smooth(
    images: np.ndarray, out: np.ndarray, sigma: float, truncate: float, subtract: bool = False
) -> None:
    """out = the smoothed images, or out - the smoothed images."""
    if sigma < WIDE:
        _sum(images, out, weights(sigma, reach(sigma, truncate)), subtract)
        return
    step = Pyramid.of(sigma)
    finite = np.ones(len(images), np.uint8)
    coarse = _shrink(images, step, finite)
    inner = np.empty_like(coarse)
    smooth(coarse, inner, step.inner, WHOLE)
    _grow(inner, out, step, finite, subtract)


class Tiles(NamedTuple):
    """Tiles of equal size that cover an image of h x w pixels."""

    h: int
    w: int
    rows: int
    columns: int
    number: int

    @classmethod
    def of(cls, h: int, w: int, rows: int, columns: int, multiple: int = 1) -> "Tiles":
        """None larger than `rows` x `columns`; the rows a multiple of something, and the columns"""
        rows = _up(-(-h // -(-h // rows)), multiple)
        columns = _up(-(-w // -(-w // columns)), BLOCK)
        return cls(h, w, rows, columns, -(-h // rows) * -(-w // columns))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


@compiled
def _corner(item, tiles):
    """Image, y and x of a tile; they are counted along rows, then downwards, then by images."""
    image, place = divmod(item, tiles.number)
    across = -(-tiles.w // tiles.columns)
    return image, place // across * tiles.rows, place % across * tiles.columns


@compiled
def load_tile(tile, image, y, x):
    """tile[j, i] = image[y + j, x + i] as float32; outside the image its nearest pixel."""
    h, w = image.shape
    rows, columns = tile.shape
    first, last = min(max(x, 0), w - 1), max(min(x + columns, w), 1)
    left, right = first - x, last - x
    for j in range(rows):
        row, line = image[min(max(y + j, 0), h - 1)], tile[j]
        inside, middle = row[first:last], line[max(left, 0) : max(right, 0)]
        for i in range(len(middle)):
            middle[i] = np.float32(inside[i])
        for i in range(min(left, columns)):
            line[i] = np.float32(row[0])
        for i in range(max(right, 0), columns):
            line[i] = np.float32(row[w - 1])


@compiled
def _store(out, y, x, tile, subtract):
    """The tile at (y, x) of an image of the result, or what is there minus the tile."""
    if not subtract:
        store_tile(out, y, x, tile)
        return
    rows, columns = min(tile.shape[0], out.shape[0] - y), min(tile.shape[1], out.shape[1] - x)
    for j in range(rows):
        row, line = out[y + j][x : x + columns], tile[j]
        for i in range(columns):
            row[i] = row[i] - line[i]


@compiled
def _shifts(radius, step):
    """How far the pixels before and after lie, at distance 0 .. radius."""
    before, after = np.empty(radius + 1, np.intp), np.empty(radius + 1, np.intp)
    for k in range(radius + 1):
        before[k], after[k] = -k * step, k * step
    return before, after


@compiled
def _sum_rows(out, source, of, before, after, taps):
    """Symmetric sums for all rows of `out`; the first is that of source[of], row by row."""
    rows, width = out.shape
    for start in range(0, width, CHUNK):
        x = min(start, width - BLOCK)
        count = min(CHUNK, width - x)
        for j in range(rows):
            at, here = j * width + x, of + j * source.shape[1] + x
            symmetric_sums(out, at, source, here, before, after, taps, count)


# ---- narrow: the sum as it stands


def _sum(images: np.ndarray, out: np.ndarray, taps: np.ndarray, subtract: bool) -> None:
    h, w = images.shape[-2:]
    if images.ndim == 3:
        work, tiles = _sum_images, Tiles.of(h, w, ROWS, COLUMNS)
    else:
        work, tiles = _sum_volumes, Tiles.of(h, w, STRIP, DEEP_COLUMNS)
    _threads.run(work, len(images) * tiles.number, images, out, taps, tiles, subtract)


@compiled
def _workspace(rows, columns, radius):
    """A tile with its borders, and a strip of it summed along y."""
    width = columns + 2 * radius
    width += -width % BLOCK + ODD
    tile = np.empty((rows + 2 * radius, width), np.float32)
    return tile, np.empty((min(rows, STRIP), width), np.float32)


@compiled
def _sum_strip(tile, first, middle, result, taps):
    """result = rows of a tile from `first` on, summed along y and then along x."""
    rows, width, radius = len(result), tile.shape[1], len(taps) - 1
    up, down = _shifts(radius, width)
    left, right = _shifts(radius, np.intp(1))
    _sum_rows(middle[:rows], tile, (first + radius) * width, up, down, taps)
    _sum_rows(result, middle, radius, left, right, taps)


@compiled
def _sum_images(first, stop, images, out, taps, tiles, subtract):
    radius = len(taps) - 1
    tile, middle = _workspace(tiles.rows, tiles.columns, radius)
    result = np.empty((min(tiles.rows, STRIP), tiles.columns), np.float32)
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        load_tile(tile, images[image], y - radius, x - radius)
        bottom = min(tiles.rows, tiles.h - y)
        for top in range(0, bottom, STRIP):
            strip = result[: min(STRIP, bottom - top)]
            _sum_strip(tile, top, middle, strip, taps)
            _store(out[image], y + top, x, strip, subtract)


@compiled
def _sum_volumes(first, stop, images, out, taps, tiles, subtract):
    """A strip at a time through all slices; those within reach are kept in a ring."""
    d, radius = images.shape[1], len(taps) - 1
    slots, size = min(2 * radius + 1, d), tiles.rows * tiles.columns
    tile, middle = _workspace(tiles.rows, tiles.columns, radius)
    ring = np.empty((slots * tiles.rows, tiles.columns), np.float32)
    result = np.empty((tiles.rows, tiles.columns), np.float32)
    before, after = _shifts(radius, np.intp(0))
    for item in range(first, stop):
        volume, y, x = _corner(item, tiles)
        for ahead in range(d + radius):
            if ahead < d:
                load_tile(tile, images[volume, ahead], y - radius, x - radius)
                slot = ahead % slots * tiles.rows
                _sum_strip(tile, 0, middle, ring[slot : slot + tiles.rows], taps)
            z = ahead - radius
            if z >= 0:
                for k in range(radius + 1):
                    before[k] = (max(z - k, 0) % slots - z % slots) * size
                    after[k] = (min(z + k, d - 1) % slots - z % slots) * size
                _sum_rows(result, ring, z % slots * size, before, after, taps)
                _store(out[volume, z], y, x, result, subtract)


# ---- wide, first step: blur and keep every f-th pixel


def _shrink(images: np.ndarray, step: Pyramid, finite: np.ndarray) -> np.ndarray:
    """The coarse images; `finite` becomes 0 where a pixel of an image is not."""
    *_, h, w = images.shape
    f, taps = step.factor, step.shrink_weights
    slices = images.reshape(-1, h, w)
    coarse = np.empty((len(slices), step.coarse(h), step.coarse(w)), np.float32)
    tiles = Tiles.of(*coarse.shape[1:], ROWS, COLUMNS // f)
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
    """The rows under a coarse row are kept in a ring; f new ones come with the next coarse row."""
    radius, slices = len(taps) - 1, len(images) // len(finite)
    slots, part = 2 * radius + 1, tiles.columns + 2 * radius // f + 1
    part += -part % BLOCK
    width = f * part
    ring = np.empty((slots, width), np.float32)
    line, ordered = np.empty((1, width), np.float32), np.empty((1, width), np.float32)
    result = np.empty((1, tiles.columns), np.float32)
    up, down = _shifts(radius, np.intp(0))
    left, right = _shifts(radius, np.intp(0))
    here = _sorted_place(radius, f, part)
    for k in range(radius + 1):
        left[k] = _sorted_place(radius - k, f, part) - here
        right[k] = _sorted_place(radius + k, f, part) - here
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        at = 0  # rows in the ring, counted from the first under the tile
        for j in range(min(tiles.rows, tiles.h - y)):
            middle = f * j + radius
            while at <= middle + radius:
                above = (y - EDGE) * f - radius + at
                slot = at % slots
                load_tile(ring[slot : slot + 1], images[image], above, (x - EDGE) * f - radius)
                at += 1
            for k in range(radius + 1):
                up[k] = ((middle - k) % slots - middle % slots) * width
                down[k] = ((middle + k) % slots - middle % slots) * width
            _sum_rows(line, ring, middle % slots * width, up, down, taps)
            _sort(line[0], ordered[0], f)
            _sum_rows(result, ordered, here, left, right, taps)
            store_tile(coarse[image], y + j, x, result)
            if not _all_finite(result):
                finite[image // slices] = 0


@compiled
def _sorted_place(x, f, part):
    """Where pixel x of a line is after `_sort`."""
    return x % f * part + x // f


@compiled
def _sort(line, ordered, f):
    """By x mod f, so that every f-th pixel lies beside the one before."""
    part = len(line) // f
    for p in range(f):
        phase = ordered[p * part : (p + 1) * part]
        for i in range(part):
            phase[i] = line[i * f + p]


@compiled
def _all_finite(values):
    """Whether no value is NaN or infinite: the largest of their bits without the sign."""
    most = np.int32(0)
    for bits in values.ravel().view(np.int32):
        most = max(most, bits & np.int32(0x7FFFFFFF))
    return most < np.int32(0x7F800000)


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
        _sum_rows(coarse[item : item + 1], volumes, at, before, after, taps)


# ---- wide, last step: put the pixels back and blur


def _grow(
    coarse: np.ndarray, out: np.ndarray, step: Pyramid, finite: np.ndarray, subtract: bool
) -> None:
    """out = the result, or out - the result, from the coarse images."""
    *_, h, w = out.shape
    f, taps = step.factor, step.grow_weights
    if out.ndim == 4:
        n, d, deep = *out.shape[:2], coarse.shape[1]
        slices = np.empty((n * d, *coarse.shape[2:]), np.float32)
        flat = slices.reshape(n * d, -1)
        _threads.run(_grow_depth, n * d, coarse.reshape(n * deep, -1), flat, d, f, taps)
        coarse = slices
    slices = out.reshape(-1, h, w)
    tiles = Tiles.of(h, w, ROWS, COLUMNS, f)
    items = len(slices) * tiles.number
    _threads.run(_grow_images, items, coarse, slices, f, taps, tiles, finite, subtract)


@compiled
def _weigh_rows(out, source, of, step, taps):
    """Weighted sums for all rows of `out`; the first is that of source[of], row by row."""
    rows, width = out.shape
    for j in range(rows):
        weighted_sums(out, j * width, source, of + j * source.shape[1], step, taps, width)


@compiled
def _grow_depth(first, stop, coarse, volumes, d, f, taps):
    """The third axis: n volumes of d slices, a row of pixels each."""
    pixels = coarse.shape[1]
    deep = len(coarse) * d // len(volumes)
    for item in range(first, stop):
        volume, z = divmod(item, d)
        at = (volume * deep + z // f + 1) * pixels
        _weigh_rows(volumes[item : item + 1], coarse, at, pixels, taps[z % f])


@compiled
def _grow_images(first, stop, coarse, out, f, taps, tiles, finite, subtract):
    """Along x on the coarse rows, then along y."""
    slices, part = len(out) // len(finite), tiles.columns // f
    part += -part % BLOCK
    tile = np.empty((tiles.rows // f + TAPS - 1, part + TAPS), np.float32)
    phase = np.empty((len(tile), part), np.float32)
    wide = np.empty((len(tile), part * f), np.float32)
    result = np.empty((1, tiles.columns), np.float32)
    for item in range(first, stop):
        image, y, x = _corner(item, tiles)
        bottom = min(tiles.rows, tiles.h - y)
        if not finite[image // slices]:
            result[:] = np.nan
            for j in range(bottom):
                store_tile(out[image], y + j, x, result)
            continue
        load_tile(tile, coarse[image], y // f + 1, x // f + 1)
        for p in range(f):
            _weigh_rows(phase, tile, np.intp(0), np.intp(1), taps[p])
            for j in range(len(tile)):
                line, one = wide[j], phase[j]
                for i in range(part):
                    line[i * f + p] = one[i]
        for j in range(bottom):
            _weigh_rows(result, wide, j // f * wide.shape[1], wide.shape[1], taps[j % f])
            _store(out[image], y + j, x, result, subtract)
