"""Stabilises the noise of MR magnitudes (Rician) to sd 1, and goes back without bias.

    rician          f(image / sigma);  f' = 1 / sd at the mean of each true level, refined until
                                       sd(f) = 1
    rician_inverse  sigma * v;  v = the true level whose mean f is the given one:  E[f | v] = z

A magnitude is sigma |v + g + i h|, g and h standard normal. Transform, denoise as if the noise were
Gaussian of sd 1, transform back with the same sigma: the noise floor of the background, where the
mean magnitude is 1.25 sigma though nothing is there, goes back to 0. The transform finds sigma
itself ("auto"), the inverse cannot: for the way back give both the same numbers, as those of
noise(images, model="rician").

images  rician: (n, h, w) or (n, d, h, w) magnitudes, uint8, uint16, int16 or float32; out float32.
        rician_inverse: float32; out as `to` says. sigma may be one number an image
borders every pixel on its own
cost    a pixel is read and written once, about 10 operations and one look-up in a table of 1025
        numbers, made once a process in 0.1 s; the inverse 15
accuracy sd of f within 4 % of 1 at every true level, 1 % above 4 sigma. The inverse is within
        0.001 sigma of the exact one
nan     stays NaN (0 in integers), +infinity stays. What is below 0 counts as 0; z below the mean
        of an empty background gives 0
source  A. Foi, Noise estimation and removal in MR imaging: the variance-stabilization approach,
        IEEE ISBI 2011
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import i0e

from .._cpu import compiled
from .._cuda import Cuda
from .._inner import inner
from .._kernel import Cost, Filter, Parameter
from .._pixels import to_pixel
from ._stabilise import (
    CHUNK,
    PIXEL_DTYPES,
    TABLE,
    chunk_of,
    each,
    estimated,
    launch,
    look_up,
    on_device_of,
    run_pixels,
    take_slopes,
    to_dtype,
)

# ---- the transform
#
# f(z) = z + rest(z), and the rest is a table up to z = TOP and constant from there, where the noise
# is Gaussian with an sd within 0.1 % of 1. In the same way v^2 = (z - constant)^2 + rest.

TOP, CELLS = 16.0, 1024
GRID = np.linspace(0, TOP, CELLS + 1)
Z = np.arange(0, TOP + 18, GRID[1])  # magnitudes, for what is integrated over them
ROUNDS = 10


@cache
def forward_table() -> np.ndarray:
    """f(z) - z at z = 0 .. TOP in float64: its slope is refined where sd(f) is not 1."""
    levels = np.concatenate([np.linspace(0, 6, 121), np.linspace(6.25, 20, 56)])
    density = density_of(levels)
    mean, sd = density @ Z, _sd(density, Z)
    slope, f = np.ones_like(GRID), GRID
    for _ in range(ROUNDS):
        slope = slope / np.interp(GRID, mean, sd)
        f = np.concatenate([[0], np.cumsum(slope[1:] + slope[:-1]) / 2 * GRID[1]])
        sd = _sd(density, np.interp(Z, GRID, f) + np.maximum(Z - TOP, 0))
    return f - GRID


def density_of(levels: np.ndarray) -> np.ndarray:
    """Probabilities of the magnitudes Z at each true level, sigma = 1."""
    levels = levels[:, None]
    density = Z * np.exp(-((Z - levels) ** 2) / 2) * i0e(Z * levels)
    return density / density.sum(axis=1, keepdims=True)


def _sd(density: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Standard deviation of values at Z."""
    return np.sqrt(density @ values**2 - (density @ values) ** 2)


def stabilise(z: np.ndarray) -> np.ndarray:
    """f in float64."""
    return z + np.interp(z, GRID, forward_table())


def reference(images: np.ndarray, *, sigma: np.ndarray) -> np.ndarray:
    """f(image / sigma)."""
    z = images.astype(np.float64) / each(sigma, images)
    return stabilise(np.maximum(z, 0)).astype(np.float32)


def inverse_reference(images: np.ndarray, *, sigma: np.ndarray, to: str) -> np.ndarray:
    """The true level, of a fine scale of levels, whose mean f is the pixel."""
    levels = np.linspace(0, 20, 801)
    mean = density_of(levels) @ stabilise(Z)
    square = PchipInterpolator(mean, levels**2)(np.clip(images, mean[0], mean[-1]))
    far = (images.astype(np.float64) - forward_table()[-1]) ** 2 - 1
    level = np.sqrt(np.where(images > mean[-1], far, square))
    level[np.isnan(images)] = np.nan
    return to_dtype(each(sigma, images) * level, to)


@cache
def inverse_table() -> tuple[np.ndarray, float, float]:
    """v^2 - (z - constant)^2 for z from that of v = 0 on, TOP / CELLS apart; that z; constant."""
    levels = np.linspace(0, TOP + 6, 441)
    mean = density_of(levels) @ stabilise(Z)
    constant = forward_table()[-1]
    z = mean[0] + GRID
    rest = PchipInterpolator(mean, levels**2)(z) - (z - constant) ** 2
    return rest.astype(np.float32), float(mean[0]), float(constant)


