"""Intensities inside regions: gathered, summed and ranked the same way on every machine.

    values[start : start + count]      the intensities of a region, row after row: its span
    sum of f(v_k)                      256 sums of every 256th value, then a tree over these sums
    percentile q                       v_(i) + f (v_(i+1) - v_(i)),  i + f = q (N - 1) / 100,
                                       v_(0) <= ... <= v_(N-1) being the sorted intensities

The order of a sum is the one that a GPU's block of 256 threads has by nature. An order statistic is
exact, so that each side finds it in its own way: buckets and a selection here, digit by digit on
the GPU. `_values.cuh` is the twin.

nan     NaN and infinite pixels leave the region
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._regions import ANY, Regions, volumes
from .._threads import run, threads
from ._levels import BLOCKS, CACHED, WORTH_A_THREAD, blocks, on_device

_source = _cuda.Cuda(__file__)

LARGEST = float(np.finfo(np.float32).max)
EVERY = (-LARGEST, LARGEST)  # every finite intensity
LANES, WARP = 256, 32
BUCKETS = 4096
PERCENTS = (10, 25, 50, 75, 90)
START, COUNT = range(2)  # columns of a table of spans


# ---- the definition


def inside(image: np.ndarray, mask: np.ndarray, low: float, high: float) -> np.ndarray:
    """The sorted intensities of one region that lie within low .. high, float64."""
    v = image[mask].astype(np.float64)
    return np.sort(v[(v >= low) & (v <= high)])


def percentile(ordered: np.ndarray, percent: int) -> float:
    """Of sorted numbers; where it lies is exact, as whole and hundredths."""
    at, hundredths = divmod(percent * (len(ordered) - 1), 100)
    low, high = ordered[at], ordered[min(at + 1, len(ordered) - 1)]
    return low + hundredths / 100 * (high - low)


# ---- CPU: the spans of a block of regions


@compiled
def _take(values, found, pixels, labels, label, low, high):
    """Appends the pixels of a row that are inside to values[found:]; how many there are then.

    Every pixel is stored, and the next one upon it unless it is inside: no branch to mispredict.
    """
    for x in range(pixels.size):
        v = np.float32(pixels[x]) + np.float32(0.0)  # -0 becomes 0
        values[found] = v
        keep = (v >= low) & (v <= high)
        if labels.size:
            keep &= labels[x] != 0 if label == ANY else labels[x] == label
        found += np.int64(keep)
    return found


@compiled
def gather(images, labels, table, low, high, values, spans):
    """Fills values (cells + 1,) float32 and the counts of the spans, whose starts are given.

    images (n, d, h, w); labels likewise, or of size 0; table: rows of `Regions.table`
    """
    for m in range(len(table)):
        image, label, z0, z1, y0, y1, x0, x1 = table[m]
        first = found = spans[m, START]
        for z in range(z0, z1):
            for y in range(y0, y1):
                pixels = images[image, z, y, x0:x1]
                area = labels[image, z, y, x0:x1] if labels.size else labels[0, 0, 0]
                found = _take(values, found, pixels, area, label, low, high)
        spans[m, COUNT] = found - first


def layout(where: Regions) -> tuple[np.ndarray, int]:
    """Spans (m, 2) int64 as long as the regions' boxes, and the cells of all of them."""
    sizes = where.sizes.prod(axis=1)
    spans = np.zeros((len(where), 2), np.int64)
    spans[:, START] = np.cumsum(sizes) - sizes
    return spans, int(sizes.sum())


def cpu_values(
    images: np.ndarray, where: Regions, bounds: tuple[float, float] = EVERY
) -> tuple[np.ndarray, np.ndarray]:
    """Values and spans of all the regions, of intensities within the bounds."""
    spans, cells = layout(where)
    values = np.empty(cells + 1, np.float32)
    labels = np.empty((1, 1, 1, 0), np.uint8) if where.labels is None else volumes(where.labels)
    gather(volumes(images), frozen_view(labels), where.table, *bounds, values, spans)
    return values, spans


Work = Callable[[np.ndarray, np.ndarray, np.ndarray], None]  # (values, spans, out) of a block


