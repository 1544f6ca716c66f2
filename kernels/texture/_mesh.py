"""Marching cubes without a mesh: the area and the volume that each kind of cube contributes.

    area = sum over c of cubes[c] area_of[c]        volume = sum over c of cubes[c] volume_of[c]

A cube has a voxel's centre at each of its 8 corners, z slowest; bit k of its configuration c says
whether corner k is inside. The surface at isovalue 0.5 crosses the middle of each edge that joins
inside and outside, so the 256 configurations are all there is to know. On a face whose diagonally
opposed corners are inside, these are kept apart: the choice depends on the face alone, so that the
surface is closed. The crossed edges of a cube then form loops of 3 to 7 vertices. A loop that is
not flat can be cut into triangles in several ways; the one with the greatest area at unit spacing
counts, which are the triangles of the classic tables, and where several have it, their mean: no
axis and no sense is preferred.

source  Lorensen and Cline 1987, SIGGRAPH 21(4)
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product

import numpy as np

CORNERS = np.array(list(product((0, 1), repeat=3)))  # (z, y, x)
BITS = 1 << np.arange(8)
MIDDLE = 0.5
EQUAL = 1e-9  # areas of triangulations that differ by less are the same

Edge = frozenset[int]
Triangles = tuple[tuple[int, int, int], ...]


def _ring(axis: int, side: int) -> list[int]:
    """The corners of a face, in the sense of the axes (axis, axis + 1, axis + 2) from outside."""
    u, v = 4 >> (axis + 1) % 3, 4 >> (axis + 2) % 3
    ring = [side * (4 >> axis) + corner for corner in (0, u, u + v, v)]
    return ring if side else ring[::-1]


FACES = [_ring(axis, side) for axis in range(3) for side in (0, 1)]


def _segments(configuration: int) -> Iterator[tuple[Edge, Edge]]:
    """What the surface leaves on the six faces, from crossed edge to crossed edge."""
    for ring in FACES:
        inside = [configuration >> corner & 1 for corner in ring]
        for k in range(4):
            if inside[k] and not inside[k - 1]:  # the boundary enters here, and leaves next at:
                end = next(e for e in range(k, k + 4) if not inside[(e + 1) % 4])
                edges = [frozenset((ring[e % 4], ring[(e + 1) % 4])) for e in (k - 1, end)]
                yield edges[0], edges[1]


def loops(configuration: int) -> list[np.ndarray]:
    """The closed polygons (vertices, 3) of a cube in [0, 1]^3, their normals pointing outside."""
    following, found = dict(_segments(configuration)), []
    while following:
        edge, loop = next(iter(following)), []
        while edge in following:
            loop.append(CORNERS[list(edge)].mean(axis=0))
            edge = following.pop(edge)
        found.append(np.array(loop))
    return found


@cache
def _triangulations(first: int, last: int) -> list[Triangles]:
    """Every way to cut the polygon of vertices first .. last into triangles."""
    if last - first < 2:
        return [()]
    return [
        (*left, (first, middle, last), *right)
        for middle in range(first + 1, last)
        for left in _triangulations(first, middle)
        for right in _triangulations(middle, last)
    ]


def areas(triangles: np.ndarray) -> np.ndarray:
    """Of triangles (..., 3 vertices, 3)."""
    a, b, c = np.moveaxis(triangles, -2, 0)
    return np.linalg.norm(np.cross(b - a, c - a), axis=-1) / 2


def signed_volumes(triangles: np.ndarray) -> np.ndarray:
    """Of the tetrahedra that triangles (..., 3 vertices, 3) form with the origin."""
    a, b, c = np.moveaxis(triangles, -2, 0)
    return (a * np.cross(b, c)).sum(axis=-1) / 6


@cache
def triangles_of(configuration: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (m, 3, 3) of a cube in [0, 1]^3 and their weights; 1 unless several cuts tie."""
    triangles, weights = [np.empty((0, 3, 3))], [np.empty(0)]
    for loop in loops(configuration):
        every = list(combinations(range(len(loop)), 3))
        of = dict(zip(every, areas(loop[np.array(every)]), strict=True))
        cuts = _triangulations(0, len(loop) - 1)
        totals = np.array([sum(of[triangle] for triangle in cut) for cut in cuts])
        chosen = np.flatnonzero(totals > totals.max() - EQUAL)
        for k in chosen:
            triangles.append(loop[np.array(cuts[k])])
            weights.append(np.full(len(cuts[k]), 1 / len(chosen)))
    return np.concatenate(triangles), np.concatenate(weights)


def _face_share(inside: list[int]) -> float:
    """How much of a face lies inside, of its corners in turn."""
    opposed = inside[0] == inside[2]
    return (0.0, 0.125, 0.25 if opposed else 0.5, 0.875, 1.0)[sum(inside)]


@cache
def table(spacing: tuple[float, float, float]) -> np.ndarray:
    """(256, 2) area and volume of each configuration, for voxels of `spacing` (z, y, x)."""
    found = np.zeros((256, 2))
    for configuration in range(256):
        triangles, weights = triangles_of(configuration)
        faces = sum(_face_share([configuration >> c & 1 for c in ring]) for ring in FACES)
        volume = faces * MIDDLE / 3 + (weights * signed_volumes(triangles - MIDDLE)).sum()
        found[configuration] = (weights * areas(triangles * spacing)).sum(), volume
    found[:, 1] *= np.prod(spacing)
    found.flags.writeable = False
    return found


def configurations(inside: np.ndarray) -> np.ndarray:
    """uint8 (d + 1, h + 1, w + 1): the cubes in and around a region (d, h, w)."""
    around = np.pad(inside != 0, 1)
    sides = [slice(None, -1), slice(1, None)]
    cubes = [around[sides[z], sides[y], sides[x]] for z, y, x in CORNERS]
    return np.tensordot(BITS, np.array(cubes, np.int64), 1).astype(np.uint8)
