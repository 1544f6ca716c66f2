"""The 16 features that run lengths, size zones, distance zones and dependences have in common.

Let n_ij count the runs, zones or neighbourhoods of level i and size j (a length, a size, a distance
or a dependence), N = sum n_ij, and V be the pixels that they are made of.

A dot stands for a sum: n_i. and n_.j are the margins. 11 features need only these, the entropy only
the multiset of the n_ij, and the four that weigh both levels and sizes follow from two sums a
level, over its sizes:

    low_i = sum n_ij / j^2        high_i = sum j^2 n_ij

so that sizes may come one after another, and no matrix of levels times the largest size is needed.
All but low_i are integers.

source  IBSI reference manual (arXiv 1612.07003), section 3.7; Galloway 1975, CGIP 4(2); Chu, Sehgal
        and Greenleaf 1990, Pattern Recognition Letters 11(6); Thibault 2014, IEEE TBE 61(3)
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Feature
from ._information import entropy, information, unit_of
from ._levels import MOST

_FORMULAS = (
    ("sum n_.j / j^2 / N",),
    ("sum j^2 n_.j / N",),
    ("sum n_i. / i^2 / N",),
    ("sum i^2 n_i. / N", "level^2"),
    ("sum n_ij / (i^2 j^2) / N",),
    ("sum i^2 n_ij / j^2 / N", "level^2"),
    ("sum j^2 n_ij / i^2 / N",),
    ("sum i^2 j^2 n_ij / N", "level^2"),
    ("sum n_i.^2 / N",),
    ("sum n_i.^2 / N^2",),
    ("sum n_.j^2 / N",),
    ("sum n_.j^2 / N^2",),
    ("N / V",),
    ("sum (i - mu)^2 n_i. / N, mu = sum i n_i. / N", "level^2"),
    ("sum (j - mu)^2 n_.j / N, mu = sum j n_.j / N",),
    ("-sum n_ij / N log2(n_ij / N)", "bit"),
)


def declare(names: Iterable[tuple[str, str]]) -> tuple[Feature, ...]:
    """The 16 features from their (name, IBSI tag) in a family, in the order of the manual."""
    return tuple(
        Feature(name, tag, *formula)
        for (name, tag), formula in zip(names, _FORMULAS, strict=True)
    )  # fmt: skip


# ---- the definition


def formulas(counts: np.ndarray, voxels: int | np.integer) -> list[float]:
    """The 16 features of counts n_ij (levels, sizes), from level 1 and size 1 on; float64."""
    i, j = (np.indices(counts.shape) + 1).astype(np.float64)
    total = counts.sum()
    p = counts / total
    of_level, of_size = counts.sum(axis=1), counts.sum(axis=0)
    met = p[p > 0]

    def variance(x):
        return ((x - (x * p).sum()) ** 2 * p).sum()

    return [
        (p / j**2).sum(),
        (p * j**2).sum(),
        (p / i**2).sum(),
        (p * i**2).sum(),
        (p / i**2 / j**2).sum(),
        (p * i**2 / j**2).sum(),
        (p / i**2 * j**2).sum(),
        (p * i**2 * j**2).sum(),
        (of_level**2).sum() / total,
        (of_level**2).sum() / total**2,
        (of_size**2).sum() / total,
        (of_size**2).sum() / total**2,
        total / voxels,
        variance(i),
        variance(j),
        max(0.0, -(met * np.log2(met)).sum()),
    ]


# ---- compiled: counts, size after size -> integers
#
# Counts lie in rows, a row a size: n_ij in cell j side + i, with side = Ng + 1. Row and
# column 0 are not read; kernels let what does not count end there. Elements of sizes beyond
# the last row are listed as the cells where they would be, in rising order.

TABLED = 64  # sizes that have a row in tables of runs and zones
LEVEL_BITS = MOST.bit_length()
LEVEL = (1 << LEVEL_BITS) - 1
N, SIZES, SIZE_SQUARES, INFORMATION = range(4)  # totals: N, sum j n_.j, sum n_.j^2
OF_LEVEL, HIGH = range(2)  # rows of margins: n_i. and high_i


@compiled
def add_size(row, size, unit, table, margins, low, totals):
    """Adds the counts of one size, from level 1 on, to the margins and the totals."""
    of_size, square = np.int64(0), size * size
    for k in range(row.size):
        of_size += row[k]
    if of_size == 0:
        return
    of_level, high, weight = margins[OF_LEVEL], margins[HIGH], 1.0 / np.float64(square)
    for k in range(row.size):
        of_level[k] += row[k]
        high[k] += square * np.int64(row[k])
        low[k] += weight * np.float64(row[k])
    totals[SIZES] += size * of_size
    totals[SIZE_SQUARES] += of_size * of_size
    totals[INFORMATION] += information(row, unit, table)


@compiled
def summarise(counts, side, last, beyond, table, margins, low, totals):
    """All that the features need of one matrix of the levels 1 .. top = side - 1.

    counts   uint32 (rows * side or more,), read up to row `last`
    beyond   int64: the list of larger sizes, sorted
    table    `information_table()`
    margins  int64 (2, top or more), low float64 (top or more,), totals int64 (4,): results
    """
    top = side - 1
    margins[:, :top], low[:top], totals[:] = 0, 0.0, 0
    for size in range(1, last + 1):
        for count in counts[size * side + 1 : (size + 1) * side]:
            totals[N] += count
    totals[N] += beyond.size
    unit = unit_of(totals[N])
    for size in range(1, last + 1):
        row = counts[size * side + 1 : (size + 1) * side]
        add_size(row, size, unit, table, margins, low, totals)
    at, row = 0, np.empty(top if beyond.size else 0, np.uint32)
    while at < beyond.size:
        size = beyond[at] >> LEVEL_BITS
        row[:] = np.uint32(0)
        while at < beyond.size and beyond[at] >> LEVEL_BITS == size:
            row[(beyond[at] & LEVEL) - 1] += np.uint32(1)
            at += 1
        add_size(row, size, unit, table, margins, low, totals)


@compiled
def sort(beyond):
    """Shell's sort: lists are short, and this compiles in no time."""
    gap = 1
    while gap < beyond.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for at in range(gap, beyond.size):
            element, hole = beyond[at], at
            while hole >= gap and beyond[hole - gap] > element:
                beyond[hole] = beyond[hole - gap]
                hole -= gap
            beyond[hole] = element
        gap //= 3


