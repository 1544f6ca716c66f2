"""Stain statistics: how much of each dye is in every region of a stained section.

    D = -log10 max(v / 255, 10^-6) = A S      amounts A >= 0 of three stains, S as published
    mean = sum A / N    m_p = sum (A - mean)^p / N    P_q percentile    positive = share of A > t

Three amounts a pixel explain its optical densities in red, green and blue; where two dyes are
used, the third is a residual that neither explains. Amounts of 0 below: light that no dye absorbs.
They are those of skimage.color.separate_stains times 6, which divides densities by that of black.

images      (n, h, w, 3) uint8: brightfield, white 255
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 30); amounts are float32, sums float64
borders     none: no pixel has neighbours here
cost        150 operations a pixel. Workspace: 4 bytes a pixel of the images; on the CPU, a thread,
            3 MB or 24 bytes a pixel of one region; on the GPU 16 bytes a pixel of all boxes
nan         an empty region: all columns NaN. All amounts equal: deviation, skewness, kurtosis 0
source      Ruifrok and Johnston 2001, Anal. Quant. Cytol. Histol. 23(4)
"""

import numpy as np

from .. import _cuda
from .._colour import STAINS, density, stain, stain_names, stain_weights
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure
from ._levels import BLOCKS, on_device
from ._packed import cpu_packed, gpu_packed, unpack
from ._values import (
    COUNT,
    PERCENTS,
    START,
    extent,
    gpu_values,
    measure,
    order_statistics,
    percentile,
    percentile_ranks,
    percentiles,
)
from .statistics import mean_between, powers

_source = _cuda.Cuda(__file__)

FEATURES = (
    Feature("mean", "", "sum A / N", "optical density"),
    Feature("standard_deviation", "", "sqrt(m_2)", "optical density"),
    Feature("skewness", "", "m_3 / m_2^(3/2)"),
    Feature("kurtosis", "", "m_4 / m_2^2 - 3"),
    *(Feature(f"percentile_{q}", "", f"P_{q}", "optical density") for q in PERCENTS),
    Feature("positive", "", "share of the pixels with A > threshold"),
)
DYES = 3


# ---- the definition


def reference(images, where, *, stains="H-E-DAB", threshold=0.2):
    """The definition in plain NumPy: amounts float32, all else float64."""
    values = np.full((len(where), len(FEATURES), DYES), np.nan)
    for (pixels, inside), out in zip(where.crops(images), values, strict=True):
        if inside.any():
            red, green, blue = density()[pixels[inside].T]
            for dye, weights in enumerate(stain_weights(stains)):
                amounts = stain(red, green, blue, weights)
                out[:, dye] = formulas(amounts, np.float32(threshold))
    return values.reshape(len(where), -1).astype(np.float32)


def formulas(amounts, threshold):
    """The features of one stain."""
    v = np.sort(amounts.astype(np.float64))
    mean = v[0] + (v - v[0]).mean()  # exact where all are the same
    m2, m3, m4 = (((v - mean) ** power).mean() for power in (2, 3, 4))
    return [
        mean,
        np.sqrt(m2),
        m3 / m2**1.5 if m2 > 0 else 0.0,
        m4 / m2**2 - 3 if m2 > 0 else 0.0,
        *(percentile(v, percent) for percent in PERCENTS),
        (v > threshold).mean(),
    ]


# ---- CPU


@inner
def absorb(numbers, density, red, green, blue):
    """Optical densities of packed colours."""
    for x in range(numbers.size):
        i, j, k = unpack(numbers[x])
        red[x], green[x], blue[x] = density[i], density[j], density[k]


@inner
def describe(amounts, threshold, ranks, found, points, out):
    """The features of one stain of one region."""
    count, positive = amounts.size, 0
    least, greatest = extent(amounts)
    percentile_ranks(ranks, count)
    order_statistics(amounts, least, greatest, ranks, found)
    percentiles(found, count, points)
    mean, _ = mean_between(amounts, least, greatest, least)
    second, third, fourth = powers(amounts, mean)
    variance = second / count
    for x in range(count):
        positive += amounts[x] > threshold
    out[0] = mean
    out[1] = np.sqrt(variance)
    out[2] = third / count / (variance * np.sqrt(variance)) if variance > 0.0 else 0.0
    out[3] = fourth / count / (variance * variance) - 3.0 if variance > 0.0 else 0.0
    for k in range(points.size):
        out[4 + k] = points[k]
    out[4 + points.size] = positive / count


@compiled
def measure_block(numbers, spans, density, weights, threshold, out):
    """Features of a block of regions; numbers: packed colours, and spans: see `_values.py`."""
    ranks, found = np.empty(2 * len(PERCENTS), np.int64), np.empty(2 * len(PERCENTS), np.float32)
    points, features = np.empty(len(PERCENTS)), np.empty(len(FEATURES))
    largest = 0
    for region in range(len(spans)):
        largest = max(largest, spans[region, COUNT])
    planes = np.empty((4, largest), np.float32)
    for region in range(len(spans)):
        start, count = spans[region, START], spans[region, COUNT]
        if count == 0:
            out[region] = np.nan
            continue
        red, green, blue = planes[0, :count], planes[1, :count], planes[2, :count]
        amounts = planes[3, :count]
        absorb(numbers[start : start + count], density, red, green, blue)
        for dye in range(DYES):
            of_dye = weights[dye]
            for x in range(count):
                amounts[x] = stain(red[x], green[x], blue[x], of_dye)
            describe(amounts, threshold, ranks, found, points, features)
            for k in range(features.size):
                out[region, k * DYES + dye] = features[k]


def cpu(images, where, values, *, stains, threshold):
    """`reference`, compiled."""
    table, weights, above = density(), stain_weights(stains), np.float32(threshold)

    def work(numbers, spans, out):
        measure_block(numbers, spans, table, weights, above, out)

    measure(cpu_packed(images), where, values, work)


# ---- GPU: a block of threads a region and stain


def gpu(images, where, values, *, stains, threshold):
    """`reference` on the GPU: colours are packed, gathered, and measured in one launch each."""
    numbers, spans = gpu_values(gpu_packed(images), where)
    amounts = _cuda.empty(images, (DYES, numbers.size), np.float32)
    _source.function("measure")(
        min(DYES * len(where), BLOCKS), 256, numbers, spans, on_device(images, density()),
        on_device(images, stain_weights(stains)), amounts, values, len(where), numbers.size,
        threshold,
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: object) -> None:
    """Pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"stains: a region may have 2^30 pixels, got one of {shape[1:]}")


def columns(*, stains: str, **_: object) -> tuple[str, ...]:
    """`stains.<feature>.<stain>`."""
    names = stain_names(stains)
    return tuple(f"stains.{feature.name}.{name}" for feature in FEATURES for name in names)


stains = RegionMeasure(
    name="stains",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    channels=3,
    dtypes=("uint8",),
    parameters={
        "stains": Parameter("H-E-DAB", "the dyes of the section", choices=STAINS),
        "threshold": Parameter(
            0.2, "amount above which a pixel is positive", low=0, high=10, unit="optical density"
        ),
    },
    examples=({}, {"stains": "H-DAB", "threshold": 0.5}),
    tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=3 * itemsize + 1, operations=150),
    peers=("skimage.color:separate_stains, scipy.stats:skew",),
    quality=Quality(
        registers=64,
        bank_conflicts=1.5,
        float64=True,
        excuse="sums of powers and percentiles are float64 in the order of the CPU: the same bits; "
        "threads look up what pixels say, two of a bank at times",
    ),
)
