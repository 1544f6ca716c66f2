"""Who else could have Laws' kernels: correlations of single axes, one product after the other."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from medkern.kernels.enhance.laws import TAPS

from .peer import Peer, Row, image_pool, same_images


def _products(x: str, y: str, z: str, axes: int) -> set[tuple[str, ...]]:
    """One of each pair of rotations that differ in their sign."""
    return set(permutations((z, y, x)[-axes:]))


def _cv2(image: np.ndarray, out: np.ndarray, energy: int, **kernels: Any) -> None:
    """Both axes of a product at once; the energy as OpenCV's mean."""
    import cv2

    taps = {name: np.array(t, np.float32) / np.sqrt(np.dot(t, t)) for name, t in TAPS.items()}
    border, found = cv2.BORDER_REFLECT, []
    for y, x in _products(kernels["x"], kernels["y"], kernels["z"], 2):
        one = cv2.sepFilter2D(image, -1, taps[x], taps[y], borderType=border)
        found.append(np.abs(one, out=one))
    response = found[0]
    for one in found[1:]:
        cv2.max(response, one, dst=response)
    cv2.blur(response, (2 * energy + 1,) * 2, dst=out, borderType=border)


def _scipy(image: np.ndarray, out: np.ndarray, energy: int, **kernels: Any) -> None:
    from scipy import ndimage

    found = []
    for product in _products(kernels["x"], kernels["y"], kernels["z"], image.ndim):
        one = image
        for axis, name in enumerate(product):
            taps = np.array(TAPS[name]) / np.sqrt(np.dot(TAPS[name], TAPS[name]))
            one = ndimage.convolve1d(one, taps, axis, mode="reflect")
        found.append(np.abs(one))
    ndimage.uniform_filter(np.max(found, axis=0), 2 * energy + 1, mode="reflect", output=out)


def _refuses(
    dtype: str,
    x: str = "L5",
    pooling: str = "max",
    energy: int = 7,
    borders: str = "mirror",
    **other: str,
) -> str:
    """With an even and an odd kernel both signs of a product are rotations of it."""
    names = (x, other.get("y", "E5"), other.get("z", "E5"))
    signs = any(name[0] in "EW" for name in names) and any(name[0] in "LSR" for name in names)
    if dtype != "float32" or not signs or (pooling, borders) != ("max", "mirror") or not energy:
        return "written for float32, the largest of both signs, and mirrored borders only"
    return ""


# fastest first
PEERS = (
    Peer(
        name="cv2:sepFilter2D",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"image pool": image_pool(_cv2)},
        refuses=_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range",
    ),
    Peer(
        name="scipy.ndimage:convolve1d",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"energy": 7}),
    Row("ct-chest-64x512x512", "float32", {"energy": 7}),
)