# ---- CPU


def cpu(images: np.ndarray, out: np.ndarray, *, sigma: np.ndarray) -> None:
    """Pixels in chunks."""
    run_pixels(_some_stable, images, out, sigma, forward_table().astype(np.float32))


def inverse_cpu(images: np.ndarray, out: np.ndarray, *, sigma: np.ndarray, to: str) -> None:
    """Pixels in chunks."""
    table, least, constant = inverse_table()
    numbers = np.float32(least), np.float32(constant), out.dtype.kind != "f"
    run_pixels(_some_levels, images, out, sigma, table, *numbers)


A_CELL = np.float32(CELLS / TOP)


@inner
def _magnitudes(out, places, pixels, factor):
    """z and its place in the table."""
    for i in range(out.size):
        z = np.float32(pixels[i]) * factor
        z = np.float32(0.0) if z < np.float32(0.0) else z
        out[i] = z
        places[i] = z * A_CELL


@compiled
def _some_stable(first, stop, images, out, sigma, table):
    slopes, line = np.empty_like(table), np.empty(CHUNK, np.float32)
    take_slopes(slopes, table)
    for number in range(first, stop):
        image, start, end = chunk_of(number, images.shape[1])
        z, places = out[image][start:end], line[: end - start]
        _magnitudes(z, places, images[image][start:end], np.float32(1.0) / sigma[image])
        look_up(places, table, slopes)
        for i in range(z.size):
            z[i] = z[i] + places[i]


@inner
def _places(places, pixels, least):
    for i in range(places.size):
        places[i] = (pixels[i] - least) * A_CELL


@inner
def _levels(out, pixels, rests, sigma, least, constant, whole):
    """sigma v; of `whole` numbers NaN is 0."""
    for i in range(out.size):
        z = pixels[i] - constant
        square = z * z + rests[i]
        square = np.float32(0.0) if (pixels[i] <= least) | (square < np.float32(0.0)) else square
        level = sigma * np.sqrt(square)
        out[i] = to_pixel(np.float32(0.0) if whole & (level != level) else level, out)


@compiled
def _some_levels(first, stop, images, out, sigma, table, least, constant, whole):
    slopes, line = np.empty_like(table), np.empty(CHUNK, np.float32)
    take_slopes(slopes, table)
    for number in range(first, stop):
        image, start, end = chunk_of(number, images.shape[1])
        pixels, places = images[image][start:end], line[: end - start]
        _places(places, pixels, least)
        look_up(places, table, slopes)
        _levels(out[image][start:end], pixels, places, sigma[image], least, constant, whole)


# ---- GPU

_source = Cuda(__file__)


def gpu(images: Any, out: Any, *, sigma: Any) -> None:
    """One launch, a row of the grid an image; the table in shared memory."""
    table = on_device_of(images, forward_table().astype(np.float32))
    launch(_function("stable", images.dtype), images, out, sigma, table)


def inverse_gpu(images: Any, out: Any, *, sigma: Any, to: str) -> None:
    """One launch, a row of the grid an image; the table in shared memory."""
    table, least, constant = inverse_table()
    table = on_device_of(images, table)
    launch(_function("levels", out.dtype), images, out, sigma, table, least, constant)


def _function(name: str, pixel: Any) -> Any:
    return _source.function(name, PIXEL=pixel, CELLS=CELLS, A_CELL=int(A_CELL))


# ---- the kernels


def rician_sigma(images: Any) -> Any:
    """sd of the noise of each image's channels, as `noise` finds it; 1 where it finds none."""
    return estimated(images, "rician", 0, 1.0)


SIGMA = Parameter(
    "auto",
    "sd of the noise before the magnitude was taken",
    above=0,
    unit="grey levels",
    estimate=rician_sigma,
)

rician = Filter(
    name="rician",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={"sigma": SIGMA},
    result=lambda dtype, **_: "float32",
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 4, operations=10),
    examples=({}, {"sigma": 15.0}),
    tolerance=1e-5,
    quality=TABLE,
)

rician_inverse = Filter(
    name="rician_inverse",
    family="denoise",
    reference=inverse_reference,
    cpu=inverse_cpu,
    gpu=inverse_gpu,
    dtypes=("float32",),
    ndim=(3, 4),
    parameters={
        "sigma": replace(SIGMA, default=1.0, each=True, estimate=None),
        "to": Parameter("float32", "dtype of the result", choices=PIXEL_DTYPES),
    },
    result=lambda _, to, **__: to,
    cost=lambda itemsize, *, to, **_: Cost(bytes=itemsize + np.dtype(to).itemsize, operations=15),
    examples=({}, {"sigma": 20.0, "to": "uint16"}),
    tolerance=3e-5,
    quality=TABLE,
)
