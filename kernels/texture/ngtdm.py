"""Neighbourhood grey tone difference: the 5 IBSI features of every region.

    s_i = sum of |i - mean level of the neighbours| over the n_i pixels of level i with a neighbour

Neighbours are the pixels of the region within Chebyshev distance d, see `_neighbours.py`. The
columns and their formulas are the table `FEATURES`, where N = sum n_i, p_i = n_i / N, and sums run
over the N' levels with n_i > 0.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 5), computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices      neighbours in 3D, or in slices whose features are averaged or whose n_i and s_i are
            summed. Slices without a pixel that has a neighbour take no part in a mean
borders     neighbours outside the image or the region do not count
cost        2 d + 1 rows of 2 d + 1 pixels in an image, (2 d + 1)^2 rows in a volume; then Ng^2 / 2
            pairs of levels. Workspace: on the CPU, a thread, 60 KB and 256 KB or 2 bytes a pixel
            of one region; on the GPU 2 bytes a pixel of all boxes
nan         NaN and infinite pixels leave the region. No pixel with a neighbour (empty, one pixel):
            all columns NaN. Coarseness is at most 10^6, that of a flat region; the other
            features are 0 where their denominator is
source      IBSI reference manual (arXiv 1612.07003), section 3.10; Amadasun and King 1989, IEEE
            TSMC 19(5)
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Feature, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, SLICES, VOLUME, suffix
from ._information import unit_of
from ._levels import (
    BLOCKS,
    DEPTH,
    PARAMETERS,
    TOP,
    VOXELS,
    Part,
    gpu_crops,
    levels_of,
    measure,
    neighbour,
    scale,
)
from ._neighbours import CHUNK, DISTANCE, flat, neighbourhood, piece, pieces_of, rows_around

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("coarseness", "QCDE", "1 / sum p_i s_i, at most 10^6", "1/level"),
        ("contrast", "65HE", "sum p_i p_j (i - j)^2 / (N' (N' - 1)) sum s_i / N", "level^3"),
        ("busyness", "NQ30", "sum p_i s_i / sum |i p_i - j p_j|"),
        ("complexity", "HDEZ", "sum |i - j| (p_i s_i + p_j s_j) / (p_i + p_j) / N", "level^2"),
        ("strength", "1X9X", "sum (p_i + p_j) (i - j)^2 / sum s_i", "level"),
    )
)

COARSEST = 1e6

_source = _cuda.Cuda(__file__)


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0, distance=1,
              slices=VOLUME):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    steps = neighbourhood(images, slices, distance)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        pieces = pieces_of(levels_of(image, mask, rule), slices)
        matrices = [tone_differences(grey, steps) for grey in pieces]
        found = [formulas(i, n, s) for i, n, s in matrices if n.any()]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def tone_differences(grey, steps):
    """The matrix of levels (d, h, w), 0 outside: levels i that have neighbours, n_i and s_i."""
    around = [neighbour(grey, step) for step in steps]
    count, total = np.sum([a > 0 for a in around], axis=0), np.sum(around, axis=0)
    inside = (grey > 0) & (count > 0)
    difference = np.abs(grey[inside] - total[inside] / count[inside])
    n, s = np.bincount(grey[inside]), np.bincount(grey[inside], difference)
    i = np.flatnonzero(n)
    return i, n[i], s[i]


def formulas(i, n, s):
    """The 5 features of one matrix, as the IBSI manual writes them."""
    p, levels = n / n.sum(), len(i)
    apart = i[:, None] - i
    dynamic = (p[:, None] * p * apart**2).sum() / max(levels * (levels - 1), 1)
    uneven = np.abs(np.subtract.outer(i * n, i * n)).sum() / n.sum()
    mixed = np.add.outer(p * s, p * s) / np.add.outer(p, p)
    return [
        1 / max((p * s).sum(), 1 / COARSEST),
        dynamic * s.sum() / n.sum(),
        (p * s).sum() / uneven if uneven > 0 else 0.0,
        (abs(apart) * mixed).sum() / n.sum(),
        (np.add.outer(p, p) * apart**2).sum() / s.sum() if s.any() else 0.0,
    ]


# ---- CPU: differences as integers
#
# A pixel's difference |i W - sum of its W neighbours| / W goes into s_i as a whole number of units
# of 2^-62 of (number of pixels x levels): sums of integers are the same in any order. In one uint32
# a box of pixels holds its number of levels above 0 in the upper bits, their sum in the lower.

COUNT_AT = 20  # (2 FURTHEST + 1)^3 levels up to 1024 add up to less than 2^20
SUM = np.uint32((1 << COUNT_AT) - 1)


@compiled
def unit_of_differences(crop):
    """Units of a difference of one level: a power of two, so that no sum can overflow."""
    return 32.0 * unit_of(crop[TOP] * crop[VOXELS])


@compiled
def add_rows(levels, at, rows, columns):
    """columns = number and sum of the levels above 0 in all rows, from pixel `at` on."""
    columns[:] = np.uint32(0)
    for step in rows:
        row = levels[at + step : at + step + columns.size]
        for x in range(columns.size):
            own = np.uint32(row[x])
            columns[x] += own + (np.uint32(own != 0) << np.uint32(COUNT_AT))


@compiled
def add_columns(columns, boxes):
    """boxes = sum of each 2 distance + 1 columns that follow one another."""
    boxes[:] = np.uint32(0)
    for step in range(columns.size - boxes.size + 1):
        shifted = columns[step:]
        for x in range(boxes.size):
            boxes[x] += shifted[x]


@compiled
def differ(own, boxes, weights, found):
    """found = |i - mean of its neighbours| of each pixel i = own, in units; weights[W] = unit / W.

    Of a box is left the number of neighbours, 0 or 1 for none or some.
    """
    for x in range(found.size):
        i = np.int32(own[x])
        neighbours = np.uint32(boxes[x] >> np.uint32(COUNT_AT)) - np.uint32(i != 0)
        apart = np.int32(i * neighbours - (np.int32(boxes[x] & SUM) - i))
        found[x] = np.int64(np.float64(abs(apart)) * weights[np.uint32(neighbours)])
        boxes[x] = np.uint32(neighbours != 0)


@compiled
def add_differences(levels, first, size, rows, weights, chunk, counts, sums):
    """Adds n_i and s_i of the pixels from `first` on; `chunk`: scratch."""
    columns, boxes, found = chunk
    reach = (columns.size - boxes.size) // 2
    for start in range(0, size, CHUNK):
        at, length = first + start, min(CHUNK, size - start)
        add_rows(levels, at - reach, rows, columns[: length + 2 * reach])
        add_columns(columns[: length + 2 * reach], boxes[:length])
        own = levels[at : at + length]
        differ(own, boxes[:length], weights, found[:length])
        for x in range(length):
            i = np.uint64(own[x])
            counts[i] += boxes[x]
            sums[i] += found[x]


# ---- float64 from here on, in the order of the levels


@compiled
def add_features(counts, sums, unit, levels, values):
    """Adds the 5 features of n_i and s_i, i = 1, 2, ...; whether there are any.

    levels  scratch: float64 (3, Ng or more) for n_i, n_i s_i and the rows of complexity, int64
            (2, Ng or more) for i and i n_i
    """
    n, weighted, rows = levels[0][0], levels[0][1], levels[0][2]
    i, masses = levels[1][0], levels[1][1]
    present, pixels, of_levels, of_squares = 0, np.int64(0), np.int64(0), np.int64(0)
    first, total, coarse = np.int64(0), 0.0, 0.0
    for k in range(1, counts.size):
        count = np.int64(counts[k])
        if count > 0:
            s = np.float64(sums[k]) / unit
            i[present], masses[present] = k, k * count
            n[present], weighted[present], rows[present] = count, count * s, 0.0
            total += s
            coarse += weighted[present]
            first += k * count
            pixels += count
            of_levels += k
            of_squares += k * k
            present += 1
    if present == 0:
        return False

    mean, spread, strength = first / pixels, 0.0, np.int64(0)
    for a in range(present):
        spread += n[a] * ((i[a] - mean) * (i[a] - mean))
        k = i[a]
        strength += np.int64(n[a]) * (present * k * k - 2 * k * of_levels + of_squares)
    uneven = np.int64(0)
    for b in range(present):
        for a in range(b):
            rows[a] += (i[b] - i[a]) * (weighted[a] + weighted[b]) / (n[a] + n[b])
        for a in range(b):
            uneven += abs(masses[b] - masses[a])
    complexity = 0.0
    for a in range(present):
        complexity += rows[a]

    pairs = max(present * (present - 1), 1)
    values[0] += min(pixels / coarse, COARSEST)
    values[1] += 2.0 * spread / pixels / pairs * total / pixels
    values[2] += coarse / (2.0 * uneven) if uneven > 0 else 0.0
    values[3] += 2.0 * complexity / pixels
    values[4] += 2.0 * strength / pixels / total if total > 0.0 else 0.0
    return True


@compiled
def measure_block(levels, crops, distance, plane, sliced, scratch, out):
    """Features of a block of regions.

    levels, crops   see `_levels.py`; plane: neighbours in the same slice only; sliced: features of
                    each slice, averaged
    """
    counts, sums, weights, of_levels, chunk = scratch
    for region in range(len(crops)):
        crop, values = crops[region], out[region]
        side, unit = crop[TOP] + 1, unit_of_differences(crop)
        rows = rows_around(crop, distance, plane)
        for k in range(1, weights.size):
            weights[k] = unit / k
        values[:] = 0.0
        found = 0
        for number in range(crop[DEPTH] if sliced else 1):
            counts[:side], sums[:side] = np.uint32(0), np.int64(0)
            first, size = piece(crop, number, sliced)
            add_differences(levels, first, size, rows, weights, chunk, counts, sums)
            found += add_features(counts[:side], sums, unit, of_levels, values)
        for f in range(values.size):
            values[f] = values[f] / found if found else np.nan


def part(images: Any, column: int, *, levels: int, distance: int, slices: str, **_: Any) -> Part:
    """The 5 columns from `column` on, for `measure`."""
    plane, side = flat(images, slices), 2 * distance + 1

    def begin():
        scratch = (
            np.empty(levels + 1, np.uint32),
            np.empty(levels + 1, np.int64),
            np.zeros(side ** (2 if plane else 3)),
            (np.empty((3, levels)), np.empty((2, levels), np.int64)),
            (
                np.empty(CHUNK + side - 1, np.uint32),
                np.empty(CHUNK, np.uint32),
                np.empty(CHUNK, np.int64),
            ),
        )

        def work(grey, crops, out):
            measure_block(grey, crops, distance, plane, slices == AVERAGED, scratch, out)

        return work

    return Part(slice(column, column + len(FEATURES)), begin)


def cpu(images, where, values, *, levels, binning, width, low, **settings):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    parts = [part(images, 0, levels=levels, **settings)]
    measure(images, where, values, rule, settings["distance"], parts)


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, distance, slices):
    """`reference` on the GPU: one launch for the levels, one for differences and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), distance)
    _source.function("measure")(
        min(len(where), BLOCKS), 256, grey, crops, values, grey.size // 2, len(where), levels,
        distance, flat(images, slices), slices == AVERAGED, smem=20 * (levels + 1),
    )  # fmt: skip


# ---- the kernel


def columns(*, distance: int, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    how = suffix(slices, distance=distance)
    return tuple(f"ngtdm.{feature.name}{how}" for feature in FEATURES)


ngtdm = RegionMeasure(
    name="ngtdm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("ngtdm"),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={**PARAMETERS, "distance": DISTANCE, "slices": SLICES},
    examples=(
        {},
        {"levels": 8, "distance": 3, "slices": "merged"},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70, "slices": "averaged"},
    ),
    tolerance=1e-6,
    gpu_tolerance=0,
    cost=lambda itemsize, *, distance, **_: Cost(
        bytes=itemsize + 1, operations=3 * (2 * distance + 1) + 2 * (2 * distance + 1) + 12
    ),
    quality=Quality(
        registers=80,
        float64=True,
        excuse="quantisation, means and the sums over levels are float64: the values of the CPU",
    ),
)
