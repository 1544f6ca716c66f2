"""Who else has undecimated wavelets."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, same_images

BANDS = {"LH": 0, "HL": 1, "HH": 2}


def _pywt(
    image: np.ndarray, out: np.ndarray, wavelet: str, band: str, level: int, **_: Any
) -> None:
    """All sub-bands of all levels: it has no way to ask for one."""
    import pywt

    out[...] = pywt.swt2(image, wavelet, level)[0][1][BANDS[band]]


def _pywt_refuses(
    dtype: str,
    band: str = "LH",
    pooling: str = "average",
    borders: str = "mirror",
    **_: Any,
) -> str:
    if dtype != "float32" or band not in BANDS:
        return "taken for single sub-bands of float32 images"
    if (pooling, borders) != ("none", "periodic"):
        return "pywt.swt2 has periodic borders and no rotations"
    return ""


def _scipy(
    image: np.ndarray, out: np.ndarray, wavelet: str, band: str, level: int, **_: Any
) -> None:
    """The even part of each filter, for each place of the letters."""
    from itertools import permutations

    from scipy import ndimage

    from medkern.kernels.enhance.subband import along_axes

    filters = [(f + f[::-1]) / 2 for f in along_axes(wavelet, band, level)]
    letters = band[::-1]  # filters and axes begin with z
    places = {tuple(letters[a] for a in order): order for order in permutations(range(image.ndim))}
    total = np.zeros_like(image)
    for order in places.values():
        one = image
        for axis, a in enumerate(order):
            one = ndimage.convolve1d(one, filters[a], axis, mode="reflect")
        total += one
    np.divide(total, len(places), out=out)


def _scipy_refuses(
    dtype: str,
    band: str = "LH",
    pooling: str = "average",
    borders: str = "mirror",
    **_: Any,
) -> str:
    if band in ("LH", "HL"):
        return "written for bands of which the even parts of the filters suffice"
    if dtype != "float32" or (pooling, borders) != ("average", "mirror"):
        return "written for float32, the mean of the rotations, and mirrored borders only"
    return ""


PEERS = (
    Peer(
        name="pywt:swt2",
        package="pywt",
        distribution="PyWavelets",
        modes={"image pool": image_pool(_pywt)},
        refuses=_pywt_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range",
    ),
    Peer(
        name="scipy.ndimage:convolve1d",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_scipy_refuses,
        difference=same_images(1e-5),
        agreement="1e-5 of the range",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"pooling": "none", "borders": "periodic"}),
    Row("image-1024", "float32", {"level": 2, "pooling": "none", "borders": "periodic"}),
    Row("ct-chest-64x512x512", "float32", {"band": "HH"}),
    Row("mr-head-128", "float32", {"band": "LLH"}),
)
