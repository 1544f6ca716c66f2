"""Grey level co-occurrence: the 25 IBSI features of every region.

    p_ij = (pairs of pixels at offset m or -m whose levels are i and j) / (all such pairs)

for the directions m of `_aggregation.py` at Chebyshev distance d, both pixels inside the region:
4 in images, 13 in volumes. The columns and their formulas are the table `FEATURES`.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 25); levels and bits as units, computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices, directions  how the matrices are summed or their features averaged: see `_aggregation.py`.
            Matrices without a pair take no part in a mean
borders     pairs with a pixel outside the image or the region are not counted
cost        4 or 13 increments a pixel, then (Ng + 1)^2 cells a matrix. Workspace: on the CPU, a
            thread, 256 KB or 2 bytes a pixel of one region, and 4 (Ng + 1)^2 bytes a table, of
            which there are 6, or 15 for averaged volumes; on the GPU 2 bytes a pixel of all boxes,
            and up to 560 MB for more than 64 levels
nan         NaN and infinite pixels leave the region. No pair (empty, one pixel): all columns NaN.
            One level only: the limits of the formulas, with correlation 1 and information
            correlations 0
source      IBSI reference manual (arXiv 1612.07003), section 3.6; Haralick, Shanmugam and Dinstein
            1973, IEEE TSMC 3(6); Unser 1986, IEEE TPAMI 8(1)
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Parameter, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, DIRECTIONS, MERGED, SLICES, VOLUME, steps, suffix
from ._glcm_features import FEATURES, HISTOGRAMS, NOISE, add_features, summarise, summarise_few
from ._information import information_table
from ._levels import (
    DEPTH,
    MOST,
    PARAMETERS,
    ROW,
    SLAB,
    START,
    TOP,
    VOXELS,
    Part,
    cpu_crops,
    gpu_crops,
    levels_of,
    measure,
    neighbour,
    scale,
)

_source = _cuda.Cuda(__file__)

LAUNCHED = 1 << 16  # blocks of a GPU launch, at most; a block goes on to further regions
SHARED_LEVELS = 64  # four triangles of 64 levels are 33 KB of shared memory
FEW = 0.25  # pixels a cell of the matrix: with less, pairs are visited instead of cells
SCRATCH_BLOCKS = 264  # with more levels a block's tables are in global memory


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0, distance=1,
              directions=AVERAGED, slices=VOLUME):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    offsets = steps(images, slices, distance)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        grey = levels_of(image, mask, rule)
        top = int(grey.max(initial=0))
        pieces = grey[:, None] if slices == AVERAGED else grey[None]
        pairs = [[co_occurrence(p, m, top) for m in offsets] for p in pieces]
        counts = np.array(pairs).reshape(len(pieces), len(offsets), top, top)
        if directions == MERGED:
            counts = counts.sum(axis=1, keepdims=True)
        found = [formulas(m / m.sum()) for row in counts for m in row if m.any()]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def co_occurrence(grey, offset, top):
    """Symmetric counts (top, top) of levels (d, h, w), 0 outside, at one offset (z, y, x)."""
    counts = np.zeros((top + 1, top + 1), np.int64)
    np.add.at(counts, (grey, neighbour(grey, offset)), 1)
    return (counts + counts.T)[1:, 1:]


def formulas(p):
    """The 25 features of one matrix of probabilities, as the IBSI manual writes them."""
    ng = len(p)
    i, j = np.indices(p.shape) + 1
    d, s = abs(i - j), i + j
    p_d, p_s = np.bincount(d.ravel(), p.ravel()), np.bincount(s.ravel(), p.ravel())
    mu, mu_d = (i * p).sum(), (d * p).sum()
    variance = ((i - mu) ** 2 * p).sum()
    hxy, hx = entropy(p), entropy(p.sum(axis=0))
    information = 2 * hx - hxy if 2 * hx - hxy > NOISE else 0.0

    def central(power):
        return ((s - 2 * mu) ** power * p).sum()

    return [
        p.max(), mu, variance, hxy,
        mu_d, ((d - mu_d) ** 2 * p).sum(), entropy(p_d),
        2 * mu, central(2), entropy(p_s),
        (p**2).sum(), (d**2 * p).sum(), mu_d,
        (p / (1 + d)).sum(), (p / (1 + d / ng)).sum(),
        (p / (1 + d**2)).sum(), (p / (1 + (d / ng) ** 2)).sum(),
        (p[d > 0] / d[d > 0] ** 2).sum(),
        ((i - mu) * (j - mu) * p).sum() / variance if hx > 0 else 1.0,
        (i * j * p).sum(),
        central(2), central(3), central(4),
        -information / hx if hx > 0 else 0.0,
        np.sqrt(1 - np.exp(-2 * information)),
    ]  # fmt: skip


def entropy(p):
    """In bits."""
    p = p[p > 0]
    return max(0.0, -(p * np.log2(p)).sum())


# ---- CPU


@compiled
def count_pairs(levels, length, offsets, counts, side):
    """Adds the ordered pairs (levels[k], levels[k + offset]), k < length, to counts (4, side^2).

    A table an offset: four chains of increments hide the latency of a store that is loaded again.
    Pairs with the outside, level 0, end in row or column 0. Shifted views and unsigned
    indices spare the test for an index below 0.
    """
    if offsets.size == 4:
        first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
        one, two = levels[offsets[0] :], levels[offsets[1] :]
        three, four = levels[offsets[2] :], levels[offsets[3] :]
        for at in range(length):
            row = np.uint64(levels[at]) * np.uint64(side)
            first[row + one[at]] += np.uint32(1)
            second[row + two[at]] += np.uint32(1)
            third[row + three[at]] += np.uint32(1)
            fourth[row + four[at]] += np.uint32(1)
    else:
        for m in range(offsets.size):
            table, other = counts[m], levels[offsets[m] :]
            for at in range(length):
                table[np.uint64(levels[at]) * np.uint64(side) + other[at]] += np.uint32(1)


@compiled
def count_directions(levels, offsets, counts, side, merged):
    """Counts of all offsets, of levels that reach as far: a table each, or all in the first."""
    cells, length = side * side, levels.size - offsets.max()
    for m in range(counts.shape[0]):
        table = counts[m]
        for cell in range(cells):
            table[cell] = np.uint32(0)
    for m in range(0, offsets.size, 4):
        tables = counts if merged else counts[m : m + 4]
        count_pairs(levels, length, offsets[m : m + 4], tables, side)
    if merged:
        first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
        for cell in range(cells):
            first[cell] += second[cell] + third[cell] + fourth[cell]


@compiled
def measure_block(levels, crops, directions, merged, sliced, table, counts, empty, kept,
                  histograms, out):  # fmt: skip
    """Features of a block of regions.

    levels, crops    see `_levels.py`; directions int64 (m, 3): steps (z, y, x)
    counts           uint32 (4 or more, (Ng + 1)^2), kept uint32 ((Ng + 1)^2,), histograms uint32
                     (HISTOGRAMS, 2 (Ng + 1)): scratch
    empty            uint32 ((Ng + 1)^2,), all 0 before and after
    """
    totals, offsets = np.empty(4, np.int64), np.empty(len(directions), np.int64)
    for region in range(len(crops)):
        crop, values = crops[region], out[region]
        for m in range(len(directions)):
            z, y, x = directions[m]
            offsets[m] = z * crop[SLAB] + y * crop[ROW] + x
        side, found = crop[TOP] + 1, 0
        pieces, size = 1, crop[DEPTH] * crop[SLAB]
        if sliced:
            pieces, size = crop[DEPTH], crop[SLAB]
        values[:] = 0.0
        for piece in range(pieces):
            first = crop[START] + piece * size
            reach = levels[first : first + size + offsets.max()]
            few = crop[VOXELS] < FEW * side * side * pieces
            if not few:
                count_directions(reach, offsets, counts, side, merged)
            for m in range(1 if merged else len(offsets)):
                if few:
                    some = offsets if merged else offsets[m : m + 1]
                    summarise_few(reach, size, some, empty, side, table, histograms, totals)
                else:
                    visited = size * (len(offsets) if merged else 1)
                    summarise(counts[m], side, visited, table, histograms, kept, totals)
                if totals[0] > 0:
                    found += 1
                    add_features(histograms, totals, crop[TOP], table, values)
        for f in range(values.size):
            values[f] = values[f] / found if found else np.nan


def part(images: Any, column: int, *, levels: int, distance: int, directions: str, slices: str,
         **_: Any) -> Part:  # fmt: skip
    """The 25 columns from `column` on, for `measure`."""
    offsets = steps(images, slices, distance)
    merged, side = directions == MERGED, levels + 1
    tables = 4 if merged else len(offsets)

    def begin():
        counts, empty = np.empty((tables, side**2), np.uint32), np.zeros(side**2, np.uint32)
        kept = np.empty(side**2, np.uint32)
        scratch = counts, empty, kept, np.empty((HISTOGRAMS, 2 * side), np.uint32)

        def work(levels, crops, out):
            measure_block(
                levels,
                crops,
                offsets,
                merged,
                slices == AVERAGED,
                information_table(),
                *scratch,
                out,
            )

        return work

    return Part(slice(column, column + len(FEATURES)), begin)


def cpu(images, where, values, *, levels, binning, width, low, **settings):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    parts = [part(images, 0, levels=levels, **settings)]
    measure(images, where, values, rule, settings["distance"], parts)


def matrices(images: Any, masks: Any = None, **parameters: Any) -> np.ndarray:
    """The counts themselves, for inspection: int64 (regions, m, levels, levels), symmetric.

    m directions in the order of `_aggregation.py`; merged slices are summed, as "averaged" ones
    are here. Takes the parameters of `glcm`; `directions` has no effect. NumPy only, by the code
    that `glcm` runs.
    """
    chosen = glcm.resolve(parameters)
    glcm._check_images(images)
    side, rule = chosen["levels"] + 1, scale(*(chosen[key] for key in PARAMETERS))
    directions = steps(images, chosen["slices"], chosen["distance"])
    levels, crops = cpu_crops(images, glcm.place(images, masks), rule, chosen["distance"])
    found = np.zeros((len(crops), len(directions), side, side), np.int64)
    for crop, of_region in zip(crops, found, strict=True):
        top, offsets = crop[TOP] + 1, directions @ (crop[SLAB], crop[ROW], 1)
        counts = np.zeros((len(offsets), top**2), np.uint32)
        end = crop[START] + crop[DEPTH] * crop[SLAB] + offsets.max()
        count_directions(levels[crop[START] : end], offsets, counts, top, False)
        of_region[:, :top, :top] = counts.reshape(-1, top, top)
    return (found + found.swapaxes(2, 3))[..., 1:, 1:]


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, distance, directions, slices):
    """`reference` on the GPU: one launch for the levels, one for counts and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), distance)
    cells = 4 * (levels * (levels + 1) // 2)
    shared = levels <= SHARED_LEVELS
    blocks = min(len(where), LAUNCHED if shared else SCRATCH_BLOCKS)
    workspace = None if shared else _cuda.empty(images, (blocks, cells), np.uint32)
    _source.function("measure", IN_SHARED=shared, MOST=SHARED_LEVELS if shared else MOST)(
        blocks, 256, grey, crops, workspace, values, len(where), levels, distance,
        len(steps(images, slices)), directions == MERGED, slices == AVERAGED,
        smem=4 * cells if shared else 0,
    )  # fmt: skip


# ---- the kernel


def columns(*, distance: int, directions: str, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    how = suffix(slices, directions, distance)
    return tuple(f"glcm.{feature.name}{how}" for feature in FEATURES)


glcm = RegionMeasure(
    name="glcm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("glcm"),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        **PARAMETERS,
        "distance": Parameter(1, "Chebyshev distance of a pair", low=1, high=16, unit="pixels"),
        "directions": DIRECTIONS,
        "slices": SLICES,
    },
    examples=(
        {},
        {"levels": 8, "directions": "merged", "distance": 3},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70, "slices": "averaged"},
        {"binning": "aligned", "width": 30.0, "levels": 8, "slices": "merged"},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=4 * 3 + 6),
    peers=("mahotas.features:haralick", "skimage.feature:graycomatrix"),
    quality=Quality(
        registers=80,
        sector_efficiency=0.6,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64: the values of the CPU; "
        "more than 64 levels are counted in tables in global memory, cell by cell",
    ),
)
