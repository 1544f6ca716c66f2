"""Haralick's 13 features of objects, of each direction on its own: cells at several scales.

    p_ij = (pairs of pixels at offset m or -m whose greys are i and j) / (all such pairs), i, j > 0
    grey = floor((levels - 1) round(255 v / white) / 255),   0 <= v <= white

for the four directions m, (y, x) = (0, 1), (1, 1), (1, 0), (1, -1), times the distance, both pixels
inside the region. The image's greys are one scale for all of its objects. Pixels of grey 0 are no
part of any object.

images      (n, h, w); uint8, uint16, int16 or float32; darker than 0 counts as 0, brighter than
            `white` as `white`
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 52): `haralick.<feature>.d<distance>.<direction>`, 00 to 03;
            computed in float64
borders     pairs with a pixel outside the image or the region are not counted
cost        4 increments a pixel, then as many cells a matrix as it has pairs or (range + 1)^2, the
            less. Workspace: a byte a pixel of the images; on the CPU, a thread, 1.5 MB; on the GPU
            2 bytes a pixel of all boxes, and up to 35 MB for more than 128 levels
nan         NaN and infinite pixels leave the region. A direction without a pair: all columns NaN,
            those of the other directions too. One grey only: correlation 1, information measures 0
source      Haralick, Shanmugam and Dinstein 1973, IEEE TSMC 3(6); Coelho 2013, J. Open Research
            Software 1(1) (mahotas); Carpenter et al. 2006, Genome Biology 7:R100 (CellProfiler:
            MeasureTexture, Texture_<feature>_<distance>_<direction>_<levels>)

The values are those of mahotas' haralick(ignore_zeros=True), which reads three of the formulas in
its own way: the difference variance is that of the numbers p_(|i - j|), taken as a sample of
max i + 1 numbers, not that of |i - j|; the sum variance is taken around the sum average; and the
second information measure is an exponential of bits. Where one direction has no pair mahotas
refuses the region; CellProfiler then has no value for it.
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._parameter import AUTO
from .._regions import RegionMeasure, at_most
from .._threads import run
from ._aggregation import PLANE
from ._glcm_features import HISTOGRAMS, NOISE, moments, spread, summarise, summarise_few
from ._information import (
    entropy as entropy_of,
    exp_minus,
    information,
    information_table,
    unit_of,
)
from ._levels import gpu_crops, on_device, scale
from ._objects import mark
from .glcm import co_occurrence, count_directions, entropy

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("angular_second_moment", "", "sum p_ij^2"),
        ("contrast", "", "sum (i - j)^2 p_ij", "level^2"),
        ("correlation", "", "sum (i - mu) (j - mu) p_ij / variance"),
        ("variance", "", "sum (i - mu)^2 p_ij", "level^2"),
        ("inverse_difference_moment", "", "sum p_ij / (1 + (i - j)^2)"),
        ("sum_average", "", "sum (i + j) p_ij", "level"),
        ("sum_variance", "", "sum (i + j - sum_average)^2 p_ij", "level^2"),
        ("sum_entropy", "", "entropy of i + j, bits", "bit"),
        ("entropy", "", "HXY = -sum p_ij log2 p_ij", "bit"),
        ("difference_variance", "", "variance of the numbers p_(|i - j|), |i - j| = 0 .. max i"),
        ("difference_entropy", "", "entropy of |i - j|, bits", "bit"),
        ("information_1", "", "(HXY - 2 HX) / HX, HX = -sum p_i log2 p_i"),
        ("information_2", "", "sqrt(1 - exp(-2 (2 HX - HXY)))"),
    )
)
BYTE = 255  # the greys of an image before they become `levels`
NEAREST = 6755399441055744.0  # 1.5 * 2^52: a sum with it has no fraction, halves go to the even
WORTH_A_THREAD = 1 << 13  # pixels
FEW = 0.1  # pixels a cell of the matrix: with less, pairs are visited instead of cells
BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions
SHARED_LEVELS = 96  # a table of 96 levels is 36 KB of shared memory
SCRATCH_BLOCKS = 264  # with more levels a block's table is in global memory


# ---- the definition


def reference(images, where, *, levels, white, distance):
    """The definition in plain NumPy, float64."""
    values = np.full((len(where), len(FEATURES), len(PLANE)), np.nan)
    greys = grey_images(images, levels, white)
    for (crop, inside), out in zip(where.crops(greys), values, strict=True):
        grey = np.where(inside, crop, 0)
        top = int(grey.max(initial=0))
        counts = [co_occurrence(grey, m, top) for m in np.multiply(PLANE, distance)]
        if all(m.any() for m in counts):
            out[:] = np.transpose([formulas(m / m.sum()) for m in counts])
    return values.reshape(len(where), -1).astype(np.float32)


def grey_images(images, levels, white):
    """The images' greys 0 .. levels - 1."""
    white = white[:, None, None]
    v = np.where(np.isfinite(images), images, 0).astype(np.float32).clip(0, white)
    return table_of(levels)[np.rint(np.float64(BYTE * v) / white).astype(np.uint8)]


