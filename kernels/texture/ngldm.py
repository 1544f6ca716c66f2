"""Neighbouring grey level dependence: the 17 IBSI features of every region.

    n_ij = pixels of level i that, with themselves, have j neighbours of levels i - a .. i + a

Neighbours are the pixels of the region within Chebyshev distance d, see `_neighbours.py`; a is the
coarseness. The columns are the table `FEATURES`, with the formulas of `_emphasis.py` for sizes j.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 17), computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices      neighbours in 3D, or in slices whose features are averaged or whose n_ij are summed.
            Slices without a pixel take no part in a mean
borders     neighbours outside the image or the region do not count
cost        (2 d + 1)^2 comparisons a pixel, (2 d + 1)^3 in a volume; then Ng times as many cells.
            Workspace: on the CPU, a thread, 16 KB, 256 KB or 2 bytes a pixel of one region, and
            4 bytes a cell; on the GPU 2 bytes a pixel of all boxes, and up to 256 MB where cells
            do not fit into shared memory
nan         NaN and infinite pixels leave the region. An empty region: all columns NaN. One pixel
            depends on itself alone: n_11 = 1
source      IBSI reference manual (arXiv 1612.07003), section 3.11; Sun and Wee 1983, CVGIP 23(3)
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, SLICES, VOLUME, suffix
from ._emphasis import N, add_features, declare, formulas, summarise
from ._information import information_table
from ._levels import (
    BLOCKS,
    DEPTH,
    MOST,
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

FEATURES = (
    *declare(
        (
            ("low_dependence_emphasis", "SODN"),
            ("high_dependence_emphasis", "IMOQ"),
            ("low_grey_level_count_emphasis", "TL9H"),
            ("high_grey_level_count_emphasis", "OAE7"),
            ("low_dependence_low_grey_level_emphasis", "EQ3F"),
            ("low_dependence_high_grey_level_emphasis", "JA6D"),
            ("high_dependence_low_grey_level_emphasis", "NBZI"),
            ("high_dependence_high_grey_level_emphasis", "9QMG"),
            ("grey_level_non_uniformity", "FP8K"),
            ("normalised_grey_level_non_uniformity", "5SPA"),
            ("dependence_count_non_uniformity", "Z87G"),
            ("normalised_dependence_count_non_uniformity", "OKJI"),
            ("dependence_count_percentage", "6XV8"),
            ("grey_level_variance", "1PFV"),
            ("dependence_count_variance", "DNX2"),
            ("dependence_count_entropy", "FCBV"),
        )
    ),
    Feature("dependence_count_energy", "CAS9", "sum (n_ij / N)^2"),
)

_source = _cuda.Cuda(__file__)

SHARED_LEVELS = 128
SHARED_CELLS = 10 * 1024  # 40 KB of shared memory
SCRATCH_BLOCKS = 264  # with more cells a block's are in global memory
SCRATCH_CELLS = 1 << 26


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0, distance=1,
              coarseness=0, slices=VOLUME):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    steps = neighbourhood(images, slices, distance)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        pieces = pieces_of(levels_of(image, mask, rule), slices)
        found = [dependences(grey, steps, coarseness) for grey in pieces if grey.any()]
        if found:
            out[:] = np.mean(
                [[*formulas(n, n.sum()), (n**2).sum() / n.sum() ** 2] for n in found], axis=0
            )
    return values.astype(np.float32)


def dependences(grey, steps, coarseness):
    """The matrix n_ij of levels (d, h, w), 0 outside; rows from level 1, columns from j = 1 on."""
    j = np.ones(grey.shape, np.int64)
    for step in steps:
        other = neighbour(grey, step)
        j += (other > 0) & (abs(other - grey) <= coarseness)
    counts = np.zeros((grey.max(), len(steps) + 1), np.int64)
    np.add.at(counts, (grey[grey > 0] - 1, j[grey > 0] - 1), 1)
    return counts


# ---- CPU


@compiled
def depend(levels, own, at, rows, distance, coarseness, lowest, span, found):
    """found = pixels of levels own - coarseness .. own + coarseness, from 1, around each pixel.

    A level below the lowest, 0 too, wraps around to a large difference: one comparison is enough.
    """
    for x in range(found.size):
        below = max(np.int32(own[x]) - coarseness, np.int32(1))
        lowest[x] = np.uint16(below)
        span[x] = np.uint16(np.int32(own[x]) + coarseness - below)
        found[x] = np.uint16(0)
    for step in rows:
        for side in range(-distance, distance + 1):
            first = at + step + side
            other = levels[first : first + found.size]
            for x in range(found.size):
                found[x] += np.uint16(np.uint16(other[x] - lowest[x]) <= span[x])


@compiled
def add_dependences(levels, first, size, rows, distance, coarseness, chunk, counts, side):
    """Adds n_ij of the pixels from `first` on, in cell j side + i; `chunk`: scratch."""
    lowest, span, found = chunk
    for start in range(0, size, CHUNK):
        at, length = first + start, min(CHUNK, size - start)
        own = levels[at : at + length]
        depend(
            levels, own, at, rows, distance, coarseness,
            lowest[:length], span[:length], found[:length],
        )  # fmt: skip
        for x in range(length):
            counts[np.uint64(found[x]) * np.uint64(side) + own[x]] += np.uint32(1)


@compiled
def squares_of(counts, side, last):
    """Sum of n_ij^2."""
    total = np.int64(0)
    for j in range(1, last + 1):
        for count in counts[j * side + 1 : (j + 1) * side]:
            total += np.int64(count) * np.int64(count)
    return total


@compiled
def measure_block(levels, crops, distance, coarseness, plane, sliced, table, scratch, out):
    """Features of a block of regions.

    levels, crops   see `_levels.py`; plane: neighbours in the same slice only; sliced: features of
                    each slice, averaged; table: `information_table()`
    """
    counts, margins, low, totals, beyond, chunk = scratch
    for region in range(len(crops)):
        crop, values = crops[region], out[region]
        top, rows = crop[TOP], rows_around(crop, distance, plane)
        side, last = top + 1, min(rows.size * (2 * distance + 1), crop[VOXELS])
        values[:] = 0.0
        found = 0
        for number in range(crop[DEPTH] if sliced else 1):
            counts[: (last + 1) * side] = np.uint32(0)
            first, size = piece(crop, number, sliced)
            add_dependences(levels, first, size, rows, distance, coarseness, chunk, counts, side)
            summarise(counts, side, last, beyond, table, margins, low, totals)
            if totals[N] > 0:
                found += 1
                add_features(margins, low, totals, top, totals[N], values)
                n = np.float64(totals[N])
                values[16] += np.float64(squares_of(counts, side, last)) / n / n
        for f in range(values.size):
            values[f] = values[f] / found if found else np.nan


def part(images: Any, column: int, *, levels: int, distance: int, coarseness: int, slices: str,
         **_: Any) -> Part:  # fmt: skip
    """The 17 columns from `column` on, for `measure`."""
    plane = flat(images, slices)

    def begin():
        scratch = (
            np.empty(cells_of(images, levels, distance, slices), np.uint32),
            np.empty((2, levels), np.int64),
            np.empty(levels),
            np.empty(4, np.int64),
            np.empty(0, np.int64),
            (np.empty(CHUNK, np.uint16), np.empty(CHUNK, np.uint16), np.empty(CHUNK, np.uint16)),
        )

        def work(grey, crops, out):
            measure_block(
                grey,
                crops,
                distance,
                coarseness,
                plane,
                slices == AVERAGED,
                information_table(),
                scratch,
                out,
            )

        return work

    return Part(slice(column, column + len(FEATURES)), begin)


def cells_of(images: Any, levels: int, distance: int, slices: str) -> int:
    """Cells of a matrix: rows of levels 0..Ng, for dependences 0 to that on all neighbours."""
    return (len(neighbourhood(images, slices, distance)) + 2) * (levels + 1)


def cpu(images, where, values, *, levels, binning, width, low, **settings):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    parts = [part(images, 0, levels=levels, **settings)]
    measure(images, where, values, rule, settings["distance"], parts)


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, distance, coarseness, slices):
    """`reference` on the GPU: one launch for the levels, one for dependences and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), distance)
    cells = cells_of(images, levels, distance, slices)
    shared = levels <= SHARED_LEVELS and cells <= SHARED_CELLS
    blocks = min(len(where), BLOCKS if shared else min(SCRATCH_BLOCKS, SCRATCH_CELLS // cells))
    workspace = None if shared else _cuda.empty(images, (blocks, cells), np.uint32)
    _source.function("measure", IN_SHARED=shared, MOST=SHARED_LEVELS if shared else MOST)(
        blocks, 256, grey, crops, workspace, values, grey.size // 2, len(where), cells, distance,
        coarseness, flat(images, slices), slices == AVERAGED, smem=4 * cells if shared else 0,
    )  # fmt: skip


# ---- the kernel


def columns(*, distance: int, coarseness: int, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    how = f".a{coarseness}{suffix(slices, distance=distance)}"
    return tuple(f"ngldm.{feature.name}{how}" for feature in FEATURES)


ngldm = RegionMeasure(
    name="ngldm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("ngldm"),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        **PARAMETERS,
        "distance": DISTANCE,
        "coarseness": Parameter(
            0, "levels by which a neighbour may differ and depend", low=0, high=MOST, unit="levels"
        ),
        "slices": SLICES,
    },
    examples=(
        {},
        {"levels": 8, "distance": 3, "coarseness": 1, "slices": "merged"},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 200, "slices": "averaged"},
    ),
    tolerance=1e-6,
    gpu_tolerance=0,
    cost=lambda itemsize, *, distance, **_: Cost(
        bytes=itemsize + 1, operations=3 * (2 * distance + 1) ** 2 + 6
    ),
    quality=Quality(
        registers=80,
        float64=True,
        excuse="quantisation and the sums over levels are float64: the values of the CPU",
    ),
)
