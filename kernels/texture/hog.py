"""Histograms of oriented gradients: the edges in each cell of a grid, normalised block by block.

    g = (v(y + 1, x) - v(y - 1, x), v(y, x + 1) - v(y, x - 1)),   0 on the rim of the region's box
    h_o(cell) = sum of |g| over pixels with angle(g) in [o, o + 1) 180 / orientations, / pixels
    value = h / (norm of the block's histograms)

A region's box is cut into a grid of cells, so that every region gives the same columns. They are
`hog.histogram.<y>.<x>.<cell y>.<cell x>.<orientation>` with the block at (y, x): blocks overlap,
one begins at each cell.

images      (n, h, w); uint8, uint16, int16 or float32 in any unit
regions     boxes: the whole images, windows, boxes of labelled objects. Only pixels inside a mask
            or object vote; a mask's box is its image
values      float32 (regions, blocks x cells x orientations), computed in float64
block_norm  "L1" h / (sum |h| + e), "L2" h / sqrt(sum h^2 + e^2), "L2-Hys" the L2 norm, cut off at
            0.2, and the L2 norm of that; e = 1e-5
borders     pixels right of and below the last whole cell do not vote
cost        4 operations a pixel and orientation. Workspace: on the CPU, a thread, some rows of
            float64 and the histograms of one region; on the GPU none
nan         a gradient that is not finite does not vote. A box of fewer pixels than cells in a row
            or column: all columns NaN
source      Dalal and Triggs 2005, CVPR, "Histograms of oriented gradients for human detection"

Equal to skimage.feature.hog with pixels_per_cell = box // cells, to rounding.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import ANY, RegionMeasure, Regions, whole
from .._threads import run
from ._levels import on_device

_source = _cuda.Cuda(__file__)

FEATURES = (Feature("histogram", "", "share of gradients of an orientation in a cell's block"),)
NORMS = ("L1", "L2", "L2-Hys")
L1, L2, L2_HYS = range(3)
TINY = 1e-5
CUT = 0.2
MOST = 4096  # sums of a region: what a block of GPU threads holds in shared memory
FINE = 2.0**35  # edges of bins are multiples of 1 / FINE: their products with gradients are exact
WORTH_A_THREAD = 1 << 14  # pixels
BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


@cache
def edges(orientations: int) -> np.ndarray:
    """(orientations - 1, 2): sine and cosine of the angles between bins."""
    angle = np.pi * np.arange(1, orientations) / orientations
    found = np.column_stack([np.sin(angle), np.cos(angle)])
    return frozen_view(np.rint(found * FINE) / FINE)


# ---- the definition


def reference(images, where, *, orientations=9, cells=(8, 8), pixels_per_cell=(0, 0),
              cells_per_block=(3, 3), block_norm="L2-Hys"):  # fmt: skip
    """The definition in plain NumPy, float64."""
    rows, columns = cells
    values = np.full((len(where), width_of(orientations, cells, cells_per_block)), np.nan)
    for (crop, inside), out in zip(where.crops(images), values, strict=True):
        grey, (height, width) = (
            crop[0].astype(np.float64),
            cell_size(crop[0], pixels_per_cell, cells),
        )
        if not height or not width:
            continue
        strength, orientation = gradient(grey, orientations)
        strength[~inside[0]] = 0.0
        y, x = np.indices(grey.shape)
        there = (y < rows * height) & (x < columns * width)
        sums = np.zeros((rows, columns, orientations))
        place = (y // height)[there], (x // width)[there], orientation[there]
        np.add.at(sums, place, strength[there])
        out[:] = blocks(sums / (height * width), cells_per_block, block_norm).ravel()
    return values.astype(np.float32)


def cell_size(grey, pixels_per_cell, cells):
    """Height and width of a cell; 0 where the region is too small for the grid."""
    sizes = [p or n // c for n, c, p in zip(grey.shape, cells, pixels_per_cell, strict=True)]
    return [s if s * c <= n else 0 for n, c, s in zip(grey.shape, cells, sizes, strict=True)]


def gradient(grey, orientations):
    """Strength and orientation 0 .. orientations - 1 of every pixel."""
    y, x = np.zeros(grey.shape), np.zeros(grey.shape)
    with np.errstate(invalid="ignore"):
        y[1:-1], x[:, 1:-1] = grey[2:] - grey[:-2], grey[:, 2:] - grey[:, :-2]
        strength = np.sqrt(x * x + y * y)
        strength[~np.isfinite(strength)] = 0.0
        back = (y < 0) | ((y == 0) & (x < 0))
        y[back], x[back] = -y[back], -x[back]
        passed = [cosine * y >= sine * x for sine, cosine in edges(orientations)]
    return strength, np.sum(passed, axis=0)


def blocks(histograms, cells_per_block, block_norm):
    """Normalised histograms (y, x, cell y, cell x, orientation)."""
    windows = np.lib.stride_tricks.sliding_window_view(histograms, cells_per_block, axis=(0, 1))
    h = windows.transpose(0, 1, 3, 4, 2)
    every = {"axis": (2, 3, 4), "keepdims": True}
    if block_norm == "L1":
        return h / (np.abs(h).sum(**every) + TINY)
    h = h / np.sqrt((h**2).sum(**every) + TINY**2)
    if block_norm == "L2-Hys":
        h = np.minimum(h, CUT)
        h = h / np.sqrt((h**2).sum(**every) + TINY**2)
    return h


# ---- CPU


@compiled
def row_of_gradients(above, row, below, rim, x, y):
    """Gradients of a row, turned to y >= 0; `rim`: first or last row of the box."""
    last = row.size - 1
    for i in range(row.size):
        y[i] = np.float64(below[i]) - np.float64(above[i])
    if rim:
        y[:] = 0.0
    x[0] = x[last] = 0.0
    left, right, middle = row[:-2], row[2:], x[1:-1]
    for i in range(middle.size):
        middle[i] = np.float64(right[i]) - np.float64(left[i])
    for i in range(row.size):
        back = (y[i] < 0.0) | ((y[i] == 0.0) & (x[i] < 0.0))
        x[i] = -x[i] if back else x[i]
        y[i] = -y[i] if back else y[i]


@compiled
def row_of_votes(x, y, between, strength, orientation):
    """|g| and the bin of every pixel of a row."""
    for i in range(x.size):
        g = np.sqrt(x[i] * x[i] + y[i] * y[i])
        strength[i] = g if g < np.inf else 0.0
        orientation[i] = 0
    for k in range(len(between)):
        sine, cosine = between[k, 0], between[k, 1]
        for i in range(x.size):
            orientation[i] += np.int32(cosine * y[i] >= sine * x[i])


@compiled
def silence(strength, labels, label):
    """Pixels of a row that are not in the region do not vote."""
    if label == ANY:
        for i in range(strength.size):
            strength[i] = strength[i] if labels[i] != 0 else 0.0
    else:
        for i in range(strength.size):
            strength[i] = strength[i] if labels[i] == label else 0.0


@compiled
def vote(strength, orientation, width, histograms):
    """Adds a row to the histograms (cells, orientations) of its cells."""
    for cell in range(len(histograms)):
        histogram, first = histograms[cell], cell * width
        for i in range(first, first + width):
            histogram[orientation[i]] += strength[i]


@compiled
def norm_of(histograms, y, x, block, norm, divisor):
    """The norm of a block's histograms divided by `divisor` and, for L2_HYS, cut off."""
    total = 0.0
    for j in range(y, y + block[0]):
        for i in range(x, x + block[1]):
            for o in range(histograms.shape[2]):
                h = histograms[j, i, o] / divisor
                if norm == L2_HYS:
                    h = min(h, CUT)
                total += h if norm == L1 else h * h
    return total + TINY if norm == L1 else np.sqrt(total + TINY * TINY)


