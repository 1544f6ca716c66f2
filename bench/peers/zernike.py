"""Who else measures Zernike moments: mahotas, one object and one weight a call.

It gets cut-out objects, their centres and their radii; ours finds them. Its factor differs, see
`kernels/texture/zernike.py`; it has no phases. A pixel of the rim may be outside by rounding there,
so that its circles are a hair larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.texture._circle import smallest_circle
from medkern.kernels.texture._polynomials import INDEXES

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-7  # the latter of a share of the brightest moment

Circle = tuple[np.ndarray, float]


def mahotas_moments(images: np.ndarray, masks: np.ndarray, circles: list[Circle]) -> np.ndarray:
    """Moments (n, 60) of masks and intensities, by our factors: of area and of pixels."""
    from mahotas.features import zernike_moments

    rows = []
    degree = (np.array([n for n, _ in INDEXES]) + 1) / np.pi
    for image, mask, (centre, radius) in zip(images, masks, circles, strict=True):
        grey = image * mask
        size = int(mask.sum())
        shape = zernike_moments(mask, radius, 9, centre) * size / (np.pi * radius**2)
        moment = zernike_moments(grey, radius, 9, centre) * grey.sum(dtype=np.float64) / size
        rows.append(np.concatenate([shape / degree, moment / degree]))
    return np.array(rows)


def _work(images: np.ndarray, masks: np.ndarray | None) -> list[tuple[Any, ...]]:
    if masks is None:
        masks = np.ones(images.shape, np.uint8)
    circles = [smallest_circle(np.argwhere(mask)) for mask in masks]
    larger = [(centre, radius * (1 + 1e-9)) for centre, radius in circles]
    pieces = np.array_split(np.arange(len(images)), min(len(images), 4 * cores()))
    return [(images[k], masks[k], [larger[i] for i in k]) for k in pieces]


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    chunks = _work(images, masks)

    def run() -> np.ndarray:
        rows = thread_pool().map(lambda chunk: mahotas_moments(*chunk), chunks)
        return np.concatenate(list(rows))

    return run


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    from joblib import Parallel, delayed

    chunks, pool = _work(images, masks), Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(mahotas_moments)(*chunk) for chunk in chunks)
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    found = ours[0][:, : theirs.shape[1]].astype(np.float64)
    least = _ABSOLUTE * theirs.max(axis=1, keepdims=True)
    wrong = np.abs(found - theirs) > _RELATIVE * theirs + least
    rows = np.flatnonzero(wrong.any(axis=1))
    return f"region {rows[0]} of {len(rows)} differs" if len(rows) else ""


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="mahotas.features:zernike_moments",
        package="mahotas",
        distribution="mahotas",
        modes=_MODES,
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"60 of 90 features, relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cell-rois-1000x64x64", "uint16"), Row("lesions-64x128x128", "uint16"))
