"""The neighbourhood of a pixel, for the families that compare it with all of its neighbours.

    N = {m != 0 : |m_z|, |m_y|, |m_x| <= distance}        in a plane m_z = 0

(2 distance + 1)^2 - 1 neighbours in an image, (2 distance + 1)^3 - 1 in a volume; those outside
the region do not count.

The compiled code goes through a crop as one line of pixels, `CHUNK` at a time: every neighbour is
then a fixed step away, for all pixels alike, and loops over a chunk are vector operations. The
borders between rows are level 0, and what is found there is left out with level 0 at the end.

source  IBSI reference manual (arXiv 1612.07003), sections 3.10 and 3.11
"""

from itertools import product
from typing import Any

import numpy as np

from .._cpu import compiled
from .._parameter import Parameter
from ._aggregation import AVERAGED, VOLUME
from ._levels import DEPTH, ROW, SLAB, START

CHUNK = 2048  # pixels that go through all steps together, in the first level cache
FURTHEST = 4

DISTANCE = Parameter(
    1, "Chebyshev distance of the furthest neighbour", low=1, high=FURTHEST, unit="pixels"
)


def flat(images: Any, slices: str) -> bool:
    """Whether neighbours lie in the same slice only."""
    return images.ndim == 3 or slices != VOLUME


def neighbourhood(images: Any, slices: str, distance: int) -> list[tuple[int, int, int]]:
    """The steps (z, y, x) to all the neighbours."""
    reach = range(-distance, distance + 1)
    steps = product([0] if flat(images, slices) else reach, reach, reach)
    return [step for step in steps if any(step)]


def pieces_of(grey: np.ndarray, slices: str) -> np.ndarray:
    """The parts of a region (d, h, w) whose features are averaged: its slices, or the whole."""
    return grey[:, None] if slices == AVERAGED else grey[None]


@compiled
def rows_around(crop, distance, plane):
    """Steps (m,) to the rows that a neighbourhood meets, its own too, in a crop."""
    deep = 0 if plane else distance
    steps, k = np.empty((2 * deep + 1) * (2 * distance + 1), np.int64), 0
    for z in range(-deep, deep + 1):
        for y in range(-distance, distance + 1):
            steps[k] = z * crop[SLAB] + y * crop[ROW]
            k += 1
    return steps


@compiled
def piece(crop, number, sliced):
    """Where a part of the region begins in the flat levels, and its size: a slice, or all."""
    if sliced:
        return crop[START] + number * crop[SLAB], crop[SLAB]
    return crop[START], crop[DEPTH] * crop[SLAB]
