"""Colour co-occurrence: how the levels of one channel meet those of the same or another one nearby.

    p_ij(A, B) = (ordered pairs of neighbours p, q with A(p) = i and B(q) = j) / (all such pairs)

for the channel pairs RR, GG, BB, RG, RB and GB. Neighbours lie `distance` apart in one of the four
directions (y, x) = (0, 1), (1, 1), (1, 0), (1, -1), and each two of them are counted in both
orders. So within a channel p is the symmetric matrix of `glcm`; between two it is not symmetric,
but p(B, A) is p(A, B) turned over. The columns and their formulas are the table `FEATURES`.

images      (n, h, w, 3) RGB; uint8, uint16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 6 x 16): the features of RR, then of GG, BB, RG, RB, GB
binning     how the intensities of a channel become levels 1..Ng, each channel on its own: see
            `_levels.py`. The range of uint8 is `binning="width", width=256 / levels`
directions  features of each direction averaged, or matrices of directions merged. Matrices without
            a pair take no part in a mean
borders     pairs with a pixel outside the image or the region are not counted
cost        12 increments and about 12 operations a pixel, then 4 x 9 x 3 (Ng + 1) additions for
            each colour that a region has, and 6 (Ng + 1)^2 cells a direction. Workspace: on the
            CPU, a thread, 48 (Ng + 1) bytes for each colour of a region, at most (Ng + 1)^3 of
            them; on the GPU 9 bytes a pixel of all boxes
nan         NaN and infinite pixels leave the region in their channel. No pair: NaN. A channel of
            one level: correlation 1, information correlations 0
source      Palm 2004, Color texture classification by integrative co-occurrence matrices, Pattern
            Recognition 37(5); IBSI reference manual (arXiv 1612.07003), section 3.6
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure, at_most
from .._threads import run
from ._aggregation import AVERAGED, DIRECTIONS, MERGED, PLANE, VOLUME, suffix
from ._colour_pairs import CHANNELS, PAIRS, count_region, fold, scratch
from ._glcm_features import NOISE
from ._information import (
    entropy as entropy_of,
    exp_minus,
    information,
    information_one,
    information_table,
    unit_of,
)
from ._levels import BLOCKS, PARAMETERS, gpu_crops, levels_of, neighbour, scale
from .glcm import entropy

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("joint_maximum", "", "max p_ij"),
        ("joint_entropy", "", "HXY = -sum p_ij log2 p_ij", "bit"),
        ("angular_second_moment", "", "sum p_ij^2"),
        ("sum_average", "", "sum (i + j) p_ij", "level"),
        ("sum_variance", "", "sum (i + j - sum_average)^2 p_ij", "level^2"),
        ("sum_entropy", "", "entropy of i + j, bits", "bit"),
        ("dissimilarity", "", "sum |i - j| p_ij, the average difference", "level"),
        ("difference_variance", "", "sum (|i - j| - dissimilarity)^2 p_ij", "level^2"),
        ("difference_entropy", "", "entropy of |i - j|, bits", "bit"),
        ("contrast", "", "sum (i - j)^2 p_ij", "level^2"),
        ("inverse_difference", "", "sum p_ij / (1 + |i - j|)"),
        ("inverse_difference_moment", "", "sum p_ij / (1 + (i - j)^2)"),
        ("inverse_variance", "", "sum over i != j of p_ij / (i - j)^2"),
        ("correlation", "", "sum (i - mu_i) (j - mu_j) p_ij / (sigma_i sigma_j)"),
        ("information_correlation_1", "",
         "(HXY - HX - HY) / max(HX, HY), HX and HY the entropies of sum_j p_ij and sum_i p_ij"),
        ("information_correlation_2", "", "sqrt(1 - exp(-2 (HX + HY - HXY)))"),
    )
)  # fmt: skip
MOST = 32  # levels: six matrices of them are 24 KB of a GPU block's shared memory
WORTH_A_THREAD = 1 << 13  # pixels
SUMS, DIFFERENCES, ROWS, COLUMNS = range(4)  # histograms of i + j, |i - j|, i and j


# ---- the definition


def reference(images, where, *, levels=16, binning="count", width=25.0, low=0.0, distance=1,
              directions=AVERAGED):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(PAIRS), len(FEATURES)), np.nan)
    offsets = np.multiply(PLANE, distance)
    for (pixels, mask), of_region in zip(where.crops(images), values, strict=True):
        grey = [levels_of(pixels[..., c], mask, rule) for c in range(len(CHANNELS))]
        for (a, b), out in zip(PAIRS, of_region, strict=True):
            counts = np.array([co_occurrence(grey[a], grey[b], m, levels) for m in offsets])
            if directions == MERGED:
                counts = counts.sum(axis=0, keepdims=True)
            found = [formulas(m / m.sum()) for m in counts if m.any()]
            if found:
                out[:] = np.mean(found, axis=0)
    return values.reshape(len(where), -1).astype(np.float32)


def co_occurrence(a, b, offset, levels):
    """Counts (levels, levels) of a(p), b(q) over neighbours p, q of both orders."""
    counts = np.zeros((levels + 1, levels + 1), np.int64)
    np.add.at(counts, (a, neighbour(b, offset)), 1)
    np.add.at(counts, (a, neighbour(b, np.negative(offset))), 1)
    return counts[1:, 1:]


def formulas(p):
    """The features of one matrix of probabilities, in the order of `FEATURES`."""
    i, j = np.indices(p.shape) + 1
    d, s = abs(i - j), i + j
    p_i, p_j = p.sum(axis=1), p.sum(axis=0)
    p_d, p_s = np.bincount(d.ravel(), p.ravel()), np.bincount(s.ravel(), p.ravel())
    mu_i, mu_j, mu_d, mu_s = ((x * p).sum() for x in (i, j, d, s))
    scatter = ((i - mu_i) ** 2 * p).sum() * ((j - mu_j) ** 2 * p).sum()
    flat = min(np.count_nonzero(p_i), np.count_nonzero(p_j)) == 1
    hx, hy, hxy = entropy(p_i), entropy(p_j), entropy(p)
    mutual = 0.0 if flat or hx + hy - hxy < NOISE else hx + hy - hxy
    return [
        p.max(), hxy, (p**2).sum(),
        mu_s, ((s - mu_s) ** 2 * p).sum(), entropy(p_s),
        mu_d, ((d - mu_d) ** 2 * p).sum(), entropy(p_d), (d**2 * p).sum(),
        (p / (1 + d)).sum(), (p / (1 + d**2)).sum(), (p[d > 0] / d[d > 0] ** 2).sum(),
        1.0 if flat else ((i - mu_i) * (j - mu_j) * p).sum() / np.sqrt(scatter),
        0.0 if flat else -mutual / max(hx, hy),
        np.sqrt(1 - np.exp(-2 * mutual)),
    ]  # fmt: skip


# ---- CPU: pairs by colour, see `_colour_pairs.py`; the features of their matrices


@compiled
def summarise(one, other, table, joint, histograms, totals):
    """All that the features need of p(A, B), as integers.

    one, other   uint32 (side, side): M_ab and (M_ba)^T, level 0 the outside
    joint        uint32 (side^2,): N p_ij
    histograms   uint32 (4, 2 side): of i + j, |i - j|, i and j
    totals       int64 (4,): N, the greatest count, sums of squares and of information
    """
    side = len(one)
    histograms[:] = 0
    sums, differences, rows, columns = histograms[0], histograms[1], histograms[2], histograms[3]
    pairs, greatest, squares, bits = np.int64(0), np.uint32(0), np.int64(0), np.int64(0)
    for i in range(1, side):
        for j in range(1, side):
            count = one[i, j] + other[i, j]
            joint[i * side + j] = count
            sums[i + j] += count
            differences[abs(i - j)] += count
            rows[i] += count
            columns[j] += count
            greatest = max(greatest, count)
            squares += np.int64(count) * np.int64(count)
        pairs += rows[i]
    unit = unit_of(pairs)
    for i in range(1, side):
        if rows[i]:
            for j in range(1, side):
                bits += information_one(joint[i * side + j], unit, table)
    totals[0], totals[1], totals[2], totals[3] = pairs, greatest, squares, bits


@compiled
def moments(counts, pairs):
    """Mean, mean square and variance of k, which is met counts[k] times."""
    first, second, central = np.int64(0), np.int64(0), 0.0
    for k in range(counts.size):
        first += k * np.int64(counts[k])
        second += k * k * np.int64(counts[k])
    mean = first / pairs
    for k in range(counts.size):
        central += (k - mean) * (k - mean) * np.float64(counts[k])
    return mean, second / pairs, central / pairs


@compiled
def add_inverse_differences(differences, pairs, values):
    """Adds the inverse difference, its moment and the inverse variance, columns 10 to 12."""
    plain, moment, variance = 0.0, 0.0, 0.0
    for k in range(differences.size):
        d, count = np.float64(k), np.float64(differences[k])
        plain += count / (1.0 + d)
        moment += count / (1.0 + d * d)
        if k > 0:
            variance += count / (d * d)
    values[10] += plain / pairs
    values[11] += moment / pairs
    values[12] += variance / pairs


@compiled
def add_features(histograms, totals, table, values):
    """Adds the features of one matrix, as `summarise` gives it, to `values`."""
    sums, differences = histograms[SUMS], histograms[DIFFERENCES]
    pairs, greatest, squares, bits = totals[0], totals[1], totals[2], totals[3]
    unit = unit_of(pairs)
    mean, _, of_sums = moments(sums, pairs)
    dissimilarity, contrast, spread = moments(differences, pairs)
    mean_i, _, of_rows = moments(histograms[ROWS], pairs)
    mean_j, _, of_columns = moments(histograms[COLUMNS], pairs)
    shift, scatter = mean_i - mean_j, of_rows * of_columns
    covariance = (of_sums - (contrast - shift * shift)) / 4.0
    hxy = entropy_of(bits, pairs, unit)
    hx = entropy_of(information(histograms[ROWS], unit, table), pairs, unit)
    hy = entropy_of(information(histograms[COLUMNS], unit, table), pairs, unit)
    mutual = hx + hy - hxy
    if mutual < NOISE or scatter == 0.0:
        mutual = 0.0
    values[0] += greatest / pairs
    values[1] += hxy
    values[2] += squares / np.float64(pairs) / np.float64(pairs)
    values[3] += mean
    values[4] += of_sums
    values[5] += entropy_of(information(sums, unit, table), pairs, unit)
    values[6] += dissimilarity
    values[7] += spread
    values[8] += entropy_of(information(differences, unit, table), pairs, unit)
    values[9] += contrast
    add_inverse_differences(differences, pairs, values)
    values[13] += covariance / np.sqrt(scatter) if scatter > 0.0 else 1.0
    values[14] += -mutual / max(hx, hy) if mutual > 0.0 else 0.0
    values[15] += np.sqrt(1.0 - exp_minus(2.0 * mutual))


@compiled
def measure(first, stop, images, labels, regions, scale, distance, merged, made, table, values):
    """Regions first .. stop - 1 of images (n, h, 3 w); values (regions, 6, 16); made: scratch."""
    side = scale.levels + 1
    ranges, pairs = np.empty((3, 4)), np.empty((3, side, 3 * side), np.uint32)
    joint, histograms = np.zeros(side * side, np.uint32), np.empty((4, 2 * side), np.uint32)
    totals, found = np.empty(4, np.int64), np.empty((len(PAIRS), values.shape[2]))
    matrices = np.empty(len(PAIRS), np.int64)
    for region in range(first, stop):
        box = regions[region]
        image = box[0]
        area = labels[image] if labels.size else labels[0]
        colours = count_region(images[image], area, box, scale, distance, ranges, made)
        found[:], matrices[:] = 0.0, 0
        for direction in range(4):
            if direction == 0 or not merged:
                pairs[:] = np.uint32(0)
            fold(made, colours, direction, side, pairs)
            if merged and direction < 3:
                continue
            for k in range(len(PAIRS)):
                a, b = PAIRS[k]
                one = pairs[a, :, b * side : (b + 1) * side]
                other = pairs[b, :, a * side : (a + 1) * side].T
                summarise(one, other, table, joint, histograms, totals)
                if totals[0] > 0:
                    matrices[k] += 1
                    add_features(histograms, totals, table, found[k])
        for k in range(len(PAIRS)):
            for f in range(values.shape[2]):
                values[region, k, f] = found[k, f] / matrices[k] if matrices[k] else np.nan


def cpu(images, where, values, *, levels, binning, width, low, distance, directions):
    """`reference`, compiled."""
    rule = scale(levels, binning, width, low)
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    rows = images.reshape(*images.shape[:2], -1)
    boxes = where.sizes.prod(axis=1)
    by_pair = values.reshape(-1, len(PAIRS), len(FEATURES))
    widest, largest = int(where.sizes[:, 2].max()), int(boxes.max())

    def serve(first: int, stop: int) -> None:
        made = scratch(images.dtype, widest, largest, levels, distance)
        measure(
            first, stop, rows, frozen_view(labels), where.table, rule, distance,
            directions == MERGED, made, information_table(), by_pair,
        )  # fmt: skip

    run(serve, len(where), least=1 + WORTH_A_THREAD // max(1, int(boxes.mean())))


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, distance, directions):
    """`reference` on the GPU: a launch for the levels of each channel, one for the features."""
    rule = scale(levels, binning, width, low)
    planes = [images[..., c].copy() for c in range(len(CHANNELS))]
    grey, crops = zip(*(gpu_crops(plane, where, rule, distance) for plane in planes), strict=True)
    _source.function("measure", MOST=MOST)(
        min(len(where), BLOCKS), 256, *grey, crops[0], values, len(where), levels, distance,
        directions == MERGED,
    )  # fmt: skip


# ---- the kernel


def columns(*, distance: int, directions: str, **_: Any) -> tuple[str, ...]:
    """`colour_glcm.<feature>.<pair>.d1.averaged`: the features of one pair, then of the next."""
    how = suffix(VOLUME, directions, distance)
    pairs = [CHANNELS[a] + CHANNELS[b] for a, b in PAIRS]
    return tuple(f"colour_glcm.{f.name}.{pair}{how}" for pair in pairs for f in FEATURES)


colour_glcm = RegionMeasure(
    name="colour_glcm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("colour_glcm"),
    channels=3,
    dtypes=("uint8", "uint16", "float32"),
    parameters={
        **PARAMETERS,
        "levels": Parameter(16, "levels of a channel", low=2, high=MOST),
        "distance": Parameter(1, "Chebyshev distance of a pair", low=1, high=16, unit="pixels"),
        "directions": DIRECTIONS,
    },
    examples=(
        {},
        {"levels": 8, "directions": "merged", "distance": 3},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 10, "directions": "merged"},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=3 * itemsize + 1, operations=4 * 3 + 12),
    peers=("skimage.feature:graycomatrix, numpy:bincount",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.5,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64: the values of the CPU",
    ),
)
