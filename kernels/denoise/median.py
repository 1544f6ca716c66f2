"""Median over a square window: removes impulse noise, keeps edges.

    out[i, y, x] = the middle one of the sorted pixels images[i, y-r : y+r+1, x-r : x+r+1]

images  (n, h, w) uint8, uint16, int16 or float32, any intensity unit; out has the same
borders the nearest pixel is repeated (OpenCV's BORDER_REPLICATE, SciPy's mode="nearest")
cost    a pixel is read and written once. CPU: 23 and 110 minima and maxima a pixel for r = 1
        and 2, in vectors of 32 bytes, no workspace; above that 173 (r = 3), 446 (5), 1511
        (10), 3111 (15) in the second level cache, 0.2 to 3.2 MB a thread. GPU: the same two
        networks, above that (2r+1)^2 comparisons for each bit in which the pixels of a tile
        differ; no workspace
nan     float32 pixels are sorted as -inf < .. < -0 < +0 < .. < +inf < NaN, whatever the
        sign of the NaN: a window of mostly NaN gives NaN, all others a number
source  J. W. Tukey, Exploratory Data Analysis, 1977; networks after L. Sugy, A fast parallel
        median filtering algorithm using hierarchical tiling, SIGGRAPH 2025, arXiv:2507.19926
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import prange

from .._cpu import compiled
from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter, Quality
from ._median_network import Network, Wire, program
from ._median_vector import (
    BORDER,
    TILE,
    VECTOR,
    copy,
    exchange,
    fill,
    tile_medians,
    to_keys,
    to_pixels,
    vector_length,
)


def reference(images: np.ndarray, *, radius: int = 1) -> np.ndarray:
    """Sort every window and take the middle; float32 by the order under `nan` above."""
    n, h, w = images.shape
    side = 2 * radius + 1
    padded = np.pad(_keys(images), ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    middle = side * side // 2
    keys = np.partition(windows.reshape(n, h, w, side * side), middle, axis=-1)[..., middle]
    return keys if images.dtype != np.float32 else _fold(keys).view(np.float32)


def _keys(images: np.ndarray) -> np.ndarray:
    """Integers in the order of the pixels."""
    if images.dtype != np.float32:
        return images
    bits = images.view(np.int32)
    return np.where(np.isnan(images), bits & 0x7FFFFFFF, _fold(bits))


def _fold(bits: np.ndarray) -> np.ndarray:
    """The bits of negative floats count downwards; inverting them, but for the sign, mends that."""
    return bits ^ (bits >> 31 & 0x7FFFFFFF)


def _rows(radius: int) -> int:
    """Pixels of a tile on the CPU: more share more work, and need more memory."""
    return TILE if radius <= 2 else 4 if radius < 7 else 8


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int) -> None:
    """Small networks in registers, straight from image to image; larger ones in memory."""
    n, h, w = images.shape
    chunks = 8 * numba.get_num_threads()
    rows = _rows(radius)
    if radius <= 2 and w * images.itemsize >= VECTOR:
        bands = n * -(-h // rows)
        _all_bands(images, out, radius, bands, min(bands, chunks))
        return
    steps, outputs, slots = program(radius, rows)
    layout = Layout.of(images.shape, images.itemsize, radius, rows, slots)
    blocks = n * -(-h // rows) * -(-w // layout.columns)
    runs = -(-blocks // layout.together)
    _all_blocks(images, out, layout, steps, outputs, blocks, min(runs, chunks))


# ---- CPU, radius 1 and 2: the network compiled, on bands of TILE rows


@compiled
def _some_bands(images, out, radius, first, stop):
    """Bands first .. stop - 1 of the batch; the last vectors of a row overlap."""
    _, h, w = images.shape
    down = (h + TILE - 1) // TILE
    vector = vector_length(images)
    for band in range(first, stop):
        image, result, y = images[band // down], out[band // down], band % down * TILE
        if radius == 1:
            tile_medians(image, result, y, 0, 1, -1)
            for x in range(vector, w - vector, vector):
                tile_medians(image, result, y, min(x, w - vector - 1), 1, 0)
            tile_medians(image, result, y, w - vector, 1, 1)
        else:
            tile_medians(image, result, y, 0, 2, -1)
            for x in range(vector, w - vector, vector):
                tile_medians(image, result, y, min(x, w - vector - 2), 2, 0)
            tile_medians(image, result, y, w - vector, 2, 1)


@compiled(parallel=True)
def _all_bands(images, out, radius, bands, chunks):
    for chunk in prange(chunks):
        first = bands * np.int64(chunk) // chunks
        stop = bands * (np.int64(chunk) + 1) // chunks
        _some_bands(images, out, radius, first, stop)


# ---- CPU, above: the network as data, on blocks of rows and columns
#
# The memory of a thread consists of slots of `lanes` keys. The pixels under a block, with its
# borders, lie in the first slots, and those of several blocks side by side, so that small images
# fill the vectors too:
#
#     slot j, lane i of a block  =  row y - radius + j, column x - radius + i

SLOT_BYTES = 4160  # room for a row of 2048 pixels of 16 bits and its borders


class Layout(NamedTuple):
    """How blocks lie in memory; lengths count pixels."""

    radius: int
    rows: int  # of a block
    columns: int  # of a block
    together: int  # blocks side by side
    lanes: int
    slots: int

    @classmethod
    def of(
        cls, shape: tuple[int, ...], itemsize: int, radius: int, rows: int, slots: int
    ) -> "Layout":
        """Blocks of equal width, as few as slots of about SLOT_BYTES allow."""
        n, h, w = shape
        vector = VECTOR // itemsize
        target = SLOT_BYTES // itemsize
        across = -(-w // (target - 2 * radius))
        columns = -(-w // across)
        blocks = n * across * -(-h // rows)
        together = max(1, min(blocks, target // (columns + 2 * radius)))
        lanes = together * (columns + 2 * radius) + BORDER  # `fill` writes more than it must
        return cls(radius, rows, columns, together, -(-lanes // vector) * vector, slots)


@compiled
def _load(image, y, x, memory, at, layout):
    """The pixels under the block at (y, x), borders clamped, into the lanes from `at`."""
    h, w = image.shape
    width = layout.columns + 2 * layout.radius
    left = max(layout.radius - x, 0)
    right = min(layout.radius - x + w, width)
    for j in range(2 * layout.radius + layout.rows):
        row = image[min(max(y - layout.radius + j, 0), h - 1)]
        start = j * layout.lanes + at
        fill(memory, start, row, 0)
        copy(memory, start + left, row, x - layout.radius + left, right - left)
        fill(memory, start + right, row, w - 1)


@compiled
def _store(image, y, x, memory, at, layout, outputs):
    """The medians of the block at (y, x), as far as the image goes."""
    h, w = image.shape
    for j in range(min(layout.rows, h - y)):
        place = outputs[j] * layout.lanes + at
        copy(image[y + j], x, memory, place, min(layout.columns, w - x))


@compiled
def _run(memory, lanes, steps):
    """One step of the network after the other, each over all lanes."""
    vector = vector_length(memory)
    for k in range(len(steps)):
        a = steps[k, 0] * lanes + steps[k, 1]
        b = steps[k, 2] * lanes + steps[k, 3]
        low, high = steps[k, 4] * lanes, steps[k, 5] * lanes
        if high < 0:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, low + i, -1)
        elif low < 0:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, -1, high + i)
        else:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, low + i, high + i)


@compiled
def _some_blocks(images, out, layout, steps, outputs, first, stop):
    """Blocks first .. stop - 1 of the batch, counted along rows, then bands, then images."""
    _, h, w = images.shape
    across, down = -(-w // layout.columns), -(-h // layout.rows)
    width = layout.columns + 2 * layout.radius
    vector = vector_length(images)
    memory = np.empty(layout.slots * layout.lanes + width + vector, images.dtype)
    for block in range(first, stop, layout.together):
        count = min(layout.together, stop - block)
        for b in range(count):
            band, x = divmod(block + b, across)
            i, y = divmod(band, down)
            _load(images[i], y * layout.rows, x * layout.columns, memory, b * width, layout)
        for i in range(0, (2 * layout.radius + layout.rows) * layout.lanes, vector):
            to_keys(memory, i)
        _run(memory, layout.lanes, steps)
        for slot in outputs:
            for i in range(0, layout.lanes, vector):
                to_pixels(memory, slot * layout.lanes + i)
        for b in range(count):
            band, x = divmod(block + b, across)
            i, y = divmod(band, down)
            _store(out[i], y * layout.rows, x * layout.columns, memory, b * width, layout, outputs)


@compiled(parallel=True)
def _all_blocks(images, out, layout, steps, outputs, blocks, chunks):
    for chunk in prange(chunks):
        first = blocks * np.int64(chunk) // chunks
        stop = blocks * (np.int64(chunk) + 1) // chunks
        _some_blocks(images, out, layout, steps, outputs, first, stop)


# ---- GPU

_source = Cuda(__file__)
TILE_BYTES, TILE_ROWS = 256, 16  # of the pixels that one thread block computes
GRID = 65535  # most blocks in y and z; they go on with the next image or band


def gpu(images: Any, out: Any, *, radius: int) -> None:
    """A thread block a tile; the network in registers for radius 1 and 2, else a bisection."""
    n, h, w = images.shape
    columns = TILE_BYTES // images.dtype.itemsize
    tile = {"TILE_COLUMNS": columns, "TILE_ROWS": TILE_ROWS}
    if radius <= 2:
        name, how = "median_network", {"ROWS": TILE, "NETWORK": _cuda_network(radius)}
    else:
        name, how = "median_bisection", {"ROWS": 4}
    launch = _source.function(name, PIXEL=images.dtype, RADIUS=radius, **tile, **how)
    grid = (-(-w // columns), min(-(-h // TILE_ROWS), GRID), min(n, GRID))
    launch(grid, 256, images, out, n, h, w)


def _cuda_network(radius: int) -> str:
    """The network of a tile as calls of the macros of median.cu."""
    network = Network(radius, TILE)
    exchanges = network.alone()
    inputs = {wire for *_, a, b in exchanges for wire in (a, b) if wire.value < network.inputs}
    calls = [f"INPUT({_name(wire)},{wire.value},{wire.shift})" for wire in sorted(inputs)]
    calls += [f"EXCHANGE({','.join(map(_name, wires))})" for wires in exchanges]
    calls += [f"OUTPUT({row},{_name(wire)})" for row, wire in enumerate(network.outputs)]
    return " ".join(calls)


def _name(wire: Wire) -> str:
    return f"v{wire.value}_{wire.shift}"


def _cost(itemsize: int, *, radius: int) -> Cost:
    """Each pixel is read and written once; operations are minima and maxima of single pixels."""
    rows = _rows(radius)
    operations = sum(map(sum, Network(radius, rows).read())) / rows
    return Cost(bytes=2 * itemsize, operations=operations)


median = Filter(
    name="median",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(
            1, "half the side of the window, which is 2 * radius + 1", 1, 15, unit="pixels"
        ),
    },
    cost=_cost,
    examples=({"radius": 1}, {"radius": 2}, {"radius": 3}, {"radius": 8}),
    peers=(
        "cv2:medianBlur",
        "scipy.ndimage:median_filter",
        "skimage.filters.rank:median",
        "SimpleITK:Median",
    ),
    quality=Quality(registers=64),
)
