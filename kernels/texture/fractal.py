"""Fractal dimension: boxes that cover the outline, the region and its grey surface; lacunarity.

    D = slope of log2 N(s) against log2 1/s,  s = 1, 2, 4, ... <= M / 2        M: the longer side
    Lambda(s) = mean m^2 / (mean m)^2                                 m: what a box of side s holds

The boxes are squares of s pixels, side by side from the corner of the region's bounding box, M its
longer side. N(s) of the outline and of the region are the boxes that hold a pixel of it; pixels of
the outline have a side on the outside. Over the surface stand columns of boxes of height
s range / M (differential box counting, from s = 2 on): a column whose greys lie in the boxes
k .. l has n = l - k + 1 of them, and N(s) is their sum. The residual is the root mean square of
log2 N(s) about its line. Lacunarity is that of the pixels in each box that lies wholly in the
bounding box, and that of n over the columns that hold a pixel: no gliding, boxes side by side.

images      (n, h, w) uint8, uint16, int16 or float32
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 14); computed in float64 from integer counts
borders     outside of the image is outside of the region; boxes may reach over its border
cost        about 20 operations a pixel, all larger boxes a third of that again. Workspace: on the
            CPU 5 bytes a pixel of the largest box a thread, on the GPU as much of all boxes; there
            the counts come back in one transfer, and the lines are the host's
nan         NaN and infinite pixels leave the region. A slope with fewer than two sizes (M < 4, of
            the surface M < 8), a lacunarity at a size above M / 2 or without a whole box that holds
            a pixel: NaN. A flat region has the surface of a plane. An empty one: all NaN
source      Sarkar and Chaudhuri 1994, IEEE Trans. Syst. Man Cybern. 24(1); Mandelbrot 1983, The
            Fractal Geometry of Nature; Allain and Cloitre 1991, Phys. Rev. A 44(6); Dong 2000, Int.
            J. Remote Sens. 21(17), for the lacunarity of surfaces
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import frozen_view
from .._kernel import Cost, Feature, Quality
from .._parameter import Parameter
from .._regions import RegionMeasure
from .._threads import run
from ._boxes import COUNTS, HIGHEST, LACUNARITY, count, describe
from ._levels import BLOCKS, on_device

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("outline_dimension", "", "D of the boxes that hold a pixel of the outline"),
        ("outline_residual", "", "rms of log2 N about its line"),
        ("region_dimension", "", "D of the boxes that hold a pixel of the region"),
        ("region_residual", "", "rms of log2 N about its line"),
        ("surface_dimension", "", "D of the boxes that hold a part of the grey surface"),
        ("surface_residual", "", "rms of log2 N about its line"),
        *((f"lacunarity_{s}", "", f"Lambda({s}) of the region's pixels") for s in LACUNARITY),
        *((f"surface_lacunarity_{s}", "", f"Lambda({s}) of the columns") for s in LACUNARITY),
    )
)
WORTH_A_THREAD = 1 << 15  # pixels


# ---- the definition


def reference(images, where, *, height):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (pixels, inside), out in zip(where.crops(images), values, strict=True):
        good = inside & np.isfinite(pixels)
        if good.any():
            box = ndimage.find_objects(good.astype(np.uint8))[0]
            out[:] = formulas(pixels[box][0].astype(np.float64), good[box][0], height)
    return values.astype(np.float32)


def formulas(grey, inside, full):
    """The features of one region that touches all sides of its box (h, w)."""
    longest = max(inside.shape)
    sizes = [1 << k for k in range(longest.bit_length()) if 2 << k <= longest]
    outline = inside > np.asarray(ndimage.binary_erosion(inside))
    columns = {s: columns_of(grey, inside, s, full) for s in sizes[1:]}
    lacunarities = [
        [lacunarity(whole_boxes(inside, s)) if s in sizes else np.nan for s in LACUNARITY],
        [lacunarity(columns[s]) if s in sizes else np.nan for s in LACUNARITY],
    ]
    return [
        *line(sizes, [boxes(outline, s, False).any(axis=(1, 3)).sum() for s in sizes]),
        *line(sizes, [boxes(inside, s, False).any(axis=(1, 3)).sum() for s in sizes]),
        *line(sizes[1:], [columns[s].sum() for s in sizes[1:]]),
        *np.ravel(lacunarities),
    ]


def boxes(array, s, beyond):
    """(h, w) as (rows of boxes, s, columns of boxes, s), `beyond` where a box reaches over it."""
    wide = np.pad(array, [(0, -side % s) for side in array.shape], constant_values=beyond)
    return wide.reshape(wide.shape[0] // s, s, wide.shape[1] // s, s)


def whole_boxes(inside, s):
    """Pixels of the region in each box of side s that lies wholly in its bounding box."""
    h, w = (side // s * s for side in inside.shape)
    return boxes(inside[:h, :w], s, False).sum(axis=(1, 3))


def columns_of(grey, inside, s, full):
    """The number of boxes in each column that holds a pixel, s pixels wide."""
    least, own = grey[inside].min(), np.ptp(grey[inside])
    origin, spread = (0.0, full) if full else (least, own)
    step = s * spread / max(inside.shape) if spread else 1.0
    low = boxes(np.where(inside, grey, np.inf), s, np.inf).min(axis=(1, 3))
    high = boxes(np.where(inside, grey, -np.inf), s, -np.inf).max(axis=(1, 3))
    low, high = low[low <= high], high[low <= high]
    number = np.floor((high - origin) / step) - np.floor((low - origin) / step) + 1
    return np.minimum(number, HIGHEST)


def line(sizes, counts):
    """Slope of log2 N against log2 1/s, and the root mean square of what is left."""
    if len(sizes) < 2:
        return np.nan, np.nan
    x, y = -np.log2(sizes), np.log2(np.array(counts, np.float64))
    x, y = x - x.mean(), y - y.mean()
    slope = (x @ y) / (x @ x)
    return slope, np.sqrt(((y - slope * x) ** 2).mean())


def lacunarity(masses):
    """Mean square over squared mean; NaN of boxes that hold nothing."""
    mean = masses.mean() if masses.size else 0.0
    return (masses.astype(np.float64) ** 2).mean() / mean**2 if mean else np.nan


# ---- CPU


def scales_of(where):
    """How many sizes the largest region may have."""
    return max(1, int(where.sizes[:, 1:].max()).bit_length() - 1)


def cpu(images, where, values, *, height):
    """`reference` from integer counts."""
    counts = np.empty((len(where), scales_of(where), len(COUNTS)), np.int64)
    sides = np.empty((len(where), 2), np.int64)
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    least = 1 + WORTH_A_THREAD // (1 + int(where.sizes.prod(axis=1).mean()))
    run(
        count, len(where), images, frozen_view(labels), where.table, height, counts, sides,
        least=least,
    )  # fmt: skip
    run(describe, len(where), counts, sides, values, least=least)


# ---- GPU: a block of threads a region counts, the host fits the lines


def gpu(images, where, values, *, height):
    """`reference`: one launch counts the boxes of all regions."""
    scales, sizes = scales_of(where), where.sizes[:, 1:]
    cells = np.sum([np.prod(-(-sizes // (2 << k)), axis=1) for k in range(scales)], axis=0)
    starts = np.cumsum(cells) - cells
    total = max(int(cells.sum()), 1)
    counts = _cuda.empty(images, (len(where), scales, len(COUNTS)), np.int64)
    sides = _cuda.empty(images, (len(where), 2), np.int64)
    mass = _cuda.empty(images, (total,), np.uint32)
    low, high = (_cuda.empty(images, (total,), np.float32) for _ in range(2))
    boxes_only = where.labels is None
    labels = images if boxes_only else where.labels
    _source.function("count", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes_only)(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, starts), mass, low, high, counts, sides, len(where),
        *images.shape[1:], scales, height,
    )  # fmt: skip
    found = np.empty((len(where), len(FEATURES)), np.float32)
    back = (array if isinstance(array, np.ndarray) else array.get() for array in (counts, sides))
    run(describe, len(where), *back, found)
    if isinstance(values, np.ndarray):
        values[...] = found
    else:
        values.set(found)


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Pixels of a box are counted in 31 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"fractal: an image may have 2^30 pixels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"fractal.{feature.name}" for feature in FEATURES)


fractal = RegionMeasure(
    name="fractal",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "height": Parameter(
            0.0, "greys that stand as high as M pixels; 0: the region's own range",
            low=0, high=2.0**32, unit="intensity",
        ),
    },
    examples=({}, {"height": 256.0}),
    tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 1, operations=30),
    peers=("numpy:add.reduceat",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.4,
        float64=True,
        excuse="a thread reads two neighbours of a row, one at a time; the number of a box in its "
        "column is a quotient in float64, as on the CPU: the same bits",
    ),
)  # fmt: skip
