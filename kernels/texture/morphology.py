"""Morphology: the 29 IBSI features of the shape of 3D regions, and of how intensity lies in it.

    A = sum over triangles of |ab x ac| / 2        V = |sum over triangles of a . (b x c)| / 6

of the surface mesh (`_mesh.py`); axes from the covariance of the voxels, diameter and densities
from the convex hull of the mesh. The columns and their formulas are the table `FEATURES`.

images      (n, d, h, w), or (n, h, w) as volumes of one slice; uint8, uint16, int16 or float32
regions     masks, one region an image; or `Regions` of labelled objects or boxes
values      float32 (regions, 29), in mm where `spacing` is in mm; computed in float64
scope       "shape" leaves 15 columns, those of surface, diameter and axes: no densities, which need
            enclosing solids, and nothing of intensities, whose autocorrelation takes most time
borders     outside of the image is outside of the region
cost        a count of cubes and moments a voxel, then Qhull on the few vertices that may be corners
            of the hull; Moran's I and Geary's C as a convolution: N log N. Workspace: 20 bytes a
            voxel of one region's box a thread, and 500 for the convolution of boxes beyond some
            thousand voxels. The GPU counts cubes and moments of all regions; rows' ends and boxes
            of intensities come back in one transfer, and the rest is the host's code, on its
            threads
nan         NaN and infinite pixels belong to the shape but to no intensity. An empty region: all
            NaN. Quotients by 0 (ellipsoids of flat regions, intensities that are equal or add up
            to 0) are NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.1; Lorensen and Cline 1987,
            SIGGRAPH 21(4); Todd and Yildirim 2007, Discrete Appl. Math. 155
"""

from typing import Any

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist, pdist

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Parameter, Quality
from .._regions import RegionMeasure, Regions, volumes
from .._threads import run
from . import _mesh
from ._autocorrelation import moran_and_geary
from ._ellipsoid import least_ellipsoid
from ._hull import EQUAL, Hull, diameter, hull_of, oriented_box, planar_diameter as planar_diameter
from ._levels import BLOCKS, on_device
from ._morphology_features import (
    ALL,
    FEATURES,
    SCOPES,
    box_area,
    ellipsoid_densities,
    surface_features,
    variances,
)

_source = _cuda.Cuda(__file__)

Spacing = tuple[float, float, float]


# ---- the definition


