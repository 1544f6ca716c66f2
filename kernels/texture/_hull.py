"""The convex hull of a region's surface mesh, and what is measured on it.

The mesh has a vertex in the middle of each edge between a voxel inside and one outside. Vertices in
a row between others are no corners of the hull, so that it follows from the first and last voxel
of every row (`_outline.py`), and of these only the corners of each plane's own hull go to Qhull:
for an organ of 10^6 voxels a few thousand points instead of 10^5. The diameter is that of the hull.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

from .._cpu import compiled
from ._outline import chain, clear, widen

SAME = 9  # decimals: normals of faces that agree in them are one
EQUAL = 1e-9  # volumes of boxes that differ by less, relatively, are the same
SHORT = 1e-9  # an edge is seen end on if its projection is that much shorter than the hull


class Hull(NamedTuple):
    """A convex hull; the vertices of its triangles and their neighbours, as Qhull gives them."""

    points: np.ndarray  # (k, 3) corners in mm
    faces: np.ndarray  # (f, 3) numbers of corners
    neighbours: np.ndarray  # (f, 3) faces; number j lies opposite to corner j
    normals: np.ndarray  # (f, 3) of length 1
    volume: float
    area: float


@compiled
def corners(ends, found):
    """Doubled coordinates (z, y, x) of vertices that contain all corners; returns how many.

    ends    int32 (2, d, h): first and last voxel of each row, first > last where it is empty
    found   int64 (many, 3)
    """
    first, last = ends[0], ends[1]
    d, h = first.shape
    size = 0
    low, high = np.empty(2 * h + 1, np.int64), np.empty(2 * h + 1, np.int64)
    kept = np.empty(2 * h + 1, np.int64)
    for plane in range(2 * d + 1):
        clear(low, high)
        if plane % 2:
            widen(first[plane // 2], last[plane // 2], 1, low, high)
        else:  # between two slices: the vertices on edges along z
            if plane > 0:
                widen(first[plane // 2 - 1], last[plane // 2 - 1], 0, low, high)
            if plane < 2 * d:
                widen(first[plane // 2], last[plane // 2], 0, low, high)
        for side in range(2):
            bound = high if side else low
            for k in range(chain(bound, -1 if side else 1, kept)):
                found[size, 0], found[size, 1] = plane - 1, kept[k] - 1
                found[size, 2] = bound[kept[k]]
                size += 1
    return size


def hull_of(ends: np.ndarray, spacing: tuple[float, float, float]) -> Hull:
    """The hull of a region that has a voxel, from the ends (2, d, h) of its rows."""
    _, d, h = ends.shape
    found = np.empty((2 * (2 * d + 1) * (2 * h + 1), 3), np.int64)
    return hull_of_points(found[: corners(ends, found)] * (np.array(spacing) / 2))


def hull_of_points(points: np.ndarray) -> Hull:
    """The hull of points (k, 3), in mm."""
    points = points - points.mean(axis=0)  # Qhull's precision is relative to the coordinates
    hull = ConvexHull(points)
    number = np.empty(len(points), np.int64)
    number[hull.vertices] = np.arange(len(hull.vertices))
    return Hull(
        points[hull.vertices],
        number[hull.simplices],
        hull.neighbors.astype(np.int64),
        np.ascontiguousarray(hull.equations[:, :3]),
        float(hull.volume),
        float(hull.area),
    )


@compiled
def diameter(points):
    """The greatest distance between two of the points (k, 3)."""
    greatest = 0.0
    for i in range(len(points)):
        z, y, x = points[i, 0], points[i, 1], points[i, 2]
        for j in range(i):
            dz, dy, dx = points[j, 0] - z, points[j, 1] - y, points[j, 2] - x
            square = dz * dz + dy * dy + dx * dx
            greatest = max(greatest, square)
    return np.sqrt(greatest)


# ---- diameters of sections


@compiled
def ends_of(inside, along, ends):
    """ends[:, i, j] = first and last voxel of the lines along an axis: 2 or 1.

    ends   int32 (2, d, h) of lines along x, or (2, w, d) along y; first > last: no voxel
    """
    d, h, w = inside.shape
    first, last = np.empty(w, np.int32), np.empty(w, np.int32)
    for z in range(d):
        first[:], last[:] = h, -1
        for y in range(h):
            row = inside[z, y]
            if along == 1:
                for x in range(w):
                    first[x] = y if row[x] & (first[x] > y) else first[x]
                    last[x] = y if row[x] else last[x]
            else:
                low, high = 0, w - 1
                while low < w and not row[low]:
                    low += 1
                while high >= low and not row[high]:
                    high -= 1
                ends[0, z, y], ends[1, z, y] = low, high
        if along == 1:
            ends[0, :, z], ends[1, :, z] = first, last


@compiled
def farthest_in_planes(points, row, column):
    """Greatest distance of two points (plane, row, column) of one plane; planes follow another."""
    greatest, start = 0.0, 0
    for i in range(len(points)):
        if points[i, 0] != points[start, 0]:
            start = i
        for j in range(start, i):
            down = (points[i, 1] - points[j, 1]) * row
            across = (points[i, 2] - points[j, 2]) * column
            greatest = max(greatest, down * down + across * across)
    return np.sqrt(greatest)


def planar_diameter(inside: np.ndarray, spacing: tuple[float, ...], axis: int) -> float:
    """Greatest distance in mm of two vertices of the mesh in a plane across an axis.

    Planes between two slices may hold points that are no vertices, being inside both slices. A pair
    with such a point lies within one of the slices, whose own vertices are further apart.

    inside   bool (d, h, w)
    """
    along = 1 if axis == 2 else 2
    depth, height, width = inside.shape
    shape = (width, depth) if axis == 2 else (depth, height)
    ends = np.empty((2, *shape), np.int32)
    ends_of(np.ascontiguousarray(inside), along, ends)
    if axis == 1:
        ends = np.ascontiguousarray(ends.swapaxes(1, 2))
    planes, rows = ends.shape[1:]
    found = np.empty((2 * (2 * planes + 1) * (2 * rows + 1), 3), np.int64)
    row = 0 if axis > 0 else 1  # the axis of the rows
    points = found[: corners(ends, found)]
    return float(farthest_in_planes(points, spacing[row] / 2, spacing[along] / 2))


# ---- oriented bounding box
#
# The box with a face on a face of the hull: its rectangle touches the projected hull along an edge
# of the silhouette. The silhouette's shadow times the height bounds the box from below, so that
# most faces need no rectangle.


def oriented_box(hull: Hull) -> tuple[float, float]:
    """Volume and surface area of the smallest box that has a face on a face of the hull."""
    directions = one_sense(hull.normals)
    shadows = shadows_of(directions, hull.points, hull.normals, face_areas(hull))
    order = np.argsort(shadows[:, 0] * shadows[:, 1], kind="stable")
    return smallest_box(
        directions[order], shadows[order], hull.points, hull.faces, hull.neighbours, hull.normals
    )


def one_sense(normals: np.ndarray) -> np.ndarray:
    """The different normals (f, 3); opposite ones are the same."""
    rounded = np.round(normals, SAME) + 0.0
    leading = rounded[np.arange(len(rounded)), (rounded != 0).argmax(axis=1)]
    senses = np.where(leading < 0, -1.0, 1.0)[:, None]
    _, chosen = np.unique(rounded * senses + 0.0, axis=0, return_index=True)
    return normals[chosen] * senses[chosen]


def face_areas(hull: Hull) -> np.ndarray:
    """Area of each triangle of a hull."""
    a, b, c = (hull.points[hull.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


@compiled
def along(points, number, z, y, x):
    """The extent of the first points (number, 3) along a direction."""
    low, high = np.inf, -np.inf
    for k in range(number):
        at = points[k, 0] * z + points[k, 1] * y + points[k, 2] * x
        low, high = min(low, at), max(high, at)
    return high - low


@compiled
def shadows_of(directions, points, normals, areas):
    """Height of the hull along each direction, and the area of its shadow."""
    found = np.empty((len(directions), 2))
    for k in range(len(directions)):
        z, y, x = directions[k, 0], directions[k, 1], directions[k, 2]
        shadow = 0.0
        for f in range(len(normals)):
            shadow += areas[f] * abs(normals[f, 0] * z + normals[f, 1] * y + normals[f, 2] * x)
        found[k, 0], found[k, 1] = along(points, len(points), z, y, x), shadow / 2
    return found


@compiled
def silhouette(direction, faces, neighbours, normals, ends):
    """Edges (m, 2 corners) between faces towards and away from a direction; returns how many."""
    z, y, x = direction[0], direction[1], direction[2]
    size = 0
    for f in range(len(faces)):
        if normals[f, 0] * z + normals[f, 1] * y + normals[f, 2] * x <= 0.0:
            continue
        for j in range(3):
            other = neighbours[f, j]
            if normals[other, 0] * z + normals[other, 1] * y + normals[other, 2] * x <= 0.0:
                ends[size, 0], ends[size, 1] = faces[f, (j + 1) % 3], faces[f, (j + 2) % 3]
                size += 1
    return size


@compiled
def smallest_box(directions, shadows, points, faces, neighbours, normals):
    """Volume and area of the smallest box, of equal ones that of the least area.

    directions are in the order of their bounds
    """
    ends, rim = np.empty((3 * len(faces), 2), np.int64), np.empty((6 * len(faces), 3))
    best, area = np.inf, 0.0
    for k in range(len(directions)):
        height = shadows[k, 0]
        if height * shadows[k, 1] > best * (1 + EQUAL):
            break
        size = silhouette(directions[k], faces, neighbours, normals, ends)
        for e in range(2 * size):
            for axis in range(3):
                rim[e, axis] = points[ends[e // 2, e % 2], axis]
        nz, ny, nx = directions[k, 0], directions[k, 1], directions[k, 2]
        for e in range(size):
            z = rim[2 * e + 1, 0] - rim[2 * e, 0]
            y = rim[2 * e + 1, 1] - rim[2 * e, 1]
            x = rim[2 * e + 1, 2] - rim[2 * e, 2]
            rise = z * nz + y * ny + x * nx
            z, y, x = z - rise * nz, y - rise * ny, x - rise * nx  # the edge in the plane
            length = np.sqrt(z * z + y * y + x * x)
            if length <= SHORT * height:
                continue
            z, y, x = z / length, y / length, x / length
            long = along(rim, 2 * size, z, y, x)
            wide = along(rim, 2 * size, ny * x - nx * y, nx * z - nz * x, nz * y - ny * z)
            volume = height * long * wide
            surface = 2.0 * (height * long + long * wide + wide * height)
            smaller = volume < best * (1 - EQUAL)
            if smaller or (volume <= best * (1 + EQUAL) and surface < area):
                best, area = volume, surface
    return best, area
