"""Median over a square window: removes impulse noise, keeps edges.

    out[i, y, x] = the middle one of the sorted pixels images[i, y-r : y+r+1, x-r : x+r+1]

images  (n, h, w) uint8, uint16, int16 or float32, any intensity unit; out has the same
borders the nearest pixel is repeated (OpenCV's BORDER_REPLICATE, SciPy's mode="nearest")
cost    reads and writes a pixel once; on the CPU about 23, 110 (r = 1, 2), then 170 to 1500
        (r = 3 to 15) minima and maxima a pixel, for 32 bytes of pixels at once; memory: about
        0.5 MB a thread. On the GPU the same networks for r = 1, 2, above that one comparison
        a pixel of the window and bit of the pixel, no workspace
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
from ._median_network import Network, program
from ._median_vector import (
    BORDER,
    VECTOR,
    copy,
    exchange,
    fill,
    medians,
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


# ---- CPU: a block of rows and columns at a time, as keys in a memory that stays in the cache
#
# A block is `rows` rows and `columns` columns of one image. Memory consists of slots of `lanes`
# keys. Before the network runs, the rows under a block, with its borders, lie in the first slots,
#
#     slot j, lane i of a block  =  row y - radius + j, column x - radius + i
#
# and several blocks side by side, so that small images fill the vectors too.

ROWS = 2  # of a tile, for the networks that are compiled: radius 1 and 2
SLOT_BYTES = 4160  # room for a row of 2048 pixels of 16 bits and its borders
NO_STEPS = np.empty((0, 6), np.int32)


class Layout(NamedTuple):
    radius: int
    rows: int
    columns: int
    together: int  # blocks side by side
    lanes: int
    slots: int

    @classmethod
    def of(cls, shape: tuple[int, ...], itemsize: int, radius: int, rows: int, slots: int):
        """Slots of some hundred bytes: long enough for the vectors, short enough for the cache."""
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
def _run(memory, layout, steps):
    """The network over all lanes: compiled for radius 1 and 2, data for the others."""
    vector = vector_length(memory)
    lanes = layout.lanes
    if layout.radius == 1:
        for i in range(0, lanes, vector):
            medians(memory, lanes, i, 1, ROWS)
    elif layout.radius == 2:
        for i in range(0, lanes, vector):
            medians(memory, lanes, i, 2, ROWS)
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
        _run(memory, layout, steps)
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


def _rows(radius: int) -> int:
    """Pixels of a tile: more share more work, and need more memory."""
    return ROWS if radius <= 2 else 4 if radius < 7 else 8


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int) -> None:
    """A network of exchanges, run for many pixels at once."""
    rows = _rows(radius)
    if radius <= 2:
        steps, outputs, slots = NO_STEPS, np.arange(ROWS, dtype=np.int32), 2 * radius + ROWS
    else:
        steps, outputs, slots = program(radius, rows)
    layout = Layout.of(images.shape, images.itemsize, radius, rows, slots)
    n, h, w = images.shape
    blocks = n * -(-h // rows) * -(-w // layout.columns)
    chunks = min(-(-blocks // layout.together), 8 * numba.get_num_threads())
    _all_blocks(images, out, layout, steps, outputs, blocks, chunks)


# ---- GPU

_source = Cuda(__file__)
TILE_BYTES, TILE_ROWS = 256, 16  # of the pixels that one thread block computes


def gpu(images: Any, out: Any, *, radius: int) -> None:
    """A thread block a tile; the network in registers for radius 1 and 2, else a bisection."""
    n, h, w = images.shape
    columns = TILE_BYTES // images.dtype.itemsize
    macros = {"PIXEL": images.dtype, "RADIUS": radius, "TILE_COLUMNS": columns}
    if radius <= 2:
        median_ = _source.function("median_network", NETWORK=_cuda_network(radius), **macros)
    else:
        median_ = _source.function("median_bisection", **macros)
    across, down = -(-w // columns), -(-h // TILE_ROWS)
    median_((across, min(down, 65535), min(n, 65535)), 256, images, out, n, h, w)


def _cuda_network(radius: int) -> str:
    """The network of a tile of ROWS pixels as calls of macros of median.cu."""
    network = Network(radius, ROWS)
    text = []
    known = set()

    def name(wire):
        if wire.value < network.inputs and wire not in known:
            known.add(wire)
            text.append(f"INPUT(v{wire.value}_{wire.shift},{wire.value},{wire.shift})")
        return f"v{wire.value}_{wire.shift}"

    for low, high, a, b in network.alone():
        operands = name(a), name(b)
        text.append(f"EXCHANGE({name(low)},{name(high)},{operands[0]},{operands[1]})")
    text += [f"OUTPUT({row},{name(wire)})" for row, wire in enumerate(network.outputs)]
    return " ".join(text)


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
