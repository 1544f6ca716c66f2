"""Zones: groups of pixels of one level that touch, 8-connected in slices, 26-connected in volumes.

Union-find over the pixels in raster order: each joins the zones of those of its 4 or 13 earlier
neighbours that have its level. The root of a zone is its first pixel.

Which neighbours these are is one bit each, found for many pixels at once. Neighbours that touch
one another are in one zone already: after one of them, `rest` leaves those that do not touch it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label

from .._cpu import compiled

STRETCH = 1024  # pixels that are compared at a time


# ---- the definition


def zones(grey: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(level, zones of that level numbered from 1 on) of levels of any rank, 0 outside."""
    touching = np.ones((3,) * grey.ndim, bool)
    for level in np.unique(grey[grey > 0]):
        numbered = np.empty(grey.shape, np.int32)
        label(grey == level, touching, output=numbered)
        yield int(level), numbered


# ---- compiled


class Links(NamedTuple):
    """Earlier neighbours, those first that touch most others; bit m stands for neighbour m."""

    steps: np.ndarray  # int64 (m, 3): (z, y, x) to the pixel from its neighbour m
    rest: np.ndarray  # uint16 (m,): the neighbours that do not touch neighbour m
    lowest: np.ndarray  # uint8 (2^m,): number of the lowest bit


def links(steps: np.ndarray) -> Links:
    """The neighbours at -steps, as `label_zones` uses them."""
    apart = abs(steps[:, None] - steps).max(axis=2) > 1
    order = np.argsort(apart.sum(axis=1), kind="stable")
    apart, bits = apart[order][:, order], 1 << np.arange(len(steps))
    codes = np.arange(1 << len(steps))
    lowest = ((codes[:, None] & bits) > 0).argmax(axis=1)
    rest = (apart * bits).sum(axis=1)
    return Links(steps[order], rest.astype(np.uint16), lowest.astype(np.uint8))


@compiled
def compare(here, there, bit, codes):
    """Sets a bit where levels are equal."""
    for x in range(here.size):
        codes[x] |= bit if here[x] == there[x] else np.uint16(0)


@compiled
def root_of(parents, pixel):
    """The first pixel of the zone so far; halves the way there."""
    while parents[pixel] != pixel:
        parents[pixel] = parents[parents[pixel]]
        pixel = parents[pixel]
    return pixel


@compiled
def label_zones(levels, first, stop, offsets, rest, lowest, codes, parents):
    """parents[k] = first pixel of the zone of pixel first + k, as a number k, for levels > 0.

    offsets   int64 (m,): from neighbour m to the pixel, in `levels`
    codes     uint16 (STRETCH,): scratch
    """
    for start in range(first, stop, codes.size):
        here = levels[start : min(start + codes.size, stop)]
        codes[:] = np.uint16(0)
        for m in range(offsets.size):
            there = levels[start - offsets[m] : start - offsets[m] + here.size]
            compare(here, there, np.uint16(1 << m), codes)
        for x in range(here.size):
            if here[x] == 0:
                continue
            pixel, code = np.uint32(start - first + x), codes[x]
            root = pixel
            parents[pixel] = pixel
            while code:
                m = lowest[code]
                other = root_of(parents, np.uint32(pixel - offsets[m]))
                parents[max(root, other)] = min(root, other)
                root = min(root, other)
                code &= rest[m]
            parents[pixel] = root
    for pixel in range(stop - first):
        if levels[first + pixel] != 0:
            parents[pixel] = parents[parents[pixel]]