# ---- float64 from here on, each sum in the order of the levels


@compiled
def variance(total, first, second):
    """Variance of `total` integers whose sum is `first` and whose squares add up to `second`.

    About the mean rounded down all is exact: the subtraction cancels at most half of the bits.
    """
    whole = np.int64(np.float64(first) / np.float64(total))
    rest = np.float64(first - whole * total)
    about_whole = second - whole * (2 * first - whole * total)
    return (np.float64(about_whole) - rest * rest / total) / total


@compiled
def add_features(margins, low, totals, top, voxels, values):
    """Adds the 16 features of one matrix, as `summarise` gives it, to `values`; V is `voxels`."""
    total, of_level, high = totals[N], margins[OF_LEVEL], margins[HIGH]
    first, second, level_squares = np.int64(0), np.int64(0), np.int64(0)
    short, squares, dim = 0.0, np.int64(0), 0.0
    short_dim, short_bright, long_dim, long_bright = 0.0, 0.0, 0.0, 0.0
    for k in range(top):
        level, count = k + 1, of_level[k]
        if count == 0:
            continue
        square, long = np.float64(level * level), np.float64(high[k])
        first += level * count
        second += level * level * count
        level_squares += count * count
        short += low[k]
        squares += high[k]
        dim += np.float64(count) / square
        short_dim += low[k] / square
        short_bright += low[k] * square
        long_dim += long / square
        long_bright += long * square
    unit, n = unit_of(total), np.float64(total)
    values[0] += short / n
    values[1] += np.float64(squares) / n
    values[2] += dim / n
    values[3] += np.float64(second) / n
    values[4] += short_dim / n
    values[5] += short_bright / n
    values[6] += long_dim / n
    values[7] += long_bright / n
    values[8] += np.float64(level_squares) / n
    values[9] += np.float64(level_squares) / n / n
    values[10] += np.float64(totals[SIZE_SQUARES]) / n
    values[11] += np.float64(totals[SIZE_SQUARES]) / n / n
    values[12] += n / np.float64(voxels)
    values[13] += variance(total, first, second)
    values[14] += variance(total, totals[SIZES], squares)
    values[15] += entropy(totals[INFORMATION], total, unit)


# ---- GPU: what the blocks of a launch work with

LAUNCHED = 1 << 16  # blocks, at most; a block goes on to further regions
SHARED_LEVELS = 64  # tables of 64 levels and 64 sizes are 17 KB of shared memory
SCRATCH = 1 << 28  # bytes of global memory, of all blocks


class Tables(NamedTuple):
    """Tables and lists of `blocks` blocks; `macros` and `smem` are those of the launch."""

    blocks: int
    counts: Any  # uint32; None: in shared memory
    beyond: Any  # int64 (blocks, room); None: nothing is listed
    room: int
    smem: int
    macros: dict[str, int]


def gpu_tables(images: Any, regions: int, levels: int, rows: int, listable: int) -> Tables:
    """Tables of `rows` sizes, and lists of up to `listable` elements with room to sort them."""
    shared = levels <= SHARED_LEVELS and rows <= TABLED
    cells = (rows + 1) * (levels + 1 | 1)  # of an odd side: banks of a column differ
    room = 1 << (listable - 1).bit_length() if listable else 0
    bytes_a_block = 8 * room + (0 if shared else 4 * cells)
    blocks = min(regions, LAUNCHED, max(1, SCRATCH // max(1, bytes_a_block)))
    return Tables(
        blocks,
        None if shared else _cuda.empty(images, (blocks, cells), np.uint32),
        _cuda.empty(images, (blocks, room), np.int64) if room else None,
        room,
        4 * cells if shared else 0,
        {"IN_SHARED": shared, "MOST": SHARED_LEVELS if shared else MOST},
    )
