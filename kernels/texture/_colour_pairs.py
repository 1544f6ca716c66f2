"""Pairs of neighbours in colour images, counted by colour: three increments give nine matrices.

A pixel p of colour (r, g, b) and its neighbour q add one to three counts that belong to the colour
of p: of the red, the green and the blue level of q. In the end

    M_ab[i, j] = sum of the counts of level j of channel b, over the colours whose channel a is i

are the pairs of each two channels a and b, in one order: those of p(A, B) are M_ab + (M_ba)^T.
A region has few colours compared with its pixels, and neighbours mostly the same ones: what is
counted stays in the cache. Rows are read one by one; only the last `distance` + 1 are kept.
"""

from typing import NamedTuple

import numpy as np

from .._cpu import compiled
from ._levels import _range_of, level
from ._objects import mark

CHANNELS = "rgb"
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
DIRECTIONS = 4
BYTES = 256
OUTSIDE = np.uint32(0xFFFFFFFF)


class Scratch(NamedTuple):
    """Of a thread; side = Ng + 1, level 0 is outside, and a colour has 4 x 3 x side counts.

    near     uint16 (distance + 1, 3, width + 2 distance): levels of the last rows, of channel c
             c side higher, with pixels of the outside at both ends
    bases    uint32 (width,): where the counts of each pixel's colour begin, or OUTSIDE
    numbers  uint32 (side^3,): 1 + the number of a colour that has been met, else 0; 0 in the end
    colours  uint32 (most,): the colours by their number
    counts   uint32 (4 x 3 side most,): by colour, direction and channel
    tables   uint16 (3, 256): levels of the intensities of a uint8 image; or empty
    flags    uint8 (width,)
    """

    near: np.ndarray
    bases: np.ndarray
    numbers: np.ndarray
    colours: np.ndarray
    counts: np.ndarray
    tables: np.ndarray
    flags: np.ndarray


def scratch(dtype: np.dtype, width: int, largest: int, levels: int, distance: int) -> Scratch:
    """For regions of at most this width and number of pixels."""
    side = levels + 1
    most = min(largest, side**3)
    return Scratch(
        np.empty((distance + 1, len(CHANNELS), width + 2 * distance), np.uint16),
        np.empty(width, np.uint32),
        np.zeros(side**3, np.uint32),
        np.empty(most, np.uint32),
        np.empty(DIRECTIONS * len(CHANNELS) * side * most, np.uint32),
        np.empty((len(CHANNELS), BYTES if dtype == np.uint8 else 0), np.uint16),
        np.ones(width, np.uint8),
    )


# ---- levels


@compiled
def find_ranges(image, labels, box, scale, flags, ranges):
    """ranges[c] = gain, origin, step and end of channel c of a region; an empty one ends at once.

    image (h, 3 w); labels (h, w), or empty; box: a row of `Regions.table`
    """
    y0, y1, x0, x1 = box[4], box[5], box[6], box[7]
    ranges[:, 0], ranges[:, 1] = np.inf, -np.inf
    for y in range(y0, y1):
        row = image[y, 3 * x0 : 3 * x1]
        mark_row(flags, labels, box, y)
        for x in range(x1 - x0):
            if flags[x]:
                for c in range(3):
                    v = np.float64(np.float32(row[3 * x + c]))
                    if v >= scale.first and v < scale.last:
                        ranges[c, 0] = min(ranges[c, 0], v)
                        ranges[c, 1] = max(ranges[c, 1], v)
    for c in range(3):
        low, high = ranges[c, 0], ranges[c, 1]
        if low > high:
            ranges[c] = -np.inf
        else:
            gain, origin, step, last = _range_of(low, high, scale)
            ranges[c, 0], ranges[c, 1], ranges[c, 2] = gain, origin, step
            ranges[c, 3] = min(last, scale.last)


@compiled
def mark_row(flags, labels, box, y):
    """flags = the pixels of row y of a region; without labels all are, and were from the start."""
    if labels.size:
        row = labels[y, box[6] : box[7]]
        mark(flags, row, row, box[1])


@compiled
def level_of(v, channel, scale):
    """The level of an intensity, 0 outside of the channel's range."""
    gain, origin, step, last = channel
    if not (v >= scale.first and v < last):
        return np.int32(0)
    return level(v, gain, origin, step, scale.levels - 1.0)


@compiled
def fill_tables(tables, ranges, scale):
    """tables[c, v] = the level of intensity v, c side higher."""
    side = scale.levels + 1
    for c in range(tables.shape[0]):
        channel = (ranges[c, 0], ranges[c, 1], ranges[c, 2], ranges[c, 3])
        for v in range(tables.shape[1]):
            tables[c, v] = c * side + level_of(np.float32(v), channel, scale)


