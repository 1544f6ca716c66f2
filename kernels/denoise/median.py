"""Median over a square or cubic window: removes impulse noise, keeps edges.

    out[i, y, x] = the middle one of the sorted pixels images[i, y-r : y+r+1, x-r : x+r+1]

images  (n, h, w), or (n, d, h, w) with windows of (2r+1)^3 and r up to 3, uint8, uint16, int16 or
        float32, any intensity unit; out has the same
borders the nearest pixel is repeated (OpenCV's BORDER_REPLICATE, SciPy's mode="nearest")
cost    a pixel is read and written once. CPU: 23 and 110 minima and maxima a pixel for r = 1
        and 2, in vectors of 32 bytes, no workspace; 173 (r = 3) to 446 (5) in 0.4 MB a thread;
        above that ranks and histograms, about 650 operations a pixel whatever r, in vectors too,
        and a sort of tiles, in 0.9 MB a thread. Volumes: 114 (r = 1, no workspace), 769 (2) and
        2250 (3) in 0.8 MB. GPU, no workspace: the networks for r = 1 and 2, of volumes for 1;
        up to r = 5 one comparison for each pixel of a window and bit in which the pixels of a tile
        differ; above that the tile as a whole, some 9000 instructions a pixel for r = 8
nan     float32 pixels are sorted as -inf < .. < -0 < +0 < .. < +inf < NaN, whatever the
        sign of the NaN: a window of mostly NaN gives NaN, all others a number
source  J. W. Tukey, Exploratory Data Analysis, 1977; networks after L. Sugy, A fast parallel
        median filtering algorithm using hierarchical tiling, SIGGRAPH 2025, arXiv:2507.19926;
        histograms after S. Perreault, P. Hebert, Median filtering in constant time, IEEE
        Transactions on Image Processing 16, 2007
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import _threads
from .._cpu import compiled
from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter, Quality
from ._median_bins import BINS, GROUP
from ._median_blocks import block_medians
from ._median_network import Network, Wire
from ._median_rank import rank_medians
from ._median_vector import TILE, VECTOR, tile_medians, vector_length


def reference(images: np.ndarray, *, radius: int = 1) -> np.ndarray:
    """Sort every window and take the middle; float32 by the order under `nan` above."""
    axes = tuple(range(1, images.ndim))
    side = 2 * radius + 1
    padded = np.pad(_keys(images), ((0, 0), *[(radius, radius)] * len(axes)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side,) * len(axes), axis=axes)
    middle = side ** len(axes) // 2
    keys = np.partition(windows.reshape(*images.shape, -1), middle, axis=-1)[..., middle]
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


RANKED = 6  # least radius for which ranks and histograms take less time than a network


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int) -> None:
    """Small networks in registers, larger ones in memory, histograms for what is larger still."""
    flat = images.ndim == 3
    volumes, results = (images[:, None], out[:, None]) if flat else (images, out)
    deep = 1 if flat else 2 * radius + 1
    if radius >= RANKED:
        rank_medians(images, out, radius)
    elif _in_registers(radius, deep) and images.shape[-1] >= VECTOR // images.itemsize + radius:
        _band_medians(volumes, results, radius, deep)
    else:
        block_medians(volumes, results, radius, deep, _rows(radius))


def _in_registers(radius: int, deep: int) -> bool:
    """Whether the network of a window is small enough to be compiled."""
    return radius <= 2 if deep == 1 else radius == 1


def _rows(radius: int) -> int:
    """Pixels of a tile on the CPU: more share more work, and need more memory."""
    return TILE if radius <= 2 else 4


# ---- CPU, the smallest windows: the network compiled, on bands of TILE rows


@compiled
def _some_bands(first, stop, volumes, out, radius, deep):
    """Bands first .. stop - 1 of the batch; the last vectors of a row overlap.

    Rows are a radius longer than a vector at least, so that it reaches over one of their ends only.
    """
    _, d, h, w = volumes.shape
    down = (h + TILE - 1) // TILE
    vector = vector_length(volumes)
    for band in range(first, stop):
        plane, y = band // down, band % down * TILE
        i, z = plane // d, plane % d
        tile_medians(volumes, out, i, z, y, 0, radius, deep, -1)
        for x in range(vector, w - vector, vector):
            x = min(x, w - vector - len(radius))
            tile_medians(volumes, out, i, z, y, x, radius, deep, 0)
        tile_medians(volumes, out, i, z, y, w - vector, radius, deep, 1)


def _band_medians(volumes: np.ndarray, out: np.ndarray, radius: int, deep: int) -> None:
    n, d, h, w = volumes.shape
    bands = n * d * -(-h // TILE)
    _threads.run(
        _some_bands, bands, volumes, out, (0,) * radius, (0,) * deep, least=-(-(1 << 14) // w)
    )


# ---- GPU


class _Cuda(Cuda):
    """A source, after what it shares with the other."""

    @cached_property
    def source(self) -> str:
        return Path(__file__).with_name("_median_keys.cuh").read_text() + super().source


_source, _split = _Cuda(__file__), _Cuda(Path(__file__).with_name("_median_split.cu"))
THREADS, TILE_BYTES, TILE_ROWS = 256, 256, 16  # of a block: threads, most of a row, rows
SPLIT = 6  # least radius for which the pixels of a tile are bisected together,
SPLIT_THREADS, SPLIT_TILE = 512, 64  # by so many threads in tiles of this side
GRID = 65535  # most blocks in y and z; they go on with the next slice or band


def gpu(images: Any, out: Any, *, radius: int) -> None:
    """A thread block a tile: the network in registers, or bisection, of each pixel or of all."""
    n, h, w = images.shape[0], *images.shape[-2:]
    d, deep = (1, 1) if images.ndim == 3 else (images.shape[1], 2 * radius + 1)
    if radius >= SPLIT:
        split = _split.function("median_split", PIXEL=images.dtype, RADIUS=radius)
        grid = (-(-w // SPLIT_TILE), min(-(-h // SPLIT_TILE), GRID), min(n, GRID))
        split(grid, SPLIT_THREADS, images, out, n, h, w)
        return
    columns = min(TILE_BYTES // images.dtype.itemsize, max(64, 1 << (w - 1).bit_length()))
    tile = {"TILE_COLUMNS": columns, "TILE_ROWS": TILE_ROWS, "DEEP": deep}
    if _in_registers(radius, deep):
        name, how = "median_network", {"ROWS": TILE, "NETWORK": _cuda_network(radius, deep)}
    else:
        name, how = "median_bisection", {"ROWS": 4}
    launch = _source.function(name, PIXEL=images.dtype, RADIUS=radius, **tile, **how)
    grid = (-(-w // columns), min(-(-h // TILE_ROWS), GRID), min(n * d, GRID))
    launch(grid, THREADS, images, out, n, d, h, w)


def _cuda_network(radius: int, deep: int) -> str:
    """The network of a tile as calls of the macros of median.cu."""
    network = Network(radius, TILE, deep)
    exchanges = network.alone()
    inputs = {wire for *_, a, b in exchanges for wire in (a, b) if wire.value < network.inputs}
    calls = []
    for wire in sorted(inputs):
        row, slice_ = divmod(wire.value, deep)
        calls.append(f"INPUT({_name(wire)},{slice_},{row},{wire.shift})")
    calls += [f"EXCHANGE({','.join(map(_name, wires))})" for wires in exchanges]
    calls += [f"OUTPUT({row},{_name(wire)})" for row, wire in enumerate(network.outputs)]
    return " ".join(calls)


def _name(wire: Wire) -> str:
    return f"v{wire.value}_{wire.shift}"


def _cost(itemsize: int, *, radius: int) -> Cost:
    """Each pixel is read and written once; operations are minima and maxima of single pixels.

    With ranks they are additions and comparisons: 6 of BINS lanes for the columns, 6 for the
    window, 4 of GROUP lanes for the places.
    """
    if radius >= RANKED:
        return Cost(bytes=2 * itemsize, operations=12 * BINS + 4 * GROUP)
    rows = _rows(radius)
    operations = sum(map(sum, Network(radius, rows).read())) / rows
    return Cost(bytes=2 * itemsize, operations=operations)


def _validate(dtype: np.dtype, shape: tuple[int, ...], *, radius: int) -> None:
    if len(shape) == 4 and radius > 3:
        raise ValueError(f"median: radius must be 1 to 3 for volumes (n, d, h, w), got {radius}")


median = Filter(
    name="median",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(
            1, "half the side of the window, which is 2 * radius + 1", 1, 50, unit="pixels"
        ),
    },
    cost=_cost,
    ndim=(3, 4),
    validate=_validate,
    examples=({"radius": 1}, {"radius": 2}, {"radius": 6}),
    peers=(
        "cv2:medianBlur",
        "scipy.ndimage:median_filter",
        "skimage.filters.rank:median",
        "SimpleITK:Median",
    ),
    quality=Quality(
        registers=64,
        sector_efficiency=0.65,
        excuse="uint8: a border of 1 to 3 pixels takes two more sectors for each row of a tile",
    ),
)
