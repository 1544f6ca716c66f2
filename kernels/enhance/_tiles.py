"""Filters in the frequency domain, tile by tile: sizes of tiles, roots of unity, gains.

A tile is a power of 4 pixels high and wide; its filter is a product with real gains, the Fourier
transform of a kernel that is its own mirror image, conjugated. Of the result the outer `radius`
pixels are those of a periodic image and are left away, so that tiles overlap.

    x[rev(i)]                            the order in which a transform takes its pixels
    a, b, c, d at i, i + q, i + 2q, ..   a + w b + w^2 c + w^3 d  and so on,  q = 1, 4, 16 ..
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import log
from typing import NamedTuple

import numpy as np
from scipy import fft

SIDES = (16, 64, 256)
WIDEST = 96  # pixels, the largest radius


class Plane(NamedTuple):
    """Where the images of one plane of an array lie: numbers, sizes, and strides in pixels.

    Image k of volume v begins at v * volume + k * between.
    """

    volumes: int
    volume: int
    slices: int
    between: int
    rows: int
    row: int
    columns: int
    column: int


def planes(shape: tuple[int, ...], three: bool) -> list[Plane]:
    """The plane (y, x) of images and volumes, of volumes also (z, x) and (z, y)."""
    if len(shape) == 3:
        n, h, w = shape
        return [Plane(n, h * w, 1, 0, h, w, w, 1)]
    n, d, h, w = shape
    z, y, x = (d, h * w), (h, w), (w, 1)
    found = [(z, y, x), (y, z, x), (x, z, y)] if three else [(z, y, x)]
    return [Plane(n, d * h * w, *across, *rows, *columns) for across, rows, columns in found]


@dataclass(frozen=True)
class Tiles:
    """How an image of `size` (rows, columns) is cut: sides of a tile and what is kept of it."""

    size: tuple[int, int]
    sides: tuple[int, int]
    radius: int

    @property
    def kept(self) -> tuple[int, int]:
        return self.sides[0] - 2 * self.radius, self.sides[1] - 2 * self.radius

    @property
    def number(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.size[0] // self.kept[0]), -(-self.size[1] // self.kept[1])

    @property
    def operations(self) -> float:
        """Of one transform there and back: a radix-4 step has 34 for 4 points."""
        points = self.number[0] * self.number[1] * self.sides[0] * self.sides[1]
        return points * (8.5 * sum(log(side, 4) for side in self.sides) + 6)


def tiles(size: tuple[int, int], radius: int) -> Tiles:
    """The tiles that take the fewest operations."""
    usable = [side for side in SIDES if side > 2 * radius]
    return min(
        (Tiles(size, sides, radius) for sides in product(usable, usable)),
        key=lambda cut: cut.operations,
    )


def roots(side: int) -> np.ndarray:
    """exp(-2 pi i k / side), (side, 2) float32: real and imaginary parts."""
    angles = 2 * np.pi * np.arange(side) / side
    return np.stack([np.cos(angles), -np.sin(angles)], axis=1).astype(np.float32)


def reversed_order(side: int) -> np.ndarray:
    """rev(i): the digits of i to the base 4 from the last to the first."""
    order, rest = np.zeros(side, np.int64), np.arange(side)
    for _ in range(round(log(side, 4))):
        order, rest = 4 * order + rest % 4, rest // 4
    return order


def gains(kernel: np.ndarray, sides: tuple[int, int]) -> np.ndarray:
    """The Fourier transform of a kernel around its middle, divided for the way back; float32."""
    tile = np.zeros(sides, np.complex128)
    tile[: kernel.shape[0], : kernel.shape[1]] = kernel
    middle = np.roll(tile, [-(n // 2) for n in kernel.shape], axis=(0, 1))
    return (np.real(np.asarray(fft.fft2(middle))) / middle.size).astype(np.float32)
