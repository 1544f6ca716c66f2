"""Counting boxes of side 1, 2, 4, ...: each size from the one before, four boxes becoming one.

Of a box, three numbers are kept: twice its pixels of the region plus 1 if one is of the outline,
and its least and greatest grey. All counts are integers.
"""

import numpy as np

from .._cpu import compiled
from .._inner import inner
from ._objects import mark

COUNTS = ("outline", "region", "columns", "columns^2", "whole", "whole^2")  # of each size
LACUNARITY = (2, 4, 8, 16)
HIGHEST = 2.0**20  # boxes of a column that are counted


# ---- pixels


@inner
def cover(image, labels, label, box, inside):
    """inside = 1 on the pixels of the region; row y and column x are number y + 1 and x + 1."""
    y0, h, x0, x1 = box[4], box[5] - box[4], box[6], box[7]
    inside[0], inside[h + 1] = np.uint8(0), np.uint8(0)
    for y in range(h):
        row = inside[y + 1]
        row[0] = row[x1 - x0 + 1] = np.uint8(0)
        own = labels[y0 + y, x0:x1] if labels.size else labels[0]
        mark(row[1 : x1 - x0 + 1], image[y0 + y, x0:x1], own, label)


@inner
def bounds(inside, h, w, columns):
    """First and last + 1 of the rows and columns of a box (h, w) that hold a pixel."""
    y0, y1, x0, x1 = h, 0, w, 0
    columns[:] = np.uint8(0)
    for y in range(h):
        row, used = inside[y + 1], np.uint8(0)
        for x in range(w):
            columns[x] |= row[x + 1]
            used |= row[x + 1]
        if used:
            y0, y1 = min(y0, y), y + 1
    for x in range(w):
        if columns[x]:
            x0, x1 = min(x0, x), x + 1
    return y0, y1, x0, x1


@inner
def trace(inside, h, w, edges):
    """edges = 1 on the pixels of the outline; returns how many there are, and of the region."""
    outline, region = 0, 0
    for y in range(1, h + 1):
        above, row, below, out = inside[y - 1], inside[y], inside[y + 1], edges[y]
        for x in range(1, w + 1):
            core = above[x] & below[x] & row[x - 1] & row[x + 1]
            out[x] = row[x] & ~core
            outline += out[x]
            region += row[x]
    return outline, region


# ---- boxes


@inner
def first_boxes(image, inside, edges, box, mass, low, high):
    """The boxes of side 2 of a region in rows box[0] .. and columns box[2] .. of `inside`."""
    top, bottom, left, right = box
    for y in range(top, bottom, 2):
        for x in range(left, right, 2):
            pixels, edge = np.int32(0), np.int32(0)
            least, greatest = np.float32(np.inf), np.float32(-np.inf)
            for j in range(y, min(y + 2, bottom)):
                for i in range(x, min(x + 2, right)):
                    if inside[j + 1, i + 1]:
                        grey = np.float32(image[j, i])
                        least, greatest = min(least, grey), max(greatest, grey)
                        pixels += np.int32(1)
                        edge |= np.int32(edges[j + 1, i + 1])
            to = (y - top) // 2, (x - left) // 2
            mass[to], low[to], high[to] = np.int32(2) * pixels + edge, least, greatest


@inner
def extent(low, high, rows, columns):
    """The least and the greatest grey."""
    least, greatest = np.float32(np.inf), np.float32(-np.inf)
    for y in range(rows):
        for x in range(columns):
            least, greatest = min(least, low[y, x]), max(greatest, high[y, x])
    return np.float64(least), np.float64(greatest)


