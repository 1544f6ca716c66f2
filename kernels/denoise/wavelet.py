"""Wavelet shrinkage: coefficients that noise could have made are drawn towards zero.

    out = W^-1 shrink(W x),   shrink(c) = sign(c) max(|c| - T, 0)   (soft)
                              shrink(c) = c where |c| >= T, else 0  (hard)
    BayesShrink   T = s^2 / sqrt(max(mean c^2 - s^2, 0)), a band of its own
    VisuShrink    T = s sqrt(2 ln N), N the number of pixels

W is the separable transform of `levels` levels; s is the noise in a band, sigma times the norm of
the band's filter: sigma itself where the wavelet is orthogonal. The coarsest low band is kept.

`cycle_spin` averages the results of the image moved by 0 .. cycle_spin - 1 pixels on every axis:
it removes the pattern that a transform on a fixed grid leaves at edges, and gains up to 1 dB.

images  (n, h, w), transformed on both axes, and (n, d, h, w), on all three
borders the edge is mirrored (c b a | a b c): PyWavelets' "symmetric". Any size is inverted exactly
cost    4 L (1 + 1/4 + ...) multiplications and as many additions a pixel of an image for filters
        of length L, forth and back; each level reads and writes its pixels twice. Workspace: all
        bands, 6 bytes a pixel (small images and long filters: more), between two passes over a
        volume 6 more (CPU: fewer), where cycle_spin is above 1 4 more (CPU: 8), on the CPU for
        integers 4 more; CPU: of one image a thread, GPU: of a group of images, as many as keep it
        below three times images and out, but at least one image, or 2^20 pixels
nan     passed through unchanged, as infinities are; the transform has 0 in their place
accuracy 1e-6 of the largest pixel, float32. sigma 0 gives the image back to that accuracy
edges   ring where a coefficient of an edge is drawn to zero: by a few percent of a step with soft
        BayesShrink, on the support of the filter
source  S. G. Chang, B. Yu, M. Vetterli, Adaptive wavelet thresholding for image denoising and
        compression, IEEE TIP 2000; D. L. Donoho, I. M. Johnstone, Biometrika 1994; R. R. Coifman,
        D. L. Donoho, Translation-invariant de-noising, 1995
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import frozen_view
from .._kernel import Cost, Filter, Quality
from .._parameter import Parameter
from .._threads import run, threads
from .._wavelets import NAMES, bank
from . import _wavelet_cpu as passes
from ._grid import groups
from ._wavelet_plan import Plan, Setting, shifts, visu
from .noise import SIGMA

# ---- the definition


def reference(images, *, wavelet, levels, threshold, mode, sigma, cycle_spin):
    """The definition in NumPy, float64."""
    out = np.empty(images.shape, images.dtype)
    plan = Plan.of(images.shape[1:], wavelet, levels)
    for i, (image, s) in enumerate(zip(images, sigma.tolist(), strict=True)):
        known = np.isfinite(image)
        filled = np.where(known, image, 0).astype(np.float64)
        factor = visu(threshold, image.size)
        value = np.zeros(image.shape)
        for shift in shifts(image.ndim, cycle_spin):
            moved = np.pad(filled, [(k, 0) for k in shift], mode="symmetric")
            moved = _denoised(moved, plan, s, factor, mode == "hard", 0)
            value += moved[tuple(slice(k, None) for k in shift)] / cycle_spin**image.ndim
        if images.dtype.kind in "iu":
            info = np.iinfo(images.dtype)
            value = np.clip(np.rint(value), info.min, info.max)
        out[i] = np.where(known, value, image)
    return out


def _denoised(image, plan, sigma, factor, hard, level):
    """One level forth, the thresholds, the further levels of its low band, and back."""
    if level == plan.levels:
        return image
    bands: dict[Any, Any] = {(): image}
    for axis in range(image.ndim):
        bands = {
            (*where, kind): _analysed(band, plan.bank.analysis[kind], axis)
            for where, band in bands.items()
            for kind in (0, 1)
        }
    for number, (where, band) in enumerate(bands.items()):
        s = sigma * plan.gains[level][number]
        if number == 0:
            bands[where] = _denoised(band, plan, sigma, factor, hard, level + 1)
            continue
        signal = (band**2).mean() - s**2
        limit = factor * s if factor else s**2 / np.sqrt(signal) if signal > 0 else np.inf
        soft = np.sign(band) * np.maximum(abs(band) - limit, 0)
        bands[where] = np.where(abs(band) >= limit, band, 0) if hard else soft
    for axis in reversed(range(image.ndim)):
        bands = {
            where: _synthesised(
                bands[(*where, 0)], bands[(*where, 1)], plan.bank, axis, image.shape[axis]
            )
            for where in product((0, 1), repeat=axis)
        }
    return bands[()]


def _analysed(x, taps, axis):
    """sum_j taps[j] x[2 k + 1 - j] along an axis, mirrored at its ends."""
    n, length = x.shape[axis], len(taps)
    ends = [(length - 2, length) if a == axis else (0, 0) for a in range(x.ndim)]
    x = np.moveaxis(np.pad(x, ends, mode="symmetric"), axis, -1)
    starts = 2 * np.arange((n + length - 1) // 2)[:, None] + np.arange(length)
    return np.moveaxis(x[..., starts] @ taps[::-1], -1, axis)


def _synthesised(low, high, bank, axis, n):
    """sum_k s0[i + L - 2 - 2 k] low[k] + s1[...] high[k] for i < n along an axis."""
    k = np.arange(low.shape[axis])
    tap = np.arange(n)[:, None] + bank.length - 2 - 2 * k
    inside = (tap >= 0) & (tap < bank.length)
    weights = np.where(inside, bank.synthesis[:, np.where(inside, tap, 0)], 0)
    low, high = np.moveaxis(low, axis, -1), np.moveaxis(high, axis, -1)
    return np.moveaxis(low @ weights[0].T + high @ weights[1].T, -1, axis)


# ---- CPU

Share = Callable[..., None]  # run(work, items, *args): in threads, or in the caller's alone
DEEP = 64  # rows of a volume's coefficients between the passes within slices and along z


def cpu(images: Any, out: Any, **chosen: Any) -> None:
    """Whole images side by side where there are enough, else rows of one image side by side."""
    setting, volumes, results = Setting.of(images, **chosen), _volumes(images), _volumes(out)

    def some(first: int, stop: int, share: Share) -> None:
        for i in range(first, stop):
            _one(volumes[i], results[i], setting.sigma[i], setting, share)

    if len(images) >= threads():
        run(some, len(images), alone)
    else:
        some(0, len(images), run)
    if images.dtype == np.float32:
        rows = images.reshape(-1, images.shape[-1])
        run(passes.some_missing, len(rows), rows, out.reshape(rows.shape), least=64)


def alone(work: Share, items: int, *args: Any, least: int = 1) -> None:
    """`run` without other threads."""
    work(0, items, *args)


def _volumes(array: Any) -> Any:
    """(n, h, w) as n volumes of one slice."""
    return array if array.ndim == 4 else array[:, None]


def _one(image: Any, out: Any, sigma: np.float32, setting: Setting, share: Share) -> None:
    """One image (d, h, w), in float32: the passes are compiled for that alone."""
    planes, zero = image, (0,) * len(setting.shape)
    if image.dtype != np.float32:
        planes = np.empty(image.shape, np.float32)
        share(_some_floats, image.shape[1], image, planes, least=64)
    if setting.spin > 1:
        _divide(_summed(planes, sigma, setting, share), setting, out, share)
    elif out.dtype == np.float32:
        _shrink(planes, out, sigma, setting, zero, share)
    else:
        _shrink(planes, planes, sigma, setting, zero, share)
        _divide(planes, setting, out, share)


def _some_floats(first: int, stop: int, image: np.ndarray, planes: np.ndarray) -> None:
    planes[:, first:stop] = image[:, first:stop]


def _summed(planes, sigma, setting, share) -> np.ndarray:
    """The results of the moved images, moved back and added up."""
    sums = np.zeros(planes.shape, np.float32)
    for shift in shifts(len(setting.shape), setting.spin):
        (z, y, x), (d, h, w) = (0, *shift)[-3:], planes.shape
        moved = np.empty((d + z, h + y, w + x), np.float32)
        _shrink(planes, moved, sigma, setting, shift, share)
        sums += moved[z:, y:, x:]
    return sums


def _divide(sums, setting, out, share) -> None:
    """out = the mean of the moved results, as pixels."""
    rows, count = sums.reshape(-1, sums.shape[-1]), setting.spin ** len(setting.shape)
    share(passes.some_shares, len(rows), rows, count, out.reshape(rows.shape), least=64)


def _shrink(planes, out, sigma, setting, shift, share) -> None:
    """All levels forth, the thresholds, all back: out is the moved image (d, h, w), or planes."""
    plan, moved = setting.plan(shift), np.array((0, *shift)[-3:])
    kept = []
    for level in range(plan.levels):
        planes = frozen_view(planes)
        bands, limits = _forth(planes, plan, level, sigma, setting.factor, moved, share)
        kept.append((bands, limits))
        planes, moved = bands[0, 0], np.zeros(3, np.int64)
    for level in range(plan.levels - 1, -1, -1):
        bands, limits = kept.pop()
        target = out if level == 0 else kept[-1][0][0, 0]
        _back(bands, limits, setting.hard, target, plan, share)


def _forth(planes, plan, level, sigma, factor, moved, share) -> tuple[np.ndarray, np.ndarray]:
    """One level: its bands (1, 4, 1, h, w) or (2, 4, d, h, w), low first, and their thresholds."""
    *depth, h, w = plan.sizes[level + 1]
    slices, filters = plan.sizes[level][0] if depth else 1, plan.filters()
    bands = np.empty((1 + len(depth), 4, *(depth or (1,)), h, w), np.float32)
    squares = np.empty(bands.shape[:-1], np.float32)
    for top in range(0, h, DEEP if depth else h):
        rows = min(DEEP, h - top)
        flat, energies = bands[:, :, 0], squares[:, :, 0]
        if depth:
            flat = np.empty((slices, 4, rows, w), np.float32)
            energies = np.empty(flat.shape[:-1], np.float32)
        items = slices * -(-flat.shape[2] // passes.ROWS)
        share(passes.some_forth, items, planes, flat, energies, top, moved, *filters)
        if depth:
            share(passes.some_forth_deep, 4 * rows, flat, bands, squares, top, *filters)
    gains = plan.gains[level].astype(np.float32)
    limits, count = np.empty(len(gains), np.float32), prod(plan.sizes[level + 1])
    passes.limits_of(squares.reshape(len(gains), -1), count, sigma * gains, factor, limits)
    return bands, limits


def _back(bands, limits, hard, out, plan, share) -> None:
    """The inverse of `_forth`, with the bands shrunk."""
    inverses, d, pairs = plan.inverses(), len(out), -(-out.shape[1] // 2)
    deep, flat, flat_limits = len(bands) == 2, bands[:, :, 0], limits
    for top in range(0, pairs, DEEP if deep else pairs):
        if deep:
            rows = min(DEEP + plan.bank.length // 2 - 1, bands.shape[3] - top)
            flat = np.empty((d, 4, rows, bands.shape[4]), np.float32)
            share(passes.some_back_deep, 4 * rows, bands, limits, hard, flat, top, *inverses)
            flat_limits = np.zeros_like(limits)
        items = d * -(-(flat.shape[2] - plan.bank.length // 2 + 1) // passes.ROWS)
        share(passes.some_back, items, flat, flat_limits[:4], hard, out, top, *inverses)


# ---- GPU: a group of images in one launch a pass

_source = _cuda.Cuda(__file__)
THREADS, GRID = 256, 65535
DOWN, ACROSS = 8, 64  # coefficients of a tile
STATE = {3: 6, 4: 12}  # by rank: bytes a pixel of all bands, and of one level between two passes


def gpu(images: Any, out: Any, **chosen: Any) -> None:
    """The CPU's passes: a tile, a row or a column of coefficients a thread block."""
    for part in groups(images, out, STATE[images.ndim] + 4 * (chosen["cycle_spin"] > 1)):
        sigma = {"sigma": chosen["sigma"][part]}
        _group(images[part], out[part], Setting.of(images[part], **chosen | sigma))


