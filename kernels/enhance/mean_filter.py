"""Mean over a square or cubic window.

    out[y, x] = sum of images[y-r : y+r+1, x-r : x+r+1] / (2r+1)^2

images  (n, h, w), or (n, d, h, w) with windows of (2r+1)^3, uint8, uint16, int16 or float32; out
        has the same shape and is float32, in the intensity unit of the images
borders see the parameter; the standard's reference values have "mirror"
cost    a pixel is read and written once; 4 r + 2 operations an axis. CPU: up to 1 MB a
        thread, of volumes 2 MB. GPU: a copy of the images in float32 (of volumes two)
nan     a NaN or an infinity makes its window NaN
source  IBSI reference manual on convolutional filters (arXiv 2006.05470), S60F, whose
        support M is 2 r + 1
"""

from typing import Any

import numpy as np

from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter
from . import _separable_cpu, _separable_gpu
from ._separable import BORDER, Bank, Kernels, finite, respond

_source = Cuda(__file__)


def reference(images: np.ndarray, *, radius: int = 2, borders: str = "mirror") -> np.ndarray:
    """Convolve every axis with a window of unit sum, in float64."""
    return respond(finite(images), window(radius, images.ndim - 1), borders).astype(np.float32)


def window(radius: int, axes: int) -> Kernels:
    """Equal weights along each axis."""
    side = 2 * radius + 1
    return (np.full(side, 1 / side),) * axes


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int, borders: str) -> None:
    bank = Bank.added([window(radius, images.ndim - 1)])
    _separable_cpu.apply(images, out, bank, borders)


def gpu(images: Any, out: Any, *, radius: int, borders: str) -> None:
    bank = Bank.added([window(radius, images.ndim - 1)])
    _separable_gpu.apply(_source, images, out, bank, borders)


def _cost(itemsize: int, *, radius: int, borders: str) -> Cost:
    """A pixel is read once and written as float32; the sums of two axes."""
    return Cost(bytes=itemsize + 4, operations=2 * (4 * radius + 2))


mean_filter = Filter(
    name="mean_filter",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(
            2, "half the side of the window, which is 2 * radius + 1", 1, 15, unit="pixels"
        ),
        "borders": BORDER,
    },
    cost=_cost,
    examples=({"radius": 1}, {"radius": 2, "borders": "nearest"}, {"radius": 1, "borders": "zero"}),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    tolerance=1e-6,
    peers=("cv2:blur", "scipy.ndimage:uniform_filter"),
)
