"""Gabor filters: the strength of waves of one length and of one or many directions.

    out = mean or max over t of |images * g_t|,    g(x, y) = exp(-(u^2 + (gamma v)^2) / (2 sigma^2)
                                                             + 2 pi i u / wavelength)
    u =  x cos a + y sin a                         a = theta + 180 degrees t / steps
    v = -x sin a + y cos a                         for t = 0 .. steps - 1

within a square, |x|, |y| <= r = floor(truncate sigma max(1, 1 / gamma) + 1/2). A wave and the
one of the opposite direction answer alike, so that half a turn is all. With three planes the mean
or max goes over the slices (x, y), (x, z) and (y, z) too, as for isotropic voxels.

images  (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32, volumes slice by slice or in
        three planes; out has the same shape and is float32: the unit of the images times the sum
        of |g|, about 2 pi sigma^2 / gamma. g is not scaled, as the standard has it
borders see the parameter; the standard's reference values have "mirror"
cost    a pixel is read and written once a plane. Tiles of 16, 64 or 256 pixels a side overlap by
        2 r; their transforms there, and back for each direction, cost 17 to 34 operations a pixel
        and axis, times the overlap. CPU: 2 MB a thread. GPU: 256 MB at most and,
        of float32, a copy of the images (of volumes two)
error   of a tile's transforms in float32: 3e-7 of the largest pixel times the sum of |g|
nan     a NaN or an infinity makes its window, 2 r + 1 pixels wide, NaN
source  D. Gabor, Theory of communication, J. IEE 93, 1946; IBSI reference manual on convolutional
        filters (arXiv 2006.05470), Q88H
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
from scipy import ndimage

from .._cpu import frozen_view
from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter, Quality
from . import _separable_cpu, _separable_gpu, _tiles_cpu, _tiles_gpu
from ._separable import BORDER, POOLING, SCIPY, Bank, Kernels, finite, respond
from ._tiles import WIDEST, gains, planes, tiles
from .mean_filter import _source as _passes

_source = Cuda(__file__)

PLANES = ((-2, -1), (-3, -1), (-3, -2))  # rows and columns; the waves turn from these to those


def reference(
    images: np.ndarray,
    *,
    sigma: float = 2.0,
    wavelength: float = 4.0,
    gamma: float = 1.0,
    theta: float = 0.0,
    steps: int = 8,
    pooling: str = "average",
    slices: str = "axial",
    truncate: float = 4.0,
    borders: str = "mirror",
) -> np.ndarray:
    """Every direction in every plane, in float64."""
    values, radius = finite(images), reach(sigma, gamma, truncate)
    known, found = np.nan_to_num(values), []
    for axes in PLANES[: 3 if slices == "three" else 1]:
        other = [a for a in range(images.ndim) if a - images.ndim not in axes]
        for kernel in kernels(sigma, wavelength, gamma, theta, steps, radius):
            g = np.expand_dims(kernel, other)
            found.append(np.abs(ndimage.convolve(known, g, mode=SCIPY[borders])))
    pooled = np.max(found, axis=0) if pooling == "max" else np.mean(found, axis=0)
    blind = [respond(values, w, borders) for w in windows(images.ndim - 1, radius, slices)]
    return (pooled + np.sum(blind, axis=0)).astype(np.float32)


def reach(sigma: float, gamma: float, truncate: float) -> int:
    """r, half the width of the kernel."""
    return int(np.floor(truncate * sigma * max(1.0, 1 / gamma) + 0.5))


def kernels(
    sigma: float, wavelength: float, gamma: float, theta: float, steps: int, radius: int
) -> Iterator[np.ndarray]:
    """The kernel of every direction, (y, x) complex."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    for t in range(steps):
        a = np.deg2rad(theta + 180 * t / steps)
        u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
        yield np.exp(-(u**2 + (gamma * v) ** 2) / (2 * sigma**2) + 2j * np.pi * u / wavelength)


def windows(axes: int, radius: int, slices: str) -> list[Kernels]:
    """What each plane sees, as weights of 0: the answer is 0, or NaN where a pixel is."""
    return [
        tuple(np.zeros(2 * radius + 1 if a in plane else 1) for a in range(-axes, 0))
        for plane in PLANES[: 3 if slices == "three" else 1]
    ]


