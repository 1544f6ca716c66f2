"""Intensity histogram: the 23 IBSI features of how often each grey level is met.

    p_i = n_i / N    mu = sum i p_i    m_p = sum (i - mu)^p p_i    entropy = -sum p_i log2 p_i

n_i of a region's N pixels have level i = 1 .. Ng; Ng is the highest level there is. P_q is the
percentile that lies q (N - 1) / 100 steps up in the sorted levels, between two in proportion.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 23); levels, bits and pixels as units, computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
borders     none: no pixel has neighbours here
cost        one increment a pixel, then about 100 operations a level. Workspace: on the CPU, a
            thread, 256 KB or 2 bytes a pixel of one region; on the GPU 2 bytes a pixel of all boxes
nan         NaN and infinite pixels leave the region. An empty region: all columns NaN. One level
            only: spreads, skewness, kurtosis, entropy and gradients 0. Of equal gradients that of
            the lowest level. No pixel from P_10 to P_90 (two different): robust deviation NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.4
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Feature, Quality
from .._regions import RegionMeasure, at_most
from ._information import entropy, information, information_table, unit_of
from ._levels import (
    BLOCKS,
    DEPTH,
    MOST,
    PARAMETERS,
    SLAB,
    START,
    TOP,
    VOXELS,
    Part,
    gpu_crops,
    levels_of,
    measure,
    scale,
)
from ._values import PERCENTS, percentile, percentile_ranks, percentiles

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("mean", "X6K6", "mu = sum i p_i", "level"),
        ("variance", "CH89", "m_2 = sum (i - mu)^2 p_i", "level^2"),
        ("skewness", "88K1", "m_3 / m_2^(3/2)"),
        ("kurtosis", "C3I7", "m_4 / m_2^2 - 3"),
        ("median", "WIFQ", "P_50", "level"),
        ("minimum", "1PR8", "lowest level", "level"),
        ("percentile_10", "GPMT", "P_10", "level"),
        ("percentile_90", "OZ0C", "P_90", "level"),
        ("maximum", "3NCY", "highest level, Ng", "level"),
        ("mode", "AMMC", "level met most; of several the nearest to mu, then the lower", "level"),
        ("interquartile_range", "WR0O", "P_75 - P_25", "level"),
        ("range", "5Z3W", "highest level - lowest level", "level"),
        ("mean_absolute_deviation", "D2ZX", "sum |i - mu| p_i", "level"),
        ("robust_mean_absolute_deviation", "WRZB",
         "the same of the levels P_10 <= i <= P_90 about their own mean", "level"),
        ("median_absolute_deviation", "4RNL", "sum |i - P_50| p_i", "level"),
        ("coefficient_of_variation", "CWYJ", "sqrt(m_2) / mu"),
        ("quartile_coefficient_of_dispersion", "SLWD", "(P_75 - P_25) / (P_75 + P_25)"),
        ("entropy", "TLU2", "-sum p_i log2 p_i", "bit"),
        ("uniformity", "BJ5W", "sum p_i^2"),
        ("maximum_gradient", "12CE",
         "max of (n_(i+1) - n_(i-1)) / 2, at the ends of the difference of two", "pixel"),
        ("maximum_gradient_level", "8E6O", "its level", "level"),
        ("minimum_gradient", "VQB3", "min of the same", "pixel"),
        ("minimum_gradient_level", "RHQZ", "its level", "level"),
    )
)  # fmt: skip


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0):
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        grey = levels_of(image, mask, rule)
        if grey.any():
            out[:] = formulas(np.bincount(grey.ravel())[1:])
    return values.astype(np.float32)


def formulas(n):
    """The 23 features of counts of the levels 1 .. Ng, as the IBSI manual writes them."""
    i, total = np.arange(1, len(n) + 1), n.sum()
    p, ordered = n / total, np.repeat(i, n)
    p10, p25, p50, p75, p90 = (percentile(ordered, percent) for percent in PERCENTS)
    mu = (i * p).sum()
    middle = ordered[(ordered >= p10) & (ordered <= p90)]
    m2, m3, m4 = (((i - mu) ** power * p).sum() for power in (2, 3, 4))
    several = len(n[n > 0]) > 1
    met_most = i[n == n.max()]
    gradient = np.gradient(n) if len(n) > 1 else np.zeros(1)
    met = p[p > 0]
    return [
        mu, m2,
        m3 / m2**1.5 if several else 0.0,
        m4 / m2**2 - 3 if several else 0.0,
        p50, ordered[0], p10, p90, ordered[-1],
        met_most[abs(met_most * total - (i * n).sum()).argmin()],  # whole numbers: ties are exact
        p75 - p25, ordered[-1] - ordered[0],
        (abs(i - mu) * p).sum(),
        abs(middle - middle.mean()).mean() if middle.size else np.nan,
        (abs(i - p50) * p).sum(),
        np.sqrt(m2) / mu,
        (p75 - p25) / (p75 + p25),
        -(met * np.log2(met)).sum() if several else 0.0,
        (p**2).sum(),
        gradient.max(), i[gradient.argmax()],
        gradient.min(), i[gradient.argmin()],
    ]  # fmt: skip


# ---- CPU


@compiled
def count_levels(levels, counts, top):
    """counts[0] = how often each level 0 .. top is met, by four tables (see `glcm.count_pairs`)."""
    counts[:, : top + 1] = np.uint32(0)
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    quarter = levels.size // 4
    one, two = levels[:quarter], levels[quarter : 2 * quarter]
    three, four = levels[2 * quarter : 3 * quarter], levels[3 * quarter : 4 * quarter]
    for at in range(quarter):
        first[one[at]] += np.uint32(1)
        second[two[at]] += np.uint32(1)
        third[three[at]] += np.uint32(1)
        fourth[four[at]] += np.uint32(1)
    for at in range(4 * quarter, levels.size):
        first[levels[at]] += np.uint32(1)
    for i in range(top + 1):
        first[i] += second[i] + third[i] + fourth[i]


@compiled
def level_statistics(counts, ranks, found):
    """found[k] = level number ranks[k] of the sorted levels."""
    for k in range(ranks.size):
        level, up_to = 0, np.int64(0)
        while up_to <= ranks[k]:
            level += 1
            up_to += np.int64(counts[level])
        found[k] = level


@compiled
def mean_between(counts, low, high):
    """Mean of the levels low .. high, and the number of pixels that have them."""
    first, total = np.int64(0), np.int64(0)
    for i in range(1, counts.size):
        if low <= i <= high:
            first += i * np.int64(counts[i])
            total += np.int64(counts[i])
    return first / total, total


@compiled
def deviation_between(counts, low, high, middle):
    """Sum of |i - middle| over the pixels of levels low .. high."""
    total = 0.0
    for i in range(1, counts.size):
        if low <= i <= high:
            total += abs(i - middle) * np.float64(counts[i])
    return total


@compiled
def powers(counts, mean):
    """Sums of (i - mean)^p over the pixels, p = 2, 3, 4."""
    second, third, fourth = 0.0, 0.0, 0.0
    for i in range(1, counts.size):
        from_mean, count = i - mean, np.float64(counts[i])
        square = from_mean * from_mean
        second += square * count
        third += square * from_mean * count
        fourth += square * square * count
    return second, third, fourth


@compiled
def mode(counts, total):
    """The level met most; of several the nearest to the mean, then the lower. All whole numbers."""
    first, best, nearest = np.int64(0), np.int64(1), np.int64(0)
    for i in range(1, counts.size):
        first += i * np.int64(counts[i])
    for i in range(1, counts.size):
        away = abs(i * total - first)
        more = counts[i] > counts[best]
        if i == 1 or more or (counts[i] == counts[best] and away < nearest):
            best, nearest = i, away
    return best


@compiled
def slopes(counts, top, out):
    """out[0:4] = the greatest gradient and its level, the least gradient and its level."""
    out[0], out[1], out[2], out[3] = 0.0, 1.0, 0.0, 1.0
    for i in range(1, top + 1):
        before, after = max(i - 1, 1), min(i + 1, top)
        rise = np.float64(counts[after]) - np.float64(counts[before])
        gradient = rise / (after - before) if after > before else 0.0
        if i == 1 or gradient > out[0]:
            out[0], out[1] = gradient, i
        if i == 1 or gradient < out[2]:
            out[2], out[3] = gradient, i


@compiled
def describe(counts, total, table, ranks, found, points, out):
    """The 23 features of the counts of levels 0 .. Ng, of which 0, the outside, is left out."""
    top = counts.size - 1
    percentile_ranks(ranks, total)
    level_statistics(counts, ranks, found)
    percentiles(found, total, points)
    p10, p25, p50, p75, p90 = points[0], points[1], points[2], points[3], points[4]
    lowest = 1
    while counts[lowest] == 0:
        lowest += 1
    mean, _ = mean_between(counts, 1.0, np.float64(top))
    robust_mean, robust_total = mean_between(counts, p10, p90)
    second, third, fourth = powers(counts, mean)
    variance, squares = second / total, np.int64(0)
    for i in range(1, counts.size):
        squares += np.int64(counts[i]) * np.int64(counts[i])
    unit = unit_of(total)

    out[0] = mean
    out[1] = variance
    out[2] = third / total / (variance * np.sqrt(variance)) if lowest < top else 0.0
    out[3] = fourth / total / (variance * variance) - 3.0 if lowest < top else 0.0
    out[4] = p50
    out[5] = lowest
    out[6] = p10
    out[7] = p90
    out[8] = top
    out[9] = mode(counts, total)
    out[10] = p75 - p25
    out[11] = top - lowest
    out[12] = deviation_between(counts, 1.0, np.float64(top), mean) / total
    out[13] = deviation_between(counts, p10, p90, robust_mean) / robust_total
    out[14] = deviation_between(counts, 1.0, np.float64(top), p50) / total
    out[15] = np.sqrt(variance) / mean
    out[16] = (p75 - p25) / (p75 + p25)
    out[17] = entropy(information(counts[1:], unit, table), total, unit)
    out[18] = squares / np.float64(total) / np.float64(total)
    slopes(counts, top, out[19:])


@compiled
def measure_block(levels, crops, table, counts, out):
    """Features of a block of regions; levels, crops: see `_levels.py`; counts (4, Ng + 1)."""
    ranks, found = np.empty(2 * len(PERCENTS), np.int64), np.empty(2 * len(PERCENTS), np.float32)
    points = np.empty(len(PERCENTS))
    for region in range(len(crops)):
        crop = crops[region]
        first, top, total = crop[START], crop[TOP], crop[VOXELS]
        if total:
            count_levels(levels[first : first + crop[DEPTH] * crop[SLAB]], counts, top)
            describe(counts[0, : top + 1], total, table, ranks, found, points, out[region])
        else:
            out[region] = np.nan


def part(images: Any, column: int, *, levels: int, **_: Any) -> Part:
    """The 23 columns from `column` on, for `measure`."""

    def begin():
        counts = np.empty((4, levels + 1), np.uint32)

        def work(grey, crops, out):
            measure_block(grey, crops, information_table(), counts, out)

        return work

    return Part(slice(column, column + len(FEATURES)), begin)


def cpu(images, where, values, *, levels, binning, width, low):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    measure(images, where, values, rule, 0, [part(images, 0, levels=levels)])


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low):
    """`reference` on the GPU: one launch for the levels, one for counts and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), 0)
    _source.function("measure", MOST=MOST)(
        min(len(where), BLOCKS), 256, grey, crops, values, len(where)
    )


# ---- the kernel


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"histogram.{feature.name}" for feature in FEATURES)


histogram = RegionMeasure(
    name="histogram",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("histogram", 1 << 30),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters=PARAMETERS,
    examples=(
        {},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70},
        {"binning": "aligned", "width": 30.0, "levels": 8},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=8),
    peers=("scipy.stats:skew, numpy:bincount",),
    quality=Quality(
        registers=80,
        float64=True,
        excuse="quantisation and the last O(Ng) of a histogram are float64: the values of the CPU",
    ),
)