def reference(images, where, *, spacing=(1.0, 1.0, 1.0), scope=ALL):
    """The definition in plain NumPy and SciPy, float64 up to the last step."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (pixels, inside), out in zip(where.crops(images), values, strict=True):
        if inside.any():
            out[:] = formulas(pixels.astype(np.float64), inside, np.array(spacing))
    return values[:, SCOPES[scope]].astype(np.float32)


def formulas(v, inside, spacing):
    """The 29 features of one region, as the IBSI manual writes them."""
    area, volume = mesh_of(inside, spacing)
    vertices = vertices_of(inside, spacing)
    hull = ConvexHull(vertices)
    corners = vertices[hull.vertices]
    voxels = np.argwhere(inside) * spacing
    within = inside & np.isfinite(v)
    grey, places = v[within], np.argwhere(within) * spacing
    covariance = np.cov(voxels.T) if len(voxels) > 1 else np.zeros((3, 3))
    axes = 2 * np.sqrt(variances(covariance))
    sides, box = np.ptp(vertices, axis=0), least_box(corners, hull.equations[:, :3])
    ellipsoid = least_ellipsoid(corners)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (grey[:, None] * places).sum(axis=0) / (grey.sum() or np.nan)
        return [
            *surface_features(area, volume, len(voxels) * spacing.prod()),
            np.linalg.norm(voxels.mean(axis=0) - centre),
            pdist(corners).max(),
            *(2 * axes), axes[1] / axes[0], axes[2] / axes[0],
            volume / sides.prod(), area / box_area(sides),
            volume / box.prod(), area / box_area(box),
            *ellipsoid_densities(area, volume, axes),
            *ellipsoid_densities(area, volume, ellipsoid),
            volume / hull.volume, area / hull.area,
            volume * grey.mean() if len(grey) else np.nan,
            *all_pairs(places, grey),
        ]  # fmt: skip


def mesh_of(inside, spacing):
    """Area and volume of the surface, triangle by triangle."""
    cubes, area, volume = _mesh.configurations(inside), 0.0, 0.0
    for found in map(int, np.unique(cubes)):
        triangles, weights = _mesh.triangles_of(found)
        placed = (np.argwhere(cubes == found)[:, None, None] + triangles) * spacing
        area += (weights * _mesh.areas(placed)).sum()
        volume += (weights * _mesh.signed_volumes(placed)).sum()
    return area, abs(volume)


def vertices_of(inside, spacing):
    """The middles of all edges between a voxel inside and one outside, in mm."""
    around, found = np.pad(inside, 1), []
    for axis in range(3):
        crossed = np.diff(around, axis=axis)
        found.append(np.argwhere(crossed) - 1 + 0.5 * (np.arange(3) == axis))
    return np.concatenate(found) * spacing


def least_box(corners, normals):
    """Sides of the smallest box that has a face on a face of a hull; of equal ones the rounder."""
    boxes = []
    for normal in np.unique(np.round(normals, 12), axis=0):
        plane = np.linalg.svd(normal[None])[2][1:]
        shadow = corners @ plane.T
        rim = shadow[ConvexHull(shadow).vertices]
        for edge in np.roll(rim, -1, axis=0) - rim:
            y, x = edge / np.linalg.norm(edge)
            turned = rim @ np.array([[y, -x], [x, y]])
            boxes.append(np.array([np.ptp(corners @ normal), *np.ptp(turned, axis=0)]))
    least = min(map(np.prod, boxes))
    return min((b for b in boxes if b.prod() <= least * (1 + EQUAL)), key=box_area)


def all_pairs(places, grey):
    """Moran's I and Geary's C."""
    if len(grey) < 2 or np.ptp(grey) == 0:
        return np.nan, np.nan
    deviation, weights, products, squares = grey - grey.mean(), 0.0, 0.0, 0.0
    for some in np.array_split(np.arange(len(grey)), len(grey) // 256 + 1):
        distances = cdist(places[some], places)
        w = np.divide(1.0, distances, out=np.zeros_like(distances), where=distances > 0)
        weights, products = weights + w.sum(), products + deviation[some] @ w @ deviation
        squares += (w * (grey[some, None] - grey) ** 2).sum()
    spread = (deviation**2).sum()
    moran = len(grey) / weights * products / spread
    return moran, (len(grey) - 1) / (2 * weights) * squares / spread


# ---- CPU

MOMENTS = 10  # sums of 1, z, y, x, zz, yy, xx, zy, zx, yx


@compiled
def count(inside, cubes, moments, ends):
    """The integers of a region's box (d, h, w), uint8: all but `inside` are results.

    cubes     int64 (256,): cubes of each configuration, see `_mesh.py`
    moments   int64 (10,): sums over the voxels of `MOMENTS`
    ends      int32 (2, d, h): the first and last voxel of each row; w and -1 if it has none
    """
    d, h, w = inside.shape
    empty, column = np.zeros(w, np.uint8), np.empty(w + 2, np.uint8)
    cubes[:], moments[:] = 0, 0
    for z in range(-1, d):
        for y in range(-1, h):
            column[:] = np.uint8(0)
            for k in range(4):
                i, j = z + k // 2, y + k % 2
                row = inside[i, j] if (0 <= i < d) & (0 <= j < h) else empty
                bit = np.uint8(1 << 2 * k)
                for x in range(w):
                    column[x + 1] |= bit if row[x] else np.uint8(0)
            for x in range(w + 1):
                cubes[column[x] | column[x + 1] << 1] += 1
    for z in range(d):
        for y in range(h):
            number, total, square = 0, 0, 0
            ends[0, z, y], ends[1, z, y] = w, -1
            for x in range(w):
                if inside[z, y, x]:
                    number, total, square = number + 1, total + x, square + x * x
                    ends[0, z, y], ends[1, z, y] = min(ends[0, z, y], x), x
            moments[0] += number
            moments[1] += number * z
            moments[2] += number * y
            moments[3] += total
            moments[4] += number * z * z
            moments[5] += number * y * y
            moments[6] += square
            moments[7] += number * z * y
            moments[8] += total * z
            moments[9] += total * y


def cpu(images, where, values, *, spacing, scope):
    """`reference` from integer counts and few vertices."""

    def some(start: int, stop: int) -> None:
        crops = where.some(np.arange(start, stop)).crops(images)
        cubes, moments = np.empty(256, np.int64), np.empty(MOMENTS, np.int64)
        for row, (pixels, inside) in enumerate(crops, start):
            ends = np.empty((2, *inside.shape[:2]), np.int32)
            count(inside.view(np.uint8), cubes, moments, ends)
            grey = None
            if scope == ALL:
                grey = np.where(inside, pixels, np.float32(np.nan)).astype(np.float32)
            found = features_of(cubes, moments, ends, grey, spacing)
            values[row] = found[SCOPES[scope]]

    run(some, len(where))


def features_of(
    cubes: np.ndarray, moments: np.ndarray, ends: np.ndarray, grey: np.ndarray | None,
    spacing: Spacing,
) -> np.ndarray:  # fmt: skip
    """The 29 features from the counts of `count` and the intensities, NaN outside.

    Without intensities those of the scope "shape" alone, the others NaN.
    """
    values = np.full(len(FEATURES), np.nan)
    if moments[0] == 0:
        return values
    area, volume = map(float, cubes @ _mesh.table(spacing))
    hull = hull_of(ends, spacing)
    axes, centre = axes_of(moments, np.array(spacing))
    values[:9] = surface_features(area, volume, float(moments[0] * np.prod(spacing)))
    values[10] = diameter(hull.points)
    values[11:14] = 2 * axes
    if axes[0] > 0:
        values[14:16] = axes[1:] / axes[0]
    if grey is None:
        return values
    sides = np.ptp(hull.points, axis=0)
    values[16:18] = volume / np.prod(sides), area / box_area(sides)
    values[18:26] = densities(area, volume, axes, hull)
    values[9], mean = intensity_of(grey, centre, spacing)
    values[26] = volume * mean
    values[27:] = moran_and_geary(np.isfinite(grey), grey.astype(np.float64), spacing)
    return values


def axes_of(moments: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Semi-axes, the longest first, and centre of the voxels, in mm."""
    number = moments[0]
    centre = moments[1:4] / number
    zz, yy, xx, zy, zx, yx = moments[4:] / number
    squares = np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]])
    covariance = (squares - np.outer(centre, centre)) * np.outer(spacing, spacing)
    covariance *= number / max(number - 1, 1)
    return 2 * np.sqrt(variances(covariance)), centre * spacing


