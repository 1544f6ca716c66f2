"""Size zones and distance zones: both are counted from the same zones, found once.

A zone has a level, a size, and the steps from the region's border to its nearest pixel; one family
counts zones by level and size, the other by level and steps.
"""

from collections.abc import Container
from typing import Any

import numpy as np

from .._cpu import compiled
from ._aggregation import AVERAGED, VOLUME, steps
from ._emphasis import LEVEL_BITS, TABLED, add_features, sort, summarise
from ._information import information_table
from ._levels import (
    DEPTH,
    HEIGHT,
    MOST,
    ROW,
    SLAB,
    START,
    TOP,
    VOXELS,
    WIDTH,
    Part,
)
from ._rows import inside
from ._zones import FEWEST, STRETCH, find_zones, links, no_zones

COLUMNS = 16  # of each of the two families
REMOVED = MOST + 1  # the level of pixels of the region that belong to no zone
FURTHEST = np.uint16(np.iinfo(np.uint16).max)


# ---- steps to the border


@compiled
def begin_row(here, steps):
    """0 outside, and inside more than any step."""
    for x in range(here.size):
        steps[x] = FURTHEST if here[x] else np.uint16(0)


@compiled
def step_across(one, other, steps):
    """steps = one more than the nearer of two neighbours of each pixel, if that is less."""
    for x in range(steps.size):
        least = one[x] if one[x] < other[x] else other[x]
        least = np.uint16(least + np.uint16(1))
        steps[x] = least if least < steps[x] else steps[x]


@compiled
def step_along(steps, first, stop, sense):
    """steps = one more than the pixel before, in a row that starts outside, if that is less."""
    run = np.int64(0)
    for x in range(first, stop, sense):
        run = min(run + 1, np.int64(steps[x]))
        steps[x] = np.uint16(run)


@compiled
def measure_steps(levels, crop, first, depth, deep, steps):
    """steps[SLAB + k] = steps from pixel first + k to the outside, there and back again.

    deep    a step may go to another slice, too
    steps   uint16, (depth + 2) SLAB cells
    """
    height, row, slab = crop[HEIGHT], crop[ROW], crop[SLAB] if deep else crop[ROW]
    steps[: (depth + 2) * crop[SLAB]] = np.uint16(0)
    for k in range(2 * depth * height):
        sense = 1 if k < depth * height else -1
        number = k if sense > 0 else 2 * depth * height - 1 - k
        corner = first + number // height * crop[SLAB] + number % height * row
        start, stop = inside(levels, corner, corner + crop[WIDTH])
        at, size = crop[SLAB] + start - first, stop - start
        found = steps[at : at + size]
        if sense > 0:
            begin_row(levels[start:stop], found)
        above, before = at - sense * row, at - sense * slab
        step_across(steps[above : above + size], steps[before : before + size], found)
        if sense > 0:
            step_along(found, 0, size, 1)
        else:
            step_along(found, size - 1, -1, -1)


# ---- zones counted


@compiled
def count_sizes(zones, used, side, counts, beyond):
    """Counts the zones of levels below `side` by size; returns the last row in use and how many
    are listed in `beyond`."""
    last, listed = np.int64(0), np.int64(0)
    for zone in range(used):
        if zones.parents[zone] != zone or zones.levels[zone] >= side:
            continue
        size, level = np.int64(zones.sizes[zone]), np.int64(zones.levels[zone])
        if size <= TABLED:
            counts[size * side + level] += np.uint32(1)
            last = max(last, size)
        else:
            beyond[listed] = (size << LEVEL_BITS) + level
            listed += 1
    return last, listed


@compiled
def count_steps(zones, used, side, counts):
    """Counts the zones of levels below `side` by steps to the border; the last row in use."""
    last = np.int64(0)
    for zone in range(used):
        if zones.parents[zone] == zone and zones.levels[zone] < side:
            nearest = np.int64(zones.nearest[zone])
            counts[nearest * side + zones.levels[zone]] += np.uint32(1)
            last = max(last, nearest)
    return last


