"""Difference of two Gaussians: a band-pass filter that answers to blobs and edges of one size.

    out = G(low_sigma) * images - G(high_sigma) * images      G: a Gaussian of unit sum

Noise finer than low_sigma and shading coarser than high_sigma vanish. A bright disc of radius about
1.4 sqrt(low_sigma high_sigma) gives a maximum at its centre, a dark one a minimum; the mean is 0.
With high_sigma = 1.6 low_sigma it is close to the Laplacian of a Gaussian, with the sign turned.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32; out has the same shape and is
        float32, in the grey levels of the images, because it has two signs
borders the nearest pixel is repeated
cost    that of the two Gaussians. With high_sigma < 4 a pixel is read and written once (on the GPU
        of images, not of volumes), else twice; workspace that of `gaussian`, of volumes twice, and
        on the CPU with high_sigma >= 4 a second result
error   the sum of those of the two Gaussians; edges wider than high_sigma are lost
nan     as in `gaussian`, by the wider of the two: a NaN or an infinity makes the window NaN or
        infinite, and with high_sigma >= 4 its whole image NaN
source  D. Marr, E. Hildreth, Theory of edge detection, Proc. R. Soc. Lond. B 207, 1980
"""

from typing import Any

import numpy as np

from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter, Quality
from . import _gaussian_cpu, _gaussian_gpu
from ._gaussian_plan import WIDE, reach, weights
from .gaussian import blur, gaussian

FUSED = 16  # largest radius of the kernel that makes both Gaussians at once


def reference(
    images: np.ndarray, *, low_sigma: float = 1.0, high_sigma: float = 1.6, truncate: float = 4.0
) -> np.ndarray:
    """Both Gaussians and their difference, in float64."""
    difference = blur(images, low_sigma, truncate) - blur(images, high_sigma, truncate)
    return difference.astype(np.float32)


def cpu(
    images: np.ndarray, out: np.ndarray, *, low_sigma: float, high_sigma: float, truncate: float
) -> None:
    """Both Gaussians of a tile at once; with high_sigma >= 4 one after the other."""
    _gaussian_cpu.difference(images, out, low_sigma, high_sigma, truncate)


# ---- GPU

_source = Cuda(__file__)


def gpu(images: Any, out: Any, *, low_sigma: float, high_sigma: float, truncate: float) -> None:
    """Images with small sigma in one pass over memory, all else as two Gaussians."""
    low, high = reach(low_sigma, truncate), reach(high_sigma, truncate)
    if images.ndim == 4 or high_sigma >= WIDE or high > FUSED:
        _gaussian_gpu.smooth(images, out, low_sigma, truncate)
        _gaussian_gpu.smooth(images, out, high_sigma, truncate, subtract=True)
        return
    n, h, w = images.shape
    taps = [*weights(low_sigma, low), *[0.0] * (FUSED - low)]
    taps += [*weights(high_sigma, high), *[0.0] * (FUSED - high)]
    tile = _source.function("dog_tile", PIXEL=images.dtype, LOW=low, HIGH=high)
    grid, threads = _gaussian_gpu.tiles(images.dtype, (n, h, w), high)
    tile(grid, threads, images, out, n, h, w, *map(float, taps))


def _cost(itemsize: int, *, low_sigma: float, high_sigma: float, truncate: float) -> Cost:
    """A pixel is read once and written as float32; the operations of two Gaussians."""
    low = gaussian.cost(itemsize, sigma=low_sigma, truncate=truncate)
    high = gaussian.cost(itemsize, sigma=high_sigma, truncate=truncate)
    return Cost(bytes=itemsize + 4, operations=low.operations + high.operations + 1)


def _validate(dtype: Any, shape: Any, *, low_sigma: float, high_sigma: float, truncate: float):
    if high_sigma <= low_sigma:
        raise ValueError(f"dog: high_sigma, {high_sigma:g}, must be above low_sigma, {low_sigma:g}")


dog = Filter(
    name="dog",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=gaussian.dtypes,
    parameters={
        "low_sigma": Parameter(
            1.0, "standard deviation of the narrow Gaussian", high=200, above=0, unit="pixels"
        ),
        "high_sigma": Parameter(
            1.6, "standard deviation of the wide Gaussian", high=200, above=0, unit="pixels"
        ),
        "truncate": gaussian.parameters["truncate"],
    },
    cost=_cost,
    examples=({"low_sigma": 1.0, "high_sigma": 1.6}, {"low_sigma": 0.8, "high_sigma": 5.0}),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    validate=_validate,
    tolerance=1e-5,
    peers=("skimage.filters:difference_of_gaussians", "cv2:GaussianBlur"),
    quality=Quality(registers=88, excuse="runs of pixels and their neighbours stay in registers"),
)
