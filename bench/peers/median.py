"""Who else takes the median of a square window."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine import cores
from .peer import Peer, Row, Run, image_pool, one_by_one, same_images, use_library_threads

_HISTOGRAM = 8  # least radius for which scikit-image's histogram is faster than mahotas, 16 bits


def _cv2(image: np.ndarray, out: np.ndarray, radius: int) -> None:
    import cv2

    cv2.medianBlur(image, 2 * radius + 1, dst=out)


def _cv2_refuses(dtype: str, radius: int) -> str:
    if radius > 2 and dtype != "uint8":
        return f"cv2.medianBlur takes {dtype} at radius 1 and 2 only"
    return ""


def _scipy(image: np.ndarray, out: np.ndarray, radius: int) -> None:
    from scipy import ndimage

    ndimage.median_filter(image, 2 * radius + 1, mode="nearest", output=out)


def _skimage(image: np.ndarray, out: np.ndarray, radius: int) -> None:
    from skimage.filters import rank

    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    rank.median(image, window, out=out)


def _skimage_refuses(dtype: str, radius: int) -> str:
    if dtype not in ("uint8", "uint16"):
        return f"skimage.filters.rank.median takes uint8 and uint16, not {dtype}"
    if dtype == "uint16" and radius < _HISTOGRAM:
        return f"mahotas is faster for {dtype} at radius {radius}"
    return ""


def _mahotas(image: np.ndarray, out: np.ndarray, radius: int) -> None:
    import mahotas

    window = np.ones((2 * radius + 1, 2 * radius + 1), bool)
    mahotas.median_filter(image, window, mode="nearest", out=out)


def _itk_volume(images: np.ndarray, masks: np.ndarray | None, radius: int) -> Run:
    """A batch of images as one volume with a flat window, or each volume; threads all over it."""
    import SimpleITK

    use_library_threads(cores())
    flat = images.ndim == 3
    volumes = [SimpleITK.GetImageFromArray(v) for v in ([images] if flat else images)]
    window = (radius, radius, 0 if flat else radius)  # x, y, slice

    def run() -> np.ndarray:
        found = [SimpleITK.GetArrayFromImage(SimpleITK.Median(v, window)) for v in volumes]
        return found[0] if flat else np.stack(found)

    return run


def _always(dtype: str, **_: Any) -> str:
    return ""


_EXACT = "exact, borders included (edge pixels repeated)"

# fastest first
PEERS = (
    Peer(
        name="cv2:medianBlur",
        ndim=(3,),
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_cv2_refuses,
        difference=same_images(),
        agreement=_EXACT,
    ),
    Peer(
        name="skimage.filters.rank:median",
        ndim=(3,),
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": image_pool(_skimage)},
        refuses=_skimage_refuses,
        difference=same_images(border=lambda radius: radius),
        agreement="exact, `radius` border pixels left aside (its window shrinks there)",
    ),
    Peer(
        name="mahotas:median_filter",
        ndim=(3,),
        package="mahotas",
        distribution="mahotas",
        modes={"image pool": image_pool(_mahotas)},
        refuses=_always,
        difference=same_images(),
        agreement=_EXACT,
    ),
    Peer(
        name="SimpleITK:Median",
        package="SimpleITK",
        distribution="SimpleITK",
        modes={"one volume": _itk_volume},
        refuses=_always,
        difference=same_images(),
        agreement=_EXACT,
    ),
    Peer(
        name="scipy.ndimage:median_filter",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_always,
        difference=same_images(),
        agreement=_EXACT,
    ),
)

# what the slowest can still do in a turn decides the shape of a row
ROWS = (
    *(Row("xray-2048", "uint16", {"radius": r}) for r in (1, 2, 5)),
    Row("xray-2048", "float32", {"radius": 2}),
    *(Row("ct-chest-64x512x512", "uint16", {"radius": r}) for r in (1, 2, 10)),
    *(Row("ct-chest-64x512x512", "uint8", {"radius": r}) for r in (1, 2, 10, 25)),
    Row("ct-chest-64x512x512", "float32", {"radius": 5}),
    *(Row("mr-head-128", "float32", {"radius": r}) for r in (1, 2)),
    *(Row("plate-16x1080x1080", "uint16", {"radius": r}) for r in (1, 2, 5)),
)