@lru_cache(maxsize=4)
def spectra(
    sigma: float,
    wavelength: float,
    gamma: float,
    theta: float,
    steps: int,
    truncate: float,
    share: int,
    sides: tuple[int, int],
) -> np.ndarray:
    """The gains of every direction, (steps, rows, columns) float32, divided by `share`."""
    waves = kernels(sigma, wavelength, gamma, theta, steps, reach(sigma, gamma, truncate))
    return frozen_view(np.stack([gains(wave / share, sides) for wave in waves]))


def _run(backend: Any, images: Any, out: Any, chosen: dict[str, Any]) -> None:
    """Plane after plane, into an out that begins as 0 or, where pixels are missing, NaN."""
    pooling, slices, borders = (chosen.pop(name) for name in ("pooling", "slices", "borders"))
    radius = reach(chosen["sigma"], chosen["gamma"], chosen["truncate"])
    views = planes(images.shape, slices == "three")
    share = len(views) * chosen["steps"] if pooling == "average" else 1
    for view in views:
        cut = tiles((view.rows, view.columns), radius)
        filters = spectra(**chosen, share=share, sides=cut.sides)
        backend(images, out, view, cut, filters, pooling == "max", borders)


def cpu(images: np.ndarray, out: np.ndarray, **chosen: Any) -> None:
    if images.dtype == np.float32 and not np.isfinite(images).all():
        _separable_cpu.apply(images, out, _blind(images, **chosen), chosen["borders"])
    else:
        out[...] = 0
    _run(_tiles_cpu.apply, images, out, chosen)


def gpu(images: Any, out: Any, **chosen: Any) -> None:
    if images.dtype == np.float32:
        _separable_gpu.apply(_passes, images, out, _blind(images, **chosen), chosen["borders"])
    else:
        out[...] = 0
    _run(partial(_tiles_gpu.apply, _source), images, out, chosen)


def _blind(
    images: Any, *, sigma: float, gamma: float, truncate: float, slices: str, **_: Any
) -> Bank:
    radius = reach(sigma, gamma, truncate)
    return Bank.added(windows(images.ndim - 1, radius, slices))


def _validate(
    dtype: Any, shape: Any, *, sigma: float, gamma: float, truncate: float, slices: str, **_: Any
) -> None:
    radius = reach(sigma, gamma, truncate)
    if radius > WIDEST:
        raise ValueError(
            f"gabor: truncate * sigma * max(1, 1 / gamma) must be at most {WIDEST} pixels, "
            f"got {radius}"
        )
    if slices == "three" and len(shape) != 4:
        raise ValueError(f"gabor: three planes need volumes (n, d, h, w), got {tuple(shape)}")


def _cost(
    itemsize: int, *, sigma: float, gamma: float, steps: int, truncate: float, slices: str, **_: Any
) -> Cost:
    """Of an image of 1024^2: its tiles, there and back for every direction."""
    side, number = 1024, 3 if slices == "three" else 1
    cut = tiles((side, side), reach(sigma, gamma, truncate))
    return Cost(
        bytes=number * (itemsize + 4),
        operations=number * (steps + 1) * cut.operations / side**2,
    )


gabor = Filter(
    name="gabor",
    family="enhance",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "sigma": Parameter(
            2.0, "standard deviation of the Gaussian along the wave", 0.5, 24, unit="pixels"
        ),
        "wavelength": Parameter(4.0, "length of the wave", 2, 128, unit="pixels"),
        "gamma": Parameter(
            1.0, "length of the Gaussian along the wave over that across it", 0.2, 5
        ),
        "theta": Parameter(0.0, "first direction of the wave, from x to y", 0, 180, unit="degrees"),
        "steps": Parameter(8, "directions, over half a turn", 1, 36),
        "pooling": Parameter("average", "over all directions and planes", choices=POOLING[1:]),
        "slices": Parameter("axial", "of volumes: which slices", choices=("axial", "three")),
        "truncate": Parameter(4.0, "half the width of the window", 2, 6, unit="sigma"),
        "borders": BORDER,
    },
    validate=_validate,
    cost=_cost,
    examples=(
        {"sigma": 0.7, "wavelength": 3.0, "theta": 30.0, "steps": 1, "truncate": 3.0},
        {"sigma": 0.5, "gamma": 0.5, "steps": 2, "borders": "periodic"},
        {"sigma": 0.6, "steps": 1, "pooling": "max", "slices": "three", "borders": "zero"},
    ),
    ndim=(3, 4),
    result=lambda dtype, **_: np.float32,
    tolerance=5e-6,
    quality=Quality(
        sector_efficiency=0.6,
        excuse="slices across the rows of a volume: each of their pixels is in another sector",
    ),
    peers=("cv2:filter2D", "skimage.filters:gabor"),
)
