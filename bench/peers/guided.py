"""Who else has a guided filter: four window means, as everybody writes them with OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, one_by_one


def _cv2(image: np.ndarray, out: np.ndarray, radius: int, strength: float, sigma: float) -> None:
    """The formula of the paper in float32 on means by `boxFilter`."""
    import cv2

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REPLICATE)

    side = 2 * radius + 1
    pixels = image.astype(np.float32, copy=False)
    means = mean(pixels)
    variance = mean(pixels * pixels) - means * means
    a = variance / (variance + (strength * sigma) ** 2)
    b = means - a * means
    found = mean(a) * pixels + mean(b)
    out[...] = found if out.dtype == np.float32 else np.rint(found)


def _refuses(dtype: str, sigma: Any, **_: Any) -> str:
    return "the noise level is given, not estimated" if isinstance(sigma, str) else ""


def _difference(ours: np.ndarray, theirs: np.ndarray, **_: Any) -> str:
    levels = 1.0 if ours.dtype.kind in "iu" else 2e-5 * float(np.abs(ours).max())
    apart = float(np.abs(ours.astype(np.float32) - theirs).max())
    return f"up to {apart:g} apart" if apart > levels else ""


PEERS = (
    Peer(
        name="cv2:boxFilter",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_refuses,
        difference=_difference,
        agreement="1 grey level, or 2e-5 of the largest pixel of float32 images",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"radius": 2, "sigma": 0.02}),
    Row("image-1024", "float32", {"radius": 8, "sigma": 0.02}),
    Row("ct-chest-64x512x512", "uint16", {"radius": 2, "sigma": 80.0}),
    Row("ct-chest-64x512x512", "uint16", {"radius": 8, "sigma": 80.0}),
)
