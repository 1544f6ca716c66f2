"""Intensity-volume histogram: the 7 IBSI features of the volume at and above each intensity.

    nu_i = (pixels of intensity i or more) / N    gamma_i = (i - min G) / (max G - min G)

for i = min G, min G + w, min G + 2 w, ... After i = max G nothing is left: nu = 0.

units       "discrete"    calibrated whole numbers such as HU: intensities as they are, w = 1;
                          G the region's range, or from `low` to `high`
            "continuous"  calibrated, such as SUV: centres of bins of `width` from the lower bound X
                          on, w = width; G = [X + w / 2, Y - w / 2], Y the upper bound
            "arbitrary"   as in most MR: numbers of 1000 bins over the region's range, w = 1;
                          G = [1, 1000]
bounds      the range X, Y of "discrete" and "continuous": the region's own ("region"), from `low`
            to the region's greatest ("low"), or from `low` to `high` ("both"). Pixels outside leave
            the region

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 7), computed in float64
borders     none: no pixel has neighbours here
cost        about 30 operations a pixel, whatever the number of bins (the last of 2^32 takes what is
            above). Workspace as of `statistics`
nan         NaN and infinite pixels leave the region. An empty region: all columns NaN. Where G is
            one intensity, volume fractions are 1 and the area is 0; an intensity at a volume
            fraction may be the one after the last
source      IBSI reference manual (arXiv 1612.07003), section 3.5
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure
from ._levels import BLOCKS
from ._values import (
    COUNT,
    LARGEST,
    START,
    extent,
    gpu_values,
    inside,
    measure,
    order_statistics,
)

_source = _cuda.Cuda(__file__)

DISCRETE, CONTINUOUS, ARBITRARY = UNITS = ("discrete", "continuous", "arbitrary")
REGION, LOW, BOTH = BOUNDS = ("region", "low", "both")
BINS = 1000  # of arbitrary units
LAST = 2.0**32  # number of the highest bin

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("volume_at_intensity_fraction_10", "BC2M", "V_10 = greatest nu_i with gamma_i >= 0.1"),
        ("volume_at_intensity_fraction_90", "BC2M", "V_90 = greatest nu_i with gamma_i >= 0.9"),
        ("intensity_at_volume_fraction_10", "GBPN", "I_10 = least i with nu_i <= 0.1", "intensity"),
        ("intensity_at_volume_fraction_90", "GBPN", "I_90 = least i with nu_i <= 0.9", "intensity"),
        ("volume_fraction_difference", "DDTU", "V_10 - V_90"),
        ("intensity_difference", "CNV2", "I_10 - I_90", "intensity"),
        ("area_under_curve", "9CMM", "nu over gamma, by trapezoids"),
    )
)


# ---- the definition


def reference(images, where, *, units=DISCRETE, width=0.1, bounds=REGION, low=0.0, high=1.0):
    """The definition in plain NumPy, float64 up to the last step."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        v = inside(image, mask, *limits(units, bounds, low, high))
        if v.size:
            out[:] = features_of(v, units, width, bounds, low, high)
    return values.astype(np.float32)


def features_of(v, units, width, bounds, low, high):
    """The 7 features of sorted intensities: of numbers of bins, k = 0, 1, ..., until the end."""
    x = v[0] if bounds == REGION else low
    y = high if bounds == BOTH else v[-1]
    if units == DISCRETE:
        k, intervals, first, w = np.floor(v - x), y - x, x, 1.0
    elif units == CONTINUOUS:
        k, intervals = np.floor((v - x) / width), max((y - x) / width - 1, 0)
        first, w = x + width / 2, width
    else:
        spread = v[-1] - v[0] or 1.0
        k = np.minimum(np.floor(BINS * (v - v[0]) / spread), BINS - 1)
        intervals, first, w = BINS - 1, 1.0, 1.0
    steps = np.arange(max(k[-1], intervals) + 2)
    nu = 1 - np.searchsorted(k, steps) / len(k)

    def volume(percent):
        return nu[100 * steps >= percent * intervals].max()

    def intensity(percent):
        few = 100 * (len(k) - np.searchsorted(k, steps)) <= percent * len(k)
        return first + steps[few].min() * w

    in_range = nu[steps <= intervals]
    trapezoids = (in_range[1:] + in_range[:-1]).sum() / 2
    area = trapezoids / intervals if len(in_range) > 1 and k[0] < k[-1] else 0.0
    return [
        volume(10), volume(90), intensity(10), intensity(90),
        volume(10) - volume(90), intensity(10) - intensity(90), area,
    ]  # fmt: skip


def limits(units, bounds, low, high):
    """What an intensity must lie between to be in the region."""
    if units == ARBITRARY or bounds == REGION:
        return -LARGEST, LARGEST
    return low, high if bounds == BOTH else LARGEST


# ---- CPU


