"""Zones: groups of pixels of one level that touch, 8-connected in slices, 26-connected in volumes.

Pixels are visited in raster order. One that touches none of its 4 or 13 earlier neighbours of its
level founds a zone; any other is added to theirs, which become one (union-find): the zone that was
founded first goes on. What is asked of zones is summed up on the way, and which zone a pixel is in
is forgotten two slices later: memory grows with the number of zones, not of pixels.

Which neighbours have a pixel's level is one bit each, found for many pixels at once. Neighbours
that touch one another are in one zone already: after one of them, `rest` leaves those that do not.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label

from .._cpu import compiled
from ._levels import ROW, SLAB

STRETCH = 1024  # pixels that are compared at a time
FEWEST = 1 << 12  # zones that tables have room for from the beginning


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
    """The neighbours at -steps, as `find_zones` uses them."""
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
def root_of(parents, zone):
    """The zone that this one has become a part of; halves the way there."""
    while parents[zone] != zone:
        parents[zone] = parents[parents[zone]]
        zone = parents[zone]
    return zone


class Zones(NamedTuple):
    """What is known of zones, each (room,); a zone that became part of another has its number."""

    parents: np.ndarray  # uint32: the zone that it is part of, or itself
    levels: np.ndarray  # uint16
    sizes: np.ndarray  # uint32: pixels
    nearest: np.ndarray  # uint16: steps of the pixel nearest to the border


@compiled
def no_zones(room):
    """Tables for so many zones."""
    return Zones(
        np.empty(room, np.uint32),
        np.empty(room, np.uint16),
        np.empty(room, np.uint32),
        np.empty(room, np.uint16),
    )


@compiled
def with_room(zones, used, more):
    """The tables, of which `used` rows are filled, with room for more."""
    if used + more <= zones.parents.size:
        return zones
    found = no_zones(2 * zones.parents.size + more)
    found.parents[:used] = zones.parents[:used]
    found.levels[:used] = zones.levels[:used]
    found.sizes[:used] = zones.sizes[:used]
    found.nearest[:used] = zones.nearest[:used]
    return found


@compiled
def add_pixels(here, codes, offsets, rest, lowest, steps, numbers, at, zones, used):
    """Adds pixels in a line to the zones; returns how many zones there are now.

    here      their levels; codes uint16: which earlier neighbours have the same
    steps     uint16: from the pixels to the border, or of size 0 if nobody asks
    numbers   uint32: zones of pixels, of these from `at` on, of their neighbours `offsets` before
    """
    parents, levels, sizes, nearest = zones
    for x in range(here.size):
        if here[x] == 0:
            continue
        code, step = codes[x], steps[x] if steps.size else np.uint16(0)
        if code == 0:
            zone = np.uint32(used)
            parents[zone], levels[zone], sizes[zone], nearest[zone] = zone, here[x], 0, step
            used += 1
        else:
            m = lowest[code]
            zone, code = root_of(parents, numbers[at + x - offsets[m]]), code & rest[m]
            while code:
                m = lowest[code]
                other = root_of(parents, numbers[at + x - offsets[m]])
                parents[max(zone, other)] = min(zone, other)
                zone, code = min(zone, other), code & rest[m]
        sizes[zone] += np.uint32(1)
        nearest[zone] = min(nearest[zone], step)
        numbers[at + x] = zone
    return used


@compiled
def find_zones(levels, crop, first, depth, links, steps, codes, numbers, zones):
    """The tables and how many rows of them are zones, or parts of such.

    first, depth   the slices, from pixel `first` on
    steps          uint16: of each pixel, as `levels` from `first` on; or of size 0
    codes          uint16 (STRETCH,), numbers uint32 (2 SLAB + ROW + 1,): scratch
    zones          tables; taken if they are long enough
    """
    offsets, used = offsets_in(crop, links.steps), 0
    lead = crop[SLAB] + crop[ROW] + 1  # how far neighbours lie before a slice
    for corner in range(first, first + depth * crop[SLAB], crop[SLAB]):
        for start in range(corner, corner + crop[SLAB], codes.size):
            stop = min(start + codes.size, corner + crop[SLAB])
            here, found = levels[start:stop], codes[: stop - start]
            found[:] = np.uint16(0)
            for m in range(offsets.size):
                there = levels[start - offsets[m] : stop - offsets[m]]
                compare(here, there, np.uint16(1 << m), found)
            zones = with_room(zones, used, here.size)
            used = add_pixels(
                here, found, offsets, links.rest, links.lowest,
                steps[start - first : stop - first] if steps.size else steps,
                numbers, lead + start - corner, zones, used,
            )  # fmt: skip
        for k in range(lead):
            numbers[k] = numbers[k + crop[SLAB]]
    join_parts(zones, used)
    return zones, used


@compiled
def join_parts(zones, used):
    """Adds parts of zones to those; a zone comes before its parts, which then have another root."""
    parents, sizes, nearest = zones.parents, zones.sizes, zones.nearest
    for part in range(used):
        zone = parents[parents[part]]
        if zone != part:
            parents[part] = zone
            sizes[zone] += sizes[part]
            nearest[zone] = min(nearest[zone], nearest[part])


@compiled
def offsets_in(crop, steps):
    """Steps (z, y, x) as distances between cells of a crop."""
    offsets = np.empty(len(steps), np.int64)
    for m in range(len(steps)):
        offsets[m] = steps[m, 0] * crop[SLAB] + steps[m, 1] * crop[ROW] + steps[m, 2]
    return offsets