def table_of(levels):
    """The grey of each byte."""
    byte = np.arange(BYTE + 1)
    return (byte if levels > BYTE else byte / BYTE * (levels - 1)).astype(np.uint8)


def formulas(p):
    """The 13 features of one symmetric matrix of probabilities of greys 1, 2, ..."""
    i, j = np.indices(p.shape) + 1
    d, s = abs(i - j), i + j
    p_d, p_s = np.bincount(d.ravel(), p.ravel(), len(p) + 1), np.bincount(s.ravel(), p.ravel())
    mu, mu_s = (i * p).sum(), (s * p).sum()
    variance = ((i - mu) ** 2 * p).sum()
    hxy, hx = entropy(p), entropy(p.sum(axis=0))
    mutual = 2 * hx - hxy if 2 * hx - hxy > NOISE else 0.0
    return [
        (p**2).sum(),
        (d**2 * p).sum(),
        ((i - mu) * (j - mu) * p).sum() / variance if hx > 0 else 1.0,
        variance,
        (p / (1 + d**2)).sum(),
        mu_s,
        ((s - mu_s) ** 2 * p).sum(),
        entropy(p_s),
        hxy,
        p_d.var(),
        entropy(p_d),
        -mutual / hx if hx > 0 else 0.0,
        np.sqrt(1 - np.exp(-2 * mutual)),
    ]


# ---- CPU


@compiled
def crop(image, labels, label, box, most, table, rows, row_step, levels):
    """levels[y row_step + x] = the greys of a region, 0 outside; `rows` is scratch."""
    flags, scaled = rows[0], rows[1]
    for y in range(box[1] - box[0]):
        row = image[box[0] + y, box[2] : box[3]]
        mark(flags, row, labels[box[0] + y, box[2] : box[3]] if labels.size else labels[0], label)
        for x in range(row.size):
            v = np.float32(row[x]) if flags[x] else np.float32(0)
            v = min(max(v, np.float32(0)), most)
            byte = np.float64(np.float32(BYTE) * v) / np.float64(most)
            scaled[x] = np.uint8((byte + NEAREST) - NEAREST)
        out = levels[y * row_step : (y + 1) * row_step]
        for x in range(row.size):
            out[x] = table[scaled[x]]


@compiled
def lower(levels):
    """Makes the lowest level above 0 level 1, in place; returns by how much, and the highest."""
    below, highest = np.uint16(0xFFFF), np.uint16(0)
    for k in range(levels.size):
        below = min(below, np.uint16(levels[k] - np.uint16(1)))  # 0 becomes the highest
        highest = max(highest, levels[k])
    for k in range(levels.size):
        levels[k] = max(levels[k], below) - below
    return np.int64(below), np.int64(highest)


@compiled
def inverse_difference_moment(differences, pairs):
    """Mean of 1 / (1 + |i - j|^2)."""
    total = 0.0
    for k in range(differences.size):
        total += np.float64(differences[k]) / (1.0 + np.float64(k * k))
    return total / pairs


