"""Contrast limited adaptive histogram equalisation (CLAHE): local contrast, bounded noise.

The image is divided into tiles. In each, the histogram is clipped at `limit`, what was cut off is
spread evenly over all grey levels, and the cumulative histogram becomes the tile's table

    table[v] = round((2**bits - 1) / pixels * sum of the clipped, refilled histogram up to v)
    limit    = max(floor(clip * pixels / 2**bits), 1)             pixels: of one tile

A pixel is looked up in the tables of the four nearest tiles, and the four results are interpolated
bilinearly between the centres of these tiles.

images  (n, h, w) uint8 (bits = 8) or uint16 (bits = 8 to 16) grey levels 0 .. 2**bits - 1; larger
        ones are taken for 2**bits - 1; out has the same. A tile has at most 2**31 - 1 pixels
borders where rows or columns of tiles do not divide the image, both axes are continued to the
        next size that they divide (a b c d | c b a), for the histograms only; between the rim and
        the first tile centres the nearest two tiles or the nearest one are used
cost    reads each pixel twice, writes it once; on the CPU about 30 operations a pixel, 8 a grey
        level and tile; memory: the tables, 2 bytes a grey level and tile, of one image or of as
        many as stay below 32 MB a thread, and 1 MB a thread. On the GPU the tables too, of as
        many images as stay below 256 MB
nan     integers only
source  K. Zuiderveld, Contrast limited adaptive histogram equalization, in Graphics Gems IV, 1994,
        VIII.5; tiles, clipping and rounding as in OpenCV's createCLAHE, so that the results have
        the same bits for bits = 8 and 16, and for 9 to 15 where OpenCV gets the pixels shifted
        to 16 bits and setBitShift(16 - bits)
"""

from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

from .._cpu import compiled, frozen_view
from .._cuda import Cuda, empty
from .._kernel import Cost, Filter, Parameter, Quality


class Tiles(NamedTuple):
    """The grid of tiles of an image, their size in pixels, and how their histograms are made."""

    rows: int
    columns: int
    height: int
    width: int
    levels: int
    limit: int  # pixels of one grey level that a histogram keeps

    @classmethod
    def of(cls, shape: tuple[int, ...], tiles: tuple[int, int], clip: float, bits: int):
        """Tiles that cover the image; where they do not fit, one row and column more of pixels."""
        (h, w), (rows, columns), levels = shape[-2:], tiles, 1 << bits
        ragged = 1 if h % rows or w % columns else 0
        height, width = h // rows + ragged, w // columns + ragged
        pixels = height * width
        limit = min(max(int(clip * pixels / levels), 1), pixels)
        return cls(rows, columns, height, width, levels, limit)

    @property
    def scale(self) -> np.float32:
        return np.float32(self.levels - 1) / np.float32(self.height * self.width)


