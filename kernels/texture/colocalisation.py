"""Colocalisation of two channels within objects: correlation, Manders, overlap, RWC and Costes.

    r = cov(a, b) / sqrt(var(a) var(b))              slope = cov(a, b) / var(a)
    M_1 = sum of a, both channels bright / sum of a, a bright          M_2 = likewise of b
    overlap = sum a b / sqrt(sum a^2 sum b^2)        K_1 = sum a b / sum a^2   (both bright)
    RWC_1 = M_1 with a (1 - |rank a - rank b| / R) above the line

over the pairs (a, b) of an object's pixels. Bright is at least `threshold` per cent of a channel's
greatest value in the object. The rank is the number of different values of the object that are
less, R the number of different values of the channel that has more. Costes' thresholds (T, slope T
+ intercept) lie on the orthogonal regression through the pairs that have a channel above 0; T is
the least level below which, in one channel or the other, the pairs correlate, as CellProfiler's
search ("faster") finds it: by bisection of the levels, a sixth below the upper end of its window.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit: a
other       the second channel b, of the images' shape and dtype
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 13), computed in float64
borders     none: no pixel has neighbours here
cost        30 operations a pixel, a sort of each channel and 12 operations for each of about 40
            trials of Costes' search that have pixels above their thresholds. Workspace: on the
            CPU, a thread, 4 MB or 32 bytes a pixel of one region; on the GPU 32 bytes a pixel of
            all boxes
nan         pixels that are NaN or infinite in a channel leave the object. No pixel: all NaN. A flat
            channel: r NaN, and the slope on it. No pixel bright in both: M, overlap, K and RWC 0;
            a sum of 0 below the line: NaN. Costes: NaN where fewer than three pairs, a flat channel
            or no correlation are left, or no level is found
source      Manders, Verbeek and Aten 1993, J. Microscopy 169(3); Costes et al. 2004, Biophys. J.
            86(6); Singan et al. 2011, BMC Bioinformatics 12:407 (RWC); CellProfiler's
            MeasureColocalization, ranks and thresholds those of each object
"""

from typing import Any

import numpy as np
from scipy import stats

from .. import _cuda
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure, Regions, volumes
from ._gathered import labels_of, measure
from ._levels import BLOCKS, on_device
from ._objects import mark
from ._pairs import (
    FLAT,
    TURNS,
    A,
    B,
    N,
    covariance,
    dense_ranks,
    products,
    search,
    shares,
    sums,
    variance,
)
from ._values import COUNT, START, extent, layout

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("correlation", "", "r: Pearson's"),
        ("slope", "", "cov(a, b) / var(a): of the line of least squares of b on a"),
        ("manders_1", "", "M_1"),
        ("manders_2", "", "M_2"),
        ("overlap", "", "sum a b / sqrt(sum a^2 sum b^2), both bright"),
        ("k_1", "", "sum a b / sum a^2, both bright"),
        ("k_2", "", "sum a b / sum b^2, both bright"),
        ("rwc_1", "", "M_1, weighted by ranks"),
        ("rwc_2", "", "M_2, weighted by ranks"),
        ("costes_1", "", "sum of a, both above Costes' thresholds / sum of a, a at its or above"),
        ("costes_2", "", "likewise of b"),
        ("costes_threshold_1", "", "T", "intensity"),
        ("costes_threshold_2", "", "slope T + intercept", "intensity"),
    )
)
FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "int16": 32767.0, "float32": 1.0}
FLOAT_STEPS = 65535  # levels that Costes' search tells apart in float32 images


def scale(dtype: np.dtype, full_scale: float) -> tuple[int, float]:
    """How many levels Costes' search has, and how far they are apart."""
    full = full_scale or FULL_SCALE[str(dtype)]
    steps = FLOAT_STEPS if np.dtype(dtype).kind == "f" else max(int(full), 2)
    return steps, full / steps


# ---- the definition


def reference(images, where, *, other, threshold, full_scale):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    channels = zip(where.crops(images), where.crops(other), values, strict=True)
    for (one, inside), (two, _), out in channels:
        good = inside & np.isfinite(one) & np.isfinite(two)
        if good.any():
            a, b = one[good].astype(np.float64), two[good].astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN
                out[:2] = correlation(a, b)
                out[2:9] = coexistence(a, b, threshold / 100)
                out[9:] = costes(a, b, *scale(images.dtype, full_scale))
    return values.astype(np.float32)


def correlation(a, b):
    """Pearson's, and the slope of b on a."""
    both = ((a - a.mean()) * (b - b.mean())).mean()
    of_a, of_b = (v.var() if np.ptp(v) else np.nan for v in (a, b))
    return both / np.sqrt(of_a * of_b), both / of_a


