"""Rows of a crop, without what lies outside the region at their ends.

A region seldom fills its box: of an organ's, half of the cells are outside. What a family counts is
0 there, and most of them lie before the first pixel of a row or behind its last.
"""

from .._cpu import compiled


@compiled
def inside(levels, first, stop):
    """(first, stop) of the cells from the first level above 0 to the last; both `stop` if none."""
    while first < stop and levels[first] == 0:
        first += 1
    while stop > first and levels[stop - 1] == 0:
        stop -= 1
    return first, stop
