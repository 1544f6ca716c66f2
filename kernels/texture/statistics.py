"""Intensity statistics: the 18 IBSI features of every region's intensities.

    mu = sum v_k / N    m_p = sum (v_k - mu)^p / N    skewness = m_3 / m_2^(3/2)    P_q, see below

No grey levels: the intensities v_1 .. v_N of a region are taken as they are. P_q is the percentile
that lies q (N - 1) / 100 steps up in the sorted intensities, between two of them in proportion.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 18), computed in float64
borders     none: no pixel has neighbours here
cost        about 60 operations a pixel. Workspace: on the CPU, a thread, 512 KB or 4 bytes a pixel
            of one region, as much again where nearly all pixels are alike; on the GPU 4 bytes a
            pixel of all boxes
nan         NaN and infinite pixels leave the region. An empty region: all columns NaN. A flat one:
            every spread, skewness and kurtosis 0. A quotient of 0 and 0, and the robust mean
            absolute deviation where no pixel lies between P_10 and P_90 (two different pixels): NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.3
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Feature, Quality
from .._regions import RegionMeasure
from ._levels import BLOCKS
from ._values import (
    COUNT,
    EVERY,
    LANES,
    PERCENTS,
    START,
    extent,
    fold,
    gpu_values,
    inside,
    measure,
    order_statistics,
    percentile,
    percentile_ranks,
    percentiles,
)

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("mean", "Q4LE", "mu = sum v / N", "intensity"),
        ("variance", "ECT3", "m_2 = sum (v - mu)^2 / N", "intensity^2"),
        ("skewness", "KE2A", "m_3 / m_2^(3/2)"),
        ("kurtosis", "IPH6", "m_4 / m_2^2 - 3"),
        ("median", "Y12H", "P_50", "intensity"),
        ("minimum", "1GSF", "min v", "intensity"),
        ("percentile_10", "QG58", "P_10", "intensity"),
        ("percentile_90", "8DWT", "P_90", "intensity"),
        ("maximum", "84IY", "max v", "intensity"),
        ("interquartile_range", "SALO", "P_75 - P_25", "intensity"),
        ("range", "2OJQ", "max v - min v", "intensity"),
        ("mean_absolute_deviation", "4FUA", "sum |v - mu| / N", "intensity"),
        ("robust_mean_absolute_deviation", "1128",
         "the same of the intensities P_10 <= v <= P_90 about their own mean", "intensity"),
        ("median_absolute_deviation", "N72L", "sum |v - P_50| / N", "intensity"),
        ("coefficient_of_variation", "7TET", "sqrt(m_2) / mu"),
        ("quartile_coefficient_of_dispersion", "9S40", "(P_75 - P_25) / (P_75 + P_25)"),
        ("energy", "N8CA", "sum v^2", "intensity^2"),
        ("root_mean_square", "5ZWQ", "sqrt(sum v^2 / N)", "intensity"),
    )
)  # fmt: skip


# ---- the definition


def reference(images, where):
    """The definition in plain NumPy, float64 up to the last step."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        v = inside(image, mask, *EVERY)
        if v.size:
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN
                out[:] = formulas(v)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def formulas(v):
    """The 18 features of sorted intensities, as the IBSI manual writes them."""
    p10, p25, p50, p75, p90 = (percentile(v, percent) for percent in PERCENTS)
    mu = v[0] + (v - v[0]).mean()  # exact where all are the same
    middle = v[(v >= p10) & (v <= p90)]
    m2, m3, m4 = (((v - mu) ** power).mean() for power in (2, 3, 4))
    energy = (v**2).sum()
    return [
        mu, m2,
        m3 / m2**1.5 if m2 > 0 else 0.0,
        m4 / m2**2 - 3 if m2 > 0 else 0.0,
        p50, v[0], p10, p90, v[-1], p75 - p25, v[-1] - v[0],
        abs(v - mu).mean(),
        abs(middle - middle.mean()).mean() if middle.size else np.nan,
        abs(v - p50).mean(),
        np.sqrt(m2) / mu,
        (p75 - p25) / (p75 + p25),
        energy,
        np.sqrt(energy / len(v)),
    ]  # fmt: skip


