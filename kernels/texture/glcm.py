"""Grey level co-occurrence: the 25 IBSI features of every region of a batch.

    p_ij = (pairs of pixels at offset m or -m whose levels are i and j) / (all such pairs)

for the four directions m = (0, d), (d, d), (d, 0), (d, -d) (y, x) at Chebyshev distance d, both
pixels inside the region. The columns and their formulas are the table `FEATURES`.

images      (n, h, w), or (n, d, h, w): volumes as stacks of slices, pairs stay within a slice;
            uint8, uint16, int16 or float32 in any intensity unit
masks       uint8 of the same shape, 0 outside the region; one region an image
values      float32 (n, 25); levels and bits as units, computed in float64
binning     how intensities become levels 1..Ng: see `_quantise.py`
aggregation "avg" features of each direction and slice, averaged (IBSI BTW3); "slice_merged"
            directions of a slice summed first (SUJT); "direction_merged" slices of a direction
            summed first (JJUI); "merged" all summed (ZW7Z). For one slice the first equals the
            third and the second the last. Matrices without a pair take no part in an average
borders     pairs with a pixel outside the image or the region are not counted
cost        4 increments a pixel, then (Ng + 1)^2 cells a matrix. Workspace: on the CPU, a thread,
            256 KB or 2 bytes a pixel of one region, and 16 (Ng + 1)^2 bytes; on the GPU 2 bytes a
            pixel of the batch, and up to 140 MB for more than 64 levels
nan         NaN and infinite pixels leave the region. No pair (empty, one pixel): all columns NaN.
            One level only: the limits of the formulas, with correlation 1 and information
            correlations 0
source      IBSI reference manual (arXiv 1612.07003), section 3.6; Haralick, Shanmugam and Dinstein
            1973, IEEE TSMC 3(6); Unser 1986, IEEE TPAMI 8(1)
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Measure, Parameter, Quality
from ._glcm_features import FEATURES, NOISE, features, information_table, summarise, unit_of
from ._quantise import gpu_levels, levels_of, quantise, scale

_source = _cuda.Cuda(__file__)

DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))  # (y, x); the opposite ones by symmetry
BTW3, SUJT, JJUI, ZW7Z = AGGREGATIONS = ("avg", "slice_merged", "direction_merged", "merged")
CACHED = 1 << 17  # numbers that a block of regions keeps on the CPU: it stays in the second cache
WORTH_A_THREAD = 1 << 18  # pixels: about 2 ms of work, far more than it takes to wake a thread
LAUNCHED = 1 << 16  # blocks of a GPU launch, at most; a block goes on to further regions
SHARED_LEVELS = 64  # four triangles of 64 levels are 33 KB of shared memory
SCRATCH_BLOCKS = 264  # with more levels a block's tables are in global memory: 0.5 MB at 256


# ---- the definition


def reference(images, masks, *, levels=32, binning="count", width=25.0, low=0.0, distance=1,
              aggregation="avg"):  # fmt: skip
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(images), len(FEATURES)), np.nan)
    for image, mask, out in zip(images, masks, values, strict=True):
        grey = levels_of(image, mask, rule)
        top = int(grey.max(initial=0))
        slices = grey.reshape(-1, *grey.shape[-2:])
        counts = np.array(
            [[co_occurrence(s, m, distance, top) for m in DIRECTIONS] for s in slices]
        )
        if aggregation in (SUJT, ZW7Z):
            counts = counts.sum(axis=1, keepdims=True)
        if aggregation in (JJUI, ZW7Z):
            counts = counts.sum(axis=0, keepdims=True)
        found = [formulas(m / m.sum()) for row in counts for m in row if m.any()]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def co_occurrence(grey, direction, distance, top):
    """Symmetric counts (top, top) of one slice of levels, 0 outside, in one direction."""
    dy, dx = direction[0] * distance, direction[1] * distance
    (h, w), counts = grey.shape, np.zeros((top + 1, top + 1), np.int64)
    if dy < h and abs(dx) < w:
        here = grey[: h - dy, max(0, -dx) : w - max(0, dx)]
        there = grey[dy:, max(0, dx) : w - max(0, -dx)]
        np.add.at(counts, (here, there), 1)
    return (counts + counts.T)[1:, 1:]


def formulas(p):
    """The 25 features of one matrix of probabilities, as the IBSI manual writes them."""
    ng = len(p)
    i, j = np.indices(p.shape) + 1
    d, s = abs(i - j), i + j
    p_d, p_s = np.bincount(d.ravel(), p.ravel()), np.bincount(s.ravel(), p.ravel())
    mu, mu_d = (i * p).sum(), (d * p).sum()
    variance = ((i - mu) ** 2 * p).sum()
    hxy, hx = entropy(p), entropy(p.sum(axis=0))
    information = 2 * hx - hxy if 2 * hx - hxy > NOISE else 0.0

    def central(power):
        return ((s - 2 * mu) ** power * p).sum()

    return [
        p.max(), mu, variance, hxy,
        mu_d, ((d - mu_d) ** 2 * p).sum(), entropy(p_d),
        2 * mu, central(2), entropy(p_s),
        (p**2).sum(), (d**2 * p).sum(), mu_d,
        (p / (1 + d)).sum(), (p / (1 + d / ng)).sum(),
        (p / (1 + d**2)).sum(), (p / (1 + (d / ng) ** 2)).sum(),
        (p[d > 0] / d[d > 0] ** 2).sum(),
        ((i - mu) * (j - mu) * p).sum() / variance if hx > 0 else 1.0,
        (i * j * p).sum(),
        central(2), central(3), central(4),
        -information / hx if hx > 0 else 0.0,
        np.sqrt(1 - np.exp(-2 * information)),
    ]  # fmt: skip


def entropy(p):
    """In bits."""
    p = p[p > 0]
    return max(0.0, -(p * np.log2(p)).sum())


# ---- CPU: blocks of regions, small enough for a core's cache, shared out to threads


@compiled
def count_pairs(levels, length, stride, distance, counts, side):
    """Adds the ordered pairs of one slice to counts (4, side^2), a direction each.

    levels is flat, in rows of `stride` whose last `distance` pixels are 0, and followed by enough
    zeros: every neighbour exists, and pairs with the outside end in row or column 0. The four
    tables are four chains of increments, which hides the latency of a store that is loaded again;
    shifted views and unsigned indices spare the test for an index below 0.
    """
    east, south_east, south, south_west = counts[0], counts[1], counts[2], counts[3]
    down = distance * stride
    right, below = levels[distance:], levels[down:]
    below_right, below_left = levels[down + distance :], levels[down - distance :]
    for at in range(length):
        row = np.uint64(levels[at]) * np.uint64(side)
        east[row + right[at]] += np.uint32(1)
        south_east[row + below_right[at]] += np.uint32(1)
        south[row + below[at]] += np.uint32(1)
        south_west[row + below_left[at]] += np.uint32(1)


@compiled
def clear(counts, used):
    """Zeros the cells that the region's levels can reach."""
    for cell in range(used):
        counts[cell] = 0


