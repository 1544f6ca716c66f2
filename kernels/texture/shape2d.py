"""Shape of 2D regions: size, outline, axes, convex hull and Hu's moments of every object.

    mu_pq = sum (y - mean y)^p (x - mean x)^q        nu_pq = mu_pq / mu_00^((p + q) / 2 + 1)

over the pixels of a region; all else follows from such sums, from counts of the pixels along the
outline and from the first and last pixel of each row. The columns are the table `FEATURES`.

images      (n, h, w) uint8, uint16, int16 or float32; only their places count, not their greys
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 25), in pixels and radians; computed in float64 from integers
borders     outside of the image is outside of the region
cost        a count a pixel and about 30 more along the outline, then the hull of the rows' ends.
            Workspace: 2 bytes a pixel of the largest box a thread, 8 bytes a row of all boxes. The
            GPU counts all regions in one launch; the counts and rows' ends come back in one
            transfer, and the hull is the host's code, on its threads
nan         an empty region: all NaN. One pixel has perimeter 0 and form factor NaN; a round region
            orientation 0. Hu's moments of objects above 8192 pixels a side are NaN
source      Hu 1962, IRE Trans. Inf. Theory 8(2); Benkrid and Crookes 2000 for the perimeter; Gray
            1971, IEEE Trans. Comput. 20(5), for the Euler number; the definitions of scikit-image's
            regionprops and of CellProfiler's MeasureObjectSizeShape
"""

from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Quality
from .._regions import ANY, RegionMeasure, volumes
from .._threads import run
from ._levels import BLOCKS, on_device
from ._shape2d_features import COUNTS, FLAT, measure_outlines

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("area", "", "pixels A", "px^2"),
        ("perimeter", "", "P = straight + sqrt(2) diagonal + (1 + sqrt(2)) / 2 mixed", "px"),
        ("equivalent_diameter", "", "sqrt(4 A / pi)", "px"),
        ("extent", "", "A / area of the bounding box"),
        ("form_factor", "", "4 pi A / P^2"),
        ("major_axis_length", "", "4 sqrt(l_1), eigenvalues of the pixels' covariance", "px"),
        ("minor_axis_length", "", "4 sqrt(l_2)", "px"),
        ("eccentricity", "", "sqrt(1 - l_2 / l_1)"),
        ("orientation", "", "atan2(2 mu_11, mu_20 - mu_02) / 2, from the row axis", "rad"),
        ("convex_area", "", "pixels whose centre is in the hull of the pixels' sides", "px^2"),
        ("solidity", "", "A / convex_area"),
        ("max_feret_diameter", "", "greatest width of the convex pixels", "px"),
        ("min_feret_diameter", "", "least width of the convex pixels", "px"),
        ("bounding_box_top", "", "first row", "px"),
        ("bounding_box_left", "", "first column", "px"),
        ("bounding_box_bottom", "", "last row + 1", "px"),
        ("bounding_box_right", "", "last column + 1", "px"),
        ("euler_number", "", "objects - holes, diagonal neighbours connected"),
        ("hu_1", "", "nu_20 + nu_02"),
        ("hu_2", "", "(nu_20 - nu_02)^2 + 4 nu_11^2"),
        ("hu_3", "", "(nu_30 - 3 nu_12)^2 + (3 nu_21 - nu_03)^2"),
        ("hu_4", "", "(nu_30 + nu_12)^2 + (nu_21 + nu_03)^2"),
        ("hu_5", "", "fifth of Hu's invariants, of degree 4 in nu_30, nu_21, nu_12, nu_03"),
        ("hu_6", "", "sixth, of degree 1 in the second and 2 in the third moments"),
        ("hu_7", "", "seventh, which changes its sign under reflection"),
    )
)


# ---- the definition


