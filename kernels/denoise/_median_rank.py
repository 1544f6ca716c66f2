"""Medians of large windows, in a time a pixel that hardly depends on the radius.

A tile of the image, with the pixels that its windows reach, is a *patch*: at most SIDE x SIDE
pixels. They are sorted once, and their ranks in the patch, all different, take their place:

    rank = GROUP * bin + place in the group       bin = BINS * segment + rest

The windows slide over histograms of the columns, one of the segments and for each segment one of
the rests (Perreault and Hebert). Segments tell in which segment the median of a window is, its
rests tell the bin; of the bin's GROUP pixels, which are known in order, those in the window are
looked up, and the one with half of the window below it is the median. Where all keys of a patch
lie close together they are the bins themselves, and nothing is sorted.

The histogram of a window's segments slides along every row. Those of the rests are brought only to
where they are needed: medians change slowly.

source  S. Perreault, P. Hebert, Median filtering in constant time, IEEE Transactions on Image
        Processing 16, 2007
"""

from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled
from .._inner import inner
from ._median_bins import BINS, GROUP, bit_of_rank, inside, move, search
from ._median_vector import BORDER, copy, fill, to_keys, to_pixels, vector_length

SIDE = 256  # of a patch: a place is two bytes, 256 * row + column
AREA = SIDE * SIDE
PITCH = BINS * BINS  # bins, and the rests of a column
DIGIT = 12  # bits that a pass of the sort takes at most
NOWHERE = -SIDE  # of a window that was never summed


# ---- pixels to bins


@inner
def _load(keys, image, y, x, rows, columns):
    """The keys of image[y : y + rows, x : x + columns]; outside it its nearest pixel."""
    h, w = image.shape
    left = min(max(-x, 0), columns)
    right = max(min(w - x, columns), left)
    for j in range(rows):
        row, start = image[min(max(y + j, 0), h - 1)], j * SIDE
        for i in range(0, left, BORDER):
            fill(keys, start + i, row, 0)
        copy(keys, start + left, row, x + left, right - left)
        for i in range(right, columns, BORDER):
            fill(keys, start + i, row, w - 1)
        for i in range(0, columns, vector_length(keys)):
            to_keys(keys, start + i)


@inner
def _range(keys, rows, columns):
    """The lowest key, and how many bits it takes to count from it to the highest."""
    low = high = keys[0]
    for j in range(rows):
        for key in keys[j * SIDE : j * SIDE + columns]:
            low, high = min(low, key), max(high, key)
    bits = 0
    while np.uint32(high - low) >> np.uint32(bits):
        bits += 1
    return low, bits


@inner
def _subtract(keys, low, rows, bins):
    """Bins of keys that lie close together."""
    for i in range(rows * SIDE):
        bins[i] = keys[i] - low


