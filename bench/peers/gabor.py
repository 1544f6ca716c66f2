"""Who else has Gabor filters: both parts of a wave as correlations, direction by direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.enhance.gabor import reach

from .peer import Peer, Row, image_pool, one_by_one, same_images

FULL = {"sigma": 2.0, "wavelength": 4.0, "gamma": 1.0, "theta": 0.0, "steps": 8, "truncate": 4.0}


def _cv2(image: np.ndarray, out: np.ndarray, **given: Any) -> None:
    """Kernels above 11 pixels a side it multiplies in the frequency domain, too."""
    import cv2

    p = FULL | given
    side = 2 * reach(p["sigma"], p["gamma"], p["truncate"]) + 1
    out[...] = 0
    for t in range(p["steps"]):
        theta = np.deg2rad(p["theta"] + 180 * t / p["steps"])
        parts = []
        for phase in (0.0, np.pi / 2):
            shape = p["sigma"], theta, p["wavelength"], p["gamma"], phase
            kernel = cv2.getGaborKernel((side, side), *shape, ktype=cv2.CV_32F)
            parts.append(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT))
        cv2.add(out, cv2.magnitude(*parts), dst=out)
    cv2.multiply(out, 1 / p["steps"], dst=out)


def _skimage(image: np.ndarray, out: np.ndarray, **given: Any) -> None:
    from skimage.filters import gabor

    p = FULL | given
    one = {"frequency": 1 / p["wavelength"], "n_stds": p["truncate"], "mode": "reflect"}
    out[...] = 0
    for t in range(p["steps"]):
        theta = np.pi * t / p["steps"]
        parts = gabor(image, theta=theta, sigma_x=p["sigma"], sigma_y=p["sigma"], **one)
        out += np.hypot(*parts)
    out *= 2 * np.pi * p["sigma"] ** 2 / p["steps"]


def _refuses(
    dtype: str,
    pooling: str = "average",
    slices: str = "axial",
    borders: str = "mirror",
    **_: Any,
) -> str:
    if dtype != "float32" or (pooling, slices, borders) != ("average", "axial", "mirror"):
        return "written for float32 images, the mean over directions, and mirrored borders only"
    return ""


def _skimage_refuses(
    dtype: str, gamma: float = 1.0, theta: float = 0.0, steps: int = 8, **other: Any
) -> str:
    if gamma != 1 or theta or steps > 2:
        return "its window is ours for round Gaussians and directions along the axes only"
    return _refuses(dtype, **other)


# fastest first
PEERS = (
    Peer(
        name="cv2:filter2D",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"image pool": image_pool(_cv2), "own threads": one_by_one(_cv2)},
        refuses=_refuses,
        difference=same_images(1e-4),
        agreement="1e-4 of the range",
    ),
    Peer(
        name="skimage.filters:gabor",
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": image_pool(_skimage)},
        refuses=_skimage_refuses,
        difference=same_images(1e-4),
        agreement="1e-4 of the range",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"sigma": 2.0, "wavelength": 4.0, "steps": 8}),
    Row("image-1024", "float32", {"sigma": 5.0, "wavelength": 2.0, "gamma": 1.5, "steps": 8}),
    Row("ct-chest-64x512x512", "float32", {"sigma": 2.0, "wavelength": 4.0, "steps": 4}),
)