@compiled
def merge(counts, used):
    """Adds the tables of all directions to the first."""
    for m in range(1, 4):
        for cell in range(used):
            counts[0, cell] += counts[m, cell]


@compiled
def count(levels, boxes, distance, merge_directions, merge_slices, unit, table, counts,
          histograms, totals):  # fmt: skip
    """Integer summaries of the matrices of each region, in the order slice, direction.

    levels, boxes        a block of m regions, from `quantise`
    counts               uint32 (4, (Ng + 1)^2) of scratch
    histograms, totals   (m, matrices, 4, 2 (Ng + 1)), (m, matrices, 4): see `summarise`
    """
    directions = 1 if merge_directions else 4
    for region in range(levels.shape[0]):
        side, matrix = boxes[region, 2] + 1, 0
        stride = boxes[region, 1] + distance
        for z in range(levels.shape[1]):
            if z == 0 or not merge_slices:
                for m in range(4):
                    clear(counts[m], side * side)
            count_pairs(
                levels[region, z], boxes[region, 0] * stride, stride, distance, counts, side
            )
            if merge_slices and z < levels.shape[1] - 1:
                continue
            if merge_directions:
                merge(counts, side * side)
            for m in range(directions):
                summarise(
                    counts[m], side, unit, table, histograms[region, matrix], totals[region, matrix]
                )
                matrix += 1


