"""Who else measures 3D shape: scikit-image meshes a region and measures the mesh; SciPy its hull.

PyRadiomics measures 14 of the 29 features, MIRP all of them; neither is a dependency of the
benchmarks. What stands here is what is installed: a mesh, its surface, its diameter and its hull,
3 of 29 features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_COLUMNS = (2, 10, 24)  # surface area, maximum diameter, volume density of the hull
_RELATIVE = 0.01  # ambiguous faces of the mesh, see `kernels/texture/_mesh.py`


def mesh_features(masks: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Surface area, maximum diameter and convex hull density of masks (n, d, h, w)."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist
    from skimage.measure import marching_cubes, mesh_surface_area

    rows = []
    for mask in masks:
        vertices, faces, *_ = marching_cubes(
            np.pad(mask, 1).astype(np.float32), 0.5, spacing=spacing, method="lorensen"
        )
        a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
        volume = abs(float((a * np.cross(b, c)).sum())) / 6
        hull = ConvexHull(vertices)
        diameter = pdist(vertices[hull.vertices]).max()
        rows.append([mesh_surface_area(vertices, faces), diameter, volume / hull.volume])
    return np.array(rows)


def _pieces(images: np.ndarray, masks: np.ndarray | None) -> list[np.ndarray]:
    inside = np.ones(images.shape, np.uint8) if masks is None else masks
    inside = inside if inside.ndim == 4 else inside[:, None]
    return np.array_split(inside, min(len(inside), 4 * cores()))


def _in_threads(
    images: np.ndarray, masks: np.ndarray | None, *, spacing: tuple[float, ...], **_: Any
) -> Run:
    pieces = _pieces(images, masks)
    return lambda: np.concatenate(
        list(thread_pool().map(lambda piece: mesh_features(piece, spacing), pieces))
    )


def _in_processes(
    images: np.ndarray, masks: np.ndarray | None, *, spacing: tuple[float, ...], **_: Any
) -> Run:
    from joblib import Parallel, delayed

    pieces, pool = _pieces(images, masks), Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(mesh_features)(piece, spacing) for piece in pieces)
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0][:, _COLUMNS].astype(np.float64)
    wrong = np.argwhere(np.abs(own - theirs) > _RELATIVE * theirs)
    if not len(wrong):
        return ""
    region, column = wrong[0]
    name = ours[1][_COLUMNS[column]]
    return f"{name} of region {region}: ours {own[region, column]}, {theirs[region, column]}"


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="skimage.measure:mesh_surface_area",
        package="skimage",
        distribution="scikit-image",
        modes=_MODES,
        refuses=lambda dtype, scope="all", **_: (
            "" if scope == "all" else "its columns are looked for among all"
        ),
        difference=_difference,
        agreement=f"3 of 29 features, relative {_RELATIVE:g}: it cuts ambiguous faces otherwise",
    ),
)

ROWS = (Row("cell-rois-1000x64x64", "uint16"),)
