"""Non-local means of one tile, offset after offset, for `nlm`. Compiled code.

For an offset o the distances of all pairs of patches, at p and at p + o, are wanted: the squared
differences of the two images, summed along z, x and y in turn. A sum of 3 to 11 is always taken as

    S2(i) = S1(i) + S1(i+1)     S4(i) = S2(i) + S2(i+2)     S8(i) = S4(i) + S4(i+4)
    sum of 7 = (S4(i) + S2(i+4)) + S1(i+6)                  and so on, by the binary digits

A running sum takes fewer additions, but it drifts, and it holds what went before. The rounding of
these sums depends on the two patches alone: not on the tile, and not on who asks, p or p + o.
Hence the weight of a pair is computed once and given to both; and the GPU, which cuts other tiles,
gets the same bits.

Tiles are float32, with `search + patch` pixels around those they are to give. All loops run along
rows; what they write begins on a multiple of 16 pixels.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from .._cpu import compiled
from .._inner import inner

LANES = 16
GROUP = 3  # offsets that are worked on together; nlm.cu adds in the same order
PAD = 32  # at least the search radius and GROUP
ONE, TWO, FOUR, SIX, EIGHT, TEN = map(np.uint64, (1, 2, 4, 6, 8, 10))
NEVER = np.float32(-127.0)  # 2**-127 is made 0
KNOWN = np.float32(1e18)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_LOG2E, _LARGE = np.float32(1.44269504), np.float32(3e38)
_ROUND = np.float32(12582912.0)  # 1.5 * 2**23: adding it leaves the whole part in the last bits
_BIAS = np.int32(127 - 0x4B400000)


def _fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once: the same on every machine, as written out in the CUDA code."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), code


fma: Any = intrinsic(_fma)  # pyright: ignore


# ---- sums of a side


@inner
def _two(row, i, step):
    return row[i] + row[i + step]


@inner
def _four(row, i, step):
    return _two(row, i, step) + _two(row, i + TWO * step, step)


@inner
def _eight(row, i, step):
    return _four(row, i, step) + _four(row, i + FOUR * step, step)


_SUMS = {
    3: lambda row, i, step, side: _two(row, i, step) + row[i + TWO * step],
    5: lambda row, i, step, side: _four(row, i, step) + row[i + FOUR * step],
    7: lambda row, i, step, side: (
        (_four(row, i, step) + _two(row, i + FOUR * step, step)) + row[i + SIX * step]
    ),
    9: lambda row, i, step, side: _eight(row, i, step) + row[i + EIGHT * step],
    11: lambda row, i, step, side: (
        (_eight(row, i, step) + _two(row, i + EIGHT * step, step)) + row[i + TEN * step]
    ),
}


def sum_of(row: Any, i: Any, step: Any, side: Any) -> Any:
    """row[i] + row[i + step] + ...: as many as the tuple `side` is long. For compiled code."""
    raise TypeError("sum_of is for compiled code")


@overload(sum_of)
def _sum_of(row, i, step, side):
    return _SUMS[len(side)]


# ---- loops over rows


@inner
def square(a, b, squares):
    """squares = (a - b)^2"""
    for i in range(len(squares)):
        d = a[i] - b[i]
        squares[i] = d * d


@inner
def add_square(a, b, squares):
    """squares += (a - b)^2"""
    for i in range(len(squares)):
        d = a[i] - b[i]
        squares[i] += d * d


@inner
def sum_along(squares, side, sums):
    """Sums of as many squares as `side` is long, from each place on."""
    for i in range(len(sums)):
        sums[i] = sum_of(squares, np.uint64(i), ONE, side)


@inner
def weigh(rows, step, side, enough, scale, weights):
    """weights = 2**((enough - distance) * scale), at most 1: the exponential of `nlm`.

    The polynomial is within 3e-6 of 2**x on [-1/2, 1/2]. A NaN distance weighs nothing.
    """
    for i in range(len(weights)):
        x = (enough - sum_of(rows, np.uint64(i), np.uint64(step), side)) * scale
        x = x if x > NEVER else NEVER
        x = x if x < _ZERO else _ZERO
        shifted = x + _ROUND
        r = x - (shifted - _ROUND)
        p = np.float32(9.585382389e-3)
        p = fma(p, r, np.float32(5.590662826e-2))
        p = fma(p, r, np.float32(2.402403817e-1))
        p = fma(p, r, np.float32(6.931241843e-1))
        p = fma(p, r, _ONE)
        exponent = (np.float32(shifted).view(np.int32) + _BIAS) << np.int32(23)
        weights[i] = p * np.int32(exponent).view(np.float32)


@inner
def give(weights, at, next_at, values, value, next_value, sums, totals):
    """To the sums what comes from a group of three offsets. The first one's weights begin `at`, its
    values at `value`; those of the others are so much further on."""
    first, x = weights[0, at:], values[value:]
    second, y = weights[1, at + next_at :], values[value + next_value :]
    third, z = weights[2, at + 2 * next_at :], values[value + 2 * next_value :]
    for i in range(len(sums)):
        u, v, w = first[i], second[i], third[i]
        sums[i] = fma(w, z[i], fma(v, y[i], fma(u, x[i], sums[i])))
        totals[i] = ((totals[i] + u) + v) + w


@inner
def move(rows, first, count):
    """The `count` pixels from `first` to the front."""
    for i in range(count):
        rows[i] = rows[first + i]


# ---- the pairs of a tile

Three = tuple[int, int, int]  # z, y, x


class Plan(NamedTuple):
    """How images of `whole` are cut into a grid of tiles; all tiles but the last are equal."""

    whole: Three
    grid: Three
    tile: Three
    search: Three
    patch: Three
    down: int  # rows of a plane of a tile with its border
    step: int  # pixels of a row with its border
    band: int  # rows that are worked on at a time


class Box(NamedTuple):
    """Where a tile lies: `size` pixels from `start` of an image."""

    image: int
    start: Three
    size: Three


class Memory(NamedTuple):
    """What a thread works in, for some tiles at a time."""

    tiles: np.ndarray  # the pixels with their borders
    values: np.ndarray  # what is averaged, laid out likewise; the same array where it can be
    sums: np.ndarray  # rows as long as those with borders
    totals: np.ndarray  # of one tile, flat
    squares: np.ndarray  # a band, summed along z; flat, from PAD on
    along: np.ndarray  # for each offset a band and the rows above it, summed along x too; flat
    weights: np.ndarray  # for each offset a band; flat, from PAD on


@inner
def border(plan):
    """Pixels around a tile that its means depend on."""
    (sz, sy, sx), (pz, py, px) = plan.search, plan.patch
    return sz + pz, sy + py, sx + px


@inner
def box_of(k, plan):
    """Tile number k of a batch."""
    k, x = divmod(k, plan.grid[2])
    k, y = divmod(k, plan.grid[1])
    image, z = divmod(k, plan.grid[0])
    z, y, x = z * plan.tile[0], y * plan.tile[1], x * plan.tile[2]
    d = min(plan.tile[0], plan.whole[0] - z)
    h = min(plan.tile[1], plan.whole[1] - y)
    w = min(plan.tile[2], plan.whole[2] - x)
    return Box(image, (z, y, x), (d, h, w))


@inner
def overlap(offset, start, size, whole):
    """[first, stop) of the p along an axis that have p + offset in the image, and p or p + offset
    in the tile; counted from the tile's first pixel."""
    after = whole - start
    first = max(min(0, -offset), -start, -start - offset)
    stop = min(max(size, size - offset), after, after - offset)
    return first, stop


