"""Which denoiser suits images: a chain of kernels, from their modality and the noise in them.

    advice = recommend(batch.pixels, batch.modality)
    clean = advice(batch.pixels)                 print(advice.chain, advice.reason)

The rules follow what removes most noise from images whose truth is known. Images decide before the
modality does, where their noise can be told: impulses, the background of a magnitude, and a
variance that rises with the mean. The first 32 images are looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .anscombe import anscombe, anscombe_inverse
from .collaborative import collaborative
from .median import median
from .nlm import nlm
from .noise import noise, noise_sigma
from .srad import srad
from .tv import tv

_KERNELS = {
    kernel.name: kernel
    for kernel in (anscombe, anscombe_inverse, collaborative, median, nlm, srad, tv)
}
LOOKED_AT = 32
IMPULSES = 0.002  # share of pixels at an end of the range and far from their neighbours
RISE = 2.0  # variance at the bright end over that at the dark end, of counted photons at least
ALIKE = 1.35  # of their noise in bright places, as fitted and as measured: the ratio at most
SPECKLE, COUNTED = ("US", "IVUS"), ("SM", "GM", "NM", "PT")


@dataclass(frozen=True)
class Step:
    """One kernel by its name in the catalogue, with parameters; the others keep their defaults."""

    kernel: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Recommendation:
    """A chain of kernels and why; called with images it runs them. The dtype is kept."""

    chain: tuple[Step, ...]
    reason: str

    def __call__(self, images: Any) -> Any:
        back = {"to": str(images.dtype)}
        for step in self.chain:
            kernel = _KERNELS[step.kernel]
            images = kernel(
                images, **step.parameters, **(back if "to" in kernel.parameters else {})
            )
        return images


def recommend(images: Any, modality: str | Sequence[str] = "") -> Recommendation:
    """The chain for images (n, h, w) of one DICOM modality; of several, the most frequent."""
    if not isinstance(modality, str):
        modality = Counter(modality).most_common(1)[0][0] if len(modality) else ""
    if not len(images):
        raise ValueError("recommend: there are no images to look at")
    some = images[:LOOKED_AT]
    code, measured = modality.upper(), _Noise.of(some)
    if measured.impulses > IMPULSES:
        radius = 1 if measured.impulses < 0.1 else 2
        return _advice(
            f"{measured.impulses:.1%} of the pixels are impulses, which a median takes out",
            ("median", {"radius": radius}),
        )
    if code in SPECKLE:
        return _advice("ultrasound: speckle, which diffusion guided by it lowers", ("srad", {}))
    if measured.magnitude and code in ("MR", "", "OT"):
        return _advice(
            f"magnitude images with Rician noise of about {measured.sigma:.3g} grey levels; "
            "non-local means takes its bias off too",
            ("nlm", {"noise": "rician"}),
        )
    known = code in COUNTED and measured.gain > 0
    if known or (code in ("", "OT") and measured.counted):
        model = {"gain": measured.gain, "sigma": measured.read}
        return _advice(
            f"counted photons: variance {measured.gain:.3g} times the mean, read noise "
            f"{measured.read:.3g}; made uniform, denoised, and turned back",
            ("anscombe", model),
            ("collaborative", {"sigma": 1.0}),
            ("anscombe_inverse", model),
        )
    if code == "CT":
        return _advice(
            f"reconstructed slices with coloured noise of about {measured.sigma:.3g}; total "
            "variation removes its coarse part too",
            ("tv", {}),
        )
    return _advice(
        f"noise of about {measured.sigma:.3g} grey levels, much the same everywhere: groups of "
        "similar patches keep most detail",
        ("collaborative", {}),
    )


def _advice(reason: str, *chain: tuple[str, Mapping[str, Any]]) -> Recommendation:
    return Recommendation(tuple(Step(*step) for step in chain), reason)


@dataclass(frozen=True)
class _Noise:
    """What the images show; medians over them."""

    sigma: float
    magnitude: bool  # half of the image is the background of a magnitude
    gain: float
    read: float
    counted: bool  # the variance rises with the mean as that of photons does
    impulses: float

    @classmethod
    def of(cls, images: Any) -> _Noise:
        sigma, plain = _host(noise_sigma(images)), _host(noise(images)[0])[:, 0]
        fitted = _host(noise(images, model="poisson")[0])
        fitted = fitted[np.isfinite(fitted[:, 0])]
        gain, read = map(float, np.median(fitted, axis=0)) if len(fitted) else (0.0, 0.0)
        return cls(
            float(np.median(sigma)),
            bool(np.median(sigma / np.fmax(plain, 1e-30)) > 1.2),
            gain,
            read,
            gain > 0 and _counted(images, gain, read),
            _impulses(images, sigma),
        )


def _counted(images: Any, gain: float, read: float) -> bool:
    """Whether the noise of bright places is above that of dark ones, and as the line has it."""
    grey = median(images, radius=2)
    dark, bright = np.quantile(_host(grey).astype(np.float64), (0.05, 0.75))
    there = grey > bright
    measured = _host(noise(images, there)[0])[:, 0]
    if not np.isfinite(measured).any():
        return False
    mean = _host(grey)[_host(there)].mean()
    at_dark, at_bright = (max(gain * at + read**2, 0.0) for at in (dark, float(mean)))
    ratio = np.sqrt(at_bright) / np.fmax(np.nanmedian(measured), 1e-30)
    return bool(at_bright > RISE * at_dark and 1 / ALIKE < ratio < ALIKE)


def _impulses(images: Any, sigma: np.ndarray) -> float:
    """Share of pixels at an end of their image's range that are far from the local median."""
    grey, local = _host(images).astype(np.float32), _host(median(images, radius=1))
    ends = (grey == grey.min((1, 2), keepdims=True)) | (grey == grey.max((1, 2), keepdims=True))
    far = abs(grey - local) > np.maximum(6 * sigma, 0.1 * np.ptp(grey, axis=(1, 2)))[:, None, None]
    return float((ends & far).mean())


def _host(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else np.asarray(array.get())