@compiled
def variance_of_shares(differences, pairs, number):
    """Variance of the `number` shares differences / pairs; further ones are 0."""
    squares = np.int64(0)
    for k in range(differences.size):
        squares += np.int64(differences[k]) * np.int64(differences[k])
    spare = number * squares - pairs * pairs
    return np.float64(spare) / np.float64(pairs) / np.float64(pairs) / np.float64(number * number)


@compiled
def put_features(histograms, totals, side, below, table, out, m):
    """out[:, m] = features of a matrix, as `summarise` gives it, whose levels are `below` lower."""
    sums, differences = histograms[0, : 2 * side - 1], histograms[1, : side - 1]
    pairs, joint = totals[0], totals[3]
    both = 2 * pairs
    unit = unit_of(both)
    mean, tendency, _, _ = moments(sums, pairs)
    _, contrast, _ = spread(differences, pairs)
    scatter, covariance = tendency + contrast, tendency - contrast
    joint_entropy = entropy_of(joint, both, unit)
    level_entropy = entropy_of(information(histograms[2, :side], unit, table), both, unit)
    mutual = 2.0 * level_entropy - joint_entropy
    if mutual < NOISE:
        mutual = 0.0
    out[0, m] = totals[2] / np.float64(both) / np.float64(both)
    out[1, m] = contrast
    out[2, m] = covariance / scatter if scatter > 0.0 else 1.0
    out[3, m] = scatter / 4.0
    out[4, m] = inverse_difference_moment(differences, pairs)
    out[5, m] = mean + 2.0 * below
    out[6, m] = tendency
    out[7, m] = entropy_of(information(sums, unit, table), pairs, unit)
    out[8, m] = joint_entropy
    out[9, m] = variance_of_shares(differences, pairs, below + side)
    out[10, m] = entropy_of(information(differences, unit, table), pairs, unit)
    out[11, m] = -mutual / level_entropy if level_entropy > 0.0 else 0.0
    out[12, m] = np.sqrt(1.0 - exp_minus(2.0 * mutual))


@compiled
def measure_region(levels, size, offsets, table, counts, empty, kept,
                   histograms, out):  # fmt: skip
    """The features (13, 4) of a region's `size` greys, 0 outside, at four offsets.

    counts  uint32 (4, levels^2); empty uint32 (levels^2,), all 0 before and after; kept likewise;
            histograms uint32 (HISTOGRAMS, 2 levels)
    """
    totals = np.empty(4, np.int64)
    below, top = lower(levels[:size])
    if top == 0:
        return False
    side = top - below + 1
    few = size < FEW * side * side
    if not few:
        count_directions(levels, offsets, counts, side, False)
    for m in range(4):
        if few:
            some = offsets[m : m + 1]
            summarise_few(levels, size, some, empty, side, table, histograms, totals)
        else:
            summarise(counts[m], side, size, table, histograms, kept, totals)
        if totals[0] == 0:
            return False
        put_features(histograms, totals, side, below, table, out, m)
    return True


@compiled
def measure(first, stop, images, labels, regions, white, greys, distance, table, crops, rows,
            counts, empty, kept, histograms, values):  # fmt: skip
    """Regions first .. stop - 1; white float32, one an image; greys: see `table_of`."""
    offsets, found = np.empty(4, np.int64), np.empty((values.shape[1], 4))
    for region in range(first, stop):
        image, label, box = regions[region, 0], regions[region, 1], regions[region, 4:]
        height, row_step = box[1] - box[0], box[3] - box[2] + distance
        size, below = height * row_step, distance * row_step
        offsets[0], offsets[1], offsets[2] = distance, below + distance, below
        offsets[3] = below - distance
        levels = crops[: size + offsets[1]]
        for k in range(levels.size):
            levels[k] = np.uint16(0)
        cover = labels[image] if labels.size else labels[0]
        crop(images[image], cover, label, box, white[image], greys, rows, row_step, levels)
        known = measure_region(levels, size, offsets, table, counts, empty, kept, histograms, found)
        for feature in range(values.shape[1]):
            for m in range(4):
                values[region, feature, m] = found[feature, m] if known else np.nan


