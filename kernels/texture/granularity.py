"""Granularity: how much of the brightness is in structures of each size.

    p = max(small - background, 0)             small: every `step`-th pixel
    e_0 = p,  e_k = erosion of e_k-1           by a cross of five pixels
    r_k = reconstruction of e_k under p        by dilation: what survives, in its full shape
    spectrum_k = 100 (mean r_k-1 - mean r_k) / start,   k = 1 .. length

The background is an opening by a disk of every `background_step`-th pixel of `small`, enlarged
again. Means are those of a region's pixels in r_k enlarged to the image, with the region's own mean
as mean r_0 and `start`; of a whole image those of r_k itself, with mean p as both.

images      (n, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows: all regions of
            an image share its reconstructions
values      float32 (regions, length), in percent; computed in float64
borders     erosions and dilations take the pixels that are there; enlarging is bilinear, with
            corners on corners but for what `step` leaves over
cost        a few hundred operations a pixel of `small`, 10 a pixel of a region. Workspace 24 bytes
            a pixel of `small` and 8 of each region's box there: on the CPU of one image a thread,
            on the GPU of all
nan         NaN and infinite pixels count as 0, as does p below 1e-9 of its pixel. No pixel, or
            `start` not above 0: all columns NaN
source      Ravkin and Temov 1988, Applied Informatics 14; Vincent 2000, Fundamenta Informaticae 41;
            Carpenter et al. 2006, Genome Biology 7:R100 (CellProfiler: MeasureGranularity, whose
            subsampling of 0.25 is a step of 4)
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure, Regions
from .._threads import run
from ._granules import NOISE, measure_images
from ._levels import on_device

_source = _cuda.Cuda(__file__)

FEATURES = (Feature("spectrum", "", "100 (mean r_k-1 - mean r_k) / start", "percent"),)
CROSS = ndimage.generate_binary_structure(2, 1)
BLOCKS = 1 << 16  # of a launch, at most; each goes on


# ---- the definition


def reference(images, where, *, step=4, background_step=4, radius=10, length=16):
    """The definition in plain NumPy and SciPy, float64."""
    values = np.full((len(where), length), np.nan)
    for image in np.unique(where.image):
        grey = np.where(np.isfinite(images[image]), images[image], 0).astype(np.float64)
        corrected = without_background(grey[::step, ::step], background_step, radius, step, grey)
        survivors = list(reconstructions(corrected, length))
        rows = np.flatnonzero(where.image == image)
        for row in rows:
            region = where.some(np.array([row]))
            (_, inside), *_ = region.crops(images)
            if not inside.any():
                continue
            if whole_images(region)[0]:
                means = [p.mean() for p in (corrected, *survivors)]
            else:
                _, _, _, _, y0, y1, x0, x1 = region.table[0]
                full = [enlarge(p, grey.shape, step)[y0:y1, x0:x1] for p in survivors]
                means = [p[inside[0]].mean() for p in (grey[y0:y1, x0:x1], *full)]
            if means[0] > 0:
                values[row] = 100 * -np.diff(means) / means[0]
    return values.astype(np.float32)


def without_background(small, background_step, radius, step, grey):
    """max(small - background, 0); `grey` is the image that `small` is taken from."""
    y, x = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    back, disk = small[::background_step, ::background_step], y**2 + x**2 <= radius**2
    back = ndimage.grey_erosion(back, footprint=disk, mode="constant", cval=np.inf)
    back = ndimage.grey_dilation(back, footprint=disk, mode="constant", cval=-np.inf)
    sides = [n / step for n in grey.shape]
    rest = small - enlarge(back, small.shape, background_step, sides)
    return np.where(rest > NOISE * abs(small), rest, 0)


def reconstructions(p, length):
    """r_1, r_2, ..."""
    eroded = p
    for _ in range(length):
        eroded = ndimage.grey_erosion(eroded, footprint=CROSS, mode="constant", cval=np.inf)
        found, before = eroded, None
        while before is None or (found != before).any():
            before = found
            found = ndimage.grey_dilation(found, footprint=CROSS, mode="constant", cval=-np.inf)
            found = np.minimum(found, p)
        yield found


def enlarge(small, shape, step, sides=None):
    """`small` at every pixel of an image of this shape, bilinear; its sides are `sides` / step."""
    sides = sides or shape
    y, x = (
        np.clip(np.arange(n) * ((side / step - 1) / (side - 1) if side > 1 else 0.0), 0, m - 1)
        for n, m, side in zip(shape, small.shape, sides, strict=True)
    )
    y0, x0 = y.astype(int), x.astype(int)
    y1, x1 = np.minimum(y0 + 1, small.shape[0] - 1), np.minimum(x0 + 1, small.shape[1] - 1)
    down, across = (y - y0)[:, None], x - x0
    upper = small[y0][:, x0] + across * (small[y0][:, x1] - small[y0][:, x0])
    lower = small[y1][:, x0] + across * (small[y1][:, x1] - small[y1][:, x0])
    return upper + down * (lower - upper)


def whole_images(where: Regions) -> np.ndarray:
    """Which regions are whole images."""
    return (where.sizes[:, 1:] == where.shape[1:]).all(axis=1) & (where.labels is None)


# ---- what CPU and GPU are told


def ratios_of(shape: tuple[int, ...], step: int, background_step: int) -> np.ndarray:
    """(2, 2), y and x: samples of the small image a pixel, of the background a small pixel."""

    def ratio(side: float, step: int) -> float:
        return (side / step - 1) / (side - 1) if side > 1 else 0.0

    first = [ratio(side, step) for side in shape[1:]]
    return np.array([first, [ratio(side / step, background_step) for side in shape[1:]]])


def nodes_of(where: Regions, step: int) -> np.ndarray:
    """(m, 5): first row and stop, first column and stop of each region in the small image, and
    whether it is a whole image."""
    found = np.zeros((len(where), 5), np.int64)
    ratios, whole = ratios_of(where.shape, step, 1)[0], whole_images(where)
    for axis, side in enumerate(where.shape[1:]):
        first, stop = where.table[:, 4 + 2 * axis], where.table[:, 5 + 2 * axis]
        last = -(-side // step) - 1
        found[:, 2 * axis] = np.clip(first * ratios[axis], 0, last)
        end = np.clip((stop - 1) * ratios[axis], 0, last).astype(np.int64) + 2
        found[:, 2 * axis + 1] = np.where(whole, last + 1, np.minimum(end, last + 1))
    found[:, 4] = whole
    return found


# ---- CPU: image by image; see `_granules.py`


def cpu(images, where, values, *, step, background_step, radius, length):
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    order = np.argsort(where.image, kind="stable")
    _, begins = np.unique(where.image[order], return_index=True)
    run(
        measure_images, len(begins), images, frozen_view(labels), where.table[order],
        nodes_of(where, step)[order], np.append(begins, len(order)), order, (step, background_step),
        radius, ratios_of(images.shape, step, background_step), values,
    )  # fmt: skip


# ---- GPU: a block of threads an image, then a block a region, for each size


def gpu(images, where, values, *, step, background_step, radius, length):
    """`reference` on the GPU: four launches, and two for each size."""
    n, h, w = images.shape
    labels = images if where.labels is None else where.labels
    grid = n, -(-h // step), -(-w // step)
    coarse = n, -(-grid[1] // background_step), -(-grid[2] // background_step)
    small, eroded, spare, found = (_cuda.empty(images, grid, np.float64) for _ in range(4))
    low, back = (_cuda.empty(images, coarse, np.float64) for _ in range(2))
    ratios, nodes = ratios_of(images.shape, step, background_step), nodes_of(where, step)
    sizes = (nodes[:, 1] - nodes[:, 0]) * (nodes[:, 3] - nodes[:, 2])
    weights = _cuda.empty(images, (int(sizes.sum()) + 1,), np.float64)
    means = _cuda.empty(images, (len(where), 3), np.float64)
    table, boxes = on_device(images, where.table), on_device(images, nodes)
    starts = on_device(images, np.cumsum(sizes) - sizes)
    macros = {"PIXEL": images.dtype, "LABEL": labels.dtype, "BOXES": where.labels is None}

    def launch(name: str, blocks: int, *args: Any) -> None:
        _source.function(name, **macros)(min(blocks, BLOCKS), 256, *args)

    launch("lowest", low.size // 256 + 1, images, low, n, h, w, *coarse[1:],
           step * background_step, radius)  # fmt: skip
    launch("highest", low.size // 256 + 1, low, back, *coarse, radius)
    launch("subtract", small.size // 256 + 1, images, back, small, eroded, n, h, w, *grid[1:],
           *coarse[1:], step, *ratios[1])  # fmt: skip
    launch("weigh", len(where), images, labels, table, boxes, starts, small, weights, means,
           len(where), h, w, *grid[1:], *ratios[0],
           *(1 / r if r > 0 else 0.0 for r in ratios[0]))  # fmt: skip
    for k in range(length):
        launch("reconstruct", n, small, eroded, spare, found, *grid)
        eroded, spare = spare, eroded
        launch("average", len(where), table, boxes, starts, found, weights, means, values,
               len(where), *grid[1:], k, length)  # fmt: skip


# ---- the kernel


def columns_of(*, length: int, **_: Any) -> tuple[str, ...]:
    """`granularity.spectrum.<k>`."""
    return tuple(f"granularity.spectrum.{k}" for k in range(1, length + 1))


granularity = RegionMeasure(
    name="granularity",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns_of,
    features=FEATURES,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "step": Parameter(4, "every which pixel is taken", low=1, high=64, unit="pixels"),
        "background_step": Parameter(
            4, "every which pixel of these, for the background", low=1, high=64, unit="pixels"
        ),
        "radius": Parameter(10, "radius of the background's disk", low=1, high=64),
        "length": Parameter(16, "sizes", low=1, high=256),
    },
    examples=({}, {"step": 2, "background_step": 3, "radius": 2, "length": 5}),
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, *, step, length, **_: Cost(
        bytes=itemsize, operations=10 + 60 * length / step**2
    ),
    peers=("skimage.morphology:reconstruction",),
    quality=Quality(
        registers=96,
        sector_efficiency=0.05,
        float64=True,
        excuse="means differ by little from size to size; every `step`-th pixel is read, and rows "
        "are swept along by a thread each",
    ),
)
