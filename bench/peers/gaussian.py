"""Who else smooths with a Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.denoise._gaussian_plan import reach

from ..machine import cores
from .peer import Peer, Row, Run, image_pool, one_by_one, same_images, use_library_threads


def blur(image: np.ndarray, out: np.ndarray, sigma: float, truncate: float) -> None:
    """OpenCV's Gaussian of one image; of a volume each slice, then all columns of voxels."""
    import cv2

    side = 2 * reach(sigma, truncate) + 1
    if image.ndim == 2:
        cv2.GaussianBlur(image, (side, side), sigma, dst=out, borderType=cv2.BORDER_REPLICATE)
        return
    for one, result in zip(image, out, strict=True):
        cv2.GaussianBlur(one, (side, side), sigma, dst=result, borderType=cv2.BORDER_REPLICATE)
    flat = out.reshape(len(out), -1)
    cv2.GaussianBlur(flat, (1, side), sigma, dst=flat, borderType=cv2.BORDER_REPLICATE)


def _scipy(image: np.ndarray, out: np.ndarray, sigma: float, truncate: float) -> None:
    from scipy import ndimage

    ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=truncate, output=out)


def _scipy_refuses(dtype: str, **_: Any) -> str:
    if dtype != "float32":
        return "scipy.ndimage.gaussian_filter cuts integers down after every axis"
    return ""


def _itk(images: np.ndarray, masks: np.ndarray | None, sigma: float, truncate: float) -> Run:
    """Image after image, ITK's threads inside each; images are handed over before."""
    import SimpleITK

    use_library_threads(cores())
    given = [SimpleITK.GetImageFromArray(image) for image in images]

    def run() -> np.ndarray:
        smooth = (
            SimpleITK.SmoothingRecursiveGaussian(image, [sigma] * image.GetDimension())
            for image in given
        )
        return np.stack([SimpleITK.GetArrayViewFromImage(image) for image in smooth])

    return run


def _itk_refuses(dtype: str, **_: Any) -> str:
    if dtype != "float32":
        return "SimpleITK.SmoothingRecursiveGaussian cuts integers down"
    return ""


def _never(dtype: str, **_: Any) -> str:
    return ""


def _difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    """The float images of the benchmarks lie in [0, 1]."""
    tolerance = 1e-4 if ours.dtype == np.float32 else 1
    return same_images(tolerance)(ours, theirs, **parameters)


_AGREEMENT = (
    "1e-4 of the range, integers one level: from sigma = 4 on our Gaussian is whole, while theirs "
    "is cut off at `truncate` sigma"
)

# fastest first
PEERS = (
    Peer(
        name="cv2:GaussianBlur",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(blur), "image pool": image_pool(blur)},
        refuses=_never,
        difference=_difference,
        agreement=_AGREEMENT,
    ),
    Peer(
        name="SimpleITK:SmoothingRecursiveGaussian",
        package="SimpleITK",
        distribution="SimpleITK",
        modes={"one by one": _itk},
        refuses=_itk_refuses,
        difference=same_images(0.01, border=lambda sigma, **_: round(sigma) + 1),
        agreement="1 % of the range, sigma + 1 pixels at the border left aside: a recursive filter",
    ),
    Peer(
        name="scipy.ndimage:gaussian_filter",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_scipy_refuses,
        difference=_difference,
        agreement=_AGREEMENT,
    ),
)

ROWS = (
    Row("xray-2048", "float32", {"sigma": 1.0}),
    Row("xray-2048", "float32", {"sigma": 3.0}),
    Row("xray-2048", "float32", {"sigma": 10.0}),
    Row("xray-2048", "uint16", {"sigma": 1.0}),
    Row("ct-chest-64x512x512", "float32", {"sigma": 1.0}),
    Row("mr-head-128", "float32", {"sigma": 1.5}),
)