def densities(area: float, volume: float, axes: np.ndarray, hull: Hull) -> tuple[float, ...]:
    """V and A over those of the oriented box, both ellipsoids and the convex hull."""
    box_volume, box_surface = oriented_box(hull)
    return (
        *(volume / box_volume, area / box_surface),
        *ellipsoid_densities(area, volume, axes),
        *ellipsoid_densities(area, volume, least_ellipsoid(hull.points)),
        *(volume / hull.volume, area / hull.area),
    )


def intensity_of(grey: np.ndarray, centre: np.ndarray, spacing: Spacing) -> tuple[float, float]:
    """Centre of mass shift, and mean intensity."""
    within = np.isfinite(grey)
    mass = np.where(within, grey, np.float32(0)).astype(np.float64)
    total, number = float(mass.sum()), int(np.count_nonzero(within))
    if number == 0:
        return np.nan, np.nan
    planes = (mass.sum(axis=(1, 2)), mass.sum(axis=(0, 2)), mass.sum(axis=(0, 1)))
    first = np.array([plane @ np.arange(len(plane)) for plane in planes]) * spacing
    return float(np.linalg.norm(first / (total or np.nan) - centre)), total / number


# ---- GPU: a block of threads a region counts, the host does the rest


def gpu(images, where, values, *, spacing, scope):
    """`reference`: one launch for the counts of all regions, then the host's code."""
    sizes = where.sizes
    starts = np.zeros((len(where) + 1, 2), np.int64)  # of each region's rows and voxels
    starts[1:, 0] = np.cumsum(sizes[:, 0] * sizes[:, 1])
    starts[1:, 1] = np.cumsum(sizes.prod(axis=1))
    cubes = _cuda.empty(images, (len(where), 256), np.uint32)
    moments = _cuda.empty(images, (len(where), MOMENTS), np.int64)
    ends = _cuda.empty(images, (2, max(int(starts[-1, 0]), 1)), np.int32)
    grey = _cuda.empty(images, (max(int(starts[-1, 1]), 1),), np.float32)
    boxes = where.labels is None
    labels = images if boxes else where.labels
    _source.function("count", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, starts), cubes, moments, ends, grey, len(where),
        *volumes(images).shape[1:], ends.shape[1],
    )  # fmt: skip
    counted = on_host(cubes).astype(np.int64), on_host(moments), on_host(ends)
    intensities = on_host(grey) if scope == ALL else None
    found = finished(where, starts, *counted, intensities, spacing)
    set_values(values, found[:, SCOPES[scope]])