def reference(images, where):
    """The definition in plain NumPy and SciPy, float64 up to the last step."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (_, inside), box, out in zip(where.crops(images), where.table, values, strict=True):
        if inside.any():
            out[:] = formulas(inside[0], box[4], box[6])
    return values.astype(np.float32)


def formulas(inside, top, left):
    """The features of one region of a box (h, w) whose corner is at (top, left)."""
    places = np.argwhere(inside)
    area, low, high = len(places), places.min(axis=0), places.max(axis=0) + 1
    around = perimeter(inside)
    y, x = (places - places.mean(axis=0)).T
    mu = {(p, q): (y**p * x**q).sum() for p in range(4) for q in range(4 - p)}
    spread = np.hypot(mu[2, 0] - mu[0, 2], 2 * mu[1, 1])
    total = mu[2, 0] + mu[0, 2]
    large, small = (total + spread) / 2 / area, max((total - spread) / 2 / area, 0.0)
    small = small if small > FLAT * large else 0.0
    mixed = 2 * mu[1, 1] if abs(2 * mu[1, 1]) > FLAT * total else 0.0
    angle = np.arctan2(mixed, mu[2, 0] - mu[0, 2]) / 2
    convex = convex_pixels(inside)
    hull = middles(convex)[ConvexHull(middles(convex)).vertices]
    return [
        area, around, np.sqrt(4 * area / np.pi), area / np.prod(high - low),
        4 * np.pi * area / around**2 if around else np.nan,
        4 * np.sqrt(large), 4 * np.sqrt(small), np.sqrt(1 - small / large) if large else 0.0,
        angle if spread > FLAT * total else 0.0,
        convex.sum(), area / convex.sum(), pdist(hull).max(), least_width(hull),
        top + low[0], left + low[1], top + high[0], left + high[1],
        euler_number(inside), *hu_moments(mu, area),
    ]  # fmt: skip


def perimeter(inside):
    """Length of the line through the pixels that have a side on the outside."""
    border = inside > np.asarray(ndimage.binary_erosion(inside))
    around = ndimage.convolve(
        border.astype(int), [[10, 2, 10], [2, 1, 2], [10, 2, 10]], mode="constant"
    )
    straight = np.isin(around, (5, 7, 15, 17, 25, 27)).sum()
    diagonal, mixed = np.isin(around, (21, 33)).sum(), np.isin(around, (13, 23)).sum()
    return straight + np.sqrt(2) * diagonal + (1 + np.sqrt(2)) / 2 * mixed


def middles(inside):
    """The middles of the four sides of all pixels."""
    steps = np.array([(-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5)])
    return (np.argwhere(inside)[:, None] + steps).reshape(-1, 2)


def convex_pixels(inside):
    """The pixels, bool (h, w), whose centre is in the convex hull of the region's sides."""
    planes = ConvexHull(middles(inside)).equations
    y, x = np.indices(inside.shape)
    beyond = planes[:, 0, None, None] * y + planes[:, 1, None, None] * x + planes[:, 2, None, None]
    return (beyond < 1e-9).all(axis=0)


def least_width(hull):
    """Of a convex polygon, its corners in turn: between an edge and the farthest corner."""
    edges = np.roll(hull, -1, axis=0) - hull
    normals = np.column_stack([-edges[:, 1], edges[:, 0]]) / np.linalg.norm(edges, axis=1)[:, None]
    return np.ptp(hull @ normals.T, axis=0).min()


def euler_number(inside):
    """Objects connected over sides and corners, less the holes in them."""
    objects: Any = ndimage.label(inside, np.ones((3, 3)))
    outside: Any = ndimage.label(np.pad(~inside, 1, constant_values=True))
    return objects[1] - (outside[1] - 1)


def hu_moments(mu, area):
    """Hu's seven invariants."""
    nu = {(p, q): value / area ** ((p + q) / 2 + 1) for (p, q), value in mu.items()}
    s, d, n11 = nu[2, 0] + nu[0, 2], nu[2, 0] - nu[0, 2], nu[1, 1]
    a, b = nu[3, 0] + nu[1, 2], nu[2, 1] + nu[0, 3]
    c, e = nu[3, 0] - 3 * nu[1, 2], 3 * nu[2, 1] - nu[0, 3]
    return [
        s, d**2 + 4 * n11**2, c**2 + e**2, a**2 + b**2,
        c * a * (a**2 - 3 * b**2) + e * b * (3 * a**2 - b**2),
        d * (a**2 - b**2) + 4 * n11 * a * b,
        e * a * (a**2 - 3 * b**2) - c * b * (3 * a**2 - b**2),
    ]  # fmt: skip


# ---- CPU


@compiled
def mark(labels, label, inside):
    """inside (h + 2, w + 2) = 1 where a box has the label; all of it where `labels` is empty."""
    h, w = inside.shape[0] - 2, inside.shape[1] - 2
    inside[0], inside[h + 1] = np.uint8(0), np.uint8(0)
    for y in range(h):
        row = inside[y + 1]
        row[0] = row[w + 1] = np.uint8(0)
        for x in range(w):
            if labels.size == 0:
                row[x + 1] = 1
            elif label == ANY:
                row[x + 1] = labels[y, x] != 0
            else:
                row[x + 1] = labels[y, x] == label


@compiled
def add_moments(inside, counts, first, last):
    """Sums of y^p x^q, p + q < 4, as COUNTS orders them, and the ends of the rows."""
    for y in range(inside.shape[0] - 2):
        row = inside[y + 1]
        n, s, ss, sss = 0, 0, 0, 0
        first[y], last[y] = row.size - 2, -1
        for x in range(row.size - 2):
            if row[x + 1]:
                n, s, ss, sss = n + 1, s + x, ss + x * x, sss + x * x * x
                first[y], last[y] = min(first[y], x), x
        counts[0] += n
        counts[1] += n * y
        counts[2] += s
        counts[3] += n * y * y
        counts[4] += s * y
        counts[5] += ss
        counts[6] += n * y * y * y
        counts[7] += s * y * y
        counts[8] += ss * y
        counts[9] += sss


