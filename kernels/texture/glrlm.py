"""Grey level run lengths: the 16 IBSI features of every region.

    n_ij = runs of j pixels of level i: as many in line, along direction m, as can be

for the directions m of `_aggregation.py`: 4 in images, 13 in volumes. The columns are the table
`FEATURES`, their formulas those of `_emphasis.py`, with V the pixels of the region.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 16); levels, pixels and bits as units, computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices, directions  how the matrices are summed or their features averaged: see `_aggregation.py`.
            V is summed like the matrices. Slices without a pixel take no part in a mean
borders     a run ends where the image or the region ends
cost        4 or 13 times 12 operations and an increment a pixel. Workspace: on the CPU, a thread,
            256 KB or 4 bytes a pixel of one region, and 260 (Ng + 1) bytes; on the GPU 2 bytes a
            pixel of all boxes, and up to 256 MB for more than 64 levels or pixels in line. Runs of
            more than 64 pixels are listed, in 1/8 byte a pixel of one region and direction
nan         NaN and infinite pixels leave the region. Empty regions: all columns NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.7; Galloway 1975, CGIP 4(2)
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, DIRECTIONS, MERGED, SLICES, VOLUME, steps, suffix
from ._emphasis import (
    LEVEL_BITS,
    SIZES,
    TABLED,
    N,
    add_features,
    declare,
    formulas,
    gpu_tables,
    sort,
    summarise,
)
from ._information import information_table
from ._levels import (
    DEPTH,
    PARAMETERS,
    ROW,
    SLAB,
    START,
    TOP,
    VOXELS,
    Part,
    gpu_crops,
    levels_of,
    measure,
    neighbour,
    on_device,
    scale,
)

_source = _cuda.Cuda(__file__)

FEATURES = declare(
    (
        ("short_runs_emphasis", "22OV"),
        ("long_runs_emphasis", "W4KF"),
        ("low_grey_level_run_emphasis", "V3SW"),
        ("high_grey_level_run_emphasis", "G3QZ"),
        ("short_run_low_grey_level_emphasis", "HTZT"),
        ("short_run_high_grey_level_emphasis", "GD3A"),
        ("long_run_low_grey_level_emphasis", "IVPO"),
        ("long_run_high_grey_level_emphasis", "3KUM"),
        ("grey_level_non_uniformity", "R5YN"),
        ("normalised_grey_level_non_uniformity", "OVBL"),
        ("run_length_non_uniformity", "W92Y"),
        ("normalised_run_length_non_uniformity", "IC23"),
        ("run_percentage", "9ZK5"),
        ("grey_level_variance", "8CE5"),
        ("run_length_variance", "SXLW"),
        ("run_entropy", "HJ9O"),
    )
)

LONGEST = np.iinfo(np.uint16).max  # pixels of a run
STRETCH = 1024  # pixels that are worked on at a time
DUMP = 8  # cells for pixels where no run ends


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0,
              directions=AVERAGED, slices=VOLUME):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    offsets = steps(images, slices)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        grey = levels_of(image, mask, rule)
        pieces = grey[:, None] if slices == AVERAGED else grey[None]
        found = []
        for piece in pieces:
            counts = np.array([run_lengths(piece, m, grey.max(initial=0)) for m in offsets])
            voxels = np.count_nonzero(piece)
            if directions == MERGED:
                counts, voxels = counts.sum(axis=0, keepdims=True), voxels * len(offsets)
            found += [formulas(m, voxels) for m in counts if voxels]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def run_lengths(grey, offset, top):
    """Counts (top, longest side) of the runs of levels (d, h, w), 0 outside, along (z, y, x)."""
    counts = np.zeros((top, max(grey.shape)), np.int64)
    running = (grey > 0) & (grey != neighbour(grey, np.negative(offset)))  # where runs start
    ahead = grey
    for length in range(1, max(grey.shape) + 1):
        ahead = neighbour(ahead, offset)
        ends = running & (ahead != grey)
        np.add.at(counts, (grey[ends] - 1, length - 1), 1)
        running &= ~ends
    return counts


# ---- CPU
#
# Run lengths grow from pixel to pixel; where the next pixel differs, a run ends and is counted.


@compiled
def count_rows(levels, first, stop, ends, counts, side, beyond, listed):
    """Runs along x: their ends, listed without a branch, are a run apart."""
    last, longest = first - 1, 0
    for start in range(first, stop, ends.size):
        here = levels[start : min(start + ends.size, stop)]
        after, found = levels[start + 1 :], 0
        for x in range(here.size):
            ends[found] = x
            found += here[x] != after[x]
        for end in ends[:found]:
            length, level = start + np.int64(end) - last, here[end]
            last += length
            if level != 0:
                if length <= TABLED:
                    counts[np.uint64(length) * np.uint64(side) + np.uint64(level)] += np.uint32(1)
                    longest = max(longest, length)
                else:
                    beyond[listed] = (length << LEVEL_BITS) + level
                    listed += 1
    return longest, listed


@compiled
def extend(here, before, after, grown, lengths, cells, side, dump):
    """Lengths of the runs as far as each pixel of a stretch, and the cells of those that end.

    The other pixels get one of the cells from `dump` on, in turn: no chain of increments.
    """
    longest = np.uint16(0)
    for x in range(here.size):
        level = here[x]
        same = (level == before[x]) & (level != np.uint16(0))
        length = np.uint16((grown[x] if same else np.uint16(0)) + np.uint16(1))
        lengths[x] = length
        longest = max(longest, length)
        counted = (level != after[x]) & (level != np.uint16(0)) & (length <= np.uint16(TABLED))
        cell = np.uint32(length) * side + np.uint32(level)
        cells[x] = cell if counted else dump + np.uint32(x % DUMP)
    return longest


@compiled
def count_lines(levels, first, stop, offset, lengths, cells, counts, side):
    """Runs along `offset` > 1; returns the longest. `lengths` start `offset` before `first`."""
    longest, step = np.uint16(0), min(offset, cells.size)
    dump = np.uint32(counts.size - DUMP)  # beyond the table of any region
    for at in range(first, stop, step):
        here = levels[at : min(at + step, stop)]
        n, k = here.size, at - first
        found = extend(
            here,
            levels[at - offset : at - offset + n],
            levels[at + offset : at + offset + n],
            lengths[k : k + n],
            lengths[k + offset : k + offset + n],
            cells,
            np.uint32(side),
            dump,
        )
        longest = max(longest, found)
        for cell in cells[:n]:
            counts[cell] += np.uint32(1)
    return np.int64(longest)


@compiled
def list_lines(levels, first, stop, offset, lengths, beyond, listed):
    """Appends the runs that have no row in the table; returns how many are listed now."""
    for at in range(first, stop):
        length, level = np.int64(lengths[at - first + offset]), np.int64(levels[at])
        if length > TABLED and level != 0 and levels[at + offset] != level:
            beyond[listed] = (length << LEVEL_BITS) + level
            listed += 1
    return listed


@compiled
def count_runs(levels, first, stop, offset, lengths, cells, counts, side, beyond, listed):
    """Counts the runs along `offset`; returns the last row in use and how many are listed."""
    if offset == 1:
        return count_rows(levels, first, stop, cells, counts, side, beyond, listed)
    longest = count_lines(levels, first, stop, offset, lengths, cells, counts, side)
    if longest > TABLED:
        listed = list_lines(levels, first, stop, offset, lengths, beyond, listed)
    return min(longest, TABLED), listed


@compiled
def measure_block(levels, crops, directions, merged, sliced, table, counts, margins, low, out):
    """Features of a block of regions.

    levels, crops    see `_levels.py`; directions int64 (m, 3): steps (z, y, x)
    counts           uint32, (TABLED + 1) (Ng + 1) zeros, zeros again in the end, and DUMP more
    margins, low     scratch of `summarise`
    """
    offsets, totals = np.empty(len(directions), np.int64), np.empty(4, np.int64)
    cells, most, listable = np.empty(STRETCH, np.uint32), np.int64(0), np.int64(0)
    for region in range(len(crops)):
        crop = crops[region]
        most = max(most, (crop[DEPTH] + 2) * crop[SLAB] + crop[ROW] + 1)
        listable = max(listable, len(directions) * crop[VOXELS] // (TABLED + 1))
    lengths, beyond = np.empty(most, np.uint16), np.empty(listable, np.int64)
    for region in range(len(crops)):
        crop, values = crops[region], out[region]
        for m in range(len(directions)):
            z, y, x = directions[m]
            offsets[m] = z * crop[SLAB] + y * crop[ROW] + x
        side, found = crop[TOP] + 1, 0
        pieces, size = 1, crop[DEPTH] * crop[SLAB]
        if sliced:
            pieces, size = crop[DEPTH], crop[SLAB]
        if crop[VOXELS] == 0:
            pieces = 0
        values[:] = 0.0
        for piece in range(pieces):
            first, last, listed = crop[START] + piece * size, np.int64(0), np.int64(0)
            for m in range(len(offsets)):
                row, listed = count_runs(
                    levels, first, first + size, offsets[m], lengths, cells, counts, side, beyond,
                    listed,
                )  # fmt: skip
                last = max(last, row)
                if merged and m + 1 < len(offsets):
                    continue
                sort(beyond[:listed])
                summarise(counts, side, last, beyond[:listed], table, margins, low, totals)
                if totals[N] > 0:
                    found += 1
                    add_features(margins, low, totals, crop[TOP], totals[SIZES], values)
                counts[: (last + 1) * side] = np.uint32(0)
                last, listed = np.int64(0), np.int64(0)
        for f in range(values.size):
            values[f] = values[f] / found if found else np.nan


def part(images: Any, column: int, *, levels: int, directions: str, slices: str, **_: Any) -> Part:
    """The 16 columns from `column` on, for `measure`."""
    offsets, merged = steps(images, slices), directions == MERGED

    def begin():
        counts = np.zeros((TABLED + 1) * (levels + 1) + DUMP, np.uint32)
        scratch = counts, np.empty((2, levels), np.int64), np.empty(levels)

        def work(found, crops, out):
            sliced, table = slices == AVERAGED, information_table()
            measure_block(found, crops, offsets, merged, sliced, table, *scratch, out)

        return work

    return Part(slice(column, column + len(FEATURES)), begin)


def cpu(images, where, values, *, levels, binning, width, low, **settings):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    measure(images, where, values, rule, 1, [part(images, 0, levels=levels, **settings)])


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, directions, slices):
    """`reference` on the GPU: one launch for the levels, one for runs and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), 1)
    offsets, merged = steps(images, slices), directions == MERGED
    longest, largest = where.sizes.max(), where.sizes.prod(axis=1).max()
    matrices = len(offsets) if merged else 1
    listable = matrices * int(largest) // (TABLED + 1) if longest > TABLED else 0
    tables = gpu_tables(images, len(where), levels, TABLED, listable)
    _source.function("measure", TABLED=TABLED, **tables.macros)(
        tables.blocks, 256, grey, crops, on_device(images, offsets), tables.counts, tables.beyond,
        values, len(where), levels, tables.room, len(offsets), merged, slices == AVERAGED,
        smem=tables.smem,
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Lengths of runs are 16-bit on the CPU."""
    at_most("glrlm")(dtype, shape)
    if max(shape[1:]) > LONGEST:
        raise ValueError(f"glrlm: a run may have {LONGEST} pixels, got images {shape[1:]}")


def columns(*, directions: str, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    how = suffix(slices, directions)
    return tuple(f"glrlm.{feature.name}{how}" for feature in FEATURES)


glrlm = RegionMeasure(
    name="glrlm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={**PARAMETERS, "directions": DIRECTIONS, "slices": SLICES},
    examples=(
        {},
        {"levels": 8, "directions": "merged"},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70, "slices": "averaged"},
        {"binning": "aligned", "width": 90.0, "levels": 4, "slices": "merged"},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=4 * 12 + 6),
    quality=Quality(
        registers=104,
        sector_efficiency=0.25,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64, the values of the CPU; "
        "each thread walks along a run of its own",
    ),
)