def cpu(images, where, values, *, levels, white, distance):
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    sides, table = where.sizes[:, 1:] + distance, information_table()
    out = values.reshape(len(values), len(FEATURES), len(PLANE))

    def some(first: int, stop: int) -> None:
        largest = int(sides[first:stop].prod(axis=1).max()) + distance
        widest = int(sides[first:stop, 1].max())
        measure(
            first, stop, images, frozen_view(labels), where.table, white, table_of(levels),
            distance, table, np.empty(largest, np.uint16), np.empty((2, widest), np.uint8),
            np.empty((4, levels**2), np.uint32), np.zeros(levels**2, np.uint32),
            np.empty(levels**2, np.uint32), np.empty((HISTOGRAMS, 2 * levels), np.uint32), out,
        )  # fmt: skip

    mean = int(where.sizes.prod(axis=1).mean())
    run(some, len(where), least=1 + WORTH_A_THREAD // max(1, mean))


# ---- GPU: greys of all images, then a block of threads a region


def gpu(images, where, values, *, levels, white, distance):
    """`reference` on the GPU: one launch for the greys, one for the crops, one for the features."""
    (n, height, width), greys = images.shape, _cuda.empty(images, images.shape, np.uint8)
    _source.function("find_greys", PIXEL=images.dtype)(
        min(n * height, BLOCKS), 256, images, white,
        on_device(images, table_of(levels)), greys, n * height, height, width,
    )  # fmt: skip
    crops = gpu_crops(greys, where, scale(levels - 1, "none", 1.0, 0.0), distance)
    shared, cells = levels <= SHARED_LEVELS, levels**2
    blocks = min(len(where), BLOCKS if shared else SCRATCH_BLOCKS)
    workspace = _cuda.empty(images, (1 if shared else blocks, cells), np.uint32)
    workspace[...] = 0
    _source.function("measure", PIXEL=images.dtype, IN_SHARED=shared)(
        blocks, 256, *crops, workspace, values, len(where), levels, distance,
        smem=4 * cells if shared else 0,
    )  # fmt: skip


# ---- the kernel


def brightest(images: Any) -> Any:
    """What is white in images of this dtype: the greatest integer, of floats 1."""
    kind = np.dtype(str(images.dtype))
    white = _cuda.empty(images, (images.shape[0],), np.float32)
    white[...] = np.iinfo(kind).max if kind.kind in "iu" else 1.0
    return white


def columns_of(*, distance: int, **_: Any) -> tuple[str, ...]:
    """`haralick.<feature>.d<distance>.<direction>`."""
    return tuple(
        f"haralick.{feature.name}.d{distance}.{m:02}" for feature in FEATURES for m in range(4)
    )


haralick = RegionMeasure(
    name="haralick",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns_of,
    features=FEATURES,
    validate=at_most("haralick"),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "levels": Parameter(256, "greys, that of black with them", low=2, high=256),
        "white": Parameter(
            AUTO,
            "intensity of the brightest grey; 'auto': the dtype's highest, of floats 1",
            above=0,
            high=1e30,
            estimate=brightest,
        ),
        "distance": Parameter(1, "Chebyshev distance of a pair", low=1, high=64, unit="pixels"),
    },
    examples=({}, {"levels": 52, "white": 180.0, "distance": 3}),
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 1, operations=4 * 3 + 10),
    peers=("mahotas.features:haralick", "cp_measure.core.measuretexture:get_texture"),
    quality=Quality(
        registers=80,
        sector_efficiency=0.35,
        float64=True,
        excuse="greys and the last O(levels) of a matrix are float64: the values of the CPU; more "
        "than 96 levels are counted in tables in global memory, cell by cell",
    ),
)