@compiled
def add_perimeter(inside, border, counts):
    """Pixels of the outline by their kind: straight, diagonal or mixed."""
    h, w = inside.shape[0] - 2, inside.shape[1] - 2
    border[:] = np.uint8(0)
    for y in range(1, h + 1):
        for x in range(1, w + 1):
            core = inside[y - 1, x] & inside[y + 1, x] & inside[y, x - 1] & inside[y, x + 1]
            border[y, x] = inside[y, x] & ~core
    for y in range(1, h + 1):
        above, row, below = border[y - 1], border[y], border[y + 1]
        for x in range(1, w + 1):
            if row[x]:
                sides = above[x] + below[x] + row[x - 1] + row[x + 1]
                tips = above[x - 1] + above[x + 1] + below[x - 1] + below[x + 1]
                around = 1 + 2 * sides + 10 * tips
                straight = around in (5, 7, 15, 17, 25, 27)
                counts[10] += straight
                counts[11] += around in (21, 33)
                counts[12] += around in (13, 23)


@compiled
def add_quads(inside, counts):
    """Squares of four pixels with one inside, with three, and with two opposed ones."""
    for y in range(inside.shape[0] - 1):
        above, below = inside[y], inside[y + 1]
        for x in range(above.size - 1):
            total = above[x] + above[x + 1] + below[x] + below[x + 1]
            counts[13] += total == 1
            counts[14] += total == 3
            counts[15] += (total == 2) & (above[x] == below[x + 1])


@compiled
def count(start, stop, labels, table, starts, counts, ends):
    """The integers of regions start .. stop - 1.

    labels   (n, 1, h, w), or of size 0; table: that of `Regions`; starts int64: of each one's rows
    counts   int64 (m, 16), see COUNTS; ends int32 (2, rows): first and last pixel of each row
    """
    cells = 0
    for k in range(start, stop):
        cells = max(cells, (table[k, 5] - table[k, 4] + 2) * (table[k, 7] - table[k, 6] + 2))
    scratch, outline = np.empty(cells, np.uint8), np.empty(cells, np.uint8)
    for k in range(start, stop):
        image, y0, y1, x0, x1 = table[k, 0], table[k, 4], table[k, 5], table[k, 6], table[k, 7]
        h, w = y1 - y0, x1 - x0
        size = (h + 2) * (w + 2)
        inside, border = scratch[:size].reshape(h + 2, w + 2), outline[:size].reshape(h + 2, w + 2)
        box = labels[image, 0, y0:y1, x0:x1] if labels.size else labels[0, 0]
        mark(box, table[k, 1], inside)
        counts[k] = 0
        add_moments(inside, counts[k], ends[0, starts[k] :], ends[1, starts[k] :])
        add_perimeter(inside, border, counts[k])
        add_quads(inside, counts[k])


def row_starts(where):
    """Where each region's rows begin, and the end."""
    return np.concatenate([[0], np.cumsum(where.sizes[:, 1])])


def cpu(images, where, values):
    """`reference` from integer counts and the ends of rows."""
    starts = row_starts(where)
    counts = np.empty((len(where), len(COUNTS)), np.int64)
    ends = np.empty((2, starts[-1]), np.int32)
    labels = np.empty((1, 1, 1, 0), np.uint8) if where.labels is None else volumes(where.labels)
    least = 1 + (1 << 16) // (1 + int(where.sizes.prod(axis=1).mean()))
    run(count, len(where), frozen_view(labels), where.table, starts, counts, ends, least=least)
    run(measure_outlines, len(where), where.table, starts, counts, ends, values, least=least)


# ---- GPU: a block of threads a region counts, the host does the rest


def gpu(images, where, values):
    """`reference`: one launch for the counts of all regions, then the host's code."""
    starts = row_starts(where)
    counts = _cuda.empty(images, (len(where), len(COUNTS)), np.int64)
    ends = _cuda.empty(images, (2, max(int(starts[-1]), 1)), np.int32)
    boxes = where.labels is None
    labels = images if boxes else where.labels
    _source.function("count", LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, labels, on_device(images, where.table),
        on_device(images, starts), counts, ends, len(where), *images.shape[1:], ends.shape[1],
    )  # fmt: skip
    found = np.empty((len(where), len(FEATURES)), np.float32)
    back = (array if isinstance(array, np.ndarray) else array.get() for array in (counts, ends))
    run(measure_outlines, len(where), where.table, starts, *back, found)
    if isinstance(values, np.ndarray):
        values[...] = found
    else:
        values.set(found)


# ---- the kernel


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"shape2d.{feature.name}" for feature in FEATURES)


shape2d = RegionMeasure(
    name="shape2d",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={},
    tolerance=1e-6,
    gpu_tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=1, operations=20),
    peers=("skimage.measure:regionprops_table",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.4,
        excuse="rows of small boxes start anywhere: a warp reads one row, of bytes in masks",
    ),
)