@compiled
def normalise(histograms, block, norm, values):
    """The blocks' histograms, one behind another."""
    at = 0
    for y in range(histograms.shape[0] - block[0] + 1):
        for x in range(histograms.shape[1] - block[1] + 1):
            first, second = norm_of(histograms, y, x, block, min(norm, L2), 1.0), 1.0
            if norm == L2_HYS:
                second = norm_of(histograms, y, x, block, norm, first)
            for j in range(y, y + block[0]):
                for i in range(x, x + block[1]):
                    for o in range(histograms.shape[2]):
                        h = histograms[j, i, o] / first
                        values[at] = min(h, CUT) / second if norm == L2_HYS else h
                        at += 1


@compiled
def describe(first, stop, images, labels, table, between, cells, size, block, norm, values):
    """Regions first .. stop - 1."""
    histograms = np.empty((cells[0], cells[1], len(between) + 1))
    widest = 0
    for region in range(first, stop):
        widest = max(widest, table[region, 7] - table[region, 6])
    rows, bins = np.empty((3, widest)), np.empty(widest, np.int32)
    for region in range(first, stop):
        image, label = images[table[region, 0]], table[region, 1]
        y0, y1, x0, x1 = table[region, 4], table[region, 5], table[region, 6], table[region, 7]
        height, width = size[0] or (y1 - y0) // cells[0], size[1] or (x1 - x0) // cells[1]
        if min(height, width) == 0 or cells[0] * height > y1 - y0 or cells[1] * width > x1 - x0:
            values[region] = np.nan
            continue
        x, y, strength = rows[0, : x1 - x0], rows[1, : x1 - x0], rows[2, : x1 - x0]
        orientation = bins[: x1 - x0]
        histograms[:] = 0.0
        for j in range(y0, y0 + cells[0] * height):
            up, down = max(j - 1, y0), min(j + 1, y1 - 1)
            rim = (j == y0) | (j == y1 - 1)
            row_of_gradients(image[up, x0:x1], image[j, x0:x1], image[down, x0:x1], rim, x, y)
            row_of_votes(x, y, between, strength, orientation)
            if labels.size:
                silence(strength, labels[table[region, 0], j, x0:x1], label)
            vote(strength, orientation, width, histograms[(j - y0) // height])
        histograms /= np.float64(height * width)
        normalise(histograms, block, norm, values[region])


def cpu(images, where, values, *, orientations, cells, pixels_per_cell, cells_per_block,
        block_norm):  # fmt: skip
    """`reference`, compiled."""
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    run(
        describe, len(where), images, frozen_view(labels), where.table, edges(orientations), cells,
        pixels_per_cell, cells_per_block, NORMS.index(block_norm), values,
        least=1 + WORTH_A_THREAD // max(1, int(where.sizes.prod(axis=1).mean())),
    )  # fmt: skip


# ---- GPU: a block of threads a region, its histograms in shared memory


def gpu(images, where, values, *, orientations, cells, pixels_per_cell, cells_per_block,
        block_norm):  # fmt: skip
    """`reference` on the GPU: one launch."""
    labels = images if where.labels is None else where.labels
    _source.function(
        "describe", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None,
        NORM=NORMS.index(block_norm), ORIENTATIONS=orientations,
    )(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, edges(orientations)), values, len(where), *images.shape[1:], *cells,
        *pixels_per_cell, *cells_per_block, smem=8 * cells[0] * cells[1] * (orientations | 1),
    )  # fmt: skip


# ---- the kernel


@dataclass(frozen=True, kw_only=True)
class Descriptor(RegionMeasure):
    """A measure of boxes: that of a mask is its image, wherever the mask lies in it."""

    def place(self, images: Any, masks: Any = None) -> Regions:
        where = super().place(images, masks)
        if masks is None or isinstance(masks, Regions):
            return where
        return replace(where, table=whole(where.shape).table)


def check(
    dtype: np.dtype, shape: tuple[int, ...], *, orientations: int, cells: tuple[int, int],
    cells_per_block: tuple[int, int], **_: Any,
) -> None:  # fmt: skip
    """A block must fit into the grid, and the grid's histograms into shared memory."""
    if cells_per_block[0] > cells[0] or cells_per_block[1] > cells[1]:
        raise ValueError(f"hog: a block of {cells_per_block} cells in a grid of {cells}")
    if cells[0] * cells[1] * (orientations | 1) > MOST:
        raise ValueError(
            f"hog: {cells[0]} x {cells[1]} cells of {orientations} orientations; at most {MOST} "
            "sums describe a region: measure windows"
        )


def grid_of(cells: tuple[int, int], cells_per_block: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of blocks."""
    return cells[0] - cells_per_block[0] + 1, cells[1] - cells_per_block[1] + 1


def width_of(orientations: int, cells: tuple[int, int], cells_per_block: tuple[int, int]) -> int:
    """Columns of a region."""
    return int(np.prod([*grid_of(cells, cells_per_block), *cells_per_block, orientations]))


@cache
def columns(
    *, orientations: int, cells: tuple[int, int], cells_per_block: tuple[int, int], **_: Any
) -> tuple[str, ...]:
    """`hog.histogram.<y>.<x>.<cell y>.<cell x>.<orientation>`."""
    shape = *grid_of(cells, cells_per_block), *cells_per_block, orientations
    return tuple(f"hog.histogram.{'.'.join(map(str, place))}" for place in np.ndindex(shape))


hog = Descriptor(
    name="hog",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "orientations": Parameter(9, "bins of half a turn", low=2, high=36),
        "cells": Parameter((8, 8), "rows and columns of the grid of cells", low=1, high=64),
        "pixels_per_cell": Parameter(
            (0, 0), "height and width of a cell; 0: as large as fits", low=0, unit="pixels"
        ),
        "cells_per_block": Parameter((3, 3), "height and width of a block", low=1, unit="cells"),
        "block_norm": Parameter("L2-Hys", "norm of a block", choices=NORMS),
    },
    examples=(
        {"cells": (4, 4)},
        {"cells": (2, 5), "cells_per_block": (2, 1), "orientations": 8, "block_norm": "L1"},
        {"cells": (3, 2), "pixels_per_cell": (4, 5), "cells_per_block": (1, 2), "block_norm": "L2"},
    ),
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, *, orientations, **_: Cost(
        bytes=itemsize, operations=4 * orientations + 12
    ),
    peers=("skimage.feature:hog",),
    quality=Quality(
        sector_efficiency=0.3,
        float64=True,
        excuse="gradients of 16-bit pixels and edges of bins have exact products in float64; the "
        "rows of a grid of small cells are shorter than a sector",
    ),
)
