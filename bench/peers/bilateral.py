"""Who else has an exact bilateral filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, one_by_one


def _cv2(
    image: np.ndarray, out: np.ndarray, radius: int, spatial: float, strength: float, sigma: float
) -> None:
    import cv2

    ranges, border = strength * sigma, cv2.BORDER_REPLICATE
    cv2.bilateralFilter(image, 2 * radius + 1, ranges, spatial, dst=out, borderType=border)


def _cv2_refuses(dtype: str, sigma: Any, **_: Any) -> str:
    if dtype not in ("uint8", "float32"):
        return f"cv2.bilateralFilter takes uint8 and float32, not {dtype}"
    return _estimated(sigma)


def _estimated(sigma: Any) -> str:
    return "the noise level is given, not estimated" if isinstance(sigma, str) else ""


def _difference(ours: np.ndarray, theirs: np.ndarray, **_: Any) -> str:
    """cv2 takes the range weights of float32 from a table and interpolates."""
    levels = 1.0 if ours.dtype.kind in "iu" else 2e-5 * float(np.abs(ours).max())
    apart = float(np.abs(ours.astype(np.float32) - theirs).max())
    return f"up to {apart:g} apart" if apart > levels else ""


PEERS = (
    Peer(
        name="cv2:bilateralFilter",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_cv2_refuses,
        difference=_difference,
        agreement="1 grey level, or 2e-5 of the largest pixel of float32 images",
    ),
)

_SETTINGS = {"spatial": 3.0, "strength": 3.0}

ROWS = (
    Row("image-1024", "float32", {"radius": 6, "sigma": 0.02, **_SETTINGS}),
    Row("image-1024", "float32", {"radius": 9, "sigma": 0.02, **_SETTINGS}),
    Row("image-1024", "uint8", {"radius": 6, "sigma": 5.0, **_SETTINGS}),
    Row("ct-chest-64x512x512", "float32", {"radius": 6, "sigma": 0.02, **_SETTINGS}),
    Row("ct-chest-64x512x512", "uint16", {"radius": 3, "sigma": 80.0, **_SETTINGS}),
)
