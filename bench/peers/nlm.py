"""Who else takes non-local means.

The peers weigh patches by exp(-max(D - 2 sigma^2, 0) / h^2), as we do, or leave the noise out:
exp(-D / h^2). The latter are asked where 2 sigma^2 is nothing beside h^2: strength >= 50.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Peer, Row, image_pool, one_by_one, same_images


def _cv2(
    image: np.ndarray,
    out: np.ndarray,
    sigma: float,
    strength: float,
    search: int,
    patch: int,
    **_: Any,
) -> None:
    import cv2

    window = (2 * patch + 1, 2 * search + 1)
    h = strength * sigma
    if image.dtype == np.uint8:
        cv2.fastNlMeansDenoising(image, out, h, *window)
    else:  # mean |d| of normal noise is sqrt(2 / pi) of the root of its mean square
        cv2.fastNlMeansDenoising(image, [h * (2 / np.pi) ** 0.5], out, *window, cv2.NORM_L1)


def _cv2_refuses(
    dtype: str, sigma: Any, strength: float, search: int, patch: int, noise: str
) -> str:
    if dtype not in ("uint8", "uint16"):
        return f"cv2.fastNlMeansDenoising takes uint8 and uint16, not {dtype}"
    if strength < 50:
        return "cv2.fastNlMeansDenoising takes no noise level off the distances"
    return _refuses(sigma, search, patch, noise)


def _refuses(sigma: Any, search: int, patch: int, noise: str) -> str:
    if isinstance(sigma, str):
        return "estimates no noise level"
    if not (search and patch):
        return "the search window and the patch must be given"
    if noise != "gaussian":
        return "knows no Rician noise"
    return ""


def _skimage(
    image: np.ndarray,
    out: np.ndarray,
    sigma: float,
    strength: float,
    search: int,
    patch: int,
    **_: Any,
) -> None:
    """It sums 2r x 2r squared differences of a patch and divides by (2r + 1)^2."""
    from skimage.restoration import denoise_nl_means

    out[...] = denoise_nl_means(
        image,
        patch_size=2 * patch + 1,
        patch_distance=search,
        h=strength * sigma * 2 * patch / (2 * patch + 1),
        sigma=sigma,
        fast_mode=True,
        preserve_range=True,
    )


def _skimage_refuses(
    dtype: str, sigma: Any, strength: float, search: int, patch: int, noise: str
) -> str:
    if dtype != "float32":
        return f"skimage.restoration.denoise_nl_means works on floats, not {dtype}"
    return _refuses(sigma, search, patch, noise)


def _dipy(
    volume: np.ndarray,
    out: np.ndarray,
    sigma: float,
    strength: float,
    search: int,
    patch: int,
    **_: Any,
) -> None:
    """Its `patch_radius` is the window searched, its `block_radius` the patches."""
    from dipy.denoise.nlmeans import nlmeans

    out[...] = nlmeans(
        volume,
        sigma,
        patch_radius=search,
        block_radius=patch,
        rician=True,
        num_threads=cores(),
        method="blockwise",
    )


def _dipy_refuses(
    dtype: str, sigma: Any, strength: float, search: int, patch: int, noise: str
) -> str:
    if noise != "rician" or strength != 1 or dtype != "float32":
        return "asked for float32 volumes with Rician noise; its strength is 1"
    return _refuses(sigma, search, patch, "gaussian")


def _edge(search: int, patch: int, **_: Any) -> int:
    """Where borders are treated differently: theirs mirror the image, also for the search."""
    return search + patch


def _close(share: float) -> Callable[..., str]:
    """A `difference`: root mean square at most `share` of h, borders left aside."""

    def difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
        edge = _edge(**parameters)
        inside = (slice(None), *(slice(edge, size - edge) for size in ours.shape[1:]))
        apart = ours[inside].astype(np.float64) - theirs[inside]
        h = parameters["strength"] * parameters["sigma"]
        rms = float(np.sqrt(np.mean(apart**2))) / h
        return "" if rms <= share else f"root mean square difference {rms:.3g} h, allowed {share:g}"

    return difference


def _difference_cv2(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    agree = same_images(1, _edge) if ours.dtype == np.uint8 else _close(0.01)
    return agree(ours, theirs, **parameters)


# fastest first
PEERS = (
    Peer(
        name="cv2:fastNlMeansDenoising",
        package="cv2",
        distribution="opencv-python-headless",
        modes={"threads inside": one_by_one(_cv2), "image pool": image_pool(_cv2)},
        refuses=_cv2_refuses,
        difference=_difference_cv2,
        agreement="uint8: one grey level, `search + patch` border pixels left aside. uint16: it "
        "knows the mean |d| of two patches alone, not the mean d^2; asked for the h that is equal "
        "for normal differences, root mean square 0.01 h",
    ),
    Peer(
        name="skimage.restoration:denoise_nl_means",
        package="skimage",
        distribution="scikit-image",
        modes={"fast, image pool": image_pool(_skimage)},
        refuses=_skimage_refuses,
        difference=_close(0.1),
        agreement="root mean square 0.1 h (it drops weights below exp(-5)), `search + patch` "
        "border pixels left aside",
    ),
    Peer(
        name="dipy.denoise:nlmeans",
        package="dipy",
        distribution="dipy",
        modes={"blockwise, threads inside": one_by_one(_dipy)},
        refuses=_dipy_refuses,
        difference=_close(0.35),
        agreement="root mean square 0.35 h (it averages whole patches, and only those of similar "
        "mean and variance), `search + patch` border voxels left aside",
    ),
)

_USUAL = {"search": 10, "patch": 3}

ROWS = (
    Row("image-1024", "uint8", {**_USUAL, "sigma": 0.1, "strength": 100.0}),
    Row("image-1024", "uint16", {**_USUAL, "sigma": 1.6, "strength": 100.0}),
    Row("image-1024", "float32", {**_USUAL, "sigma": 0.02, "strength": 0.6}),
    Row("ct-chest-64x512x512", "uint16", {**_USUAL, "sigma": 1.6, "strength": 100.0}),
    Row(
        "mr-head-128",
        "float32",
        {"search": 2, "patch": 1, "sigma": 0.02, "strength": 1.0, "noise": "rician"},
        smoke=False,  # the peer's other borders reach through the whole of a small volume
    ),
)