@inner
def sum_rows(pixels, at, away, count, plan, side, squares, sums):
    """Squared differences of the `count` pixels from `at` to those `away` from them, summed along
    z and x."""
    pz, _, px = plan.patch
    plane, inside = plan.step * plan.down, squares[PAD : PAD + count]
    for k in range(-pz, pz + 1):
        a = pixels[at + k * plane :]
        if k == -pz:
            square(a, a[away:], inside)
        else:
            add_square(a, a[away:], inside)
    sum_along(squares[PAD - px :], side, sums[:count])


@inner
def blank(weights, rows, step, first, stop):
    """No weight outside columns first .. stop - 1."""
    for j in range(rows):
        row = weights[j * step : (j + 1) * step]
        row[:first] = _ZERO
        row[max(first, stop) :] = _ZERO


@inner
def add_pairs(o, box, plan, pixels, values, sums, memory, side, enough, scale):
    """The weights of all pairs p, p + o to the sums of both, for o and its GROUP - 1 neighbours
    along x: so the sums are fetched and put back once for all of them.

    `pixels`, `values` and `sums` are flat, and a run of rows is one loop: their rows are all `step`
    long, with pixel x in column x + bx. What the loops make of the other columns is never used.
    """
    _, _, _, totals, squares, along, weights = memory
    bz, by, bx = border(plan)
    step, py = plan.step, plan.patch[1]
    away = (o[0] * plan.down + o[1]) * step + o[2]
    z0, z1 = overlap(o[0], box.start[0], box.size[0], plan.whole[0])
    y0, y1 = overlap(o[1], box.start[1], box.size[1], plan.whole[1])
    ahead = 2 * py * step
    for z in range(z0, z1 if y0 < y1 else z0):
        top = ((bz + z) * plan.down + by) * step  # of row 0
        for y in range(y0, y1, plan.band):
            rows = min(plan.band, y1 - y)
            n = rows * step
            new = n if y > y0 else n + ahead  # the rest is there from the band before
            at = top + (y + rows + py) * step - new
            for k in range(GROUP):
                x0, x1 = overlap(o[2] + k, box.start[2], box.size[2], plan.whole[2])
                here = weights[k][PAD:]
                if o[2] + k > plan.search[2]:
                    x0, x1 = 0, 0
                else:
                    into = along[k, ahead + n - new :]
                    sum_rows(pixels, at, away + k, new, plan, side, squares, into)
                    weigh(along[k], step, side, enough, scale, here[:n])
                    move(along[k], n, ahead)
                blank(here, rows, step, bx + x0, bx + x1)
            for back in (1, 0):  # first p gives to q, then q to p
                to_z, to_y = z + back * o[0], y + back * o[1]
                first, stop = max(0, to_y), min(box.size[1], to_y + rows)
                if to_z < 0 or to_z >= box.size[0] or first >= stop:
                    continue
                p = (first - to_y) * step - back * o[2]  # from row y on
                value = top + y * step + p + (1 - back) * away
                start, count = (to_z * plan.tile[1] + first) * step, (stop - first) * step
                mine, total = sums[start : start + count], totals[start : start + count]
                give(weights, PAD + p, -back, values, value, 1 - 2 * back, mine, total)


