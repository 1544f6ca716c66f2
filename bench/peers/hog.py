"""Who else describes images by oriented gradients: scikit-image.

OpenCV's HOGDescriptor answers another question: votes go to two bins and four cells by distance,
weighed by a Gaussian over the block, and blocks are ordered by columns. OpenCV 5 has left it out of
its main modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_ABSOLUTE = 1e-6  # of shares that are at most 1: our values are float32


def skimage_descriptors(images: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """(n, columns) of whole images."""
    from skimage.feature import hog

    return np.array([hog(image, **settings) for image in images])


def _work(
    images: np.ndarray, *, cells: tuple[int, int], pixels_per_cell: tuple[int, int], **settings: Any
) -> tuple[list[np.ndarray], dict[str, Any]]:
    size = [p or n // c for n, c, p in zip(images.shape[1:], cells, pixels_per_cell, strict=True)]
    chunks = np.array_split(images, min(len(images), 4 * cores()))
    return chunks, {**settings, "pixels_per_cell": tuple(size)}


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    chunks, settings = _work(images, **parameters)
    return lambda: np.concatenate(
        list(thread_pool().map(lambda chunk: skimage_descriptors(chunk, settings), chunks))
    )


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    from joblib import Parallel, delayed

    chunks, settings = _work(images, **parameters)
    pool = Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(skimage_descriptors)(chunk, settings) for chunk in chunks)
        return np.concatenate(rows)

    return run


def _refuses(dtype: str, **_: Any) -> str:
    return "" if dtype != "float32" else "scikit-image keeps float32 gradients: other bins at edges"


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    apart = np.abs(ours[0].astype(np.float64) - theirs).max(axis=1)
    worst = int(np.argmax(apart))
    return "" if apart[worst] <= _ABSOLUTE else f"image {worst} differs by {apart[worst]}"


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="skimage.feature:hog",
        package="skimage",
        distribution="scikit-image",
        modes=_MODES,
        refuses=_refuses,
        difference=_difference,
        agreement=f"absolute {_ABSOLUTE:g}: our features are float32",
    ),
)

ROWS = (
    Row("patch-2x40x48", "uint16", {"cells": (5, 6)}),
    Row("ultrasound-64x256x256", "uint8", {"cells": (16, 16)}),
)
