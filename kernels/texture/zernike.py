"""Zernike moments on the smallest circle around each object: of its shape and of its intensities.

    Z_nm(f) = sum over pixels of f V_nm((y - cy) / r, (x - cx) / r),   n = 0 .. 9, 30 of them
    shape = |Z(1)| / (pi r^2)   magnitude = |Z(v)| / pixels   phase = arctan2(Re Z(v), Im Z(v))

with V_nm of `_polynomials.py` and the circle of `_circle.py`, around the pixels' centres. A
turned object has the same shapes and magnitudes.

images      (n, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 90): shape, magnitude and phase, computed in float64
borders     an object that touches the border is measured as far as it is seen
cost        40 operations a pixel, 12,000 a region and 220 a column of it. Workspace: on the CPU, a
            thread, 180 bytes a column of a region; on the GPU 8 bytes a row of all regions
nan         NaN and infinite pixels leave the region. No circle (empty, one pixel): all columns NaN.
            A real or imaginary part below 1e-9 pixels max |v| is rounding and counts as 0
source      Teague 1980, J. Opt. Soc. Am. 70(8); Carpenter et al. 2006, Genome Biology 7:R100
            (CellProfiler: AreaShape_Zernike, RadialDistribution_ZernikeMagnitude and Phase)

mahotas.features.zernike_moments has the factor (n + 1) / (pi sum of f) instead.
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Quality
from .._regions import RegionMeasure
from .._threads import run
from ._circle import NO_ROW, enclosing_circle, smallest_circle
from ._levels import on_device
from ._objects import mark
from ._polynomials import INDEXES, POWERS, angle, coefficients, radial

_source = _cuda.Cuda(__file__)

FEATURES = (
    Feature("shape", "", "|sum V_nm| / (pi r^2)"),
    Feature("magnitude", "", "|sum v V_nm| / pixels", "intensity"),
    Feature("phase", "", "arctan2(Re, Im) of sum v V_nm", "radian"),
)
NOISE = 1e-9
LONGEST = 1 << 14  # pixels of a side: products of coordinates are exact in 64 bits
WORTH_A_THREAD = 1 << 13  # pixels
BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


# ---- the definition


def reference(images, where):
    """The definition in plain NumPy, float64."""
    values = np.full((len(where), 3, len(INDEXES)), np.nan)
    for (crop, inside), out in zip(where.crops(images), values, strict=True):
        inside = inside & np.isfinite(crop)
        pixels, v = np.argwhere(inside)[:, 1:], crop[inside].astype(np.float64)
        if len(pixels) < 2:
            continue
        centre, radius = smallest_circle(pixels)
        basis = polynomials((pixels - centre) / radius)
        shape, moment = clean(basis.sum(axis=0), len(v)), clean(v @ basis, len(v) * abs(v).max())
        out[0] = abs(shape) / (np.pi * radius**2)
        out[1] = abs(moment) / len(v)
        out[2] = np.arctan2(moment.real, moment.imag)
    return values.reshape(len(where), -1).astype(np.float32)


def polynomials(points):
    """V_nm (pixels, 30), complex, at points (y, x) of the unit circle."""
    z, square = points @ [1, 1j], (points**2).sum(axis=1)
    return np.stack([np.polyval(radial(n, m)[::-1], square) * z**m for n, m in INDEXES], axis=1)


def clean(moment, size):
    """Parts that are rounding are 0."""
    real, imaginary = (np.where(abs(p) > NOISE * size, p, 0.0) for p in (moment.real, moment.imag))
    return real + 1j * imaginary


# ---- CPU


@compiled
def find_ends(image, labels, label, box, flags, ends):
    """First and last pixel of every row of a region; returns how many pixels it has."""
    total = 0
    for y in range(box[1] - box[0]):
        row = image[box[0] + y, box[2] : box[3]]
        inside = labels[box[0] + y, box[2] : box[3]] if labels.size else labels[0]
        mark(flags, row, inside, label)
        ends[y] = NO_ROW
        for x in range(row.size):
            if flags[x]:
                total += 1
                ends[y, 1] = x
                if ends[y, 0] == NO_ROW:
                    ends[y, 0] = x
    return total


@compiled
def add_row(row, flags, y, columns):
    """columns (2, powers, width) += y^q of the pixels inside: 1 and v times; returns max |v|."""
    power, highest = 1.0, 0.0
    for q in range(POWERS):
        ones, greys = columns[0, q], columns[1, q]
        for x in range(row.size):
            inside = np.float64(flags[x])
            ones[x] += inside * power
            greys[x] += (np.float64(row[x]) if flags[x] else 0.0) * power
        power *= y
    for x in range(row.size):
        if flags[x]:
            highest = max(highest, abs(np.float64(row[x])))
    return highest


@compiled
def add_columns(columns, pixel, centre, radius, sums):
    """sums (2, terms) = sum over columns of x^p columns (2, powers, width)."""
    sums[:] = 0.0
    powers = np.empty(POWERS)
    for x in range(columns.shape[2]):
        powers[0], at = 1.0, (x - pixel - centre) / radius
        for p in range(1, POWERS):
            powers[p] = powers[p - 1] * at
        for k in range(2):
            term = 0
            for q in range(POWERS):
                for p in range(POWERS - q):
                    sums[k, term] += powers[p] * columns[k, q, x]
                    term += 1


@compiled
def summarise(sums, weights, radius, pixels, highest, moments, values):
    """The 90 values of a region from its sums of powers."""
    moments[:] = 0.0
    for k in range(2):
        for term in range(weights.shape[0]):
            for part in range(weights.shape[1]):
                moments[k, part] += weights[term, part] * sums[k, term]
        least = NOISE * (pixels * (highest if k else 1.0))
        for part in range(weights.shape[1]):
            if not abs(moments[k, part]) > least:
                moments[k, part] = 0.0
    third = values.size // 3
    for i in range(third):
        a, b = moments[0, 2 * i], moments[0, 2 * i + 1]
        values[i] = np.sqrt(a * a + b * b) / (np.pi * (radius * radius))
        a, b = moments[1, 2 * i], moments[1, 2 * i + 1]
        values[third + i] = np.sqrt(a * a + b * b) / pixels
        values[2 * third + i] = angle(a, b)


@compiled
def measure(first, stop, images, labels, table, weights, values):
    """Regions first .. stop - 1."""
    tallest, widest = 1, 1
    for region in range(first, stop):
        tallest = max(tallest, table[region, 5] - table[region, 4])
        widest = max(widest, table[region, 7] - table[region, 6])
    flags, ends = np.empty(widest, np.uint8), np.empty((tallest, 2), np.int64)
    scratch = np.empty(2 * POWERS * widest)
    sums, moments = np.empty((2, weights.shape[0])), np.empty((2, weights.shape[1]))
    for region in range(first, stop):
        image, label, box = table[region, 0], table[region, 1], table[region, 4:]
        height, width = box[1] - box[0], box[3] - box[2]
        cover = labels[image] if labels.size else labels[0]
        pixels = find_ends(images[image], cover, label, box, flags[:width], ends[:height])
        if pixels < 2:
            values[region] = np.nan
            continue
        py, px, dy, dx, radius = enclosing_circle(ends[:height])
        columns, highest = scratch[: 2 * POWERS * width].reshape(2, POWERS, width), 0.0
        columns[:] = 0.0
        for y in range(height):
            if ends[y, 0] != NO_ROW:
                row = images[image, box[0] + y, box[2] : box[3]]
                inside = cover[box[0] + y, box[2] : box[3]] if cover.size else cover[0]
                mark(flags[:width], row, inside, label)
                highest = max(highest, add_row(row, flags, (y - py - dy) / radius, columns))
        add_columns(columns, px, dx, radius, sums)
        summarise(sums, weights, radius, pixels, highest, moments, values[region])


def cpu(images, where, values):
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    run(
        measure, len(where), images, frozen_view(labels), where.table, coefficients(), values,
        least=1 + WORTH_A_THREAD // max(1, int(where.sizes.prod(axis=1).mean())),
    )  # fmt: skip


# ---- GPU: a block of threads a region


def gpu(images, where, values):
    """`reference` on the GPU: one launch."""
    labels = images if where.labels is None else where.labels
    heights = where.sizes[:, 1]
    ends = _cuda.empty(images, (max(int(heights.sum()), 1), 2), np.int32)
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None
    )(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, np.cumsum(heights) - heights), ends, on_device(images, coefficients()),
        values, len(where), *images.shape[1:],
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """The circle is found in 64-bit integers."""
    if max(shape[1:]) > LONGEST:
        raise ValueError(f"zernike: sides of images are at most {LONGEST} pixels, got {shape[1:]}")


def columns_of(**_: Any) -> tuple[str, ...]:
    """`zernike.<feature>.<n>.<m>`."""
    return tuple(f"zernike.{f.name}.{n}.{m}" for f in FEATURES for n, m in INDEXES)


zernike = RegionMeasure(
    name="zernike",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns_of,
    features=FEATURES,
    validate=check,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={},
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=itemsize, operations=4 * POWERS),
    peers=("mahotas.features:zernike_moments",),
    quality=Quality(
        registers=128,
        sector_efficiency=0.5,
        float64=True,
        excuse="polynomials of degree 9 cancel: float32 would leave three digits of small moments; "
        "one thread finds the circle, one pixel after the other",
    ),
)
