"""Anscombe's transform: counts with Poisson and read noise to noise of sd 1, and back unbiased.

    anscombe          z = 2 sqrt(max(y + 3/8 + s^2, 0))
    anscombe_inverse  y = the counts whose mean z is the given one, E[z | y] = z

of y = (image - offset) / gain counts, and s = sigma / gain. Transform, denoise as if the noise were
Gaussian of sd 1, transform back with the same gain, sigma and offset. A denoised z stands for a
mean of z, and the square of a mean is not the mean of squares: the algebraic inverse is too dark
by up to a quarter of a count, the exact unbiased one is not.

The transform finds gain and sigma itself ("auto"), the inverse cannot: for the way back give both
the same numbers, for instance those of noise(images, model="poisson").

images  anscombe: (n, h, w) or (n, d, h, w) uint8, uint16, int16 or float32 grey levels, that is
        gain * counts + offset + Gaussian noise of sd sigma; out float32. anscombe_inverse: float32;
        out as `to` says. gain and sigma may be one number an image
borders every pixel on its own
cost    a pixel is read and written once, 8 operations; the inverse 20, with a table of 257 x 49
        numbers, made once a process in 0.3 s, in the first level cache
accuracy sd of z within 3 % of 1 from 4 counts up, without read noise (0.85 at 1 count). The
        inverse is within 0.0005 counts of the exact one at any gain and sigma, beside what rounding
        of z to float32 does (z^2 times 6e-8)
nan     stays NaN (0 in integers); an infinity stays one. z below that of 0 counts gives 0 counts
source  M. Makitalo, A. Foi, Optimal inversion of the generalized Anscombe transformation for
        Poisson-Gaussian noise, IEEE Trans. Image Processing 22, 2013
"""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import gammaln, xlogy

