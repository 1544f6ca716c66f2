"""Local binary patterns as numbers: points of a circle, and what a method makes of their bits.

A code has bit k set where point k is not darker than the centre. Circular runs of equal bits
decide the rest; they come from shifts, complements and counts of bits alone.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .._cpu import compiled, frozen_view

METHODS = ("default", "ror", "uniform", "nri_uniform")
DEFAULT, ROR, UNIFORM, NRI_UNIFORM = range(4)

DIGITS = 5  # of a point's coordinates; weights are multiples of 1 / UNIT
UNIT = 10.0**DIGITS


class Points(NamedTuple):
    """P points of a circle: the pixel up and left of each, and how far it lies from there.

    dy, dx            int64 (P,), from the centre
    down, right       float64 (P,): whole numbers 0 .. UNIT - 1
    """

    dy: np.ndarray
    dx: np.ndarray
    down: np.ndarray
    right: np.ndarray


@cache
def circle(points: int, radius: float) -> Points:
    """The points, the first to the right of the centre, then against the clock."""
    angle = 2 * np.pi * np.arange(points) / points
    y, x = np.round(-radius * np.sin(angle), DIGITS), np.round(radius * np.cos(angle), DIGITS)
    up, left = np.floor(y), np.floor(x)
    down, right = np.rint((y - up) * UNIT), np.rint((x - left) * UNIT)
    arrays = up.astype(np.int64), left.astype(np.int64), down, right
    return Points(*(frozen_view(array) for array in arrays))


def columns_of(points: int, method: str) -> int:
    """How many values a method knows."""
    if method == "ror":
        return len(necklaces(points))
    return {
        "default": 2**points,
        "uniform": points + 2,
        "nri_uniform": points * (points - 1) + 3,
    }[method]


@cache
def necklaces(points: int) -> np.ndarray:
    """The codes that no rotation makes smaller, in rising order."""
    codes = np.arange(2**points, dtype=np.uint32)
    to_values(codes, points, ROR)
    return frozen_view(np.unique(codes))


@cache
def ranks(points: int, method: str) -> np.ndarray:
    """The column of each value, where it is not the value itself; else empty."""
    if method != "ror":
        return frozen_view(np.empty(0, np.uint32))
    table = np.zeros(2**points, np.uint32)
    table[necklaces(points)] = np.arange(len(necklaces(points)))
    return frozen_view(table)


@compiled
def ones(bits):
    """How many bits of a uint32 are set."""
    bits -= (bits >> np.uint32(1)) & np.uint32(0x55555555)
    bits = (bits & np.uint32(0x33333333)) + ((bits >> np.uint32(2)) & np.uint32(0x33333333))
    bits = (bits + (bits >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.uint32(bits * np.uint32(0x01010101)) >> np.uint32(24)


@compiled
def turned(code, points):
    """The code rotated by one point: bit k becomes bit k - 1."""
    return (code >> np.uint32(1)) | ((code & np.uint32(1)) << np.uint32(points - 1))


@compiled
def smallest(code, points):
    """The least of all rotations."""
    least = code
    for _ in range(points - 1):
        code = turned(code, points)
        least = min(least, code)
    return least


@compiled
def number_of_ones(code, points):
    """Set bits of a pattern of at most one run of ones, else points + 1."""
    if ones(code ^ turned(code, points)) > np.uint32(2):
        return np.uint32(points + 1)
    return ones(code)


@compiled
def run_of_ones(code, points):
    """Number of a pattern of at most one run of ones, by its length and where it begins."""
    changes = code ^ turned(code, points)
    count = ones(code)
    if ones(changes) > np.uint32(2):
        return np.uint32(points * (points - 1) + 2)
    if count == np.uint32(points):
        return np.uint32(points * (points - 1) + 1)
    before = changes & ~code  # the one bit before the run
    first = ones(before - np.uint32(1)) + np.uint32(1)
    turns = np.uint32(points) - first if first < np.uint32(points) else np.uint32(0)
    length = np.uint32(1) + (count - np.uint32(1)) * np.uint32(points) + turns
    return length if count else np.uint32(0)


@compiled
def to_values(codes, points, method):
    """Codes uint32 (w,) to the values of the method, in place."""
    if method == ROR:
        for x in range(codes.size):
            codes[x] = smallest(codes[x], points)
    elif method == UNIFORM:
        for x in range(codes.size):
            codes[x] = number_of_ones(codes[x], points)
    elif method == NRI_UNIFORM:
        for x in range(codes.size):
            codes[x] = run_of_ones(codes[x], points)
