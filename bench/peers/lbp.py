"""Who else counts local binary patterns: scikit-image and mahotas.

scikit-image's codes are ours but for exact ties, see `kernels/texture/lbp.py`; its histogram is
NumPy's. mahotas rounds its points to other pixels and treats borders otherwise: its counts are not
ours, and it is slower than scikit-image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import cores
from .peer import Peer, Row, Run, thread_pool

_PIXELS = 2  # whose code may differ, of a region: ties that rounding decides there
_METHODS = ("default", "uniform", "nri_uniform")


def skimage_histograms(
    images: np.ndarray, masks: np.ndarray | None, points: int, radius: float, method: str
) -> np.ndarray:
    """(n, patterns) shares of the pixels inside the masks."""
    from skimage.feature import local_binary_pattern

    size = {"default": 2**points, "uniform": points + 2}.get(method, points * (points - 1) + 3)
    rows = []
    for k, image in enumerate(images):
        codes = local_binary_pattern(image, points, radius, method).astype(np.intp)
        inside = codes.ravel() if masks is None else codes[masks[k] != 0]
        rows.append(np.bincount(inside, minlength=size) / len(inside))
    return np.array(rows)


def _prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    pieces = min(len(images), 4 * cores())
    chunks = np.array_split(images, pieces)
    covers = [None] * pieces if masks is None else np.array_split(masks, pieces)

    def run() -> np.ndarray:
        jobs = thread_pool().map(
            lambda job: skimage_histograms(*job, **parameters), zip(chunks, covers, strict=True)
        )
        return np.concatenate(list(jobs))

    return run


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    from joblib import Parallel, delayed

    pieces = min(len(images), 4 * cores())
    chunks = np.array_split(images, pieces)
    covers = [None] * pieces if masks is None else np.array_split(masks, pieces)
    pool = Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(
            delayed(skimage_histograms)(*job, **parameters)
            for job in zip(chunks, covers, strict=True)
        )
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    values = ours[0].astype(np.float64)
    apart = np.abs(values - theirs).max(axis=1)
    worst = int(np.argmax(apart))
    if not apart[worst] <= _PIXELS / 200:  # the smallest regions of the benchmark have 200 pixels
        return f"region {worst}: a share differs by {apart[worst]}"
    return ""


def _refuses(dtype: str, *, method: str, **_: Any) -> str:
    if method not in _METHODS:
        return "scikit-image's 'ror' codes have gaps, which its users leave in the histogram"
    if dtype == "float32":
        return "skimage.feature.local_binary_pattern warns of floating-point images"
    return ""


PEERS = (
    Peer(
        name="skimage.feature:local_binary_pattern",
        package="skimage",
        distribution="scikit-image",
        modes={"thread pool": _prepare, "process pool": _in_processes},
        refuses=_refuses,
        difference=_difference,
        agreement=f"codes equal but for ties: shares of up to {_PIXELS} pixels in 200",
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16"),
    Row("cell-rois-1000x64x64", "uint8", {"method": "nri_uniform"}),
    Row("cell-rois-1000x64x64", "uint16", {"points": 16, "radius": 2.0}),
    Row("ct-chest-64x512x512", "uint16", {"points": 24, "radius": 3.0}),
)
