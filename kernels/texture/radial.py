"""Radial distribution: how intensity is spread over rings from an object's centre to its edge.

    t(p) = d_c / (d_c + d_e + 0.001),   ring = floor(rings t)
    d_e: way to the nearest pixel outside; d_c: way from the centre, within the object
    frac_at_d = sum of v in the ring / sum of v
    mean_frac = frac_at_d / (pixels in the ring / pixels)
    radial_cv = standard deviation / mean of the mean v of the ring's eight wedges

The centre is the pixel farthest from the edge, of several the first. The way within the object goes
through eight neighbours, 1 to those beside a pixel and sqrt(2) to those across.

images      (n, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 3 rings), computed in float64: `radial.<feature>.<ring>of<rings>`
borders     what lies outside the image is outside the object, too
cost        40 operations a pixel and one for each pixel of the way to the edge. Workspace: on the
            CPU, a thread, 13 bytes a pixel of a region; on the GPU of all regions
nan         NaN and infinite pixels leave the region, as do those that no way leads to. No pixel, a
            sum of 0: NaN; radial_cv of a mean of 0: NaN; a ring without pixels: 0
source      Carpenter et al. 2006, Genome Biology 7:R100 (CellProfiler:
            MeasureObjectIntensityDistribution, scaled rings around an object's own centre)
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure
from .._threads import run
from ._levels import on_device
from ._objects import mark

_source = _cuda.Cuda(__file__)

FEATURES = (
    Feature("frac_at_d", "", "sum of v in the ring / sum of v"),
    Feature("mean_frac", "", "frac_at_d / (pixels in the ring / pixels)"),
    Feature("radial_cv", "", "standard deviation / mean of the means of eight wedges"),
)
WEDGES = 8
ONE, ACROSS = 1 << 30, 1518500250  # 1 and sqrt(2): sums of whole numbers know no order
FAR = 1 << 60
EPSILON = 2.0**-52
WORTH_A_THREAD = 1 << 12  # pixels
BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


# ---- the definition


def reference(images, where, *, rings=4):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.full((len(where), 3, rings), np.nan)
    for (crop, inside), out in zip(where.crops(images), values, strict=True):
        inside = (inside & np.isfinite(crop)).any(axis=0)
        if not inside.any():
            continue
        v = np.where(inside, crop[0], 0).astype(np.float64)
        to_edge: Any = ndimage.distance_transform_edt(np.pad(inside, 1))
        to_edge = to_edge[1:-1, 1:-1]
        centre = np.unravel_index(np.argmax(to_edge), to_edge.shape)
        from_centre = ways(inside, centre)
        good = np.isfinite(from_centre)
        near, far = from_centre[good], to_edge[good]
        ring = (rings * (near / (near + far + 0.001))).astype(int)
        y, x = (i[good] - c for i, c in zip(np.indices(inside.shape), centre, strict=True))
        wedge = (y > 0) + 2 * (x > 0) + 4 * (abs(y) > abs(x))
        sums, counts = (
            np.bincount(ring * WEDGES + wedge, w, rings * WEDGES).reshape(rings, WEDGES)
            for w in (v[good], None)
        )
        out[:] = ring_features(sums, counts)
    return values.reshape(len(where), -1).astype(np.float32)


def ways(inside, centre):
    """Length of the shortest way from the centre to every pixel inside; infinite where none is."""
    found, before = np.full(np.add(inside.shape, 2), np.inf), None
    found[1:-1, 1:-1][centre] = 0.0
    while before is None or (found != before).any():
        before = found.copy()
        for y in (-1, 0, 1):
            for x in (-1, 0, 1):
                step = np.roll(before, (y, x), axis=(0, 1)) + np.sqrt(abs(y) + abs(x))
                found = np.minimum(found, step)
        found[~np.pad(inside, 1)] = np.inf
    return found[1:-1, 1:-1]


def ring_features(sums, counts):
    """(3, rings) from the wedges' sums and counts, (rings, 8) each."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = sums.sum()
        fraction = sums.sum(axis=1) / (total if total != 0 else np.nan)
        share = fraction / (counts.sum(axis=1) / counts.sum() + EPSILON)
        there = counts > 0
        means = np.where(there, sums / counts, 0.0)
        number = np.maximum(there.sum(axis=1), 1)
        mean = means.sum(axis=1) / number
        spread = np.where(there, (means - mean[:, None]) ** 2, 0.0).sum(axis=1) / number
        variation = np.sqrt(spread) / np.where(mean != 0, mean, np.nan)
    return fraction, share, np.where(there.any(axis=1), variation, 0.0)