def finished(
    where: Regions, starts: np.ndarray, cubes: np.ndarray, moments: np.ndarray, ends: np.ndarray,
    grey: np.ndarray | None, spacing: Spacing,
) -> np.ndarray:  # fmt: skip
    """The 29 values of all regions from the counts that came back."""
    values = np.empty((len(where), len(FEATURES)), np.float32)

    def some(first: int, stop: int) -> None:
        for k in range(first, stop):
            d, h, w = where.sizes[k]
            rows = ends[:, starts[k, 0] : starts[k + 1, 0]].reshape(2, d, h)
            box = None
            if grey is not None:
                box = grey[starts[k, 1] : starts[k + 1, 1]].reshape(d, h, w)
            values[k] = features_of(cubes[k], moments[k], rows, box, spacing)

    run(some, len(where))
    return values


def on_host(array: Any) -> np.ndarray:
    """The array in NumPy."""
    return array if isinstance(array, np.ndarray) else array.get()


def set_values(values: Any, found: np.ndarray) -> None:
    """Fills values where they live."""
    if isinstance(values, np.ndarray):
        values[...] = found
    else:
        values.set(found)


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """The GPU counts voxels of a box with 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) >= 2**31:
        raise ValueError(f"morphology: a volume may have 2^31 - 1 voxels, got one of {shape[1:]}")


def columns(*, scope: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"morphology.{FEATURES[k].name}" for k in SCOPES[scope])


morphology = RegionMeasure(
    name="morphology",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "spacing": Parameter(
            (1.0, 1.0, 1.0), "distance of voxels (z, y, x)", low=1e-6, high=1e6, unit="mm"
        ),
        "scope": Parameter(
            ALL, "all features, or surface, diameter and axes alone", choices=tuple(SCOPES)
        ),
    },
    examples=({}, {"spacing": (2.5, 0.7, 0.9)}, {"scope": "shape"}),
    tolerance=1e-6,
    gpu_tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 1, operations=20),
    peers=("skimage.measure:mesh_surface_area",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.4,
        excuse="rows of small boxes start anywhere: a warp reads one row, of bytes in masks",
    ),
)