@compiled
def read_row(row, ranges, scale, tables, near):
    """near[c, x] = the level of channel c of pixel x, c side higher."""
    side = scale.levels + 1
    for c in range(3):
        line = near[c]
        if tables.size:
            table = tables[c]
            for x in range(line.size):
                line[x] = table[np.uint8(row[3 * x + c])]
        else:
            channel = (ranges[c, 0], ranges[c, 1], ranges[c, 2], ranges[c, 3])
            for x in range(line.size):
                line[x] = c * side + level_of(np.float32(row[3 * x + c]), channel, scale)


# ---- counts


@compiled
def number_row(near, side, bases, found, s):
    """bases = where the counts of each pixel's colour begin, those of a new one all 0.

    Pixels outside get level 0. Returns how many colours have been met.
    """
    size = DIRECTIONS * 3 * side
    red, green, blue = near[0], near[1], near[2]
    for x in range(bases.size):
        if s.flags[x] == 0:
            red[x], green[x], blue[x], bases[x] = 0, side, 2 * side, OUTSIDE
            continue
        r, g, b = np.uint32(red[x]), green[x] - side, blue[x] - 2 * side
        colour = np.uint64((r * side + g) * side + b)
        if s.numbers[colour] == 0:
            s.colours[found] = colour
            s.counts[found * size : (found + 1) * size] = np.uint32(0)
            found += 1
            s.numbers[colour] = found
        bases[x] = (s.numbers[colour] - np.uint32(1)) * np.uint32(size)
    return found


@compiled
def count_row(counts, bases, span, west, north_west, north, north_east):
    """Adds the pairs of a row with its neighbours in four directions, their channels' levels each.

    span: counts of a direction; west[c, x] is the neighbour of pixel x to the west, and so on
    """
    west_r, west_g, west_b = west[0], west[1], west[2]
    left_r, left_g, left_b = north_west[0], north_west[1], north_west[2]
    up_r, up_g, up_b = north[0], north[1], north[2]
    right_r, right_g, right_b = north_east[0], north_east[1], north_east[2]
    one, step = np.uint32(1), np.uint64(span)
    for x in range(bases.size):
        if bases[x] == OUTSIDE:
            continue
        first = np.uint64(bases[x])
        second, third, fourth = first + step, first + step + step, first + step + step + step
        counts[first + west_r[x]] += one
        counts[first + west_g[x]] += one
        counts[first + west_b[x]] += one
        counts[second + left_r[x]] += one
        counts[second + left_g[x]] += one
        counts[second + left_b[x]] += one
        counts[third + up_r[x]] += one
        counts[third + up_g[x]] += one
        counts[third + up_b[x]] += one
        counts[fourth + right_r[x]] += one
        counts[fourth + right_g[x]] += one
        counts[fourth + right_b[x]] += one


@compiled
def count_region(image, labels, box, scale, distance, ranges, s):
    """Counts the pairs of a region; returns how many colours it has."""
    y0, y1, x0, x1 = box[4], box[5], box[6], box[7]
    width, side, found = x1 - x0, scale.levels + 1, 0
    if scale.fixed:
        ranges[:, 0], ranges[:, 1], ranges[:, 2] = 1.0, scale.origin, scale.step
        ranges[:, 3] = scale.last
    else:
        find_ranges(image, labels, box, scale, s.flags, ranges)
    fill_tables(s.tables, ranges, scale)
    for c in range(3):
        s.near[:, c] = c * side
    bases = s.bases[:width]
    for y in range(y0, y1):
        here = s.near[(y - y0) % (distance + 1)]
        above = s.near[(y - y0 + 1) % (distance + 1)]
        middle = here[:, distance : distance + width]
        mark_row(s.flags, labels, box, y)
        read_row(image[y, 3 * x0 : 3 * x1], ranges, scale, s.tables, middle)
        found = number_row(middle, side, bases, found, s)
        count_row(
            s.counts, bases, 3 * side, here, above, above[:, distance:], above[:, 2 * distance :]
        )
    for k in range(found):
        s.numbers[s.colours[k]] = np.uint32(0)
    return found


@compiled
def fold(s, found, direction, side, pairs):
    """Adds the counts of one direction to pairs (3, side, 3 side): M_ab at [a, i, b side + j]."""
    span = 3 * side
    for k in range(found):
        colour, start = np.int64(s.colours[k]), (DIRECTIONS * k + direction) * span
        row = s.counts[start : start + span]
        red = pairs[0, colour // (side * side)]
        green, blue = pairs[1, colour // side % side], pairs[2, colour % side]
        for j in range(span):
            red[j] += row[j]
            green[j] += row[j]
            blue[j] += row[j]