def _group(images: Any, out: Any, setting: Setting) -> None:
    sums = None
    if setting.spin > 1:
        sums = _cuda.empty(images, images.shape, np.float32)
        sums[...] = 0
    for shift in shifts(len(setting.shape), setting.spin):
        Batch(_volumes(images), _volumes(out), sums, setting, shift).run()
    if sums is not None:
        shares = _source.function("shares", LENGTH=2, PIXEL=images.dtype)
        count = setting.spin ** len(setting.shape)
        shares(min(-(-images.size // THREADS), 1 << 20), THREADS, images, sums, count, out,
               images.size)  # fmt: skip


class Batch:
    """One transform of a batch of images (n, d, h, w), moved by `shift`, and back."""

    def __init__(self, images: Any, out: Any, sums: Any, setting: Setting, shift: tuple[int, ...]):
        self.images, self.out, self.sums, self.setting = images, out, sums, setting
        self.plan, self.n = setting.plan(shift), len(images)
        self.shift = (0, *shift)[-3:]
        self.volume = len(setting.shape) == 3
        self.forward, self.inverse = _taps(*self.plan.filters()), _taps(*self.plan.inverses())

    def run(self) -> None:
        planes, stride, kept = self.images, int(np.prod(self.images.shape[1:])), []
        for level in range(self.plan.levels):
            bands, limits = self.forth(planes, stride, level)
            kept.append((bands, limits))
            planes, stride = bands, bands.size // self.n
        for level in range(self.plan.levels - 1, -1, -1):
            bands, limits = kept.pop()
            self.back(bands, limits, kept[-1][0] if kept else None, level)

    def sizes(self, level: int) -> tuple[int, int, int]:
        """(d, h, w) of the image at a level."""
        *depth, h, w = self.plan.sizes[level]
        return (depth[0] if depth else 1), h, w

    def forth(self, planes: Any, stride: int, level: int) -> tuple[Any, Any]:
        """One level and its thresholds: see `_forth`. planes lie `stride` pixels apart."""
        (slices, *_), (deep, h, w) = self.sizes(level), self.sizes(level + 1)
        source = self.images.shape[1:] if level == 0 else self.sizes(level)
        shift = self.shift if level == 0 else (0, 0, 0)
        flat = _cuda.empty(planes, (self.n, slices, 4, h, w), np.float32)
        _source.function("forth", PIXEL=planes.dtype, **self.forward)(
            (-(-w // ACROSS), min(-(-h // DOWN), GRID), min(self.n * slices, GRID)), THREADS,
            planes, flat, self.n, *source, stride, slices, h, w, *shift,
        )  # fmt: skip
        bands = flat
        if self.volume:
            bands = _cuda.empty(planes, (self.n, 8, deep, h, w), np.float32)
            grid = (-(-h * w // THREADS), min(deep, GRID), min(4 * self.n, GRID))
            _source.function("forth_deep", **self.forward)(
                grid, THREADS, flat, bands, self.n, slices, deep, h * w
            )
        return bands, self.limits(bands, deep * h, w, level)

    def limits(self, bands: Any, rows: int, columns: int, level: int) -> Any:
        """(n, bands) thresholds."""
        gains = self.plan.gains[level].astype(np.float32)
        kinds, n = len(gains), self.n
        squares = _cuda.empty(bands, (n, kinds, rows), np.float32)
        blocks = min(-(-squares.size * 32 // THREADS), 1 << 20)
        _source.function("energies", LENGTH=2)(
            blocks, THREADS, bands, squares, squares.size, columns
        )
        found = _cuda.empty(bands, (n, kinds), np.float32)
        text = ",".join(f"{float(gain).hex()}f" for gain in gains)
        _source.function("limits", LENGTH=2, KINDS=kinds, GAINS=text)(
            min(-(-n * kinds // 8), GRID), THREADS, squares, self.setting.sigma, found,
            n * kinds, rows, rows * columns, self.setting.factor,
        )  # fmt: skip
        return found

    def back(self, bands: Any, limits: Any, above: Any, level: int) -> None:
        """The inverse of `forth`, into the low bands of the level above, or into the images."""
        (slices, h, w), (deep, rows, columns) = self.sizes(level), self.sizes(level + 1)
        flat, kinds, flat_limits = bands, limits.shape[1], limits
        if self.volume:
            flat = _cuda.empty(bands, (self.n, slices, 4, rows, columns), np.float32)
            grid = (-(-rows * columns // THREADS), min(-(-slices // 2), GRID),
                    min(4 * self.n, GRID))  # fmt: skip
            _source.function("back_deep", **self.inverse)(
                grid, THREADS, bands, limits, self.setting.hard, flat, self.n, slices, deep,
                rows * columns,
            )  # fmt: skip
            flat_limits = None
        last = level == 0
        target = self.out if last else above
        _source.function("back", PIXEL=target.dtype, **self.inverse)(
            (-(-w // (2 * ACROSS)), min(-(-h // (2 * DOWN)), GRID), min(self.n * slices, GRID)),
            THREADS, flat, flat_limits, kinds, self.setting.hard, self.images if last else None,
            target, self.sums if last else None, self.n, slices, h, w,
            int(np.prod(self.out.shape[1:])) if last else above.size // self.n,
            rows, columns, *(self.shift if last else (0, 0, 0)),
        )  # fmt: skip


def _taps(*filters: np.ndarray) -> dict[str, Any]:
    """Two filters as macros."""
    f, g = (",".join(f"{float(tap).hex()}f" for tap in taps) for taps in filters)
    return {"LENGTH": len(filters[0]), "F": f, "G": g}


# ---- the kernel


def _cost(itemsize: int, *, wavelet: str, cycle_spin: int, **_: Any) -> Cost:
    """Of an image; read and written once, a multiplication and an addition a tap, four passes."""
    return Cost(2 * itemsize, cycle_spin**2 * 8 * bank(wavelet).length * 4 / 3)


wavelet = Filter(
    name="wavelet",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "wavelet": Parameter("sym8", "which wavelet", choices=NAMES),
        "levels": Parameter(0, "levels of the transform; 0: as many as the image allows", 0, 12),
        "threshold": Parameter("bayes", "rule for the thresholds", choices=("bayes", "visu")),
        "mode": Parameter("soft", "what shrinking is", choices=("soft", "hard")),
        "sigma": SIGMA,
        "cycle_spin": Parameter(1, "moves on each axis that are averaged", 1, 8),
    },
    cost=_cost,
    examples=(
        {"wavelet": "sym4"},
        {"wavelet": "db2", "threshold": "visu", "mode": "hard", "levels": 2},
        {"wavelet": "bior2.2", "levels": 1, "cycle_spin": 2},
    ),
    tolerance=1e-5,
    peers=("pywt:wavedecn", "skimage.restoration:denoise_wavelet"),
    quality=Quality(
        sector_efficiency=0.6,
        excuse="a tile is 128 pixels wide and reaches the filter's length further: of uint8 that "
        "is four sectors and parts of two",
    ),
)  # fmt: skip