# ---- tiles


@inner
def known(pixel):
    """False for NaN, infinity and what has no finite square: such pixels are left out."""
    return abs(pixel) < KNOWN


@inner
def fill_values(pixels, values, rician):
    """What is averaged: the pixels, for Rician noise their squares, 0 for those left out."""
    for i in range(len(pixels)):
        v = pixels[i] if known(pixels[i]) else _ZERO
        values[i] = v * v if rician else v


@inner
def begin(own, sums, totals):
    """A pixel weighs 1 for itself."""
    for i in range(len(sums)):
        sums[i] = own[i]
        totals[i] = _ONE


@inner
def finish(given, sums, totals, sigma, rician):
    """The means, in place of the sums; pixels left out as they were, and all without noise."""
    noise = _TWO * (sigma * sigma)
    for i in range(len(sums)):
        mean = sums[i] / totals[i]
        if rician:
            mean = np.sqrt(max(mean - noise, _ZERO))
        sums[i] = mean if known(given[i]) and sigma > _ZERO else given[i]


@compiled
def smooth(first, count, plan, memory, side, sigmas, strength, rician, plain):
    """The means of tiles first .. first + count - 1, in memory.sums."""
    sz, sy, sx = plan.search
    bz, by, _ = border(plan)
    voxels = np.float32((2 * plan.patch[0] + 1) * len(side) * len(side))
    plane = plan.tile[1] * plan.step
    for k in range(count):
        box = box_of(first + k, plan)
        pixels = memory.tiles[k].reshape(memory.tiles[k].size)
        values = memory.values[k].reshape(memory.values[k].size)
        sums = memory.sums[k].reshape(memory.sums[k].size)
        sigma = sigmas[box.image]
        h = strength * sigma
        enough = _TWO * (sigma * sigma) * voxels
        scale = min(_LOG2E / (h * h * voxels), _LARGE)
        if not plain:
            fill_values(pixels, values, rician)
        for z in range(plan.tile[0]):
            own = values[((bz + z) * plan.down + by) * plan.step :]
            part = slice(z * plane, (z + 1) * plane)
            begin(own, sums[part], memory.totals[part])
        if sigma > _ZERO:
            for oz in range(sz + 1):
                for oy in range(-sy if oz else 0, sy + 1):
                    for ox in range(-sx if oz or oy else 1, sx + 1, GROUP):
                        o = (oz, oy, ox)
                        add_pairs(o, box, plan, pixels, values, sums, memory, side, enough, scale)
        for z in range(plan.tile[0]):
            given = pixels[((bz + z) * plan.down + by) * plan.step :]
            part = slice(z * plane, (z + 1) * plane)
            finish(given, sums[part], memory.totals[part], sigma, rician)
