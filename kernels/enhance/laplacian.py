"""Laplacian of a Gaussian: answers to blobs, lines and edges of one size.

    out = sum over the axes a of  images * g''_a,   g''(k) = g(k) (k^2 - s^2) / sigma^4   along a
                                                    g(k) = exp(-k^2 / (2 sigma^2)) / sum of all
                                                    along the other axes

for |k| <= r = floor(truncate sigma + 1/2), with s^2 = sum of g(k) k^2, which is sigma^2 but for
what the window cuts off: so the kernel's sum is 0 and shading vanishes. Bright blobs of radius
sigma sqrt(number of axes) have the lowest values, dark ones the highest.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32; out has the same shape and is
        float32, in the intensity unit of the images a pixel^2. sigma is in pixels
borders see the parameter; the standard's reference values have "mirror"
cost    a pixel is read and written once. 16 operations a pixel and unit of `truncate sigma`, in
        volumes 32. CPU: 1 MB a thread; of volumes 1 MB for sigma = 2 and 12 MB for sigma = 10
        (truncate = 4). GPU: a copy of the images in float32 (of volumes two)
error   that of float32 sums, below 1e-6 of the largest pixel
nan     a NaN or an infinity makes its window, 2 r + 1 pixels wide, NaN
source  IBSI reference manual on convolutional filters (arXiv 2006.05470), L6PA;
        D. Marr, E. Hildreth, Theory of edge detection, Proc. R. Soc. Lond. B 207, 1980
"""

from typing import Any

import numpy as np

from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter
from . import _separable_cpu, _separable_gpu
from ._separable import BORDER, Bank, Kernels, finite, respond

_source = Cuda(__file__)


def reference(
    images: np.ndarray, *, sigma: float = 1.5, truncate: float = 4.0, borders: str = "mirror"
) -> np.ndarray:
    """Add the responses of the axes, in float64."""
    values = finite(images)
    terms = products(sigma, truncate, images.ndim - 1)
    return np.sum([respond(values, term, borders) for term in terms], axis=0).astype(np.float32)


def products(sigma: float, truncate: float, axes: int) -> list[Kernels]:
    """For each axis the second derivative along it and the Gaussian along the others."""
    radius = int(np.floor(truncate * sigma + 0.5))
    k = np.arange(-radius, radius + 1)
    gaussian = np.exp(-0.5 * (k / sigma) ** 2)
    gaussian /= gaussian.sum()
    second = gaussian * (k**2 - (gaussian * k**2).sum()) / sigma**4
    return [tuple(second if a == axis else gaussian for a in range(axes)) for axis in range(axes)]


def cpu(
    images: np.ndarray, out: np.ndarray, *, sigma: float, truncate: float, borders: str
) -> None:
    bank = Bank.added(products(sigma, truncate, images.ndim - 1))
    _separable_cpu.apply(images, out, bank, borders)


def gpu(images: Any, out: Any, *, sigma: float, truncate: float, borders: str) -> None:
    bank = Bank.added(products(sigma, truncate, images.ndim - 1))
    _separable_gpu.apply(_source, images, out, bank, borders)


def _cost(itemsize: int, *, sigma: float, truncate: float, borders: str) -> Cost:
    """A pixel is read once and written as float32; the sums of two axes."""
    bank = Bank.added(products(sigma, truncate, 2))
    return Cost(bytes=itemsize + 4, operations=bank.operations())


laplacian = Filter(
    name="laplacian",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "sigma": Parameter(1.5, "standard deviation of the Gaussian", 0.3, 10, unit="pixels"),
        "truncate": Parameter(4.0, "half the width of the window", 2, 6, unit="sigma"),
        "borders": BORDER,
    },
    cost=_cost,
    examples=(
        {"sigma": 0.8},
        {"sigma": 1.0, "truncate": 2.0, "borders": "periodic"},
    ),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    tolerance=3e-6,
    peers=("scipy.ndimage:gaussian_laplace",),
)