@compiled
def scale_of(least, greatest, units, width, bounds, low, high):
    """Of bin k, floor(gain (v - origin) / step): gain, origin, step; the last bin; the intervals
    of G; the intensity of bin 0 and the step from each to the next."""
    origin = least if bounds == 0 else low
    end = high if bounds == 2 else greatest
    if units == 0:
        return 1.0, origin, 1.0, LAST, min(end - origin, LAST), origin, 1.0
    if units == 1:
        intervals = min(max((end - origin) / width - 1.0, 0.0), LAST)
        return 1.0, origin, width, LAST, intervals, origin + width / 2.0, width
    spread = greatest - least
    step = spread if spread > 0.0 else 1.0
    return np.float64(BINS), least, step, BINS - 1.0, BINS - 1.0, 1.0, 1.0


@compiled
def place(v, gain, origin, step, last):
    """The place of an intensity on the scale of bins; its floor is the bin."""
    t = gain * (np.float64(v) - origin) / step
    return t if t < last else last


@compiled
def volumes_above(values, gain, origin, step, last, tenth, ninth, final):
    """Pixels in bin `tenth` and above, `ninth` and above, and `final` and above; and the sum of
    the numbers of their bins, of which there are none above `final`."""
    above_tenth, above_ninth, above_final, total = 0, 0, 0, np.int64(0)
    for v in values:
        t = place(v, gain, origin, step, last)
        above_tenth += t >= tenth
        above_ninth += t >= ninth
        above_final += t >= final
        total += np.int64(t if t < final else final)
    return above_tenth, above_ninth, above_final, total


@compiled
def describe(values, units, width, bounds, low, high, ranks, found, out):
    """The 7 features of the intensities of one region."""
    count = values.size
    least, greatest = extent(values)
    gain, origin, step, last, intervals, first, w = scale_of(
        least, greatest, units, width, bounds, low, high
    )
    final = np.floor(intervals)
    tenth, ninth = np.ceil(10.0 * intervals / 100.0), np.ceil(90.0 * intervals / 100.0)
    ranks[0], ranks[1] = count - 1 - 10 * count // 100, count - 1 - 90 * count // 100
    order_statistics(values, least, greatest, ranks, found)
    above_tenth, above_ninth, above_final, total = volumes_above(
        values, gain, origin, step, last, tenth, ninth, final
    )
    lowest = np.floor(place(least, gain, origin, step, last))
    highest = np.floor(place(greatest, gain, origin, step, last))
    area = 0.0
    if final > 0.0 and lowest < highest:
        area = (total + count - (count + above_final) / 2.0) / count / intervals

    out[0] = above_tenth / count
    out[1] = above_ninth / count
    out[2] = first + (np.floor(place(found[0], gain, origin, step, last)) + 1.0) * w
    out[3] = first + (np.floor(place(found[1], gain, origin, step, last)) + 1.0) * w
    out[4] = out[0] - out[1]
    out[5] = out[2] - out[3]
    out[6] = area


@compiled
def measure_block(values, spans, units, width, bounds, low, high, out):
    """Features of a block of regions; values and spans: see `_values.py`."""
    ranks, found = np.empty(2, np.int64), np.empty(2, np.float32)
    for region in range(len(spans)):
        start, count = spans[region, START], spans[region, COUNT]
        if count:
            span = values[start : start + count]
            describe(span, units, width, bounds, low, high, ranks, found, out[region])
        else:
            out[region] = np.nan


def cpu(images, where, values, *, units, width, bounds, low, high):
    """`reference`, compiled."""
    how = UNITS.index(units), width, BOUNDS.index(bounds), low, high

    def work(found, spans, out):
        measure_block(found, spans, *how, out)

    measure(images, where, values, work, limits(units, bounds, low, high))


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, units, width, bounds, low, high):
    """`reference` on the GPU: one launch gathers the intensities, one measures them."""
    found, spans = gpu_values(images, where, limits(units, bounds, low, high))
    _source.function("measure")(
        min(len(where), BLOCKS), 256, found, spans, values, len(where),
        UNITS.index(units), width, BOUNDS.index(bounds), low, high,
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], *, bounds: str, low: float, high: float,
          **_: Any) -> None:  # fmt: skip
    """Bounds have an order, and sums of 2^32 bins have 64 bits."""
    if bounds == BOTH and not low < high:
        raise ValueError(f"ivh: low must be below high, got {low} and {high}")
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"ivh: a region may have 2^30 voxels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"ivh.{feature.name}" for feature in FEATURES)


ivh = RegionMeasure(
    name="ivh",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "units": Parameter(
            DISCRETE,
            "intensities are calibrated whole numbers, calibrated numbers, or in arbitrary units",
            choices=UNITS,
        ),
        "width": Parameter(0.1, "bin width of continuous units", low=1e-6, high=1e6),
        "bounds": Parameter(
            REGION, "which bounds of the range are given: none, `low` or both", choices=BOUNDS
        ),
        "low": Parameter(0.0, "lower bound of the range", low=-1e9, high=1e9),
        "high": Parameter(1.0, "upper bound of the range", low=-1e9, high=1e9),
    },
    examples=(
        {},
        {"units": "continuous", "width": 2.5, "bounds": "both", "low": 10.5, "high": 171.0},
        {"units": "arbitrary"},
        {"units": "continuous", "width": 7.0, "bounds": "low", "low": 40.0},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=30),
    peers=("numpy:sort, numpy:searchsorted",),
    quality=Quality(
        float64=True,
        excuse="bins of continuous intensities and their fractions are those of the CPU: float64",
    ),
)
