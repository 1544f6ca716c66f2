"""Laws' texture kernels: level, edge, spot, wave and ripple along each axis, and their energy.

    r = images * (k_x x k_y x k_z),     energy[x] = mean of |r| over the window x - d .. x + d

    L3 = 1 2 1 / sqrt 6     L5 = 1 4 6 4 1 / sqrt 70        W5 = -1 2 0 -2 1 / sqrt 10
    E3 = -1 0 1 / sqrt 2    E5 = -1 -2 0 2 1 / sqrt 10      R5 = 1 -4 6 -4 1 / sqrt 70
    S3 = -1 2 -1 / sqrt 6   S5 = -1 0 2 0 -1 / sqrt 6

With pooling r is, before the energy, the largest or the mean response over all right-angle
rotations of the kernel: 4 in images, 24 in volumes.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32; out has the same shape and is
        float32, in the intensity unit of the images
borders see the parameter, of images and of r; the standard's reference values have "mirror"
cost    a pixel is read and written once (with energy r twice more). An axis costs 10 operations
        for 5 taps, of at most 8 passes for 3 different products, and 4 d + 2 for the energy. CPU:
        1 MB a thread, with energy the images once more in float32. GPU: the same and a copy of the
        images in float32 (of volumes two)
nan     a NaN or an infinity makes its window, of all rotations, NaN; the energy spreads it by d
source  K. I. Laws, Rapid texture identification, Proc. SPIE 238, 1980; IBSI reference manual on
        convolutional filters (arXiv 2006.05470), JTXT
"""

from typing import Any

import numpy as np

from .._cpu import aligned_empty
from .._cuda import Cuda, empty
from .._kernel import Cost, Filter, Parameter
from . import _separable_cpu, _separable_gpu
from ._separable import BORDER, POOLING, Bank, Kernels, finite, pooled, respond, respond_pooled

_source = Cuda(__file__)

TAPS = {
    "L3": (1, 2, 1),
    "E3": (-1, 0, 1),
    "S3": (-1, 2, -1),
    "L5": (1, 4, 6, 4, 1),
    "E5": (-1, -2, 0, 2, 1),
    "S5": (-1, 0, 2, 0, -1),
    "W5": (-1, 2, 0, -2, 1),
    "R5": (1, -4, 6, -4, 1),
}
NAMES = tuple(TAPS)


def reference(
    images: np.ndarray,
    *,
    x: str = "L5",
    y: str = "E5",
    z: str = "E5",
    pooling: str = "max",
    energy: int = 7,
    borders: str = "mirror",
) -> np.ndarray:
    """Every rotation, then the mean of the absolute values, in float64."""
    kernels = product(x, y, z, images.ndim - 1)
    response = respond_pooled(finite(images), kernels, pooling, borders)
    if energy:
        response = respond(np.abs(response), window(energy, images.ndim - 1), borders)
    return response.astype(np.float32)


def product(x: str, y: str, z: str, axes: int) -> Kernels:
    """The kernels of the axes of an array, z first; images have no z."""
    taps = (np.array(TAPS[name], np.float64) for name in (z, y, x)[-axes:])
    return tuple(k / np.sqrt((k**2).sum()) for k in taps)


def window(energy: int, axes: int) -> Kernels:
    """The mean over 2 energy + 1 pixels along each axis."""
    side = 2 * energy + 1
    return (np.full(side, 1 / side),) * axes


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    x: str,
    y: str,
    z: str,
    pooling: str,
    energy: int,
    borders: str,
) -> None:
    axes = images.ndim - 1
    response = aligned_empty(images.shape, np.float32) if energy else out
    _separable_cpu.apply(images, response, pooled(product(x, y, z, axes), pooling), borders)
    if energy:
        mean = Bank.added([window(energy, axes)])
        _separable_cpu.apply(response, out, mean, borders, absolute=True)


def gpu(
    images: Any, out: Any, *, x: str, y: str, z: str, pooling: str, energy: int, borders: str
) -> None:
    axes = images.ndim - 1
    response = empty(images, images.shape, np.float32) if energy else out
    bank = pooled(product(x, y, z, axes), pooling)
    _separable_gpu.apply(_source, images, response, bank, borders)
    if energy:
        mean = Bank.added([window(energy, axes)])
        _separable_gpu.apply(_source, response, out, mean, borders, absolute=True)


def _validate(dtype: Any, shape: Any, *, x: str, y: str, z: str, **_: Any) -> None:
    if len({name[1] for name in (z, y, x)[1 - len(shape) :]}) > 1:
        raise ValueError(f"laws: x, y, z must be kernels of one length, got {x}, {y}, {z}")


def _cost(
    itemsize: int, *, x: str, y: str, z: str, pooling: str, energy: int, borders: str
) -> Cost:
    """A pixel is read once and written as float32, with energy twice; the sums of two axes."""
    bank = pooled(product(x, y, z, 2), pooling)
    mean = 2 * (4 * energy + 2) if energy else 0
    return Cost(bytes=itemsize + (12 if energy else 4), operations=bank.operations() + mean)


laws = Filter(
    name="laws",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "x": Parameter("L5", "kernel along x", choices=NAMES),
        "y": Parameter("E5", "kernel along y", choices=NAMES),
        "z": Parameter("E5", "kernel along z, of volumes", choices=NAMES),
        "pooling": Parameter("max", "over all right-angle rotations", choices=POOLING),
        "energy": Parameter(
            7, "d, half the side of the energy's window; 0 leaves r as it is", 0, 15, unit="pixels"
        ),
        "borders": BORDER,
    },
    validate=_validate,
    cost=_cost,
    examples=(
        {"x": "L3", "y": "E3", "z": "E3", "energy": 2},
        {"x": "S3", "y": "E3", "z": "L3", "pooling": "average", "energy": 0, "borders": "zero"},
        {"x": "W5", "y": "R5", "z": "S5", "pooling": "none", "energy": 1, "borders": "nearest"},
    ),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    tolerance=5e-6,
    peers=("cv2:sepFilter2D", "scipy.ndimage:convolve1d"),
)
