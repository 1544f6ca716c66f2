"""Grey levels for texture: regions cut out of images, their pixels as levels 1..Ng, 0 outside.

    level(v) = min(floor(gain (v - origin) / step), levels - 1) + 1        in float64

binning   "count"   IBSI's fixed bin number: origin the region's minimum, step its range, gain
                    `levels`; a flat region is level 1
          "width"   IBSI's fixed bin size: origin `low`, step `width`; pixels outside
                    low <= v < low + levels width leave the region (re-segmentation)
          "aligned" bins of `width` whose edges are its multiples, the first that of the region's
                    minimum; pixels above the last one leave the region
          "none"    the pixels are levels already; what is outside 1..levels leaves the region
nan       NaN and infinite pixels leave the region
source    IBSI reference manual (arXiv 1612.07003), section 2.7, intensity discretisation

A rounded division is monotone, so the highest pixel has the highest level; for integers its floor
is exact at every bin edge. Every machine rounds alike: the levels are the same everywhere.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._parameter import Parameter
from .._regions import ANY, Regions, volumes
from .._threads import run, threads

_source = _cuda.Cuda(__file__)

MOST = 1024  # levels
BINNINGS = ("count", "width", "aligned", "none")

PARAMETERS = {
    "levels": Parameter(32, "grey levels Ng", low=2, high=MOST),
    "binning": Parameter(
        "count",
        "bins over each region's range, of a width from `low` on, of a width with edges at its "
        "multiples, or none: pixels are levels",
        choices=BINNINGS,
    ),
    "width": Parameter(25.0, "bin width, for 'width' and 'aligned'", low=1e-6, high=1e6),
    "low": Parameter(0.0, "lower edge of level 1, for 'width'", low=-1e9, high=1e9),
}


class Scale(NamedTuple):
    """What is the same for all regions; origin and step are the region's own unless `fixed`."""

    levels: int
    fixed: bool  # origin and step are given
    aligned: bool  # the step is given
    origin: float
    step: float
    first: float  # pixels with first <= v < last belong to the region
    last: float


def scale(levels: int, binning: str, width: float, low: float) -> Scale:
    """The scale that a kernel's four parameters describe."""
    if binning in ("count", "aligned"):
        own = float(np.finfo(np.float32).min), float("inf")
        return Scale(levels, False, binning == "aligned", 0.0, width, *own)
    if binning == "none":
        low, width = 1.0, 1.0
    return Scale(levels, True, False, low, width, low, low + levels * width)


def levels_of(image: np.ndarray, mask: np.ndarray, scale: Scale) -> np.ndarray:
    """The definition, for one region of any rank: int64 levels of the same shape, 0 outside."""
    v = image.astype(np.float64)
    inside = (mask != 0) & (v >= scale.first) & (v < scale.last)
    if not inside.any():
        return np.zeros(image.shape, np.int64)
    origin, step, gain = scale.origin, scale.step, 1
    if scale.aligned:
        origin = np.floor(v[inside].min() / step) * step
        inside &= v < origin + scale.levels * step
    elif not scale.fixed:
        origin, gain = v[inside].min(), scale.levels
        step = v[inside].max() - origin or 1.0
    v[~inside] = origin
    level = np.floor(gain * (v - origin) / step).astype(np.int64)
    return np.where(inside, np.minimum(level, scale.levels - 1) + 1, 0)


def neighbour(levels: np.ndarray, offset: Sequence[int]) -> np.ndarray:
    """levels[p + offset] for every p of an array of the offset's rank; 0 outside."""
    reach = int(np.abs(offset).max())
    places = [slice(reach + m, reach + m + n) for m, n in zip(offset, levels.shape, strict=True)]
    return np.pad(levels, reach)[tuple(places)]


# ---- regions as crops
#
# A crop is a region's box of levels in a flat array, with rows and slabs of zeros between: `border`
# zeros after each row, `border` rows after each slice, and enough before the first pixel. Every
# neighbour within `border` pixels then exists and is 0 if it is outside.

