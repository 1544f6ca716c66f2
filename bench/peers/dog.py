"""Who else takes the difference of two Gaussians."""

from __future__ import annotations

from typing import Any

import numpy as np

from .gaussian import blur
from .peer import Peer, Row, image_pool, one_by_one, same_images


def _cv2(
    image: np.ndarray, out: np.ndarray, low_sigma: float, high_sigma: float, truncate: float
) -> None:
    import cv2

    wide = np.empty_like(out)
    blur(image, out, low_sigma, truncate)
    blur(image, wide, high_sigma, truncate)
    flat = out.reshape(-1, out.shape[-1])
    cv2.subtract(flat, wide.reshape(flat.shape), dst=flat)


def _skimage(
    image: np.ndarray, out: np.ndarray, low_sigma: float, high_sigma: float, truncate: float
) -> None:
    from skimage.filters import difference_of_gaussians

    out[...] = difference_of_gaussians(image, low_sigma, high_sigma, truncate=truncate)


def _float_only(dtype: str, **_: Any) -> str:
    """OpenCV rounds each Gaussian of integers, scikit-image rescales them."""
    return "" if dtype == "float32" else f"a result of two signs is not made from {dtype}"


PEERS = (
    Peer(
        name="cv2:GaussianBlur",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_float_only,
        difference=same_images(1e-4),
        agreement="1e-4 of the range: from sigma = 4 on theirs is cut off at `truncate` sigma",
    ),
    Peer(
        name="skimage.filters:difference_of_gaussians",
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": image_pool(_skimage)},
        refuses=_float_only,
        difference=same_images(1e-4),
        agreement="1e-4 of the range: from sigma = 4 on theirs is cut off at `truncate` sigma",
    ),
)

ROWS = (
    Row("xray-2048", "float32", {"low_sigma": 1.0, "high_sigma": 1.6}),
    Row("xray-2048", "float32", {"low_sigma": 2.0, "high_sigma": 8.0}),
    Row("ct-chest-64x512x512", "float32", {"low_sigma": 1.0, "high_sigma": 1.6}),
    Row("mr-head-128", "float32", {"low_sigma": 1.0, "high_sigma": 1.6}),
)