# ---- CPU


@compiled
def mean_between(values, low, high, origin):
    """Mean of the values low .. high, summed as distances from `origin`; and their number."""
    lanes, count = np.zeros(LANES), 0
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        for x in range(chunk.size):
            v = np.float64(chunk[x])
            keep = (v >= low) & (v <= high)
            lanes[x] += v - origin if keep else 0.0
            count += keep
    return origin + fold(lanes) / count, count


@compiled
def deviation_between(values, low, high, middle):
    """Sum of |v - middle| over the values low .. high."""
    lanes = np.zeros(LANES)
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        for x in range(chunk.size):
            v = np.float64(chunk[x])
            lanes[x] += abs(v - middle) if (v >= low) & (v <= high) else 0.0
    return fold(lanes)


@compiled
def powers(values, mean):
    """Sums of (v - mean)^p for p = 2, 3, 4."""
    second, third, fourth = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        for x in range(chunk.size):
            from_mean = np.float64(chunk[x]) - mean
            square = from_mean * from_mean
            second[x] += square
            third[x] += square * from_mean
            fourth[x] += square * square
    return fold(second), fold(third), fold(fourth)


@compiled
def describe(values, ranks, found, points, out):
    """The 18 features of the intensities of one region."""
    count = values.size
    least, greatest = extent(values)
    percentile_ranks(ranks, count)
    order_statistics(values, least, greatest, ranks, found)
    percentiles(found, count, points)
    p10, p25, p50, p75, p90 = points[0], points[1], points[2], points[3], points[4]
    mean, _ = mean_between(values, least, greatest, least)
    robust_mean, robust_count = mean_between(values, p10, p90, least)
    second, third, fourth = powers(values, mean)
    variance = second / count

    out[0] = mean
    out[1] = variance
    out[2] = third / count / (variance * np.sqrt(variance)) if variance > 0.0 else 0.0
    out[3] = fourth / count / (variance * variance) - 3.0 if variance > 0.0 else 0.0
    out[4] = p50
    out[5] = least
    out[6] = p10
    out[7] = p90
    out[8] = greatest
    out[9] = p75 - p25
    out[10] = greatest - least
    out[11] = deviation_between(values, least, greatest, mean) / count
    out[12] = deviation_between(values, p10, p90, robust_mean) / robust_count
    out[13] = deviation_between(values, least, greatest, p50) / count
    out[14] = np.sqrt(variance) / mean
    out[15] = (p75 - p25) / (p75 + p25)
    out[16] = (variance + mean * mean) * count
    out[17] = np.sqrt(variance + mean * mean)


@compiled
def measure_block(values, spans, out):
    """Features of a block of regions; values and spans: see `_values.py`."""
    ranks, found = np.empty(2 * len(PERCENTS), np.int64), np.empty(2 * len(PERCENTS), np.float32)
    points = np.empty(len(PERCENTS))
    for region in range(len(spans)):
        start, count = spans[region, START], spans[region, COUNT]
        if count:
            describe(values[start : start + count], ranks, found, points, out[region])
        else:
            out[region] = np.nan


def cpu(images, where, values):
    """`reference`, compiled."""
    measure(images, where, values, measure_block)


# ---- GPU: a block of threads a region


def gpu(images, where, values):
    """`reference` on the GPU: one launch gathers the intensities, one measures them."""
    found, spans = gpu_values(images, where)
    _source.function("measure")(min(len(where), BLOCKS), 256, found, spans, values, len(where))


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"statistics: a region may have 2^30 voxels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"statistics.{feature.name}" for feature in FEATURES)


statistics = RegionMeasure(
    name="statistics",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={},
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=60),
    peers=("scipy.stats:skew, numpy:percentile", "skimage.measure:regionprops_table"),
    quality=Quality(
        registers=80,
        float64=True,
        excuse="sums of powers and percentiles are float64 in the order of the CPU: the same bits",
    ),
)
