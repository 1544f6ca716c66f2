"""Noise of images: its standard deviation, or gain and read noise, from the finest differences.

    d = a - b - c + e of 2 x 2 pixels,   gaussian   sigma = median |d| / (2 * 0.6745)
                                         rician     sigma = that, times Koay's factor(mean / sigma)
                                         poisson    mean d^2 / 4 = gain * mean + read^2

Blocks of 4 x 4 pixels are looked at, at most 4096 an image, in rows at fixed places. Of each come
four differences, one more of its quarters' sums (the next scale), its mean, and, of two beside each
other, the difference of their sums (wider still). Where edges give the differences heavy tails,
the median is taken again, three times, of those below 2 sigma alone.

Noise that a reconstruction or an interpolation has smoothed is hardly there at the finest scale.
Where the next scale shows 2.5 times as much of it, with the tails of noise and not of edges, sigma
is 1.4 times the level there: more than the standard deviation, what a denoiser must take off whose
rule is made for white noise. Where the wide differences have heavy tails, that scale is full
of structure too, and sigma is less: times (1.95 / tails)^2, tails = their 0.9 quantile over their
median, 1 for a normal distribution. Ratios of scales below 2.5 are taken for structure.

The poisson model fits a line through eight groups of blocks of rising mean: the median slope of
all pairs of groups, each weighted by its distance. Groups need noise that is white.

`noise_sigma`, which stands behind every sigma="auto", is the gaussian model, or the rician one
where half of the image looks like the background of a magnitude: mean / sigma from 1.7 to 2.

images  (n, h, w) and (n, d, h, w), of which the slices are looked at in their planes. Columns are
        noise.sigma, or noise.gain and noise.read, in grey levels (the gain: grey levels a count)
masks   a block counts if all of it is inside
borders rows and columns beyond the last whole block are not looked at
cost    40 operations a pixel of the blocks, and 100 passes over their keys, at most 112 KB an image
nan     a block that holds one, or an infinity, is left out. So is a constant one: it is padding, or
        clipped. Without blocks the values are NaN, and `noise_sigma` is 0
accuracy standard error of sigma about 1 % with 4096 blocks of white noise; structure adds to it
source  D. L. Donoho, I. M. Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika
        1994; C. G. Koay, P. J. Basser, Analytically exact correction scheme for signal extraction
        from noisy magnitude MR signals, J Magn Reson 2006; A. Foi et al., Practical
        Poissonian-Gaussian noise modeling and fitting for single-image raw-data, IEEE TIP 2008
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import frozen_view
from .._kernel import Cost, Feature, Measure
from .._parameter import Parameter
from .._threads import run
from . import _noise_blocks as blocks

FEATURES = (
    Feature("sigma", "", "median |d| / (2 * 0.6745), d = a - b - c + e", "grey levels"),
    Feature("gain", "", "slope of the variance over the mean", "grey levels"),
    Feature("read", "", "square root of the variance at mean 0", "grey levels"),
)
# mean / sigma below which the correction for a magnitude is made
NEVER, BACKGROUND, ALWAYS = 0.0, 2.0, 1e9


def noise_sigma(images: Any) -> Any:
    """Standard deviation of the noise of each image or volume: (n,) float32, on their device."""
    sigma = _cuda.empty(images, (len(images),), np.float32)
    if isinstance(images, np.ndarray):
        cpu_sigma(images, None, sigma, BACKGROUND, 0.0)
    elif len(images):
        gpu_sigma(images, None, sigma, BACKGROUND, 0.0)
    return sigma


# ---- the definition


def reference(images, masks=None, *, model):
    """The definition in NumPy, float64."""
    masks = np.ones(images.shape, np.uint8) if masks is None else masks
    values = np.full((len(images), len(names(model=model))), np.nan)
    for image, mask, out in zip(_volumes(images), _volumes(masks), values, strict=True):
        seen, wide = _blocks(image, mask)
        if len(seen) and model == "poisson":
            out[:] = gain_and_read(seen)
        elif len(seen):
            out[0] = sigma_of(seen, wide, ALWAYS if model == "rician" else NEVER, step(images))
    return values.astype(np.float32)


def _blocks(volume, mask):
    """(m, 4, 4): the blocks looked at that are inside the mask, finite, and not constant.

    Beside them, how far the sums of every two are apart that follow each other in a row.
    """
    d, h, w = volume.shape
    rows, columns = blocks.grid((1, d, h, w))
    if not rows:
        return np.empty((0, 4, 4)), np.empty(0)
    chosen = [blocks.row_of.py_func(k, rows, d * (h // 4)) for k in range(rows)]

    def cut(array):
        bands = array[:, : h // 4 * 4, : columns * 4].reshape(-1, 4, columns, 4)
        return bands.swapaxes(1, 2)[chosen].reshape(-1, 4, 4)

    seen, inside = cut(volume).astype(np.float64), cut(mask).all(axis=(1, 2))
    inside &= np.isfinite(seen).all(axis=(1, 2)) & (np.ptp(seen, axis=(1, 2)) != 0)
    sums = np.where(inside, seen.sum(axis=(1, 2)), np.nan).reshape(rows, columns)
    wide = abs(sums[:, : columns // 2 * 2 : 2] - sums[:, 1::2])
    return seen[inside], wide[np.isfinite(wide)]


def differences(block):
    """|a - b - c + e| of the quarters of (..., 2m, 2m), and whether they are constant."""
    a, b = block[..., ::2, ::2], block[..., ::2, 1::2]
    c, e = block[..., 1::2, ::2], block[..., 1::2, 1::2]
    return abs(a - b - c + e), (a == b) & (a == c) & (a == e)


def level(d, tenths, step):
    """The value below which `tenths` of d lie, between the steps of integer images."""
    if not d.size:
        return 0.0
    value = np.sort(d)[(d.size - 1) * tenths // 10]
    place = min((d.size * tenths / 10 - (d < value).sum()) / (d == value).sum(), 1.0)
    return value + step * (place - 0.5) if value > 0 else step * place / 2


def sigma_of(seen, wide, below, step):
    """Standard deviation from blocks, corrected where mean / sigma is under `below`."""
    d, flat = differences(seen)
    quarters = seen.reshape(-1, 2, 2, 2, 2).sum(axis=(2, 4))
    coarser = differences(quarters)[0].ravel()
    sigma = level(d[~flat], 5, step) / (2 * blocks.HALF)
    coarse = level(coarser, 5, step) / (4 * blocks.HALF)
    tails = level(coarser, 9, step) / (4 * blocks.TENTH)
    coloured = coarse > blocks.COLOURED * sigma and tails < blocks.TAILS * coarse
    if coloured and len(seen) >= blocks.FEW:
        spread = level(wide, 9, step) / blocks.TENTH
        narrow = blocks.SPREAD * level(wide, 5, step) / blocks.HALF
        sigma = blocks.TAKEN * coarse * (min(narrow / spread, 1) ** 2 if spread > 0 else 1)
    elif level(d[~flat], 9, step) / (2 * blocks.TENTH) > blocks.EDGES * sigma:
        for _ in range(blocks.ROUNDS):
            small = d[~flat & (d < blocks.CUT * 2 * sigma)]
            sigma = level(small, 5, step) / (2 * blocks.INNER)
    means = np.where((seen < 0).any(axis=(1, 2)), blocks.HUGE, seen.mean(axis=(1, 2)))
    middle = level(means, 5, 0)
    if blocks.CENTRED * sigma <= middle < below * sigma:
        place = 8 * np.sqrt(max(middle / sigma - blocks.RAYLEIGH, 0))
        sigma *= np.interp(place, np.arange(17), blocks.koay(), right=1)
    return sigma


def gain_and_read(seen):
    """Slope and square root of the offset of the variance over the mean."""
    means, energy = seen.mean(axis=(1, 2)), (differences(seen)[0] ** 2).mean(axis=(1, 2)) / 4
    ranks = [len(seen) * b // blocks.BINS for b in range(1, blocks.BINS)]
    group = np.searchsorted(np.sort(means)[ranks], means, side="right")
    mean, variance = np.array(
        [(means[group == g].mean(), energy[group == g].mean()) for g in np.unique(group)]
    ).T
    if len(mean) < 2:
        return np.nan, np.nan
    a, b = np.triu_indices(len(mean), 1)
    apart = mean[b] - mean[a]
    gain = max(weighted_median((variance[b] - variance[a]) / apart, apart), 0)
    rest = variance - gain * mean
    return gain, np.sqrt(max(weighted_median(rest, np.ones(len(rest))), 0))


def weighted_median(values, weights):
    """The least value that half of the weight does not exceed."""
    order = np.argsort(values)
    half = np.cumsum(weights[order]) >= 0.5 * weights.sum()
    return values[order][np.argmax(half)]


# ---- CPU


def cpu(images: Any, masks: Any, values: Any, *, model: str) -> None:
    """Keys of the blocks in threads over rows, then what is read from them, over images."""
    if model == "poisson":
        keys = cpu_keys(images, masks, flats=True, magnitude=False)
        run(blocks.some_gains, len(keys), keys, values)
    else:
        cpu_sigma(images, masks, values[:, 0], ALWAYS if model == "rician" else NEVER, np.nan)


def cpu_sigma(images: Any, masks: Any, sigma: Any, below: float, none: float) -> None:
    """Sigma of each image; `none` without blocks."""
    keys = cpu_keys(images, masks, flats=False, magnitude=True)
    run(blocks.some_sigmas, len(keys), keys, blocks.koay(), step(images), below, none, sigma)


def cpu_keys(images: Any, masks: Any, flats: bool, magnitude: bool) -> np.ndarray:
    """Keys of all blocks that are looked at: see `_noise_blocks`."""
    volumes = frozen_view(_volumes(images))
    masks = frozen_view(np.empty((0, 0, 0, 0), np.uint8) if masks is None else _volumes(masks))
    n, (rows, columns) = len(volumes), blocks.grid(volumes.shape)
    keys = np.empty((n, blocks.KEYS * rows * columns), np.uint32)
    args = (volumes, masks, keys, rows, columns, flats, magnitude)
    run(blocks.some_keys, n * rows, *args, least=8)
    return keys


def step(images: Any) -> float:
    """Between the values that differences of these pixels take."""
    return float(images.dtype.kind in "iu")


def _volumes(array: Any) -> Any:
    """(n, h, w) as n volumes of one slice."""
    return array if array.ndim == 4 else array[:, None]


# ---- GPU

_source = _cuda.Cuda(__file__)
THREADS, GRID = 128, 65535


def gpu(images: Any, masks: Any, values: Any, *, model: str) -> None:
    """One launch for the keys, one for what is read from them: a block of threads an image."""
    if model == "poisson":
        keys = gpu_keys(images, masks, flats=True, magnitude=False)
        n, size = len(keys), keys.shape[1] // blocks.KEYS
        _source.function("gains")(min(n, GRID), THREADS, keys, values, n, size)
    else:
        gpu_sigma(images, masks, values, ALWAYS if model == "rician" else NEVER, np.nan)


def gpu_sigma(images: Any, masks: Any, sigma: Any, below: float, none: float) -> None:
    """Sigma of each image; `none` without blocks."""
    keys = gpu_keys(images, masks, flats=False, magnitude=True)
    n, size = len(keys), keys.shape[1] // blocks.KEYS
    factors = ",".join(f"{float(factor).hex()}f" for factor in blocks.koay())
    _source.function("sigmas", FACTORS=factors)(
        min(n, GRID), THREADS, keys, sigma, n, size, step(images), below, none
    )


def gpu_keys(images: Any, masks: Any, flats: bool, magnitude: bool) -> Any:
    """Keys of all blocks that are looked at."""
    volumes = _volumes(images)
    (n, d, h, w), (rows, columns) = volumes.shape, blocks.grid(volumes.shape)
    keys = _cuda.empty(images, (n, blocks.KEYS * rows * columns), np.uint32)
    if keys.size:
        grid = (-(-columns // THREADS), min(rows, GRID), min(n, GRID))
        _source.function("keys", PIXEL=images.dtype)(
            grid, THREADS, volumes, masks, keys, n, d, h, w, rows, columns, flats, magnitude
        )
    return keys


# ---- what other kernels take

SIGMA = Parameter(
    "auto", "standard deviation of the noise", above=0, unit="grey levels", estimate=noise_sigma
)


# ---- the kernel


def names(*, model: str) -> tuple[str, ...]:
    """The columns."""
    return ("noise.gain", "noise.read") if model == "poisson" else ("noise.sigma",)


noise = Measure(
    name="noise",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=names,
    features=FEATURES,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "model": Parameter("gaussian", "of the noise", choices=("gaussian", "rician", "poisson")),
    },
    examples=({}, {"model": "rician"}, {"model": "poisson"}),
    tolerance=1e-4,
    cost=lambda itemsize, **_: Cost(bytes=itemsize, operations=40),
    peers=("skimage.restoration:estimate_sigma", "dipy.denoise.noise_estimate:estimate_sigma"),
)
