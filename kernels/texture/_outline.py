"""The outline of a region from the first and last pixel of each row: exact, in doubled coordinates.

A pixel (y, x) stands at (2y, 2x), and the middles of its sides at (2y +- 1, 2x) and (2y, 2x +- 1):
integers. The convex hull of all middles needs no more of a row than its first and last pixel.
Doubled rows are numbered from -1, so that row y of the region is number 2y + 1 of an array.
"""

import numpy as np

from .._cpu import compiled

FAR = 1 << 40  # beyond every coordinate


@compiled
def clear(low, high):
    """Doubled rows without a point."""
    low[:], high[:] = FAR, -FAR


@compiled
def widen(first, last, reach, low, high):
    """Takes the rows first[y] .. last[y] of a slice into the doubled rows low .. high.

    reach   1: the middles of the pixels' sides; 0: the pixels themselves. Empty: first > last
    """
    for y in range(first.size):
        if first[y] <= last[y]:
            a, b, at = 2 * np.int64(first[y]), 2 * np.int64(last[y]), 2 * y + 1
            low[at], high[at] = min(low[at], a - reach), max(high[at], b + reach)
            if reach:
                low[at - 1], high[at - 1] = min(low[at - 1], a), max(high[at - 1], b)
                low[at + 1], high[at + 1] = min(low[at + 1], a), max(high[at + 1], b)


@compiled
def chain(values, sense, kept):
    """Numbers of the doubled rows whose points (row, values[row]) are corners of the hull.

    sense   1: `values` bound the region from below; -1: from above. Rows beyond FAR have no point.
            Returns how many were `kept`
    """
    size = 0
    for at in range(values.size):
        if abs(values[at]) >= FAR:
            continue
        while size > 1:
            i, j = kept[size - 2], kept[size - 1]
            middle = sense * (values[j] - values[i]) * (at - i)
            if middle < sense * (values[at] - values[i]) * (j - i):
                break
            size -= 1
        kept[size] = at
        size += 1
    return size


@compiled
def polygon(low, high, kept, corners):
    """Corners (row, column) of the convex hull, doubled, in one sense around; returns how many."""
    size = 0
    below = chain(low, 1, kept)
    for k in range(below):
        corners[size, 0], corners[size, 1] = kept[k] - 1, low[kept[k]]
        size += 1
    above = chain(high, -1, kept)
    for k in range(above - 1, -1, -1):
        row, column = kept[k] - 1, high[kept[k]]
        again = row == corners[size - 1, 0] and column == corners[size - 1, 1]
        if not again and (row != corners[0, 0] or column != corners[0, 1]):
            corners[size, 0], corners[size, 1] = row, column
            size += 1
    return size