@inner
def double(mass, low, high, rows, columns):
    """Boxes of twice the side, in the place of the first ones."""
    for y in range((rows + 1) // 2):
        for x in range((columns + 1) // 2):
            pixels, edge = np.int32(0), np.int32(0)
            least, greatest = np.float32(np.inf), np.float32(-np.inf)
            for j in range(2 * y, min(2 * y + 2, rows)):
                for i in range(2 * x, min(2 * x + 2, columns)):
                    pixels += mass[j, i] >> 1
                    edge |= mass[j, i] & np.int32(1)
                    least, greatest = min(least, low[j, i]), max(greatest, high[j, i])
            mass[y, x], low[y, x], high[y, x] = np.int32(2) * pixels + edge, least, greatest


@inner
def add_size(mass, low, high, rows, columns, whole_rows, whole_columns, origin, step, found):
    """found[:] = COUNTS of boxes, of which the first ones are whole."""
    for y in range(rows):
        for x in range(columns):
            pixels = np.int64(mass[y, x] >> 1)
            if pixels == 0:
                continue
            top = np.floor((np.float64(high[y, x]) - origin) / step)
            bottom = np.floor((np.float64(low[y, x]) - origin) / step)
            number = np.int64(min(top - bottom + 1.0, HIGHEST))
            found[0] += mass[y, x] & 1
            found[1] += 1
            found[2] += number
            found[3] += number * number
            if y < whole_rows and x < whole_columns:
                found[4] += pixels
                found[5] += pixels * pixels


@inner
def add_sizes(h, w, height, mass, low, high, found):
    """found[1:] = COUNTS of the sizes above 1 of a region with a box (h, w)."""
    rows, columns, side = (h + 1) // 2, (w + 1) // 2, 2
    least, greatest = extent(low, high, rows, columns)
    origin, spread = (0.0, height) if height > 0.0 else (least, greatest - least)
    for k in range(1, len(found)):
        if 2 * side > max(h, w):
            break
        step = side * spread / max(h, w) if spread > 0.0 else 1.0
        add_size(mass, low, high, rows, columns, h // side, w // side, origin, step, found[k])
        double(mass, low, high, rows, columns)
        rows, columns, side = (rows + 1) // 2, (columns + 1) // 2, 2 * side


@compiled
def count(start, stop, images, labels, table, height, counts, sides):
    """The counts and the sides of the bounding boxes of regions start .. stop - 1.

    labels  (n, h, w), or of size 0; table: that of `Regions`
    counts  int64 (m, sizes, 6), see COUNTS; sides int64 (m, 2): 0 of an empty region
    """
    h, w = 0, 0
    for k in range(start, stop):
        h, w = max(h, table[k, 5] - table[k, 4]), max(w, table[k, 7] - table[k, 6])
    inside, edges = np.empty((h + 2, w + 2), np.uint8), np.empty((h + 2, w + 2), np.uint8)
    columns = np.empty(w, np.uint8)
    mass = np.empty((h // 2 + 1, w // 2 + 1), np.int32)
    low, high = np.empty(mass.shape, np.float32), np.empty(mass.shape, np.float32)
    for k in range(start, stop):
        box, found = table[k], counts[k]
        image, own = images[box[0]], labels[box[0] if labels.size else 0]
        h, w = box[5] - box[4], box[7] - box[6]
        cover(image, own, box[1], box, inside)
        top, bottom, left, right = bounds(inside, h, w, columns)
        sides[k, 0], sides[k, 1] = max(bottom - top, 0), max(right - left, 0)
        found[:] = 0
        if bottom > top:
            found[0, 0], found[0, 1] = trace(inside, h, w, edges)
            first_boxes(image[box[4] :, box[6] :], inside, edges, (top, bottom, left, right),
                        mass, low, high)  # fmt: skip
            add_sizes(bottom - top, right - left, height, mass, low, high, found)


# ---- what follows from the counts


@inner
def line(counts, column, first, sizes, out):
    """out[:2] = the slope of log2 N against log2 1/s over sizes first .., and what is left."""
    number = sizes - first
    if number < 2:
        out[:2] = np.nan
        return
    mean_x, mean_y = -(first + sizes - 1) / 2.0, 0.0
    for k in range(first, sizes):
        mean_y += np.log2(np.float64(counts[k, column])) / number
    squares, products, rest = 0.0, 0.0, 0.0
    for k in range(first, sizes):
        x, y = -k - mean_x, np.log2(np.float64(counts[k, column])) - mean_y
        squares += x * x
        products += x * y
    for k in range(first, sizes):
        x, y = -k - mean_x, np.log2(np.float64(counts[k, column])) - mean_y
        apart = y - products / squares * x
        rest += apart * apart
    out[0], out[1] = products / squares, np.sqrt(rest / number)


@inner
def lacunarity(number, total, squares):
    """Mean square over squared mean of so many masses."""
    return np.float64(number) * squares / (np.float64(total) * total) if total else np.nan


@compiled
def describe(start, stop, counts, sides, values):
    """The features of regions start .. stop - 1; see `FEATURES` for their order."""
    out = np.empty(values.shape[1])
    for k in range(start, stop):
        found, h, w = counts[k], sides[k, 0], sides[k, 1]
        sizes = 0
        while 2 << sizes <= max(h, w):
            sizes += 1
        for column in range(3):  # the surface from the second size on
            line(found, column, column // 2, sizes, out[2 * column :])
        out[6:] = np.nan
        for j in range(1, min(sizes, 5)):
            whole = (h >> j) * (w >> j)
            out[5 + j] = lacunarity(whole, found[j, 4], found[j, 5])
            out[9 + j] = lacunarity(found[j, 1], found[j, 2], found[j, 3])
        for f in range(out.size):
            values[k, f] = out[f]