@compiled
def pixels_of(zones, used, side):
    """How many pixels the zones of levels below `side` have."""
    total = np.int64(0)
    for zone in range(used):
        if zones.parents[zone] == zone and zones.levels[zone] < side:
            total += zones.sizes[zone]
    return total


# ---- features


@compiled
def scratch_of(crops, levels, deep, by_steps):
    """Arrays that are long enough for every region of a block."""
    cells, most, rows, listable = 0, 0, 0, 0
    for crop in crops:
        cells = max(cells, (crop[DEPTH] + 2) * crop[SLAB])
        most = max(most, 2 * crop[SLAB] + crop[ROW] + 1)
        shortest = min(crop[HEIGHT], crop[WIDTH])
        rows = max(rows, ((min(shortest, crop[DEPTH]) if deep else shortest) + 3) // 2)
        listable = max(listable, crop[VOXELS] // (TABLED + 1))
    return (
        np.empty(cells if by_steps else 0, np.uint16),
        np.empty(STRETCH, np.uint16),
        np.empty(most, np.uint32),
        np.zeros(max(rows, TABLED + 1) * (levels + 1), np.uint32),
        np.empty(listable, np.int64),
    )


@compiled
def measure_block(levels, crops, links, deep, sliced, by_size, by_steps, table, margins, low, out):
    """Features of a block of regions: by size and by steps, or one of both.

    levels, crops    see `_levels.py`; links: of `_zones.py`; deep: neighbours lie in all slices
    margins, low     scratch of `summarise`
    """
    totals, zones = np.empty(4, np.int64), no_zones(FEWEST)
    steps, codes, numbers, counts, beyond = scratch_of(crops, low.size, deep, by_steps)
    for region in range(len(crops)):
        crop, values = crops[region], out[region]
        side, top, found = crop[TOP] + 1, crop[TOP], 0
        depth = 1 if sliced else crop[DEPTH]
        values[:] = 0.0
        for piece in range(crop[DEPTH] if sliced else 1):
            first = crop[START] + piece * crop[SLAB]
            if by_steps:
                measure_steps(levels, crop, first, depth, deep, steps)
            zones, used = find_zones(
                levels, crop, first, depth, links, steps[crop[SLAB] :], codes, numbers, zones
            )
            voxels = pixels_of(zones, used, side)
            if voxels == 0:
                continue
            found += 1
            if by_size:
                last, listed = count_sizes(zones, used, side, counts, beyond)
                sort(beyond[:listed])
                summarise(counts, side, last, beyond[:listed], table, margins, low, totals)
                add_features(margins, low, totals, top, voxels, values[:COLUMNS])
                counts[: (last + 1) * side] = np.uint32(0)
            if by_steps:
                last = count_steps(zones, used, side, counts)
                summarise(counts, side, last, beyond[:0], table, margins, low, totals)
                add_features(margins, low, totals, top, voxels, values[values.size - COLUMNS :])
                counts[: (last + 1) * side] = np.uint32(0)
        for f in range(values.size):
            values[f] = values[f] / found if found else np.nan


def part(
    images: Any, column: int, *, levels: int, slices: str,
    families: Container[str] = ("glszm", "gldzm"), **_: Any,
) -> Part:  # fmt: skip
    """The columns from `column` on, for `measure`: 16 of glszm, 16 of gldzm, or both."""
    touching, sliced = links(steps(images, slices)), slices == AVERAGED
    deep = images.ndim == 4 and slices == VOLUME
    by_size, by_steps = "glszm" in families, "gldzm" in families

    def begin():
        scratch = np.empty((2, levels), np.int64), np.empty(levels)

        def work(found, crops, out):
            measure_block(
                found,
                crops,
                touching,
                deep,
                sliced,
                by_size,
                by_steps,
                information_table(),
                *scratch,
                out,
            )

        return work

    stop = column + COLUMNS * (by_size + by_steps)
    return Part(slice(column, stop), begin, REMOVED if by_steps else 0)