def measure(
    images: np.ndarray, where: Regions, values: np.ndarray, work: Work,
    bounds: tuple[float, float] = EVERY,
) -> None:  # fmt: skip
    """values = what `work` measures: `out` (m, columns) float64 for each block of regions."""
    sizes = where.sizes.prod(axis=1)
    order = np.argsort(-sizes, kind="stable")  # the large first: threads end together
    starts = blocks(sizes[order], max(WORTH_A_THREAD, min(CACHED, sizes.sum() // threads())))
    parts = [order[first:stop] for first, stop in pairwise(starts)]

    def serve(first: int, stop: int) -> None:
        for rows in parts[first:stop]:
            found, spans = cpu_values(images, where.some(rows), bounds)
            out = np.empty((len(rows), values.shape[1]))
            work(found, spans, out)
            with np.errstate(over="ignore"):  # an energy above float32 is infinite
                values[rows] = out

    run(serve, len(parts))


# ---- CPU: sums and order statistics of one span


@compiled
def fold(lanes):
    """The sum of 256 partial sums, by the tree of a GPU's warps; `lanes` is used up."""
    for warp in range(0, LANES, WARP):
        half = WARP // 2
        while half:
            for lane in range(warp, warp + half):
                lanes[lane] += lanes[lane + half]
            half //= 2
    total = lanes[0]
    for warp in range(WARP, LANES, WARP):
        total += lanes[warp]
    return total


@compiled
def extent(values):
    """Least and greatest value, compared as integers of the same order: vector code."""
    bits = values.view(np.int32)
    low, high = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    for k in range(bits.size):
        key = bits[k] ^ ((bits[k] >> np.int32(31)) & np.int32(0x7FFFFFFF))
        low, high = min(low, key), max(high, key)
    return _float_of(low), _float_of(high)


@compiled
def _float_of(key):
    bits = key ^ ((key >> np.int32(31)) & np.int32(0x7FFFFFFF))
    return np.float64(np.int32(bits).view(np.float32))


@compiled
def percentile_ranks(ranks, count):
    """ranks[2k], ranks[2k + 1] = the order statistics between which percentile number k lies."""
    for k in range(len(PERCENTS)):
        ranks[2 * k] = PERCENTS[k] * (count - 1) // 100
        ranks[2 * k + 1] = min(ranks[2 * k] + 1, count - 1)


@compiled
def percentiles(found, count, points):
    """points[k] = the percentiles between these order statistics."""
    for k in range(len(PERCENTS)):
        low, hundredths = np.float64(found[2 * k]), PERCENTS[k] * (count - 1) % 100
        points[k] = low + hundredths / 100.0 * (np.float64(found[2 * k + 1]) - low)


@compiled
def _buckets_of(ids, values, least, scale):
    for x in range(values.size):
        ids[x] = np.int32((np.float64(values[x]) - least) * scale)


@compiled
def order_statistics(values, least, greatest, ranks, found):
    """found[k] = value number ranks[k] of the sorted values.

    The values are counted in buckets of equal width; those of a bucket that holds a wanted rank,
    few as a rule, are copied to a list, and the one of that rank is selected from them.
    """
    if least == greatest:
        for k in range(ranks.size):
            found[k] = least
        return
    buckets = min(max(values.size, LANES), BUCKETS)
    scale = (buckets - 1) / (greatest - least)
    places, ids = np.zeros(buckets, np.int32), np.empty(LANES, np.int32)
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        _buckets_of(ids, chunk, least, scale)
        for x in range(chunk.size):
            places[ids[x]] += 1

    # of each rank: its bucket; where the bucket's list starts and stops; its own place there
    wanted, places_in = np.empty(ranks.size, np.int64), np.empty(ranks.size, np.int64)
    starts, stops = np.empty(ranks.size, np.int64), np.empty(ranks.size, np.int64)
    bucket, total, copied = 0, 0, 0
    for k in range(ranks.size):
        if ranks[k] < total:
            bucket, total = 0, 0
        while ranks[k] >= total + places[bucket]:
            total += places[bucket]
            bucket += 1
        same = 0
        while same < k and wanted[same] != bucket:
            same += 1
        wanted[k], places_in[k] = bucket, ranks[k] - total
        starts[k] = copied if same == k else starts[same]
        stops[k] = starts[k] + places[bucket]
        copied = max(copied, stops[k])

    for bucket in range(buckets):  # from here on: where the next value of a bucket goes
        places[bucket] = -1
    for k in range(ranks.size):
        places[wanted[k]] = starts[k]
    copies = np.empty(copied, np.float32)
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        _buckets_of(ids, chunk, least, scale)
        for x in range(chunk.size):
            place = places[ids[x]]
            if place >= 0:
                copies[place] = chunk[x]
                places[ids[x]] = place + 1
    for k in range(ranks.size):
        found[k] = select(copies[starts[k] : stops[k]], places_in[k])


@compiled
def select(values, rank):
    """Value number `rank` of the sorted values, which are moved (Hoare 1961, Algorithm 65)."""
    low, high = 0, values.size - 1
    while low < high:
        pivot, i, j = values[rank], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if j < rank:
            low = i
        if rank < i:
            high = j
    return values[rank]


# ---- GPU: all spans at once


def gpu_values(images: Any, where: Regions, bounds: tuple[float, float] = EVERY) -> tuple[Any, Any]:
    """Values (cells,) float32 and spans (m, 2) int64, both on the device."""
    spans, cells = layout(where)
    values = _cuda.empty(images, (max(cells, 1),), np.float32)
    table, spans = on_device(images, where.table), on_device(images, spans)
    labels = images if where.labels is None else where.labels
    boxes = where.labels is None
    _source.function("gather", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, images, labels, table, spans, values, len(where),
        *volumes(images).shape[1:], *bounds,
    )  # fmt: skip
    return values, spans
