"""How matrices of directions and slices become one row of features, for every texture family.

    directions  slices      IBSI
    averaged    averaged    BTW3   2D, features of each slice and direction, averaged
    merged      averaged    SUJT   2D, directions of a slice merged (families without: 8QNN)
    averaged    merged      JJUI   2.5D, slices of a direction merged
    merged      merged      ZW7Z   2.5D, all merged (families without directions: 62GR)
    averaged    volume      ITBB   3D, features of each direction, averaged
    merged      volume      IAZD   3D, all merged (families without directions: KOBO)

source  IBSI reference manual (arXiv 1612.07003), sections 3.6.1 to 3.11
"""

from typing import Any

import numpy as np

from .._parameter import Parameter

AVERAGED, MERGED, VOLUME = "averaged", "merged", "volume"

PLANE = ((0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 1, -1))  # (z, y, x); the opposite ones by symmetry
EVERY = (*PLANE, *((1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)))

DIRECTIONS = Parameter(
    AVERAGED,
    "features of each direction averaged, or matrices of directions merged",
    choices=(AVERAGED, MERGED),
)
SLICES = Parameter(
    VOLUME,
    "of volumes: neighbours in 3D; or slices on their own, features averaged or matrices merged",
    choices=(VOLUME, AVERAGED, MERGED),
)


def steps(images: Any, slices: str, distance: int = 1) -> np.ndarray:
    """The directions (m, 3) in which images, or volumes, have neighbours, times the distance."""
    deep = images.ndim == 4 and slices == VOLUME
    return np.array(EVERY if deep else PLANE, np.int64) * distance


def suffix(slices: str, directions: str = "", distance: int = 0) -> str:
    """What the names of columns say of all this: `.d1.averaged`, `.merged.2.5d`."""
    parts = [f"d{distance}"] * (distance > 0) + [directions] * bool(directions)
    parts += {VOLUME: [], AVERAGED: ["2d"], MERGED: ["2.5d"]}[slices]
    return "".join(f".{part}" for part in parts)