# ---- CPU


@compiled
def columns_to_edge(inside, down):
    """down[y, x]: pixels to the nearest one outside in the column; 0 outside."""
    h, w = inside.shape
    for x in range(w):
        down[0, x] = inside[0, x]
    for y in range(1, h):
        for x in range(w):
            down[y, x] = (down[y - 1, x] + 1) * np.int32(inside[y, x])
    last = down[h - 1]
    for x in range(w):
        last[x] = min(last[x], np.int32(1))
    for y in range(h - 2, -1, -1):
        for x in range(w):
            down[y, x] = min(down[y, x], down[y + 1, x] + 1)


@compiled
def square_to_edge(row, x):
    """Square of the way to the nearest pixel outside, from those of the columns."""
    best = np.int64(row[x]) * np.int64(row[x])
    k = np.int64(1)
    while k * k < best:
        left = np.int64(row[x - k]) if x - k >= 0 else np.int64(0)
        right = np.int64(row[x + k]) if x + k < row.size else np.int64(0)
        nearer = min(left, right)
        best = min(best, k * k + nearer * nearer)
        k += 1
    return best


@compiled
def relax(row, other, inside):
    """Ways through the row beside and along the row, in place; whether any became shorter."""
    changed = False
    for x in range(1, row.size - 1):
        found = min(other[x] + ONE, min(other[x - 1], other[x + 1]) + ACROSS)
        if inside[x - 1] and found < row[x]:
            row[x] = found
            changed = True
    for x in range(1, row.size - 1):
        if inside[x - 1] and row[x - 1] + ONE < row[x]:
            row[x] = row[x - 1] + ONE
            changed = True
    for x in range(row.size - 2, 0, -1):
        if inside[x - 1] and row[x + 1] + ONE < row[x]:
            row[x] = row[x + 1] + ONE
            changed = True
    return changed


@compiled
def find_ways(ways, inside):
    """ways (h + 2, w + 2), FAR but for the centre, become the shortest ones."""
    h, changed = inside.shape[0], True
    while changed:
        changed = False
        for y in range(h):
            changed |= relax(ways[y + 1], ways[y], inside[y])
        for y in range(h - 1, -1, -1):
            changed |= relax(ways[y + 1], ways[y + 2], inside[y])


@compiled
def add_pixels(image, box, ways, squares, centre, rings, sums, counts):
    """sums and counts (rings, 8) of the pixels that a way leads to."""
    for y in range(squares.shape[0]):
        for x in range(squares.shape[1]):
            way = ways[y + 1, x + 1]
            if way >= FAR:
                continue
            near = way / np.float64(ONE)
            ring = np.int64(rings * (near / (near + np.sqrt(np.float64(squares[y, x])) + 0.001)))
            down, right = y - centre[0], x - centre[1]
            wedge = (
                np.int64(down > 0) + 2 * np.int64(right > 0) + 4 * np.int64(abs(down) > abs(right))
            )
            sums[ring, wedge] += np.float64(image[box[0] + y, box[2] + x])
            counts[ring, wedge] += 1