from .._cpu import compiled
from .._cuda import Cuda
from .._inner import inner
from .._kernel import Cost, Filter, Parameter
from .._pixels import to_pixel
from ._stabilise import (
    CHUNK,
    PIXEL_DTYPES,
    STREAM,
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

# ---- the definitions


def reference(
    images: np.ndarray, *, gain: np.ndarray, sigma: np.ndarray, offset: float
) -> np.ndarray:
    """The formula in float64."""
    gain, sigma = (each(v, images) for v in (gain, sigma))
    counts = (images.astype(np.float64) - offset) / gain
    return (2 * np.sqrt(np.maximum(counts + 3 / 8 + (sigma / gain) ** 2, 0))).astype(np.float32)


def inverse_reference(
    images: np.ndarray, *, gain: np.ndarray, sigma: np.ndarray, offset: float, to: str
) -> np.ndarray:
    """E[z | counts] computed up to 100 counts and inverted; above, sd(z) = 1 is exact enough."""
    counts = np.linspace(0, 10, 1001) ** 2
    out = np.empty(images.shape)
    for image, z in enumerate(images.astype(np.float64)):
        s = float(sigma[image]) / float(gain[image])
        mean = mean_root(counts, s)
        exact = PchipInterpolator(mean, counts)(np.clip(z, mean[0], mean[-1]))
        found = np.where(z > mean[-1], z**2 / 4 - 1 / 8 - s**2, exact)
        found[np.isnan(z)] = np.nan
        out[image] = gain[image] * found + offset
    return to_dtype(out, to)


def mean_root(counts: np.ndarray, s: float) -> np.ndarray:
    """E[2 sqrt(max(k + s g + 3/8 + s^2, 0))] for Poisson k of each mean and standard normal g."""
    g = np.linspace(-7, 7, 1001 if s else 1)
    density = np.exp(-(g**2) / 2)
    density /= density.sum()
    top = counts.max()
    k = np.arange(int(top + 8 * np.sqrt(top) + 20))
    root = 2 * np.sqrt(np.maximum(k[:, None] + s * g + 3 / 8 + s**2, 0)) @ density
    likely = np.exp(xlogy(k, counts[:, None]) - counts[:, None] - gammaln(k + 1))
    return likely @ root


# ---- the table of the inverse
#
# With v = var(z):  counts = z^2 / 4 - 1/8 - s^2 + (v - 1) / 4,  and only the last term, which is
# small and smooth, needs a table: over w = 2 sqrt(3/8 + s^2) / z, near 1 for no counts and 0 for
# many, and over u = s / (1 + s).

CELLS, WIDEST = 256, 1.3  # of w, and its end
LEVELS = 48  # of u


@cache
def correction() -> np.ndarray:
    """(LEVELS + 1, CELLS + 1) float32 values of (v - 1) / 4 at equally spaced u and w."""
    counts = np.linspace(0, 16, 321) ** 2
    table = np.zeros((LEVELS + 1, CELLS + 1))  # the last, u = 1, stays 0
    for level in range(LEVELS):
        s = level / (LEVELS - level)
        z = mean_root(counts, s)
        w = 2 * np.sqrt(3 / 8 + s**2) / z
        rest = counts - (z**2 / 4 - 1 / 8 - s**2)
        table[level] = _continued(np.append(w, 0)[::-1], np.append(rest, 0)[::-1])
    return table.astype(np.float32)


def _continued(w: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """rest(w) on the grid, going straight on beyond the last w, where there would be no counts."""
    grid = np.linspace(0, WIDEST, CELLS + 1)
    curve = PchipInterpolator(w, rest)
    slope = (rest[-1] - rest[-3]) / (w[-1] - w[-3])
    return np.where(grid < w[-1], curve(np.minimum(grid, w[-1])), rest[-1] + slope * (grid - w[-1]))


# ---- CPU


def cpu(images: np.ndarray, out: np.ndarray, *, gain: Any, sigma: Any, offset: float) -> None:
    """Pixels in chunks."""
    run_pixels(_some_roots, images, out, gain, sigma, np.float32(offset))


def inverse_cpu(
    images: np.ndarray, out: np.ndarray, *, gain: Any, sigma: Any, offset: float, to: str
) -> None:
    """Pixels in chunks; each chunk has the row of the table for its s."""
    whole = out.dtype.kind != "f"
    run_pixels(_some_counts, images, out, gain, sigma, np.float32(offset), correction(), whole)


@inner
def _roots(out, pixels, factor, offset, rest):
    for i in range(out.size):
        y = (np.float32(pixels[i]) - offset) * factor + rest
        y = np.float32(0.0) if y < np.float32(0.0) else y
        out[i] = np.float32(2.0) * np.sqrt(y)


@compiled
def _some_roots(first, stop, images, out, gain, sigma, offset):
    for number in range(first, stop):
        image, start, end = chunk_of(number, images.shape[1])
        s = sigma[image] / gain[image]
        factor = np.float32(1.0) / gain[image]
        rest = np.float32(0.375) + s * s
        _roots(out[image][start:end], images[image][start:end], factor, offset, rest)


@inner
def _row_for(values, slopes, s, table):
    """The row of the table for s, between the two that are there."""
    place = s / (np.float32(1.0) + s) * np.float32(LEVELS)
    level = min(np.int32(place), np.int32(LEVELS - 1))
    share = place - np.float32(level)
    low, high = table[level], table[level + 1]
    for i in range(values.size):
        values[i] = low[i] + share * (high[i] - low[i])
    take_slopes(slopes, values)


@inner
def _places(places, pixels, scale):
    """w in cells; z below 0 is as good as nearly 0: no counts."""
    for i in range(places.size):
        z = pixels[i]
        places[i] = scale / (z if z > np.float32(1e-3) else np.float32(1e-3))


@inner
def _counts(out, pixels, corrections, rest, gain, offset, whole):
    """`rest` is 1/8 + s^2; of `whole` numbers NaN is 0."""
    for i in range(out.size):
        z = pixels[i]
        y = np.float32(0.25) * (z * z) - rest + corrections[i]
        y = np.float32(0.0) if (y < np.float32(0.0)) | (z <= np.float32(0.0)) else y
        y = y * gain + offset
        out[i] = to_pixel(np.float32(0.0) if whole & (y != y) else y, out)


@compiled
def _some_counts(first, stop, images, out, gain, sigma, offset, table, whole):
    values, slopes = np.empty(CELLS + 1, np.float32), np.empty(CELLS + 1, np.float32)
    line = np.empty(CHUNK, np.float32)
    at = -1
    for number in range(first, stop):
        image, start, end = chunk_of(number, images.shape[1])
        s = sigma[image] / gain[image]
        if image != at:
            _row_for(values, slopes, s, table)
            at = image
        scale = np.float32(2.0) * np.sqrt(np.float32(0.375) + s * s) * np.float32(CELLS / WIDEST)
        pixels, places = images[image][start:end], line[: end - start]
        _places(places, pixels, scale)
        look_up(places, values, slopes)
        rest = np.float32(0.125) + s * s
        _counts(out[image][start:end], pixels, places, rest, gain[image], offset, whole)


# ---- GPU

_source = Cuda(__file__)


def gpu(images: Any, out: Any, *, gain: Any, sigma: Any, offset: float) -> None:
    """One launch; a row of the grid an image."""
    roots = _source.function("roots", PIXEL=images.dtype)
    launch(roots, images, out, gain, sigma, offset)


def inverse_gpu(images: Any, out: Any, *, gain: Any, sigma: Any, offset: float, to: str) -> None:
    """One launch; a block of threads puts the row of the table for its s into shared memory."""
    cells = f"{np.float32(CELLS / WIDEST).item().hex()}f"
    counts = _source.function(
        "counts", PIXEL=out.dtype, LEVELS=LEVELS, CELLS=CELLS, CELLS_A_UNIT=cells
    )
    launch(counts, images, out, gain, sigma, offset, on_device_of(images, correction()))


# ---- the kernels


def poisson_gain(images: Any) -> Any:
    """Gain of each image, as `noise` finds it; 1 where it finds none."""
    return estimated(images, "poisson", 0, 1.0)


def read_noise(images: Any) -> Any:
    """sd of the read noise of each image, as `noise` finds it; 0 where it finds none."""
    return estimated(images, "poisson", 1, 0.0)


GREY = "grey levels"
GAIN = Parameter("auto", "grey levels a count", above=0, unit=GREY, estimate=poisson_gain)
READ = Parameter("auto", "sd of the read noise", 0, unit=GREY, estimate=read_noise)
OFFSET = Parameter(0.0, "grey level of no counts", unit=GREY)

anscombe = Filter(
    name="anscombe",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={"gain": GAIN, "sigma": READ, "offset": OFFSET},
    result=lambda dtype, **_: "float32",
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 4, operations=8),
    examples=({"gain": 1.0, "sigma": 0.0}, {}, {"gain": 2.5, "sigma": 4.0, "offset": -30.0}),
    tolerance=1e-5,
    quality=STREAM,
)

anscombe_inverse = Filter(
    name="anscombe_inverse",
    family="denoise",
    reference=inverse_reference,
    cpu=inverse_cpu,
    gpu=inverse_gpu,
    dtypes=("float32",),
    ndim=(3, 4),
    parameters={
        "gain": replace(GAIN, default=1.0, each=True, estimate=None),
        "sigma": replace(READ, default=0.0, each=True, estimate=None),
        "offset": OFFSET,
        "to": Parameter("float32", "dtype of the result", choices=PIXEL_DTYPES),
    },
    result=lambda _, to, **__: to,
    cost=lambda itemsize, *, to, **_: Cost(bytes=itemsize + np.dtype(to).itemsize, operations=20),
    examples=(
        {},
        {"gain": 0.1, "sigma": 0.05, "offset": 3.0},
        {"gain": 2.0, "sigma": 5.0, "to": "uint16"},
    ),
    tolerance=3e-5,
    quality=TABLE,
)
