"""Sub-bands of an undecimated separable wavelet transform: detail of one scale and orientation.

    out = images * (f_x x f_y x f_z),    f = L_0 * L_1 * .. * L_(j-2) * B_(j-1)

B is the wavelet's low-pass filter L or its high-pass filter H, as `band` says for x, y and z; F_i
is F with 2^i - 1 zeros after each tap (a trous). The levels before the last, j, are low-pass along
all axes. All levels are one filter, so that the borders of the image are met once.

With pooling out is the largest or the mean response over all right-angle rotations of the filter:
4 in images, 24 in volumes.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32; out has the same shape and is
        float32, in the intensity unit of the images (filters of norm 1, as in PyWavelets)
borders see the parameter; the standard's reference values have "mirror"
cost    a pixel is read and written once. A filter of level j has n (2^j - 1) + 1 taps, n those of
        the wavelet: 2 operations a tap, axis and product. Products: 1 for `none`, up to 4 (in
        volumes 3) for `average`, up to 4 (in volumes 24) for `max`. CPU: 1 MB a thread for level 1
        and 2, of volumes up to 27 MB for level 4. GPU: a copy of the images in float32 (of
        volumes two)
nan     a NaN or an infinity makes its window NaN
source  I. Daubechies, Ten lectures on wavelets, 1992; IBSI reference manual on convolutional
        filters (arXiv 2006.05470); a filter of even length gets a zero at its
        end, so that its pivot is its middle
"""

from itertools import product
from typing import Any

import numpy as np

from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter
from .._wavelets import bank
from . import _separable_cpu, _separable_gpu
from ._separable import BORDER, POOLING, Kernels, finite, pooled, respond_pooled

WAVELETS = ("haar", "db2", "db3", "db4", "coif1")
_source = Cuda(__file__)

BANDS = tuple("".join(b) for axes in (2, 3) for b in product("LH", repeat=axes))


def reference(
    images: np.ndarray,
    *,
    wavelet: str = "db3",
    band: str = "LH",
    level: int = 1,
    pooling: str = "average",
    borders: str = "mirror",
) -> np.ndarray:
    """Every rotation of the filter, in float64."""
    filters = along_axes(wavelet, band, level)
    return respond_pooled(finite(images), filters, pooling, borders).astype(np.float32)


def along_axes(wavelet: str, band: str, level: int) -> Kernels:
    """The filters of the axes of an array, z first."""
    return tuple(along_axis(wavelet, letter, level) for letter in band[::-1])


def along_axis(wavelet: str, letter: str, level: int) -> np.ndarray:
    """All levels as one filter."""
    low, high = bank(wavelet).analysis
    result = np.ones(1)
    for i in range(level):
        last = high if letter == "H" and i == level - 1 else low
        spread = np.zeros((len(last) << i) + 1)
        spread[: -1 : 1 << i] = last
        result = np.convolve(result, spread)
    return result


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    wavelet: str,
    band: str,
    level: int,
    pooling: str,
    borders: str,
) -> None:
    bank = pooled(along_axes(wavelet, band, level), pooling)
    _separable_cpu.apply(images, out, bank, borders)


def gpu(
    images: Any, out: Any, *, wavelet: str, band: str, level: int, pooling: str, borders: str
) -> None:
    bank = pooled(along_axes(wavelet, band, level), pooling)
    _separable_gpu.apply(_source, images, out, bank, borders)


def _validate(dtype: Any, shape: Any, *, band: str, **_: Any) -> None:
    if len(band) != len(shape) - 1:
        raise ValueError(
            f"subband: band has a letter an axis: two for images (n, h, w), three for volumes "
            f"(n, d, h, w); got {band!r} for shape {tuple(shape)}"
        )


def _cost(
    itemsize: int, *, wavelet: str, band: str, level: int, pooling: str, borders: str
) -> Cost:
    """A pixel is read once and written as float32."""
    bank = pooled(along_axes(wavelet, band, level), pooling)
    return Cost(bytes=itemsize + 4, operations=bank.operations())


subband = Filter(
    name="subband",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "wavelet": Parameter("db3", "the wavelet", choices=WAVELETS),
        "band": Parameter(
            "LH", "low-pass or high-pass along x, y and, of volumes, z", choices=BANDS
        ),
        "level": Parameter(1, "scale: 1 is the finest, the next twice as coarse", 1, 4),
        "pooling": Parameter("average", "over all right-angle rotations", choices=POOLING),
        "borders": BORDER,
    },
    validate=_validate,
    cost=_cost,
    examples=(
        {"wavelet": "db2", "band": "LH"},
        {"wavelet": "haar", "band": "HH", "level": 2, "pooling": "none", "borders": "periodic"},
        {"wavelet": "haar", "band": "LH", "pooling": "max"},
        {"wavelet": "db2", "band": "LLH"},
        {"wavelet": "haar", "band": "HHH", "level": 2, "pooling": "max", "borders": "zero"},
    ),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    tolerance=5e-6,
    peers=("pywt:swt2", "scipy.ndimage:convolve1d"),
)
