"""Neighbours of labelled objects: how many, how much of the outline touches, the two closest.

    neighbours     = objects with a pixel at most `distance` from one of the object's pixels
    touching       = outline pixels at most distance + 1/2 from a pixel of another object / all
    closest        = objects whose centre (mean y, mean x) is nearest to the object's
    angle          = acos(u v / (|u| |v|)), u and v the ways from its centre to the two closest

Distances between pixels are those of their centres: with a distance of 1 neighbours share a side,
and outlines touch at corners, too. An outline pixel has one of another label among its eight
neighbours, or lies at the end of the image. Neighbours are all objects of the label image, measured
or not.

images      (n, h, w) uint8, uint16, int16 or float32; only their places count, not their greys
regions     `Regions` of labelled objects. Masks are alone in their images; windows, which have no
            labels, have no neighbours either
values      float32 (regions, 7); numbers are labels, exact below 2^24
borders     beyond the image there is no object
cost        a disk of the distance's radius for each outline pixel, and a look at every object of
            the image for each. Workspace: a thread, 8 bytes a pixel of an object's box; 80 bytes an
            object
nan         of an object that is alone: numbers 0, distances and angle NaN; with one other: the
            second number 0, its distance and the angle NaN. No pixel: all NaN
source      Carpenter et al. 2006, Genome Biology 7:R100 (CellProfiler: MeasureObjectNeighbors,
            within a specified distance; adjacent: a distance of 1)
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._inner import inner
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure, Regions, regions
from .._threads import run
from ._levels import BLOCKS, on_device

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("number_of_neighbors", "", "neighbours"),
        ("percent_touching", "", "100 touching", "%"),
        ("first_closest_object_number", "", "label of the closest object"),
        ("first_closest_distance", "", "way to its centre", "px"),
        ("second_closest_object_number", "", "label of the second closest"),
        ("second_closest_distance", "", "way to its centre", "px"),
        ("angle_between_neighbors", "", "angle", "degrees"),
    )
)
ALONE = np.array([0, 0, 0, np.nan, 0, np.nan, np.nan], np.float32)


class Objects(NamedTuple):
    """The objects of all images, and which of them are measured."""

    labels: Any  # int32 (n, h, w)
    table: np.ndarray  # int64 (objects, 8), as that of `Regions`, of all labels
    spans: np.ndarray  # int64 (n + 1,): where the objects of each image begin
    own: np.ndarray  # int64 (regions,): the object that each region is, -1 of an empty mask


def objects_of(where: Regions) -> Objects:
    """All objects of the label images; a mask is the one object of its image."""
    labels = where.labels
    if str(labels.dtype) != "int32":
        labels = (labels != 0).astype(np.int32)
    table = regions(labels).table
    order, wanted = (
        image << 32 | np.maximum(label, 1)
        for image, label in ((t[:, 0], t[:, 1]) for t in (table, where.table))
    )
    found = np.searchsorted(order, wanted)
    there = order[np.minimum(found, len(order) - 1)] == wanted if len(order) else wanted < 0
    spans = np.searchsorted(table[:, 0], np.arange(where.shape[0] + 1))
    return Objects(labels, table, spans, np.where(there, found, -1))


def disk(distance: int) -> tuple[np.ndarray, int]:
    """Steps (y, x) of at most distance + 1/2, the shortest first; how many are at most distance."""
    y, x = np.indices((2 * distance + 1,) * 2).reshape(2, -1) - distance
    square = y * y + x * x
    order = np.argsort(square, kind="stable")[: (4 * square <= (2 * distance + 1) ** 2).sum()]
    steps = np.column_stack([y, x])[order].astype(np.int64)
    return steps, int((square <= distance * distance).sum())


# ---- the definition


def reference(images, where, *, distance):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.tile(ALONE, (len(where), 1)).astype(np.float64)
    if where.labels is None:
        return values.astype(np.float32)
    labels, table, spans, own = objects_of(where)
    for k, out in zip(own, values, strict=True):
        if k < 0:
            out[:] = np.nan
            continue
        image, label = table[k, :2]
        others = table[spans[image] : spans[image + 1], 1]
        out[:2] = touching(labels[image], label, distance)
        out[2:] = closest(labels[image], label, others[others != label])
    return values.astype(np.float32)


def touching(labels, label, distance):
    """How many neighbours, and the part of the outline that touches others."""
    y, x = np.indices((2 * distance + 1,) * 2) - distance
    reach, wide = (y * y + x * x <= r * r for r in (distance, distance + 0.5))
    mine, others = labels == label, (labels > 0) & (labels != label)
    near: Any = ndimage.binary_dilation(mine, reach)
    inner_part: Any = ndimage.binary_erosion(mine, np.ones((3, 3)))
    outline = mine & ~inner_part
    met = outline & np.asarray(ndimage.binary_dilation(others, wide))
    return len(np.unique(labels[near & others])), 100 * met.sum() / outline.sum()


def closest(labels, label, others):
    """Number and distance of the two closest objects, and the angle between the ways to them."""
    centre = np.argwhere(labels == label).mean(axis=0)
    ways = np.array([np.argwhere(labels == other).mean(axis=0) - centre for other in others])
    lengths = np.linalg.norm(ways.reshape(-1, 2), axis=1)
    first_two = np.argsort(lengths, kind="stable")[:2]
    out = [value for k in first_two for value in (others[k], lengths[k])]
    if len(first_two) < 2:
        return [*out, *ALONE[2 + len(out) :]]
    (u, v), product = ways[first_two], lengths[first_two].prod()
    angle = np.degrees(np.arccos(np.clip(u @ v / product, -1, 1))) if product else np.nan
    return [*out, angle]


# ---- CPU


@compiled
def find_centres(first, stop, labels, table, centres):
    """Mean y and x of objects first .. stop - 1."""
    for k in range(first, stop):
        image, label, y0, y1 = table[k, 0], table[k, 1], table[k, 4], table[k, 5]
        count, down, across = np.int64(0), np.int64(0), np.int64(0)
        for y in range(y0, y1):
            row = labels[image, y, table[k, 6] : table[k, 7]]
            here, at = np.int64(0), np.int64(0)
            for x in range(row.size):
                inside = np.int64(row[x] == label)
                here += inside
                at += inside * x
            count += here
            down += here * y
            across += at + here * table[k, 6]
        centres[k, 0], centres[k, 1] = down / count, across / count


@inner
def find_outline(labels, label, box, outline):
    """Appends the places (y, x) of the outline's pixels; how many they are."""
    h, w = labels.shape
    count = 0
    for y in range(box[0], box[1]):
        for x in range(box[2], box[3]):
            if labels[y, x] != label:
                continue
            alike = 0 < y < h - 1 and 0 < x < w - 1
            for step in range(9):
                if alike:
                    alike = labels[y + step // 3 - 1, x + step % 3 - 1] == label
            if not alike:
                outline[count, 0], outline[count, 1] = y, x
                count += 1
    return count


@inner
def meets(labels, y, x, steps, other, label):
    """Whether a step leads to the label `other`; if that is 0, to any but the own and none."""
    h, w = labels.shape
    for k in range(len(steps)):
        v, u = y + steps[k, 0], x + steps[k, 1]
        if v < 0 or v >= h or u < 0 or u >= w:
            continue
        found = labels[v, u]
        if found == other if other else (found > 0 and found != label):
            return True
    return False


@inner
def is_neighbour(labels, outline, steps, distance, box, other, label):
    """Whether the object `other`, which lies in the box, is so near."""
    for k in range(len(outline)):
        y, x = outline[k]
        if (
            box[0] - distance <= y < box[1] + distance
            and box[2] - distance <= x < box[3] + distance
            and meets(labels, y, x, steps, other, label)
        ):
            return True
    return False


@inner
def nearest(centres, start, stop, own, but):
    """The object with the nearest centre, neither `own` nor `but`; -1 if there is none."""
    best, least = np.int64(-1), np.inf
    for k in range(start, stop):
        y, x = centres[k, 0] - centres[own, 0], centres[k, 1] - centres[own, 1]
        square = y * y + x * x
        if k not in (own, but) and square < least:
            best, least = np.int64(k), square
    return best


@inner
def describe_closest(table, centres, start, stop, own, out):
    """Numbers and distances of the two closest objects, and the angle between the ways to them."""
    out[2] = out[4] = 0.0
    out[3] = out[5] = out[6] = np.nan
    first = nearest(centres, start, stop, own, np.int64(-1))
    if first < 0:
        return
    a, b = centres[first, 0] - centres[own, 0], centres[first, 1] - centres[own, 1]
    out[2], out[3] = table[first, 1], np.sqrt(a * a + b * b)
    second = nearest(centres, start, stop, own, first)
    if second < 0:
        return
    c, d = centres[second, 0] - centres[own, 0], centres[second, 1] - centres[own, 1]
    out[4], out[5] = table[second, 1], np.sqrt(c * c + d * d)
    lengths = np.sqrt((a * a + b * b) * (c * c + d * d))
    if lengths > 0.0:
        cosine = min(max((a * c + b * d) / lengths, -1.0), 1.0)
        out[6] = np.arccos(cosine) * (180.0 / np.pi)


@compiled
def measure(first, stop, labels, table, spans, own, centres, steps, reach, distance, values):
    """Regions first .. stop - 1; the first `reach` steps are those of neighbours."""
    out = np.empty(values.shape[1])
    for k in range(first, stop):
        if own[k] < 0:
            values[k] = np.nan
            continue
        image, label, box = table[own[k], 0], table[own[k], 1], table[own[k], 4:]
        outline = np.empty(((box[1] - box[0]) * (box[3] - box[2]), 2), np.int32)
        count = find_outline(labels[image], label, box, outline)
        met, neighbours = 0, 0
        for at in range(count):
            met += meets(labels[image], outline[at, 0], outline[at, 1], steps, 0, label)
        for j in range(spans[image], spans[image + 1]):
            there = table[j, 4:]
            if (
                j != own[k]
                and max(there[0] - box[1], box[0] - there[1]) < distance
                and max(there[2] - box[3], box[2] - there[3]) < distance
            ):
                neighbours += is_neighbour(
                    labels[image], outline[:count], steps[:reach], distance, there,
                    table[j, 1], label,
                )  # fmt: skip
        out[0], out[1] = neighbours, 100.0 * met / count
        describe_closest(table, centres, spans[image], spans[image + 1], own[k], out)
        for feature in range(out.size):
            values[k, feature] = out[feature]


def cpu(images, where, values, *, distance):
    """`reference`, compiled."""
    if where.labels is None:
        values[:] = ALONE
        return
    labels, table, spans, own = objects_of(where)
    steps, reach = disk(distance)
    centres, labels = np.empty((len(table), 2)), frozen_view(labels)
    run(find_centres, len(table), labels, table, centres, least=16)
    run(measure, len(own), labels, table, spans, own, centres, steps, reach, distance, values,
        least=16)  # fmt: skip


# ---- GPU: a block of threads an object


def gpu(images, where, values, *, distance):
    """`reference` on the GPU: a launch for the centres of all objects and one for the values."""
    if where.labels is None:
        values[...] = on_device(images, ALONE)
        return
    labels, table, spans, own = objects_of(where)
    steps, reach = disk(distance)
    centres = _cuda.empty(images, (max(len(table), 1), 2), np.float64)
    table, spans, own, steps = (on_device(images, a) for a in (table, spans, own, steps))
    if len(table):
        _source.function("find_centres")(
            min(len(table), BLOCKS), 256, labels, table, centres, len(table), *labels.shape[1:]
        )
    _source.function("measure")(
        min(len(where), BLOCKS), 256, labels, table, spans, own, centres, steps, len(steps), reach,
        distance, values, len(where), *labels.shape[1:],
    )  # fmt: skip


# ---- the kernel


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"neighbours.{feature.name}" for feature in FEATURES)


neighbours = RegionMeasure(
    name="neighbours",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "distance": Parameter(1, "how far a neighbour is at most", low=1, high=64, unit="pixels"),
    },
    examples=({},),
    tolerance=1e-6,
    gpu_tolerance=1e-6,
    cost=lambda itemsize, distance, **_: Cost(bytes=4, operations=20 + 8 * distance),
    peers=("scipy.ndimage:binary_dilation",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.1,
        float64=True,
        excuse="centres are quotients of integers and their distances float64, as on the CPU; "
        "steps around the pixels of an outline lead to short stretches of many rows",
    ),
)
