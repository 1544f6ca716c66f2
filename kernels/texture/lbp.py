"""Local binary patterns: how often each pattern of brighter and darker neighbours occurs.

    code(y, x) = sum over k of 2^k [v_k >= v(y, x)],   k = 0 .. P - 1
    v_k = v(y - R sin(2 pi k / P), x + R cos(2 pi k / P)),   bilinear between four pixels

    value = pixels of the region with the pattern / pixels of the region

method      "default" the code itself; "ror" the least of its rotations; "uniform" its ones, or
            P + 1 where they are not in one run; "nri_uniform" the run's length and place
images      (n, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows. A pixel counts
            where it is inside; its neighbours may lie outside
values      float32 (regions, patterns): 2^P, 36 or 4116 (P = 8, 16), P + 2, or P (P - 1) + 3
borders     pixels outside the image are 0
cost        11 operations a pixel and point. Workspace: on the CPU, a thread, 8 bytes a pixel of
            some rows of a region, at most 1 MB, or 40 rows; on the GPU none
nan         comparisons with NaN are false; a region without pixels: all columns NaN
source      Ojala, Pietikainen and Maenpaa 2002, IEEE TPAMI 24(7); Ahonen, Hadid and Pietikainen
            2004, ECCV (nri_uniform)

The codes are those of skimage.feature.local_binary_pattern: coordinates of points have five digits,
so that v_k times 10^10 is a whole number for integer pixels, which float64 holds. Here equal is
equal; there the weights of a flat area add up to a little more or less than 1, so that a tie of
interpolated values may fall either way.
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import ANY, RegionMeasure, Regions
from .._threads import run
from ._levels import on_device
from ._patterns import (
    METHODS,
    UNIT,
    circle,
    columns_of,
    necklaces,
    ranks,
    to_values,
)

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(method, "", f"share of the pixels whose pattern is {what}")
    for method, what in (
        ("default", "this code"),
        ("ror", "a rotation of this code"),
        ("uniform", "one run of so many ones; P + 1: not one run"),
        ("nri_uniform", "this run of ones; the last: not one run"),
    )
)
STRIP = 1 << 15  # pixels of a region that are worked on at once
WORTH_A_THREAD = 1 << 14  # pixels
BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


# ---- the definition


def reference(images, where, *, points=8, radius=1.0, method="uniform"):
    """The definition in plain NumPy, float64."""
    patterns = np.array([pattern_image(image, points, radius, method) for image in images])
    if method == "ror":
        patterns = np.searchsorted(necklaces(points), patterns)
    values = np.full((len(where), columns_of(points, method)), np.nan)
    for (found, inside), out in zip(where.crops(patterns), values, strict=True):
        if inside.any():
            out[:] = np.bincount(found[inside], minlength=len(out)) / inside.sum()
    return values.astype(np.float32)


def pattern_image(image, points, radius, method):
    """Patterns (h, w) of one image, as the method numbers them."""
    reach = int(np.ceil(radius))
    grey = np.pad(image.astype(np.float64), reach + 1)
    codes = np.zeros(image.shape, np.int64)

    def at(dy, dx):
        y, x = reach + 1 + dy, reach + 1 + dx
        return grey[y : y + image.shape[0], x : x + image.shape[1]]

    def between(dy, dx, down, right):
        if down == right == 0:
            return UNIT * UNIT * at(dy, dx)
        above = UNIT * at(dy, dx) + right * (at(dy, dx + 1) - at(dy, dx))
        below = UNIT * at(dy + 1, dx) + right * (at(dy + 1, dx + 1) - at(dy + 1, dx))
        return UNIT * above + down * (below - above)

    with np.errstate(invalid="ignore"):
        for k, point in enumerate(zip(*circle(points, radius), strict=True)):
            codes |= (between(*point) >= UNIT * UNIT * at(0, 0)).astype(np.int64) << k
    return named(codes, points, method)


def named(codes, points, method):
    """What the method makes of codes, from their bits and how these change around the circle."""
    bits = codes[..., None] >> np.arange(points) & 1
    count, changes = bits.sum(-1), abs(bits - np.roll(bits, 1, -1)).sum(-1)
    if method == "ror":
        turns = [(np.roll(bits, k, -1) << np.arange(points)).sum(-1) for k in range(points)]
        return np.min(turns, axis=0)
    if method == "uniform":
        return np.where(changes <= 2, count, points + 1)
    if method == "nri_uniform":
        begin = np.argmax(bits & ~np.roll(bits, 1, -1), axis=-1)
        run = 1 + (count - 1) * points + -begin % points
        run = np.where(count == points, points * (points - 1) + 1, np.where(count == 0, 0, run))
        return np.where(changes <= 2, run, points * (points - 1) + 2)
    return codes


# ---- CPU


@compiled
def load(grey, image, y, x):
    """grey[j, i] = image[y + j, x + i] as float64; outside the image 0."""
    h, w = image.shape
    first, stop = max(x, 0), min(x + grey.shape[1], w)
    for j in range(grey.shape[0]):
        line = grey[j]
        if y + j < 0 or y + j >= h or first >= stop:
            line[:] = 0.0
            continue
        line[: first - x], line[stop - x :] = 0.0, 0.0
        row, part = image[y + j, first:stop], line[first - x : stop - x]
        for i in range(row.size):
            part[i] = np.float64(row[i])


@compiled
def mark_pixel(codes, bit, centre, point):
    """Sets the bit where a point that lies on a pixel is not darker than the centre."""
    for x in range(codes.size):
        codes[x] |= bit if point[x] >= centre[x] else np.uint32(0)


@compiled
def mark_between(codes, bit, centre, above, below, right, down):
    """The same for a point between four pixels: two rows, each one pixel longer."""
    east, south = above[1:], below[1:]
    for x in range(codes.size):
        top = UNIT * above[x] + right * (east[x] - above[x])
        bottom = UNIT * below[x] + right * (south[x] - below[x])
        v = UNIT * top + down * (bottom - top)
        codes[x] |= bit if v >= UNIT * UNIT * centre[x] else np.uint32(0)


@compiled
def row_of_codes(codes, grey, y, reach, points):
    """Codes of a row; grey has `reach` + 1 further pixels on every side of it."""
    width, middle = codes.size, reach + 1
    centre = grey[y + middle, middle : middle + width]
    codes[:] = np.uint32(0)
    for k in range(points.dy.size):
        j, i, bit = y + middle + points.dy[k], middle + points.dx[k], np.uint32(1) << np.uint32(k)
        above, below = grey[j, i : i + width + 1], grey[j + 1, i : i + width + 1]
        if points.down[k] == 0.0 and points.right[k] == 0.0:
            mark_pixel(codes, bit, centre, above)
        else:
            mark_between(codes, bit, centre, above, below, points.right[k], points.down[k])


@compiled
def leave_out(columns, labels, label, nowhere):
    """Pixels of a row that are not in the region go to the column `nowhere`."""
    if label == ANY:
        for x in range(columns.size):
            columns[x] = columns[x] if labels[x] != 0 else nowhere
    else:
        for x in range(columns.size):
            columns[x] = columns[x] if labels[x] == label else nowhere


@compiled
def count(columns, counts):
    """Four histograms in turn: an increment waits for the one before it in the same cell."""
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    whole = columns.size - columns.size % 4
    for x in range(0, whole, 4):
        first[columns[x]] += 1
        second[columns[x + 1]] += 1
        third[columns[x + 2]] += 1
        fourth[columns[x + 3]] += 1
    for x in range(whole, columns.size):
        first[columns[x]] += 1


@compiled
def count_strips(first, stop, images, labels, table, strips, reach, points, method, ranks, found):
    """found int64 (strips, patterns): pixels of each pattern; strips (region, first row, stop)."""
    widest, size = np.int64(0), np.int64(0)
    for s in range(first, stop):
        width = table[strips[s, 0], 7] - table[strips[s, 0], 6]
        rows = strips[s, 2] - strips[s, 1] + 2 * reach + 3
        widest, size = max(widest, width), max(size, rows * (width + 2 * reach + 3))
    greys, row = np.empty(size, np.float64), np.empty(widest, np.uint32)
    nowhere = np.uint32(found.shape[1])
    counts = np.empty((4, found.shape[1] + 1), np.int32)
    for s in range(first, stop):
        region, y0, y1 = strips[s]
        image, label, x0, x1 = (
            table[region, 0],
            table[region, 1],
            table[region, 6],
            table[region, 7],
        )
        width, across, down = x1 - x0, x1 - x0 + 2 * reach + 3, y1 - y0 + 2 * reach + 3
        grey = greys[: across * down].reshape(down, across)
        load(grey, images[image], y0 - reach - 1, x0 - reach - 1)
        codes, counts[:] = row[:width], 0
        for y in range(y1 - y0):
            row_of_codes(codes, grey, y, reach, points)
            to_values(codes, points.dy.size, method)
            if ranks.size:
                for x in range(width):
                    codes[x] = ranks[codes[x]]
            if labels.size:
                leave_out(codes, labels[image, y0 + y, x0:x1], label, nowhere)
            count(codes, counts)
        for k in range(found.shape[1]):
            found[s, k] = counts[0, k] + counts[1, k] + counts[2, k] + counts[3, k]


def strips_of(where: Regions) -> np.ndarray:
    """(s, 3) int64: region, first row and stop of every strip; regions in order, none left out."""
    heights, widths = where.sizes[:, 1], where.sizes[:, 2]
    rows = np.maximum(STRIP // np.maximum(widths, 1), 1)
    each = np.maximum(-(-heights // rows), 1)
    region = np.repeat(np.arange(len(where)), each)
    number = np.arange(len(region)) - np.repeat(np.cumsum(each) - each, each)
    first = where.table[region, 4] + number * rows[region]
    return np.column_stack(
        [region, first, np.minimum(first + rows[region], where.table[region, 5])]
    )


def cpu(images, where, values, *, points, radius, method):
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    strips, each = strips_of(where), circle(points, radius)
    found = np.empty((len(strips), values.shape[1]), np.int32)
    run(
        count_strips, len(strips), images, frozen_view(labels), where.table, strips,
        int(np.ceil(radius)), each, METHODS.index(method), ranks(points, method), found,
        least=1 + WORTH_A_THREAD // max(1, int(where.sizes.prod(axis=1).mean())),
    )  # fmt: skip
    begins = np.flatnonzero(np.diff(strips[:, 0], prepend=-1))
    counts = np.add.reduceat(found, begins) if len(begins) < len(found) else found
    total = counts.sum(axis=1, keepdims=True)
    values[...] = counts / np.where(total, total, np.nan)


@compiled
def draw(first, stop, images, reach, points, method, out):
    """Rows first .. stop - 1 of all images as values of the method."""
    _, h, w = images.shape
    grey = np.empty((2 * reach + 3, w + 2 * reach + 3), np.float64)
    for line in range(first, stop):
        image, y = line // h, line % h
        load(grey, images[image], y - reach - 1, -reach - 1)
        row_of_codes(out[image, y], grey, 0, reach, points)
        to_values(out[image, y], points.dy.size, method)


def patterns(images: np.ndarray, **parameters: Any) -> np.ndarray:
    """The pattern of every pixel, uint32 of the images' shape: what `lbp` counts.

    Takes the parameters of `lbp`, and "default" and "ror" codes of any length. NumPy only.
    """
    chosen = lbp.resolve(parameters)
    lbp._check_images(images)
    out = np.empty(images.shape, np.uint32)
    run(
        draw, images.shape[0] * images.shape[1], frozen_view(images),
        int(np.ceil(chosen["radius"])), circle(chosen["points"], chosen["radius"]),
        METHODS.index(chosen["method"]), out,
    )  # fmt: skip
    return out


# ---- GPU: a block of threads a region, its histogram in shared memory


def gpu(images, where, values, *, points, radius, method):
    """`reference` on the GPU: one launch."""
    labels = images if where.labels is None else where.labels
    each, table = circle(points, radius), on_device(images, where.table)
    ring = on_device(images, np.column_stack([each.dy, each.dx]).astype(np.int32))
    weights = on_device(images, np.column_stack([each.down, each.right]))
    order = on_device(images, ranks(points, method)) if method == "ror" else None
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None,
        METHOD=METHODS.index(method), POINTS=points, PATTERNS=values.shape[1],
    )(
        min(len(where), BLOCKS), 256, images, labels, table, ring, weights, order, values,
        len(where), *images.shape[1:],
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], *, points: int, method: str, **_: Any) -> None:
    """Histograms that few pixels could fill are refused."""
    most = {"default": 8, "ror": 16}.get(method, 24)
    if points > most:
        raise ValueError(
            f"lbp: {points} points have {2**points} codes; method {method!r} takes at most {most} "
            "points, 'uniform' and 'nri_uniform' take 24"
        )


def columns(*, points: int, radius: float, method: str) -> tuple[str, ...]:
    """`lbp.<method>.<value>.p<points>.r<radius>`."""
    found = necklaces(points) if method == "ror" else range(columns_of(points, method))
    size = f"p{points}.r{radius:g}".replace(".", "_").replace("_r", ".r")
    return tuple(f"lbp.{method}.{value}.{size}" for value in found)


lbp = RegionMeasure(
    name="lbp",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "points": Parameter(8, "points P on the circle", choices=(8, 16, 24)),
        "radius": Parameter(1.0, "radius R of the circle", low=1, high=16, unit="pixels"),
        "method": Parameter("uniform", "how patterns are numbered", choices=METHODS),
    },
    examples=(
        {},
        {"method": "nri_uniform", "radius": 1.5},
        {"points": 16, "radius": 2.0, "method": "ror"},
    ),
    tolerance=0.0,
    gpu_tolerance=0.0,
    cost=lambda itemsize, *, points, **_: Cost(bytes=itemsize, operations=11 * points),
    peers=("skimage.feature:local_binary_pattern",),
    quality=Quality(
        sector_efficiency=0.45,
        float64=True,
        excuse="interpolated 16-bit pixels are exact in float64: ties are the CPU's; a row of "
        "8-bit neighbours is one sector long and lies across two, which the cache keeps",
    ),
)