def coexistence(a, b, share):
    """Manders', overlap, K and rank weighted coefficients."""
    bright_a, bright_b = a >= share * a.max(), b >= share * b.max()
    both = bright_a & bright_b
    if not both.any():
        return np.zeros(7)
    all_a, all_b = a[bright_a].sum(), b[bright_b].sum()
    rank_a, rank_b = (stats.rankdata(v, "dense") for v in (a, b))
    weight = (1 - abs(rank_a - rank_b) / max(rank_a.max(), rank_b.max()))[both]
    a, b = a[both], b[both]
    return (
        a.sum() / all_a, b.sum() / all_b,
        a @ b / np.sqrt((a @ a) * (b @ b)), a @ b / (a @ a), a @ b / (b @ b),
        weight @ a / all_a, weight @ b / all_b,
    )  # fmt: skip


def costes(a, b, steps, unit):
    """Coefficients 1 and 2, thresholds 1 and 2."""
    level, slope, intercept = costes_level(a, b, steps, unit)
    low, high = level * unit, slope * level * unit + intercept
    if not correlates(a, b, (a < low) | (b < high)):
        return [np.nan] * 4
    both, all_a, all_b = (a > low) & (b > high), a[a >= low].sum(), b[b >= high].sum()
    if all_a <= 0 or all_b <= 0:
        return [np.nan, np.nan, low, high]
    return a[both].sum() / all_a, b[both].sum() / all_b, low, high


def costes_level(a, b, steps, unit):
    """The level of the first threshold, and the line on which both thresholds lie; NaN if none."""
    there = (a > 0) | (b > 0)
    if not correlates(a, b, there):
        return np.nan, np.nan, np.nan
    (of_a, both), (_, of_b) = np.cov(a[there], b[there])
    if abs(both) <= FLAT * max(of_a, of_b):
        return np.nan, np.nan, np.nan
    slope = (of_b - of_a + np.sqrt((of_b - of_a) ** 2 + 4 * both**2)) / (2 * both)
    intercept = b[there].mean() - slope * a[there].mean()
    left, right, last, valid = 1, steps, 0, np.nan
    middle = (right - left) * 5 // 6 + left
    for _ in range(TURNS):
        low = middle * unit
        if correlates(a, b, (a < low) | (b < slope * low + intercept)) > 0:
            right, valid = middle + 1, middle
        else:
            left = middle - 1
        last, middle = middle, left + (right - left) * (5 if right - left > 6 else 3) // 6
        if last == middle:
            return valid - 1, slope, intercept
    return np.nan, np.nan, np.nan


def correlates(a, b, some):
    """1 where some of the pairs have a correlation of at least 0, -1 below, 0 where undefined."""
    if some.sum() < 3 or np.ptp(a[some]) == 0 or np.ptp(b[some]) == 0:
        return 0
    a, b = a[some] - np.floor(a.mean()), b[some] - np.floor(b.mean())  # integers stay integers
    return 1 if len(a) * (a @ b) >= a.sum() * b.sum() else -1


# ---- CPU


@compiled
def gather(images, other, labels, table, taken, spans):
    """Appends the pairs of each region's box that count to both rows of `taken`.

    Every pair is stored, and the next one upon it unless it counts: no branch to mispredict.
    """
    for k in range(len(table)):
        image, label, z0, z1, y0, y1, x0, x1 = table[k]
        flags, beside = np.empty(x1 - x0, np.uint8), np.empty(x1 - x0, np.uint8)
        found = spans[k, START]
        for z in range(z0, z1):
            for y in range(y0, y1):
                own = labels[image, z, y, x0:x1] if labels.size else labels[0, 0, 0]
                row, twin = images[image, z, y, x0:x1], other[image, z, y, x0:x1]
                mark(flags, row, own, label)
                mark(beside, twin, own, label)
                for x in range(row.size):
                    taken[0, found] = np.float32(row[x]) + np.float32(0.0)  # -0 becomes 0
                    taken[1, found] = np.float32(twin[x]) + np.float32(0.0)
                    found += np.int64(flags[x] & beside[x])
        spans[k, COUNT] = found - spans[k, START]


@inner
def describe_correlation(whole, out):
    """Pearson's correlation and the slope."""
    of_a, of_b, both = variance(whole, A), variance(whole, B), covariance(whole)
    out[0] = both / np.sqrt(of_a * of_b) if of_a > 0.0 and of_b > 0.0 else np.nan
    out[1] = both / of_a if of_a > 0.0 else np.nan