SECTOR = 16  # levels: 32 bytes, what memory delivers at once; every crop starts at one
Crops = tuple[np.ndarray, np.ndarray]  # levels, and the table of crops
START, DEPTH, HEIGHT, WIDTH, ROW, SLAB, TOP, VOXELS = range(8)  # columns of a table of crops


def layout(where: Regions, border: int) -> tuple[np.ndarray, int]:
    """(m, 8) int64 table of crops that lie one behind another, and the cells that they take.

    START is the first pixel, ROW and SLAB the steps down and deep; TOP and VOXELS are filled with
    the levels: the highest level and the number of pixels inside.
    """
    crops = np.zeros((len(where), 8), np.int64)
    crops[:, DEPTH : WIDTH + 1] = where.sizes
    crops[:, ROW] = crops[:, WIDTH] + border
    crops[:, SLAB] = crops[:, ROW] * (crops[:, HEIGHT] + border)
    deep = len(where.shape) == 4  # neighbours lie in other slices, too
    lead = border * (1 + crops[:, ROW] + np.where(deep, crops[:, SLAB], 0))
    lead, cells = _whole_sectors(lead), 2 * lead + crops[:, DEPTH] * crops[:, SLAB]
    cells = _whole_sectors(cells + SECTOR)
    crops[:, START] = np.cumsum(cells) - cells + lead
    return crops, int(cells.sum())


