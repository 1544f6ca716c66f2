"""Who else takes the mean over a window."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, one_by_one, same_images

MODES: dict[str, Any] = {"mirror": "reflect", "periodic": "wrap", "zero": "constant"}


def _cv2(image: np.ndarray, out: np.ndarray, radius: int, borders: str) -> None:
    """Of a volume each slice, then all columns of voxels."""
    import cv2

    side = 2 * radius + 1
    if image.ndim == 2:
        cv2.blur(image, (side, side), dst=out, borderType=cv2.BORDER_REFLECT)
        return
    for one, result in zip(image, out, strict=True):
        cv2.blur(one, (side, side), dst=result, borderType=cv2.BORDER_REFLECT)
    flat = out.reshape(len(out), -1)
    flat[...] = cv2.blur(flat, (1, side), borderType=cv2.BORDER_REFLECT)


def _cv2_refuses(dtype: str, borders: str = "mirror", **_: Any) -> str:
    if dtype != "float32":
        return f"cv2.blur rounds the mean of {dtype}"
    return "" if borders == "mirror" else "asked for one kind of border only"


def _scipy(image: np.ndarray, out: np.ndarray, radius: int, borders: str) -> None:
    from scipy import ndimage

    mode = MODES.get(borders, borders)
    ndimage.uniform_filter(image, 2 * radius + 1, mode=mode, output=out)


def _scipy_refuses(dtype: str, **_: Any) -> str:
    if dtype != "float32":
        return f"scipy.ndimage.uniform_filter gives {dtype} for {dtype}"
    return ""


# fastest first
PEERS = (
    Peer(
        name="cv2:blur",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_cv2_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range",
    ),
    Peer(
        name="scipy.ndimage:uniform_filter",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_scipy_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range: a running sum",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"radius": 2}),
    Row("ct-chest-64x512x512", "float32", {"radius": 2}),
    Row("mr-head-128", "float32", {"radius": 2}),
)
