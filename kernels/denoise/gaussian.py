"""Gaussian smoothing of images and volumes, of any width.

    out[x] = sum over |k| <= r of w[k] images[x + k],   w[k] = exp(-k^2 / (2 sigma^2)) / sum of all

along each axis in turn; r = round(truncate * sigma) for sigma < 4, and nothing is cut off above.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32, any intensity unit; out has the
        same. Of (n, d, h, w) all three axes are smoothed. sigma is in pixels, not in grey levels
borders the nearest pixel is repeated (OpenCV's BORDER_REPLICATE, SciPy's mode="nearest")
cost    a pixel is read and written once. An axis costs 3 r + 1 operations for sigma < 4, else about
        30, whatever sigma. CPU: up to 1.3 MB a thread; sigma >= 4 also two coarse images, 1/2 of
        the input in float32 for sigma < 8 and less above. GPU: the same; volumes of sigma < 4 a
        copy in float32, images of sigma >= 4 half of one
error   sigma < 4: that of float32 sums, 3e-7 of the largest pixel. Above it the Gaussian is made of
        three (see _gaussian_plan.py): at most 4e-6 of the largest pixel, whatever the image, and
        5e-7 as a rule; the impulse response is within 5e-6 of its peak, without negative lobes. The
        usual kernel, cut off at 4 sigma, misses 6e-5 of the weight
nan     sigma < 4: a NaN or an infinity spreads over the window, 2 r + 1 pixels wide; above, where
        the window has no end, its whole image becomes NaN
source  T. Lindeberg, Scale-space for discrete signals, IEEE PAMI 12(3), 1990, section III (sampled
        kernel); P. Burt, Fast filter transforms for image processing, CGIP 16(1), 1981 (pyramid)
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .._kernel import Cost, Filter, Parameter, Quality
from . import _gaussian_cpu, _gaussian_gpu
from ._gaussian_plan import WIDE, reach

_ENDLESS = 7.0  # sigma: what lies beyond is below float64's rounding of the sum by far


def reference(images: np.ndarray, *, sigma: float = 1.0, truncate: float = 4.0) -> np.ndarray:
    """Correlate every axis with the sampled Gaussian, in float64."""
    smooth = blur(images, sigma, truncate)
    if images.dtype == np.float32:
        return smooth.astype(np.float32)
    info = np.iinfo(images.dtype)
    return np.rint(smooth).clip(info.min, info.max).astype(images.dtype)


def blur(images: np.ndarray, sigma: float, truncate: float) -> np.ndarray:
    """The Gaussian in float64, unrounded."""
    radius = reach(sigma, truncate if sigma < WIDE else _ENDLESS)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    smooth = images.astype(np.float64)
    for axis in range(1, images.ndim):
        smooth = ndimage.correlate1d(smooth, weights / weights.sum(), axis, mode="nearest")
    if sigma >= WIDE:
        lost = ~np.isfinite(images).reshape(len(images), -1).all(axis=1)
        smooth[lost] = np.nan
    return smooth


def cpu(images: np.ndarray, out: np.ndarray, *, sigma: float, truncate: float) -> None:
    """Tiles in the second level cache; both or all three axes of a tile at once."""
    _gaussian_cpu.smooth(images, out, sigma, truncate)


def gpu(images: Any, out: Any, *, sigma: float, truncate: float) -> None:
    """One pass over memory where sigma < 4; above, one over the image and some over a fraction."""
    _gaussian_gpu.smooth(images, out, sigma, truncate)


def _cost(itemsize: int, *, sigma: float, truncate: float) -> Cost:
    """Each pixel is read and written once; the operations of two axes."""
    axis = 3 * reach(sigma, truncate) + 1 if sigma < WIDE else 34
    return Cost(bytes=2 * itemsize, operations=2 * axis)


gaussian = Filter(
    name="gaussian",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "sigma": Parameter(
            1.0, "standard deviation of the Gaussian", high=200, above=0, unit="pixels"
        ),
        "truncate": Parameter(
            4.0,
            "half the width of the window, for sigma < 4; a wider Gaussian is not cut off",
            1,
            6,
            unit="sigma",
        ),
    },
    cost=_cost,
    examples=(
        {"sigma": 1.0},
        {"sigma": 2.5, "truncate": 3.0},
        {"sigma": 4.5},
        {"sigma": 16.5},
    ),
    ndim=(3, 4),
    tolerance=5e-6,
    peers=(
        "cv2:GaussianBlur",
        "SimpleITK:SmoothingRecursiveGaussian",
        "scipy.ndimage:gaussian_filter",
    ),
    quality=Quality(
        registers=88, excuse="a run of 8 pixels and its 2 r neighbours stay in registers"
    ),
)