def cpu(images, masks, values, *, levels, binning, width, low, distance, aggregation):
    """`reference`, compiled; a thread takes every so many-th block."""
    images, masks = _volumes(images), _volumes(masks)
    rule = scale(levels, binning, width, low)
    n, d, h, w = images.shape
    slot, side = (h + distance) * (w + distance) + distance, levels + 1
    merge_directions, merge_slices = _merged(aggregation)
    kept = (1 if merge_directions else 4) * (1 if merge_slices else d)  # matrices a region
    workers = max(1, min(numba.get_num_threads(), images.size // WORTH_A_THREAD))
    block = max(1, min(CACHED // (d * slot + kept * 8 * side), -(-n // workers)))
    table, unit = information_table(), unit_of(d * h * w)

    def work(first: int, step: int) -> None:
        lows, highs = np.empty((2, w), np.float32)
        grey = np.empty((block, d, slot), np.uint16)
        boxes, out = np.empty((block, 3), np.int64), np.empty((block, len(FEATURES)))
        counts = np.empty((4, side**2), np.uint32)
        histograms = np.empty((block, kept, 4, 2 * side), np.uint32)
        totals = np.empty((block, kept, 4), np.int64)
        for start in range(first * block, n, step * block):
            part = slice(start, min(start + block, n))
            m = part.stop - start
            quantise(images[part], masks[part], rule, distance, lows, highs, grey[:m], boxes)
            count(
                grey[:m], boxes, distance, merge_directions, merge_slices, unit, table, counts,
                histograms, totals,
            )  # fmt: skip
            features(histograms, totals, boxes, unit, table, out[:m])
            values[part] = out[:m]

    in_threads(work, min(workers, -(-n // block)))


def in_threads(work: Callable[[int, int], None], workers: int) -> None:
    """work(k, workers) for k < workers, each in a thread of its own."""
    if workers == 1:
        return work(0, 1)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers), [workers] * workers))


def _merged(aggregation: str) -> tuple[bool, bool]:
    """Whether the matrices of all directions and of all slices are summed."""
    return aggregation in (SUJT, ZW7Z), aggregation in (JJUI, ZW7Z)


def _volumes(array: Any) -> Any:
    """(n, h, w) as n volumes of one slice."""
    return array if array.ndim == 4 else array[:, None]


def matrices(images: Any, masks: Any = None, **parameters: Any) -> np.ndarray:
    """The counts themselves, for inspection: int64 (n, 4, levels, levels), symmetric.

    Directions are those of `DIRECTIONS`; slices of a volume are summed. NumPy only, by the code
    that `glcm` runs. Takes the parameters of `glcm`; `aggregation` has no effect.
    """
    chosen = glcm.resolve(parameters)
    glcm._check_images(images)
    masks = _volumes(frozen_view(glcm._masks(images, masks)))
    images, side, distance = _volumes(frozen_view(images)), chosen["levels"] + 1, chosen["distance"]
    n, d, h, w = images.shape
    rule = scale(*(chosen[key] for key in ("levels", "binning", "width", "low")))
    grey = np.empty((n, d, (h + distance) * (w + distance) + distance), np.uint16)
    boxes, (lows, highs) = np.empty((n, 3), np.int64), np.empty((2, w), np.float32)
    quantise(images, masks, rule, distance, lows, highs, grey, boxes)
    counts = np.zeros((n, 4, side**2), np.uint32)
    for region, (height, width, _) in enumerate(boxes):
        for z in range(d):
            stride = width + distance
            count_pairs(grey[region, z], height * stride, stride, distance, counts[region], side)
    ordered = counts.reshape(n, 4, side, side)[..., 1:, 1:].astype(np.int64)
    return ordered + ordered.swapaxes(2, 3)


# ---- GPU: a block of threads a region


def gpu(images, masks, values, *, levels, binning, width, low, distance, aggregation):
    """`reference` on the GPU: one launch for the levels, one for counts and features."""
    images, masks = _volumes(images), _volumes(masks)
    n, d, h, w = images.shape
    grey, tops = gpu_levels(images, masks, scale(levels, binning, width, low))
    cells = 4 * (levels * (levels + 1) // 2)
    shared = levels <= SHARED_LEVELS
    blocks = min(n, LAUNCHED if shared else SCRATCH_BLOCKS)
    workspace = None if shared else _cuda.empty(images, (blocks, cells), np.uint32)
    _source.function("measure", IN_SHARED=shared)(
        blocks, 256, grey, tops, workspace, values, n, d, h, w, levels, distance,
        *_merged(aggregation), unit_of(d * h * w), smem=4 * cells if shared else 0,
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Sums of squared counts are 64-bit: at most 2^28 voxels a region."""
    if np.prod(shape[1:], dtype=np.int64) > 2**28:
        raise ValueError(f"glcm: a region may have 2^28 voxels, got one of {shape[1:]}")


def columns(*, distance: int, aggregation: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"glcm.{feature.name}.d{distance}.{aggregation}" for feature in FEATURES)


glcm = Measure(
    name="glcm",
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
        "levels": Parameter(32, "grey levels Ng", low=2, high=256),
        "binning": Parameter(
            "count", "bins over each region's range, of fixed width, or none: pixels are levels",
            choices=("count", "width", "none"),
        ),
        "width": Parameter(25.0, "bin width, for binning='width'", low=1e-6, high=1e6),
        "low": Parameter(0.0, "lower edge of level 1, for binning='width'", low=-1e9, high=1e9),
        "distance": Parameter(1, "Chebyshev distance of a pair", low=1, high=16, unit="pixels"),
        "aggregation": Parameter("avg", "what is summed before features are computed",
                                 choices=AGGREGATIONS),
    },
    examples=(
        {},
        {"levels": 8, "aggregation": "merged", "distance": 3},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70},
    ),
    tolerance=1e-6,
    gpu_tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=4 * 3 + 6),
    peers=("mahotas.features:haralick", "skimage.feature:graycomatrix"),
    quality=Quality(
        registers=80,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64: the values of the CPU",
    ),
)  # fmt: skip
