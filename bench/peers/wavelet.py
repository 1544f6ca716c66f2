"""Who else shrinks wavelet coefficients: PyWavelets, in float32, and scikit-image on top of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.denoise._wavelet_plan import Setting

from .peer import Peer, Row, image_pool, one_by_one


def _pywt(image: np.ndarray, out: np.ndarray, **chosen: Any) -> None:
    """The same transform, thresholds and shrinkage with PyWavelets' functions."""
    import pywt

    setting = Setting.of(image[None], **chosen)
    levels, name = setting.levels, chosen["wavelet"]
    sigma, factor, mode = np.float32(chosen["sigma"]), setting.factor, chosen["mode"]
    coefficients: Any = pywt.wavedecn(
        image.astype(np.float32, copy=False), name, "symmetric", levels
    )
    for bands in coefficients[1:]:
        for key, band in bands.items():
            signal = np.vdot(band, band) / band.size - sigma**2
            limit = factor * sigma if factor else sigma**2 / np.sqrt(max(signal, 1e-30))
            bands[key] = pywt.threshold(band, limit, mode)
    whole: Any = pywt.waverecn(coefficients, name, "symmetric")
    clean = whole[tuple(map(slice, image.shape))]
    if out.dtype.kind in "iu":
        info = np.iinfo(out.dtype)
        clean = np.clip(np.rint(clean, out=clean), info.min, info.max, out=clean)
    out[...] = clean


def _skimage(image: np.ndarray, out: np.ndarray, **chosen: Any) -> None:
    from skimage.restoration import denoise_wavelet

    setting = Setting.of(image[None], **chosen)
    out[...] = denoise_wavelet(
        image,
        chosen["sigma"],
        chosen["wavelet"],
        chosen["mode"],
        setting.levels,
        method="VisuShrink" if chosen["threshold"] == "visu" else "BayesShrink",
        rescale_sigma=False,
    )


def _refuses(dtype: str, **chosen: Any) -> str:
    if isinstance(chosen["sigma"], str):
        return "PyWavelets has no estimate of sigma"
    if chosen["cycle_spin"] > 1:
        return "PyWavelets does not average over moves"
    if chosen["wavelet"].startswith("bior"):
        return "its thresholds here take the noise of every band for sigma"
    return ""


def _skimage_refuses(dtype: str, **chosen: Any) -> str:
    if dtype != "float32":
        return f"skimage.restoration.denoise_wavelet gives float, not {dtype}"
    return _refuses(dtype, **chosen)


def _close(ours: np.ndarray, theirs: np.ndarray, **_: Any) -> str:
    """1e-5 of the largest pixel; integers one level."""
    apart = np.abs(ours.astype(np.float64) - theirs)
    allowed = max(1e-5 * float(np.abs(theirs).max()), float(ours.dtype.kind in "iu"))
    wrong = int((apart > allowed).sum())
    return f"{wrong} of {apart.size} pixels differ by more than {allowed:g}" if wrong else ""


# fastest first
PEERS = (
    Peer(
        name="pywt:wavedecn",
        package="pywt",
        distribution="PyWavelets",
        modes={"image pool": image_pool(_pywt), "one by one": one_by_one(_pywt)},
        refuses=_refuses,
        difference=_close,
        agreement="1e-5 of the largest pixel, integers one level",
    ),
    Peer(
        name="skimage.restoration:denoise_wavelet",
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": image_pool(_skimage)},
        refuses=_skimage_refuses,
        difference=_close,
        agreement="1e-5 of the largest pixel",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"sigma": 0.02}),
    Row("image-1024", "float32", {"sigma": 0.02, "threshold": "visu"}),
    Row("ct-chest-64x512x512", "uint16", {"sigma": 80.0}),
    Row("mr-head-128", "float32", {"sigma": 0.02}),
    Row("image-1024", "float32", {"cycle_spin": 4}),
)