@compiled
def summarise(sums, counts, values):
    """The values of a region, rings of each feature in turn."""
    rings, total, pixels = len(sums), 0.0, 0
    for ring in range(rings):
        of_ring = 0.0
        for wedge in range(WEDGES):
            of_ring += sums[ring, wedge]
            pixels += counts[ring, wedge]
        total += of_ring
    for ring in range(rings):
        of_ring, size, there, mean, spread = 0.0, 0, 0, 0.0, 0.0
        for wedge in range(WEDGES):
            of_ring += sums[ring, wedge]
            size += counts[ring, wedge]
            if counts[ring, wedge]:
                there += 1
                mean += sums[ring, wedge] / counts[ring, wedge]
        fraction = of_ring / total if total != 0.0 else np.nan
        values[ring] = fraction
        values[rings + ring] = fraction / (size / pixels + EPSILON)
        if there == 0:
            values[2 * rings + ring] = 0.0
            continue
        mean /= there
        for wedge in range(WEDGES):
            if counts[ring, wedge]:
                apart = sums[ring, wedge] / counts[ring, wedge] - mean
                spread += apart * apart
        variation = np.sqrt(spread / there) / mean if mean != 0.0 else np.nan
        values[2 * rings + ring] = variation


@compiled
def measure(first, stop, images, labels, table, rings, values):
    """Regions first .. stop - 1."""
    sums, counts = np.empty((rings, WEDGES)), np.empty((rings, WEDGES), np.int64)
    for region in range(first, stop):
        image, label, box = table[region, 0], table[region, 1], table[region, 4:]
        h, w = box[1] - box[0], box[3] - box[2]
        inside, total = np.empty((h, w), np.uint8), 0
        cover = labels[image] if labels.size else labels[0]
        for y in range(h):
            row = images[image, box[0] + y, box[2] : box[3]]
            beside = cover[box[0] + y, box[2] : box[3]] if cover.size else cover[0]
            mark(inside[y], row, beside, label)
            for x in range(w):
                total += inside[y, x]
        if total == 0:
            values[region] = np.nan
            continue
        down, squares = np.empty((h, w), np.int32), np.empty((h, w), np.int32)
        columns_to_edge(inside, down)
        cy, cx, most = 0, 0, np.int64(0)
        for y in range(h):
            for x in range(w):
                squares[y, x] = square_to_edge(down[y], x) if inside[y, x] else 0
                if squares[y, x] > most:
                    cy, cx, most = y, x, np.int64(squares[y, x])
        ways = np.full((h + 2, w + 2), FAR, np.int64)
        ways[cy + 1, cx + 1] = 0
        find_ways(ways, inside)
        sums[:], counts[:] = 0.0, 0
        add_pixels(images[image], box, ways, squares, (cy, cx), rings, sums, counts)
        summarise(sums, counts, values[region])


def cpu(images, where, values, *, rings):
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    run(
        measure, len(where), images, frozen_view(labels), where.table, rings, values,
        least=1 + WORTH_A_THREAD // max(1, int(where.sizes.prod(axis=1).mean())),
    )  # fmt: skip


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, rings):
    """`reference` on the GPU: one launch."""
    labels = images if where.labels is None else where.labels
    sizes = (where.sizes[:, 1] + 2) * (where.sizes[:, 2] + 2)
    total = max(int(sizes.sum()), 1)
    ways, squares = (_cuda.empty(images, (total,), dtype) for dtype in (np.int64, np.int32))
    down = _cuda.empty(images, (total,), np.int32)
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None, RINGS=rings
    )(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, np.cumsum(sizes) - sizes), ways, squares, down, values, len(where),
        *images.shape[1:],
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Squares of ways are 32-bit."""
    if max(shape[1:]) > 1 << 15:
        raise ValueError(f"radial: sides of images are at most {1 << 15} pixels, got {shape[1:]}")


def columns_of(*, rings: int, **_: Any) -> tuple[str, ...]:
    """`radial.<feature>.<ring>of<rings>`."""
    return tuple(f"radial.{f.name}.{k}of{rings}" for f in FEATURES for k in range(1, rings + 1))


radial = RegionMeasure(
    name="radial",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns_of,
    features=FEATURES,
    validate=check,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={"rings": Parameter(4, "rings", low=1, high=16)},
    examples=({},),
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 13, operations=50),
    peers=("skimage.graph:MCP_Geometric",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.2,
        float64=True,
        excuse="sums of a ring's wedge are one thread's, pixel after pixel, in float64: the values "
        "of the CPU; ways along a row are swept by a thread a row",
    ),
)