@inner
def _sort(keys, low, bits, rows, columns, bins, order, spare, counts):
    """Bins by rank, and the places of the keys by rank.

    Sorts by some of the bits at a time, from the last; the last pass gives the ranks.
    """
    count = rows * columns
    for j in range(rows):
        for i in range(columns):
            order[j * columns + i] = j * SIDE + i
    passes = (bits + DIGIT - 1) // DIGIT
    digit = np.uint32((bits + passes - 1) // passes)
    most = (np.uint32(1) << digit) - np.uint32(1)
    for k in range(passes):
        shift = np.uint32(k) * digit
        counts[:] = 0
        for place in order[:count]:
            counts[np.uint32(keys[place] - low) >> shift & most] += np.uint32(1)
        below = np.uint32(0)
        for d in range(len(counts)):
            below, counts[d] = below + counts[d], below
        for place in order[:count]:
            d = np.uint32(keys[place] - low) >> shift & most
            rank = counts[d]
            counts[d] = rank + np.uint32(1)
            spare[rank] = place
            bins[place] = rank // np.uint32(GROUP)
        order, spare = spare, order
    order[count : (count + GROUP - 1) // GROUP * GROUP] = AREA - 1  # in no window
    return order


# ---- histograms


@inner
def _fill(bins, side, columns, steps, segments, rests):
    """The histograms of the columns for the first row of windows."""
    segments[: columns * BINS] = 0
    rests[: columns * PITCH] = 0
    for j in range(side):
        for x in range(columns):
            place = np.intp(bins[j * SIDE + x])
            rest = place & BINS - 1
            move(segments, x * BINS, steps, place - rest, PITCH)
            move(rests, x * PITCH + place - rest, steps, rest * BINS, PITCH)


@inner
def _descend(bins, side, columns, steps, segments, rests):
    """The histograms of the columns, from the windows of the first row of bins to the next."""
    for x in range(columns):
        new, old = np.intp(bins[side * SIDE + x]), np.intp(bins[x])
        a, b = new & BINS - 1, old & BINS - 1
        move(segments, x * BINS, steps, new - a, old - b)
        move(rests, x * PITCH + new - a, steps, a * BINS, PITCH)
        move(rests, x * PITCH + old - b, steps, PITCH, b * BINS)


@inner
def _find(columns, side, segments, rests, windows, since, lines):
    """For a row of windows the bin of each median, lines[0], and its rank in there, lines[1]."""
    bins, rank, segment, left, totals = lines[0], lines[1], lines[2], lines[3], lines[4]
    rank[:] = side * side // 2
    search(segments, BINS, 0, side, windows, NOWHERE, 0, columns, rank, segment, left, totals)
    since[:] = NOWHERE
    x = 0
    while x < columns:
        first, k = x, np.intp(segment[x])
        while x < columns and segment[x] == k:
            x += 1
        at = k * BINS
        search(rests, PITCH, at, side, windows, since[k], first, x, left, bins, rank, totals)
        since[k] = x - 1


# ---- medians


@inner
def _look_up(keys, order, y, side, lines, medians):
    """The keys of a row of medians, from their bins and ranks in there."""
    bins, rank = lines[0], lines[1]
    for x in range(len(medians)):
        group = np.intp(bins[x]) * GROUP
        mask = inside(order, group, y, x, side - 1)
        medians[x] = keys[order[group + bit_of_rank(mask, np.intp(rank[x]))]]


class Room(NamedTuple):
    """The memory of a thread. It is made in Python: Numba would compile every allocation."""

    pixels: np.ndarray
    keys: np.ndarray  # the same memory, as integers
    line: np.ndarray
    medians: np.ndarray  # likewise
    shorts: np.ndarray
    counts: np.ndarray
    segments: np.ndarray
    rests: np.ndarray
    windows: np.ndarray
    since: np.ndarray
    lines: np.ndarray

    @classmethod
    def of(cls, dtype: np.dtype) -> "Room":
        key = np.int32 if dtype == np.float32 else dtype
        pixels, line = np.empty(AREA + BORDER, dtype), np.empty(SIDE, dtype)
        return cls(
            pixels,
            pixels.view(key),
            line,
            line.view(key),
            np.empty((3, AREA), np.uint16),
            np.empty(1 << DIGIT, np.uint32),
            np.empty(SIDE * BINS, np.uint8),
            np.empty(SIDE * PITCH, np.uint8),
            np.empty(PITCH, np.uint16),
            np.empty(BINS, np.intp),
            np.zeros((5, SIDE), np.uint16),
        )


@compiled
def _some_tiles(first, stop, images, out, radius, rows, columns, steps, room):
    """Tiles first .. stop - 1 of the batch, counted along rows, then down, then over images."""
    pixels, keys, line, medians, shorts, counts, segments, rests, windows, since, lines = room
    _, h, w = images.shape
    across, down = (w + columns - 1) // columns, (h + rows - 1) // rows
    side, bins = 2 * radius + 1, shorts[0]
    for tile in range(first, stop):
        band, x = tile // across, tile % across * columns
        i, y = band // down, band % down * rows
        high, wide = min(rows, h - y), min(columns, w - x)
        tall, broad = high + side - 1, wide + side - 1
        _load(pixels, images[i], y - radius, x - radius, tall, broad)
        low, bits = _range(keys, tall, broad)
        order, ranked = shorts[1], 1 << bits > PITCH
        if ranked:
            order = _sort(keys, low, bits, tall, broad, bins, shorts[1], shorts[2], counts)
        else:
            _subtract(keys, low, tall, bins)
        _fill(bins, side, broad, steps, segments, rests)
        for j in range(high):
            if j > 0:
                _descend(bins[(j - 1) * SIDE :], side, broad, steps, segments, rests)
            _find(wide, side, segments, rests, windows, since, lines)
            if ranked:
                _look_up(keys, order, j, side, lines, medians[:wide])
            else:
                for k in range(wide):
                    medians[k] = low + lines[0, k]
            for k in range(0, wide, vector_length(line)):
                to_pixels(line, k)
            copy(out[i, y + j], x, line, 0, wide)


STEPS = np.triu(np.ones((BINS + 1, BINS), np.uint8)).ravel()  # row k: what a pixel in bin k adds


def rank_medians(images: np.ndarray, out: np.ndarray, radius: int) -> None:
    """Medians of windows of 2 * radius + 1 pixels, by all threads; radius below SIDE / 2."""
    n, h, w = images.shape
    most = SIDE - 2 * radius
    rows, columns = -(-h // -(-h // most)), -(-w // -(-w // most))
    tiles = n * -(-h // rows) * -(-w // columns)

    def work(first: int, stop: int) -> None:
        room = Room.of(images.dtype)
        _some_tiles(first, stop, images, out, radius, rows, columns, STEPS, room)

    _threads.run(work, tiles)