def _neighbours(length: int, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """For each coordinate: the tile whose centre is next before it, and the weight of the other.

    Tile -1 is the one before the first; float32 as in the compiled code.
    """
    at = np.arange(length, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    before = np.floor(at)
    return before.astype(np.int64), at - before


def reference(
    images: np.ndarray, *, tiles: tuple[int, int] = (8, 8), clip: float = 2.0, bits: int = 8
) -> np.ndarray:
    """A table for every tile, then the bilinear interpolation in float32, rounded half to even."""
    grid = Tiles.of(images.shape, tiles, clip, bits)
    images = np.minimum(images, grid.levels - 1)
    n, h, w = images.shape
    below, right = grid.rows * grid.height - h, grid.columns * grid.width - w
    continued = np.pad(images, ((0, 0), (0, below), (0, right)), mode="reflect")
    blocks = continued.reshape(n, grid.rows, grid.height, grid.columns, grid.width)
    before_y, weight_y = _neighbours(h, grid.height)
    before_x, weight_x = _neighbours(w, grid.width)
    up, down = np.maximum(before_y, 0), np.minimum(before_y + 1, grid.rows - 1)
    left, right = np.maximum(before_x, 0), np.minimum(before_x + 1, grid.columns - 1)
    weight_y = weight_y[:, None]
    out = np.empty_like(images)
    for i in range(n):
        tables = np.empty((grid.rows, grid.columns, grid.levels), np.float32)
        for row, column in np.ndindex(tiles):
            tables[row, column] = _table(blocks[i, row, :, column], grid)

        def between(row: np.ndarray, pixels=images[i], tables=tables) -> np.ndarray:
            one, other = (tables[row[:, None], column, pixels] for column in (left, right))
            return one * (1 - weight_x) + other * weight_x

        out[i] = np.rint(between(up) * (1 - weight_y) + between(down) * weight_y)
    return out


def _table(pixels: np.ndarray, grid: Tiles) -> np.ndarray:
    """The mapping of one tile: clip, refill, sum up. The remainder goes to every step-th level."""
    counts = np.bincount(pixels.ravel(), minlength=grid.levels)
    clipped = np.minimum(counts, grid.limit)
    share, remainder = divmod(int((counts - clipped).sum()), grid.levels)
    step = grid.levels // max(remainder, 1)
    clipped[::step][:remainder] += 1
    return np.rint(np.cumsum(clipped + share).astype(np.float32) * grid.scale)


# ---- CPU
#
# First all tables, then all pixels. The tables of four neighbouring tiles are woven into one of
# 64-bit words, so that a pixel costs one look-up instead of four. Both steps run along the rows of
# several tiles at once, as many as the cache holds: a narrow tile alone would touch another page of
# memory with every row.

CACHE = 1 << 19  # bytes that one thread works on at a time
TABLES = 1 << 25  # bytes of tables and pixels a thread, for a group of images

# Called from compiled code only: wrappers for Python and C would take a sixth of the compile time.
_inner = partial(compiled, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner
def _mirror(i, n):
    """The coordinate that stands for i >= 0 on an axis of n pixels: a b c d | c b a b c .."""
    if i < n:
        return i
    i %= max(2 * (n - 1), 1)
    return min(i, 2 * (n - 1) - i)


@_inner
def _count(row, left, width, a, b, c, d):
    """Four histograms: a run of equal pixels would wait for its own counter."""
    inside = row[left : left + width]
    fours = inside.size // 4
    for x in range(fours):
        a[inside[4 * x]] += 1
        b[inside[4 * x + 1]] += 1
        c[inside[4 * x + 2]] += 1
        d[inside[4 * x + 3]] += 1
    for x in range(left + 4 * fours, left + width):
        a[row[_mirror(x, row.size)]] += 1


@_inner
def _equalise(counts, tiles, table):
    """`counts` of the grey levels that occur -> `table` of these; `counts` is changed."""
    excess = np.int32(0)
    for v in range(table.size):
        excess += max(counts[v] - np.int32(tiles.limit), np.int32(0))
        counts[v] = min(counts[v], np.int32(tiles.limit))
    share, remainder = excess // tiles.levels, excess % tiles.levels
    if remainder:
        step = tiles.levels // remainder
        for v in range(0, min(remainder * step, table.size), step):
            counts[v] += 1
    total = np.int32(0)
    for v in range(table.size):
        total += counts[v] + np.int32(share)
        counts[v] = total
    scale = np.float32(tiles.levels - 1) / np.float32(tiles.height * tiles.width)
    for v in range(table.size):
        table[v] = np.int32(np.rint(np.float32(counts[v]) * scale))


@_inner
def _some_tables(images, tables, tiles, group, copies, first, stop):
    """Units first .. stop - 1: `group` neighbouring tiles, counted along rows, then images."""
    across = -(-tiles.columns // group)
    counts = np.empty((group * copies, tables.shape[1] + 32), np.int32)  # 32: no common cache set
    for unit in range(first, stop):
        i, row = unit // (tiles.rows * across), unit // across % tiles.rows
        left = unit % across * group
        right = min(left + group, tiles.columns)
        counts[:] = 0
        for y in range(row * tiles.height, (row + 1) * tiles.height):
            line = images[i, _mirror(y, images.shape[1])]
            for k in range(right - left):
                a, b = counts[k * copies], counts[k * copies + 1 % copies]
                c, d = counts[k * copies + 2 % copies], counts[k * copies + 3 % copies]
                _count(line, (left + k) * tiles.width, tiles.width, a, b, c, d)
        for k in range(right - left):
            total = counts[k * copies]
            for copy in range(1, copies):
                more = counts[k * copies + copy]
                for v in range(total.size):
                    total[v] += more[v]
            _equalise(total, tiles, tables[(i * tiles.rows + row) * tiles.columns + left + k])


@compiled(parallel=True)
def _all_tables(images, tables, tiles, group, copies, units, chunks):
    for chunk in prange(chunks):
        first = units * np.int64(chunk) // chunks
        stop = units * (np.int64(chunk) + 1) // chunks
        _some_tables(images, tables, tiles, group, copies, first, stop)


@_inner
def _weave(a, b, c, d, words):
    """The four tables of 16-bit numbers as one of 64-bit words."""
    for v in range(words.size):
        upper = np.uint64(a[v]) | np.uint64(b[v]) << np.uint64(16)
        lower = np.uint64(c[v]) | np.uint64(d[v]) << np.uint64(16)
        words[v] = upper | lower << np.uint64(32)


@_inner
def _blend(pixels, words, found, weights, weight, out):
    """One row between four tiles: look up, then interpolate in x, then in y."""
    for x in range(pixels.size):
        found[x] = words[pixels[x]]
    pairs = found.view(np.uint32)
    mask, half, one = np.uint32(0xFFFF), np.uint32(16), np.float32(1)
    for x in range(pixels.size):
        right, upper, lower = weights[x], pairs[2 * x], pairs[2 * x + 1]
        a, b = np.float32(np.int32(upper & mask)), np.float32(np.int32(upper >> half))
        c, d = np.float32(np.int32(lower & mask)), np.float32(np.int32(lower >> half))
        above = a * (one - right) + b * right
        below = c * (one - right) + d * right
        out[x] = np.int32(np.rint(above * (one - weight) + below * weight))


@_inner
def _some_pixels(images, out, tables, tiles, edges, weights, group, parts, first, stop):
    """Units first .. stop - 1: `group` areas between tile centres, 1 / parts of each."""
    (edges_y, edges_x), (weights_y, weights_x) = edges, weights
    rows, columns = tiles.rows + 1, tiles.columns + 1  # of areas
    across = -(-columns // group)
    words = np.empty((group, tables.shape[1]), np.uint64)
    found = np.empty(tiles.width + 1, np.uint64)
    for unit in range(first, stop):
        part, strip = unit % parts, unit // parts // across
        i, row = strip // rows, strip % rows
        left = unit // parts % across * group
        right = min(left + group, columns)
        top, height = edges_y[row], edges_y[row + 1] - edges_y[row]
        up = (i * tiles.rows + max(row - 1, 0)) * tiles.columns
        down = (i * tiles.rows + min(row, tiles.rows - 1)) * tiles.columns
        for k in range(right - left):
            a, b = max(left + k - 1, 0), min(left + k, tiles.columns - 1)
            _weave(tables[up + a], tables[up + b], tables[down + a], tables[down + b], words[k])
        for y in range(top + height * part // parts, top + height * (part + 1) // parts):
            for k in range(right - left):
                x, end = edges_x[left + k], edges_x[left + k + 1]
                pixels, result = images[i, y, x:end], out[i, y, x:end]
                _blend(pixels, words[k], found, weights_x[x:end], weights_y[y], result)


@compiled(parallel=True)
def _all_pixels(images, out, tables, tiles, edges, weights, group, parts, units, chunks):
    for chunk in prange(chunks):
        first = units * np.int64(chunk) // chunks
        stop = units * (np.int64(chunk) + 1) // chunks
        _some_pixels(images, out, tables, tiles, edges, weights, group, parts, first, stop)


def cpu(
    images: np.ndarray, out: np.ndarray, *, tiles: tuple[int, int], clip: float, bits: int
) -> None:
    """Tables and pixels of as many images at a time as `TABLES` allows."""
    grid = Tiles.of(images.shape, tiles, clip, bits)
    n, h, w = images.shape
    before_y, weight_y = _neighbours(h, grid.height)
    before_x, weight_x = _neighbours(w, grid.width)
    edges = _edges(before_y, grid.rows), _edges(before_x, grid.columns)
    an_image = 2 * grid.rows * grid.columns * grid.levels + h * w * images.itemsize
    together = max(numba.get_num_threads() * TABLES // an_image, 1)
    for first in range(0, n, together):
        some = images[first : first + together]
        _some_images(some, out[first : first + together], grid, edges, (weight_y, weight_x))


def _edges(before: np.ndarray, tiles: int) -> np.ndarray:
    """Where the areas between tile centres start; the last entry is the end of the axis."""
    return np.searchsorted(before, np.arange(-1, tiles + 1))


def _some_images(images: np.ndarray, out: np.ndarray, grid: Tiles, edges, weights) -> None:
    """All tables, then all pixels, for the grey levels that occur."""
    used = 256 if images.itemsize == 1 else int(images.max()) + 1
    if used > grid.levels:
        used = grid.levels
        images = frozen_view(np.minimum(images, images.dtype.type(used - 1)))
    tiles = len(images) * grid.rows * grid.columns
    chunks = 8 * numba.get_num_threads()
    fair = -(-tiles // chunks)  # tiles of a chunk
    pixels = grid.height * grid.width
    tables = np.empty((tiles, used), np.uint16)

    copies = 4 if 16 * used <= pixels else 1
    group = min(max(CACHE // (8 * copies * used), 1), fair, grid.columns)
    units = len(images) * grid.rows * -(-grid.columns // group)
    _all_tables(images, tables, grid, group, copies, units, min(units, chunks))

    group = min(max(CACHE // (8 * used), 1), fair, grid.columns + 1)
    parts = min(max(pixels // (16 * used), 1), 4)  # the weaving stays below a tenth of the work
    units = len(images) * (grid.rows + 1) * -(-(grid.columns + 1) // group) * parts
    _all_pixels(images, out, tables, grid, edges, weights, group, parts, units, min(units, chunks))


# ---- GPU

_source = Cuda(__file__)
GPU_TABLES = 1 << 28  # bytes of the tables of a group of images
PATCH_COLUMNS, PATCH_ROWS = 64, 32  # of the pixels that one thread block computes


def gpu(images: Any, out: Any, *, tiles: tuple[int, int], clip: float, bits: int) -> None:
    """A thread block a tile makes its table, then a thread a pixel interpolates."""
    grid = Tiles.of(images.shape, tiles, clip, bits)
    n, h, w = images.shape
    macros = {"PIXEL": images.dtype, "LEVELS": grid.levels}
    make_tables = _source.function("clahe_tables", **macros)
    look_up = _source.function("clahe_pixels", **macros)
    per_image = grid.rows * grid.columns
    together = min(max(GPU_TABLES // (2 * per_image * grid.levels), 1), n)
    tables = empty(images, (together * per_image, grid.levels), np.uint16)
    inverse = [np.float32(1) / np.float32(side) for side in (grid.height, grid.width)]
    for first in range(0, n, together):
        some, result = images[first : first + together], out[first : first + together]
        make_tables(
            *(len(some) * per_image, 256, some, tables, h, w, grid.rows, grid.columns),
            *(grid.height, grid.width, grid.limit, grid.scale),
        )
        patches = -(-w // PATCH_COLUMNS), min(-(-h // PATCH_ROWS), 65535), min(len(some), 65535)
        look_up(patches, 256, some, result, tables, len(some), h, w, *tiles, *inverse)


def _validate(
    dtype: np.dtype, shape: tuple[int, ...], *, tiles: tuple[int, int], clip: float, bits: int
) -> None:
    if dtype == np.uint8 and bits != 8:
        raise ValueError(f"clahe: uint8 images have bits=8, got bits={bits}; uint16 take 8 to 16")
    grid = Tiles.of(shape, tiles, clip, bits)
    if grid.height * grid.width >= 1 << 31:
        raise ValueError(
            f"clahe: a tile has at most 2**31 - 1 pixels, here {grid.height} x {grid.width}; "
            "use more tiles"
        )


def _cost(itemsize: int, *, tiles: tuple[int, int], clip: float, bits: int) -> Cost:
    """Two reads and a write a pixel; counting, four look-ups, interpolation in x and y."""
    return Cost(bytes=3 * itemsize, operations=2 + 4 + 9 + 1)


clahe = Filter(
    name="clahe",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16"),
    parameters={
        "tiles": Parameter((8, 8), "rows and columns of tiles", 1, 64),
        "clip": Parameter(
            2.0,
            "pixels of one grey level that a tile's histogram keeps, as a multiple of those in a "
            "uniform histogram; 2**bits or more keeps all: no clipping",
            0.01,
        ),
        "bits": Parameter(8, "grey levels are 0 to 2**bits - 1; 8 for uint8", 8, 16),
    },
    validate=_validate,
    cost=_cost,
    examples=(
        {"tiles": (8, 8), "clip": 2.0, "bits": 8},
        {"tiles": (3, 2), "clip": 1.5, "bits": 8},
        {"tiles": (2, 3), "clip": 3.0, "bits": 12},
        {"tiles": (2, 1), "clip": 2.0, "bits": 16},
    ),
    peers=("cv2:createCLAHE", "skimage.exposure:equalize_adapthist"),
    quality=Quality(
        sector_efficiency=0.2,
        excuse="a pixel is looked up in four tables, at places that its grey level decides; up "
        "to 4096 grey levels the four tables have 32 KB and fit the L1 cache",
    ),
)
