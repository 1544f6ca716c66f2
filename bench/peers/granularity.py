"""Who else measures granularity: CellProfiler's steps, written with SciPy and scikit-image.

CellProfiler is no library; its module makes these calls, one image at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from .peer import Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-4  # per cent: our values are float32


def spectrum(
    image: np.ndarray, mask: np.ndarray | None, step: int, background_step: int, radius: int,
    length: int,
) -> np.ndarray:  # fmt: skip
    """The values of one region of an image, or of the image."""
    from skimage.morphology import disk, reconstruction

    small = image[::step, ::step].astype(np.float64)
    back = small[::background_step, ::background_step]
    back = ndimage.grey_erosion(back, footprint=disk(radius), mode="constant", cval=np.inf)
    back = ndimage.grey_dilation(back, footprint=disk(radius), mode="constant", cval=-np.inf)
    sides = [n / step for n in image.shape]
    p = np.maximum(small - _enlarged(back, small.shape, sides, background_step), 0)
    eroded, means = p, [p.mean() if mask is None else image[mask].mean(dtype=np.float64)]
    for _ in range(length):
        eroded = ndimage.grey_erosion(eroded, footprint=disk(1), mode="constant", cval=np.inf)
        left = reconstruction(eroded, p, footprint=disk(1))
        if mask is not None:
            left = _enlarged(left, image.shape, image.shape, step)[mask]
        means.append(left.mean())
    return -100 * np.diff(means) / means[0]


def _enlarged(
    small: np.ndarray, shape: tuple[int, ...], sides: Sequence[float], step: int
) -> np.ndarray:
    axes = [
        np.arange(n) * ((side / step - 1) / (side - 1))
        for n, side in zip(shape, sides, strict=True)
    ]
    where = np.meshgrid(*axes, indexing="ij")
    return ndimage.map_coordinates(small, where, order=1, mode="nearest")


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    covers = [None] * len(images) if masks is None else list(masks != 0)

    def run() -> np.ndarray:
        rows = thread_pool().map(
            lambda pair: spectrum(*pair, **parameters), zip(images, covers, strict=True)
        )
        return np.array(list(rows))

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    apart = np.abs(ours[0] - theirs) - _RELATIVE * np.abs(theirs)
    worst = int(np.argmax(apart.max(axis=1)))
    return f"region {worst} differs by {apart.max()}" if apart.max() > _ABSOLUTE else ""


PEERS = (
    Peer(
        name="skimage.morphology:reconstruction",
        package="skimage",
        distribution="scikit-image",
        modes={"thread pool": _in_threads},
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("lesions-64x128x128", "uint16"),)
