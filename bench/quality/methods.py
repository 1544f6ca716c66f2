"""The methods that are judged, ours and the same of a peer with equal parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medkern import kernels as mk

from .truth import Truth

PeerRun = Callable[..., np.ndarray]
GAUSSIAN = ("white", "ct", "mr", "rician")
ANY = (*GAUSSIAN, "poisson")


@dataclass(frozen=True)
class Method:
    """A kernel with parameters, and who else does the same.

    `noises` are the kinds of truth it is made for; `level` is the parameter that "auto" sets.
    `theirs(image, level, **parameters)` denoises one float32 image (h, w). `stabilised`: works
    between that transform and its inverse, where the noise has a level of 1.
    """

    kernel: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    noises: tuple[str, ...] = GAUSSIAN
    level: str = "sigma"
    peer: str = ""
    theirs: PeerRun | None = None
    stabilised: str = ""

    @property
    def name(self) -> str:
        settings = " ".join(f"{k}={v}" for k, v in self.parameters.items())
        return f"{self.stabilised} {self.kernel} {settings}".strip()

    def levels(self, images: np.ndarray) -> np.ndarray | None:
        """What "auto" stands for on these images, one number each; None: nothing is estimated."""
        kernel = mk.catalogue()[self.kernel]
        if not self.level:
            return None
        if self.stabilised:
            return np.ones(len(images), np.float32)
        return kernel.settle(images, kernel.resolve(self.parameters))[self.level]

    def ours(self, images: np.ndarray, level: Any = "auto") -> np.ndarray:
        kernel: Any = mk.catalogue()[self.kernel]
        if self.stabilised:
            table: dict[str, Any] = mk.catalogue()
            model = "poisson" if self.stabilised == "anscombe" else "rician"
            values, names = mk.noise(images, model=model)
            found = {n.split(".")[-1]: v for n, v in zip(names, values.T.copy(), strict=True)}
            known = {"sigma" if name == "read" else name: v for name, v in found.items()}
            there = table[self.stabilised](images, **known)
            sigma = self.levels(images) if isinstance(level, str) else level
            done = kernel(there, **self.parameters, sigma=sigma)
            return table[f"{self.stabilised}_inverse"](done, **known)
        given = {self.level: level} if self.level else {}
        return kernel(images, **self.parameters, **given)

    def of_peer(self, truth: Truth) -> np.ndarray | None:
        """The peer's answer, with the levels that our own "auto" found."""
        if self.theirs is None:
            return None
        levels = self.levels(truth.noisy)
        each = [None] * len(truth.noisy) if levels is None else levels.tolist()
        kernel = mk.catalogue()[self.kernel]
        chosen = {k: v for k, v in kernel.resolve(self.parameters).items() if k != self.level}
        done = [self.theirs(i, s, **chosen) for i, s in zip(truth.noisy, each, strict=True)]
        return np.stack(done).astype(np.float32)


# ---- peers; a level of 0 is a constant image


def _cv2_gaussian(image: np.ndarray, level: None, *, sigma: float, truncate: float) -> np.ndarray:
    import cv2

    side = 2 * int(truncate * sigma + 0.5) + 1
    return cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)


def _cv2_median(image: np.ndarray, level: None, *, radius: int) -> np.ndarray:
    import cv2

    return cv2.medianBlur(image, 2 * radius + 1)


def _cv2_bilateral(
    image: np.ndarray, level: float, *, radius: int, spatial: float, strength: float
) -> np.ndarray:
    import cv2

    diameter = 2 * radius + 1
    return cv2.bilateralFilter(
        image, diameter, strength * level, spatial, borderType=cv2.BORDER_REPLICATE
    )


def _skimage_nlm(
    image: np.ndarray, level: float, *, strength: float, search: int, patch: int, noise: str
) -> np.ndarray:
    """Its Gaussian model; for Rician data what its users do with it: the same.

    The sums of its fast mode hold one row and one column less than the patch, but are divided by
    the whole of it: with h smaller by as much, like patches weigh the same.
    """
    from skimage.restoration import denoise_nl_means

    side = 2 * (patch or 2) + 1
    return denoise_nl_means(
        image,
        patch_size=side,
        patch_distance=search or 10,
        h=strength * level * (side - 1) / side,
        sigma=level,
        fast_mode=True,
        preserve_range=True,
    )


def _skimage_tv(image: np.ndarray, level: float, *, strength: float, **_: Any) -> np.ndarray:
    """The same functional, far into convergence."""
    from skimage.restoration import denoise_tv_chambolle

    unit = float(np.ptp(image)) or 1.0  # its stop test knows no unit: give it a range of 1
    clean = denoise_tv_chambolle(
        image.astype(np.float64) / unit,
        weight=strength * level / unit,
        eps=1e-7,
        max_num_iter=500,
    )
    return clean * unit


def _skimage_wavelet(
    image: np.ndarray, level: float, *, wavelet: str, levels: int, **_: Any
) -> np.ndarray:
    import pywt
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(
        image.astype(np.float64),
        sigma=level,
        wavelet=wavelet,
        mode="soft",
        method="BayesShrink",
        wavelet_levels=levels or pywt.dwtn_max_level(image.shape, wavelet),
        rescale_sigma=False,
    )


def _scipy_lee(image: np.ndarray, level: float, *, radius: int, domain: str) -> np.ndarray:
    from scipy import ndimage

    values = image.astype(np.float64)
    mean = ndimage.uniform_filter(values, 2 * radius + 1, mode="nearest")
    square = ndimage.uniform_filter(values**2, 2 * radius + 1, mode="nearest")
    variance = np.maximum(square - mean**2, 1e-12)
    noise = (level if domain == "log" else level * mean) ** 2
    return mean + np.maximum(0, 1 - noise / variance) * (values - mean)


METHODS = (
    Method("gaussian", {"sigma": 1.0}, ANY, level="", peer="OpenCV", theirs=_cv2_gaussian),
    Method("median", {"radius": 1}, ANY, level="", peer="OpenCV", theirs=_cv2_median),
    Method("bilateral", {}, peer="OpenCV", theirs=_cv2_bilateral),
    Method("guided"),
    Method("wavelet", {}, peer="scikit-image", theirs=_skimage_wavelet),
    Method("wavelet", {"cycle_spin": 4}),
    Method("tv", {}, peer="scikit-image", theirs=_skimage_tv),
    Method("diffusion"),
    Method("nlm", {}, peer="scikit-image", theirs=_skimage_nlm),
    Method(
        "nlm", {"noise": "rician"}, noises=("rician",), peer="scikit-image", theirs=_skimage_nlm
    ),
    Method("collaborative"),
    Method("collaborative", {"spacing": 2}, noises=("ct",)),
    Method("collaborative", {}, noises=("rician",), stabilised="rician"),
    *(
        Method(kernel, {}, noises=("poisson",), stabilised="anscombe")
        for kernel in ("wavelet", "tv", "nlm", "collaborative")
    ),
    Method("lee", {}, noises=("speckle",), level="speckle", peer="SciPy", theirs=_scipy_lee),
    Method("frost", {}, noises=("speckle",), level="speckle"),
    Method("srad", {}, noises=("speckle",), level="speckle"),
)