@inner
def describe_coexistence(first, second, ends, share, out):
    """Manders', overlap, K and rank weighted coefficients of pixels bright in both channels."""
    sorting, ranks = np.empty((2, first.size), np.uint64), np.empty((2, first.size), np.int32)
    most = np.int32(1)
    for channel in range(2):
        rank = dense_ranks(second if channel else first, sorting, ranks[channel])
        most = max(most, np.int32(rank + 1))
    low, high, found = share * ends[0], share * ends[1], np.empty(10)
    shares(first, second, low, high, low, high, found[:5])
    products(first, second, ranks, low, high, most, found[5:])
    if found[4] == 0.0:
        out[2:9] = 0.0
        return
    out[2] = found[2] / found[0]
    out[3] = found[3] / found[1]
    out[4] = found[7] / np.sqrt(found[5] * found[6])
    out[5] = found[7] / found[5]
    out[6] = found[7] / found[6]
    out[7] = found[8] / found[0]
    out[8] = found[9] / found[1]


@inner
def describe_costes(first, second, thresholds, out):
    """The shares of the intensities above Costes' thresholds."""
    low, high = thresholds
    found = np.empty(5)
    out[9:13] = np.nan
    if not np.isnan(low):
        above_low, above_high = np.nextafter(low, np.inf), np.nextafter(high, np.inf)
        shares(first, second, low, high, above_low, above_high, found)
        if found[0] > 0.0 and found[1] > 0.0:
            out[9], out[10] = found[2] / found[0], found[3] / found[1]
        out[11], out[12] = low, high


@compiled
def describe(taken, spans, share, steps, unit, out):
    """The features of a block of regions."""
    whole, found, ends, origin = np.empty(6), np.empty(6), np.empty(2), np.empty(2)
    for k in range(len(spans)):
        start, stop = spans[k, START], spans[k, START] + spans[k, COUNT]
        if start == stop:
            out[k] = np.nan
            continue
        first, second, features = taken[0, start:stop], taken[1, start:stop], out[k]
        for channel in range(2):
            ends[channel] = extent(taken[channel, start:stop])[1]
        origin[:] = 0.0
        sums(first, second, 1.0, np.inf, np.inf, origin, whole)
        origin[0], origin[1] = np.floor(whole[A] / whole[N]), np.floor(whole[B] / whole[N])
        sums(first, second, 1.0, np.inf, np.inf, origin, whole)
        describe_correlation(whole, features)
        describe_coexistence(first, second, ends, share, features)
        thresholds = search(first, second, ends, origin, whole, steps, unit, found)
        describe_costes(first, second, thresholds, features)


def cpu(images, where, values, *, other, threshold, full_scale):
    """`reference`, compiled."""
    chosen = threshold / 100, *scale(images.dtype, full_scale)

    def work(part: Regions) -> np.ndarray:
        spans, cells = layout(part)
        taken, out = np.empty((2, cells + 1), np.float32), np.empty((len(part), len(FEATURES)))
        gather(volumes(images), volumes(other), labels_of(part), part.table, taken, spans)
        describe(taken, spans, *chosen, out)
        return out

    measure(where, values, work)


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, other, threshold, full_scale):
    """`reference` on the GPU: one launch."""
    sizes = where.sizes.prod(axis=1)
    starts, total = np.cumsum(sizes) - sizes, max(int(sizes.sum()), 1)
    taken = _cuda.empty(images, (2, total), np.float32)
    sorting = _cuda.empty(images, (2, total), np.uint64)
    ranks = _cuda.empty(images, (2, total), np.int32)
    labels = images if where.labels is None else where.labels
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None
    )(
        min(len(where), BLOCKS), 256, images, other, labels, on_device(images, where.table),
        on_device(images, starts), taken, sorting, ranks, values, total, len(where),
        *volumes(images).shape[1:], threshold / 100, *scale(images.dtype, full_scale),
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"colocalisation: an image may have 2^30 voxels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"colocalisation.{feature.name}" for feature in FEATURES)


colocalisation = RegionMeasure(
    name="colocalisation",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    inputs={"other": "the second channel"},
    required=("other",),
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "threshold": Parameter(
            15.0, "what counts as bright", low=0.0, high=100.0, unit="% of the maximum"
        ),
        "full_scale": Parameter(
            0.0, "greatest level that Costes' search tries; 0: the dtype's, 1 of float32", low=0.0
        ),
    },
    examples=({},),
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=2 * itemsize + 1, operations=600),
    peers=("numpy:corrcoef, scipy.stats:rankdata",),
    quality=Quality(
        registers=128,
        sector_efficiency=0.1,
        float64=True,
        excuse="sums are float64 in the order of the CPU, the same bits; a thread sorts a stretch "
        "of pairs, so that the order of equal ones is kept",
    ),
)