def _whole_sectors(cells: np.ndarray) -> np.ndarray:
    return -(-cells // SECTOR) * SECTOR


# ---- CPU: crops of a block of regions

PIECE = 1 << 13  # cells gathered at once: they stay in the cache
LANES = 64  # pieces are padded to whole ones
OUTSIDE = np.float32(np.nan)


@compiled
def _gather(row, pixels, labels, label, first, last):
    """Pixels of a row, OUTSIDE what is not inside; `labels` is empty if all of them belong."""
    if labels.size == 0:
        for x in range(pixels.size):
            v = np.float32(pixels[x])
            row[x] = v if (v >= first) & (v < last) else OUTSIDE
    elif label == ANY:
        for x in range(pixels.size):
            v = np.float32(pixels[x])
            row[x] = v if (labels[x] != 0) & (v >= first) & (v < last) else OUTSIDE
    else:
        for x in range(pixels.size):
            v = np.float32(pixels[x])
            row[x] = v if (labels[x] == label) & (v >= first) & (v < last) else OUTSIDE
    for x in range(pixels.size, row.size):
        row[x] = OUTSIDE


@compiled
def _extent(grey, lows, highs):
    """Least and greatest pixel so far of every so many-th one: no chain of dependent steps."""
    for first in range(0, grey.size, LANES):
        some = grey[first : first + LANES]
        for k in range(LANES):  # OUTSIDE is neither below nor above
            lows[k] = some[k] if some[k] < lows[k] else lows[k]
            highs[k] = some[k] if some[k] > highs[k] else highs[k]


@compiled
def level(v, gain, origin, step, top):
    """The level of a pixel inside the region; top = levels - 1."""
    t = gain * (np.float64(v) - origin) / step
    return np.int32(t if t < top else top) + np.int32(1)


@compiled
def _quantise(levels, grey, gain, origin, step, top, last):
    """Levels of pixels below `last`, 0 of others; returns the highest and how many."""
    for k in range(levels.size):
        found = level(grey[k], gain, origin, step, top)
        levels[k] = found if grey[k] < last else np.int32(0)
    highest, inside = np.uint16(0), np.uint32(0)
    for k in range(levels.size):
        highest = max(highest, levels[k])
    for k in range(levels.size):
        inside += np.uint32(levels[k] != 0)
    return highest, inside


@compiled
def _range_of(low, high, scale):
    """gain, origin, step and the first value above the last level."""
    if scale.fixed:
        return 1.0, scale.origin, scale.step, scale.last
    if scale.aligned:
        origin = np.floor(low / scale.step) * scale.step
        return 1.0, origin, scale.step, origin + scale.levels * scale.step
    step = high - low
    return np.float64(scale.levels), low, step if step != 0.0 else 1.0, np.inf


@compiled
def _piece(grey, images, labels, box, crop, z, y0, rows, scale):
    """The pixels of rows y0 .. of a slice as the crop has them; returns how many cells."""
    image, label, x0, x1, row = box[0], box[1], box[6], box[7], crop[ROW]
    rows = min(rows, crop[HEIGHT] - y0)
    for y in range(rows):
        down, under = box[2] + z, box[4] + y0 + y
        pixels = images[image, down, under, x0:x1]
        inside = labels[image, down, under, x0:x1] if labels.size else labels[0, 0, 0]
        _gather(grey[y * row : (y + 1) * row], pixels, inside, label, scale.first, scale.last)
    for k in range(rows * row, rows * row + LANES):
        grey[k] = OUTSIDE
    return rows * row


@compiled
def _mark_removed(levels, labels, box, crop, removed):
    """Pixels of the region that are not inside any more get the level `removed`."""
    label = box[1]
    for z in range(crop[DEPTH]):
        for y in range(crop[HEIGHT]):
            at = crop[START] + z * crop[SLAB] + y * crop[ROW]
            for x in range(crop[WIDTH]):
                found = labels[box[0], box[2] + z, box[4] + y, box[6] + x] if labels.size else label
                belongs = labels.size == 0 or (found != 0 if label == ANY else found == label)
                if belongs and levels[at + x] == 0:
                    levels[at + x] = removed


@compiled
def crop(images, labels, table, scale, removed, levels, crops):
    """Fills the crops of a block of regions.

    images (n, d, h, w); labels likewise, or of size 0; table: rows of `Regions.table`; removed: the
    level of pixels that leave the region; levels uint16 (cells,), crops: rows of `layout`, whose
    last two columns are filled
    """
    for cell in range(levels.size):
        levels[cell] = np.uint16(0)
    longest = np.int64(PIECE)
    for m in range(len(crops)):
        longest = max(longest, crops[m, ROW])
    grey = np.empty(longest + LANES, np.float32)
    lows, highs = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for m in range(len(crops)):
        box, one, size = table[m], crops[m], np.int64(0)
        rows = longest // one[ROW] if one[ROW] else np.int64(1)  # of a piece
        lows[:], highs[:] = np.inf, -np.inf
        for z in range(one[DEPTH]):
            for y in range(0, one[HEIGHT], rows):
                size = _piece(grey, images, labels, box, one, z, y, rows, scale)
                _extent(grey[: size + LANES - 1 & -LANES], lows, highs)
        one[TOP] = one[VOXELS] = 0
        low, high = np.float64(lows.min()), np.float64(highs.max())
        if low > high:
            continue
        gain, origin, step, last = _range_of(low, high, scale)
        for z in range(one[DEPTH]):
            for y in range(0, one[HEIGHT], rows):
                if one[DEPTH] > 1 or one[HEIGHT] > rows:  # more than the piece that is there
                    size = _piece(grey, images, labels, box, one, z, y, rows, scale)
                at = one[START] + z * one[SLAB] + y * one[ROW]
                found = levels[at : at + size]
                top, inside = _quantise(found, grey, gain, origin, step, scale.levels - 1.0, last)
                one[TOP] = max(one[TOP], top)
                one[VOXELS] += inside
        if removed:
            _mark_removed(levels, labels, box, one, removed)


def cpu_crops(
    images: np.ndarray, where: Regions, scale: Scale, border: int, removed: int = 0
) -> Crops:
    """Levels (cells,) uint16 and the table of crops (m, 8) int64 of all the regions.

    `removed` is the level of pixels that leave the region: 0 as what is outside, or one of their
    own, for what asks where the region was before.
    """
    crops, cells = layout(where, border)
    levels = np.empty(cells, np.uint16)
    labels = np.empty((1, 1, 1, 0), np.uint8) if where.labels is None else volumes(where.labels)
    mark = np.uint16(removed)
    crop(volumes(images), frozen_view(labels), where.table, scale, mark, levels, crops)
    return levels, crops


# ---- CPU: blocks of regions, small enough for a core's cache, shared out to threads

CACHED = 1 << 17  # pixels of a block: its levels stay in the second level cache
WORTH_A_THREAD = 1 << 14  # pixels, of a block at least

Work = Callable[[np.ndarray, np.ndarray, np.ndarray], None]  # (levels, crops, out) of a block


class Part(NamedTuple):
    """Some of the columns, and who measures them; `begin()` gives a thread its own `Work`.

    `removed` is the level of pixels that leave the region, as this part wants it.
    """

    columns: slice
    begin: Callable[[], Work]
    removed: int = 0


def measure(
    images: np.ndarray, where: Regions, values: np.ndarray, scale: Scale, border: int,
    parts: Sequence[Part],
) -> None:  # fmt: skip
    """values = what the parts measure: `out` (m, columns of the part) float64 for each block.

    Regions go in blocks through all parts while they are in the cache. Few large blocks are
    cropped first; then the parts run side by side, in the order in which they are given.
    """
    sizes = where.sizes.prod(axis=1)
    order = np.argsort(-sizes, kind="stable")  # the large first: threads end together
    starts = blocks(sizes[order], max(WORTH_A_THREAD, min(CACHED, sizes.sum() // threads())))
    rows = [order[first:stop] for first, stop in pairwise(starts)]
    marks = sorted({part.removed for part in parts})  # one crop for all that want the same

    def cropped(block: np.ndarray, mark: int) -> Crops:
        return cpu_crops(images, where.some(block), scale, border, mark)

    def fill(block: np.ndarray, part: Part, work: Work, crops: Crops) -> None:
        out = np.empty((len(block), part.columns.stop - part.columns.start))
        work(*crops, out)
        values[block, part.columns] = out

    def serve(first: int, stop: int) -> None:
        works = [part.begin() for part in parts]
        for block, mark in product(rows[first:stop], marks):
            crops = cropped(block, mark)
            for part, work in zip(parts, works, strict=True):
                if part.removed == mark:
                    fill(block, part, work, crops)

    if len(rows) >= threads():
        run(serve, len(rows))
    else:
        share(cropped, fill, rows, marks, parts)


def share(
    cropped: Callable[[np.ndarray, int], Crops], fill: Callable[..., None],
    rows: Sequence[np.ndarray], marks: Sequence[int], parts: Sequence[Part],
) -> None:  # fmt: skip
    """Few large blocks: threads share out first their crops, then their parts."""
    wanted, tasks = list(product(range(len(rows)), marks)), list(product(range(len(rows)), parts))
    made: dict[tuple[int, int], Crops] = {}

    def crop_some(first: int, stop: int) -> None:
        for block, mark in wanted[first:stop]:
            made[block, mark] = cropped(rows[block], mark)

    def measure_some(first: int, stop: int) -> None:
        for block, part in tasks[first:stop]:
            fill(rows[block], part, part.begin(), made[block, part.removed])

    run(crop_some, len(wanted))
    run(measure_some, len(tasks))


def blocks(sizes: np.ndarray, enough: int) -> np.ndarray:
    """Where blocks of regions start that have `enough` pixels together, and the end.

    sizes   in falling order: a region that is enough alone begins a block and ends it
    """
    number = (np.cumsum(sizes) - sizes) // enough + np.cumsum(sizes >= enough)
    return np.append(np.flatnonzero(np.diff(number, prepend=-1)), len(sizes))


# ---- GPU: all crops at once

BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


def gpu_crops(
    images: Any, where: Regions, scale: Scale, border: int, removed: int = 0
) -> tuple[Any, Any]:
    """What `cpu_crops` gives, on the device."""
    crops, cells = layout(where, border)
    levels = _cuda.empty(images, (max(cells, 1),), np.uint16)
    levels[...] = 0
    table, crops = on_device(images, where.table), on_device(images, crops)
    labels = images if where.labels is None else where.labels
    boxes = where.labels is None
    _source.function("crop", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, images, labels, table, crops, levels, len(where),
        *volumes(images).shape[1:], *scale, removed,
    )  # fmt: skip
    return levels, crops


def on_device(images: Any, array: np.ndarray) -> Any:
    """The array where the images live."""
    if isinstance(images, np.ndarray):
        return array.copy()
    there = _cuda.empty(images, array.shape, array.dtype)
    there.set(array)
    return there
