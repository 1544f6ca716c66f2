"""Guided filter: every window fits image = a guide + b; smooths where the guide is flat.

    a = cov(G, I) / (var(G) + (strength sigma)^2),   b = mean(I) - a mean(G)      of a window
    out = mean(a) G + mean(b)                                   over the windows of a pixel

images  (n, h, w), or (n, d, h, w) with cubes for squares; uint8, uint16, int16 or float32, any
        intensity unit; out has the same. Without a `guide` the image guides itself: windows that
        vary by less than strength sigma become flat, others stay
borders the nearest pixel is repeated, and so are a and b
cost    CPU: 3 steps a pixel for any radius along the first axis, about log2(2 radius + 1) along
        the others, each of 7 operations; workspace 2 radius + 9 rows (of volumes: slices) of a
        block, 16 bytes a pixel (24 with a guide). GPU: 9 operations for each of the 2 radius + 1
        pixels along each axis; scratch 16 bytes a pixel (32 with a guide) of at most 2^24 pixels
        accuracy: variances are added up from squared deviations, never as a difference of large
        sums; the result is right to 5e-6 of the largest pixel at any offset and range of levels
        edges: a step of 20 sigma widens by less than 0.25 pixels (from 10 to 90 %, defaults) and
        keeps the noise within radius of it
nan     NaN and infinities make NaN of every pixel within 2 radius
source  K. He, J. Sun, X. Tang, Guided image filtering, ECCV 2010; window sums after
        M. van Herk, Pattern Recognition Letters 13, 1992; moments after T. Chan, G. Golub,
        R. LeVeque, The American Statistician 37, 1983
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from .. import _cuda, _threads
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Filter, Parameter
from .._pixels import load_tile, store_tile
from ._guided_windows import LANES, NO_PIXELS, PIXEL, SINGLE, SLOTS, WINDOW, push
from .noise import SIGMA

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
FLAT = 1e-12  # of its squared mean: a window of less variance is flat, the rest is rounding
HIGHEST_3D = 8  # radius of the largest cube


def reference(
    images: np.ndarray,
    *,
    radius: int,
    strength: float,
    sigma: np.ndarray,
    guide: np.ndarray | None = None,
) -> np.ndarray:
    """Window means of the whole batch."""
    image = images.astype(np.float64)
    by = image if guide is None else guide.astype(np.float64)
    floor = np.square(strength * np.float64(sigma)).reshape(-1, *[1] * (images.ndim - 1))

    def mean(values: np.ndarray) -> np.ndarray:
        weights = np.full(2 * radius + 1, 1 / (2 * radius + 1))
        for axis in range(1, values.ndim):
            values = correlate1d(values, weights, axis, mode="nearest")
        return values

    variance = mean(by * by) - mean(by) ** 2
    covariance = mean(by * image) - mean(by) * mean(image)
    varied = variance > FLAT * mean(by) ** 2
    a = np.where(varied, covariance / np.where(varied, variance + floor, 1), 0)
    b = mean(image) - a * mean(by)
    found = mean(a) * by + mean(b)
    if images.dtype == np.float32:
        return found.astype(np.float32)
    info = np.iinfo(images.dtype)
    return np.clip(np.rint(found), info.min, info.max).astype(images.dtype)


# ---- CPU: windows of slabs (see _guided_windows.py), a block after the other


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    radius: int,
    strength: float,
    sigma: np.ndarray,
    guide: np.ndarray | None = None,
) -> None:
    """Blocks, each by one thread."""
    flat = images.ndim == 3
    shape = (*images.shape[:2], 1, images.shape[2]) if flat else images.shape
    block = Block.of(shape)
    parts = zip(shape, block, strict=True)
    blocks = int(np.prod([-(-size // most) for size, most in parts]))
    guides, fields = (images, 2) if guide is None else (guide, 4)
    arrays = (array.reshape(shape) for array in (guides, images, out))
    halo = (radius, 0 if flat else radius)
    floors = np.square(np.float32(strength) * sigma)
    _threads.run(_some_blocks, blocks, *arrays, fields, block, halo, floors)


class Block(NamedTuple):
    """What is worked on at a time; narrow images side by side, so that lines are long."""

    together: int
    depth: int
    rows: int
    columns: int

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "Block":
        limits = (128, 1, 1024) if shape[2] == 1 else (64, 32, 128)
        parts = zip(shape[1:], limits, strict=True)
        depth, rows, columns = (-(-size // -(-size // most)) for size, most in parts)
        together = 2048 // columns if shape[2] == 1 else 1
        return cls(min(shape[0], max(together, 1)), depth, rows, columns)


@inner
def _fit(moments, lines, start, stop, floor, count):
    """lines[0] = a and lines[1] = b of windows of `count` pixels."""
    slope, offset = lines[0][start:stop], lines[1][start:stop]
    guide, square = moments[0][start:stop], moments[1][start:stop]
    image, product = moments[-2][start:stop], moments[-1][start:stop]
    each, flat = _ONE / np.float32(count), np.float32(FLAT)
    for i in range(slope.size):
        mean = guide[i] * each
        variance = square[i] * each
        a = product[i] * each / (variance + floor) if variance > flat * mean * mean else _ZERO
        slope[i] = a
        offset[i] = image[i] * each - a * mean


@inner
def _repeat_border(plane, y, x, h, w):
    """plane[j, i] belongs to (y + j, x + i): outside the image it becomes what is at the border."""
    rows, columns = plane.shape
    left, right = max(-x, 0), min(w - x, columns)
    top, bottom = max(-y, 0), min(h - y, rows)
    for j in range(top, bottom):
        line = plane[j]
        for i in range(left):
            line[i] = line[left]
        for i in range(right, columns):
            line[i] = line[right - 1]
    for j in range(rows):
        line, inside = plane[j], plane[min(max(j, top), bottom - 1)]
        for i in range(columns if j < top or j >= bottom else 0):
            line[i] = inside[i]


@inner
def _apply(sums, start, width, tile, count):
    """The result takes the place of the guide's pixels."""
    each = _ONE / np.float32(count)
    for j in range(tile.shape[0]):
        line, at = tile[j], start + j * width
        slopes, offsets = sums[0][at:], sums[1][at:]
        for i in range(line.size):
            line[i] = (slopes[i] * line[i] + offsets[i]) * each


@compiled
def _some_blocks(first, stop, guides, images, out, fields, block, halo, floors):
    """Blocks first .. stop - 1 of the batch, counted along rows, then down, deep, and images."""
    number, d, h, w = images.shape
    together, depth, rows, columns = block
    radius, down = halo
    side, deep, high = 2 * radius + 1, down > 0, rows + 4 * down
    width = (columns + 4 * radius + LANES - 1) // LANES * LANES
    count = side * side * (side if deep else 1)
    slabs = SLOTS + side + 1
    moments = np.zeros((slabs, fields, together * high * width), np.float32)
    sums = np.zeros((slabs, 2, together * high * width), np.float32)
    pixels = moments.reshape((slabs, fields, together, high, width))[SINGLE]
    lines = sums.reshape((slabs, 2, together, high, width))[SINGLE]
    tile = np.empty((rows, columns), np.float32)
    for item in range(first, stop):
        rest, x = divmod(item, -(-w // columns))
        rest, y = divmod(rest, -(-h // rows))
        n, z = divmod(rest, -(-d // depth))
        n, z, y, x = n * together, z * depth, y * rows, x * columns
        those = min(together, number - n)
        ready = max(z - radius, 0) - radius  # the next slab that is not yet in `moments`
        found = WINDOW
        for t in range(z - radius, min(z + depth, d) + radius):
            while ready <= min(max(t, 0), d - 1) + radius:
                at = min(max(ready, 0), d - 1)
                for k in range(0, fields, 2):
                    for i in range(those):
                        image = images[n + i, at] if k else guides[n + i, at]
                        load_tile(pixels[k, i], image, y - 2 * down, x - 2 * radius)
                found = push(moments, ready, side, width, deep, PIXEL)
                ready += 1
            for i in range(those):
                start, end = i * high * width, (i + 1) * high * width
                _fit(moments[found], sums[SINGLE], start, end, floors[n + i], count)
                for k in range(2):
                    _repeat_border(lines[k, i], y - down, x - radius, h, w)
            windows = push(sums, t, side, width, deep, NO_PIXELS)
            for i in range(those if t >= z + radius else 0):
                load_tile(tile, guides[n + i, t - radius], y, x)
                _apply(sums[windows], i * high * width, width, tile, count)
                store_tile(out[n + i, t - radius], y, x, tile)


# ---- GPU: one pass for each axis and stage, a thread for each pixel

_source = _cuda.Cuda(__file__)
GRID = 65535  # most blocks in y; they go on with the next image
PIXELS = 1 << 24  # worked on at a time: enough for any card, and a bound to the scratch


def gpu(
    images: Any, out: Any, *, radius: int, strength: float, sigma: Any, guide: Any = None
) -> None:
    """As many images at a time as PIXELS allow, at least one."""
    fields = 2 if guide is None else 4
    size = int(np.prod(images.shape[1:]))
    group = min(max(1, PIXELS // size), len(images))
    scratch = _cuda.empty(images, (2, group * size * fields), np.float32)
    guides = images if guide is None else guide
    for start in range(0, len(images), group):
        some = slice(start, start + group)
        arrays = guides[some], images[some], out[some], sigma[some]
        _launch(*arrays, scratch, radius, fields, strength)


def _launch(
    guides: Any,
    images: Any,
    out: Any,
    sigma: Any,
    scratch: Any,
    radius: int,
    fields: int,
    strength: float,
) -> None:
    """Moments along every axis, the last of which fits a and b; their sums likewise."""
    n, *sizes = images.shape
    size = int(np.prod(sizes))
    grid = (-(-size // 256), min(n, GRID))
    macros = {"PIXEL": images.dtype, "FIELDS": fields}
    here, there = scratch
    for name in ("moments", "sums"):
        count, step = 1, size
        for k, length in enumerate(sizes):
            step //= length
            order = {"FIRST": k == 0, "LAST": k == len(sizes) - 1}
            function = _source.function(name, **order, **macros)
            axis = (radius, length, step, count)
            if name == "moments":
                function(grid, 256, guides, images, here, there, sigma, strength, n, size, *axis)
            else:
                function(grid, 256, guides, here, there, out, n, size, *axis)
            here, there = there, here
            count *= 2 * radius + 1


def _validate(dtype: np.dtype, shape: tuple[int, ...], *, radius: int, **_: Any) -> None:
    if len(shape) == 4 and radius > HIGHEST_3D:
        raise ValueError(f"guided: radius must be 1 to {HIGHEST_3D} in volumes, got {radius}")


def _cost(itemsize: int, *, radius: int, **_: Any) -> Cost:
    """Moments: 7 operations a union; sums of a and b: 2; fit and result: 15."""
    side = 2 * radius + 1
    unions = 3 + side.bit_length() - 1 + side.bit_count() - 1
    return Cost(bytes=2 * itemsize, operations=9 * unions + 15)


guided = Filter(
    name="guided",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    inputs={"guide": "what to follow; its edges are kept (default: the image itself)"},
    parameters={
        "radius": Parameter(
            2,
            "half the side of the window, 2 * radius + 1; in volumes at most 8",
            1,
            50,
            unit="pixels",
        ),
        "strength": Parameter(
            2.6, "standard deviation of what is smoothed away, in sigmas", above=0
        ),
        "sigma": replace(SIGMA, meaning=f"{SIGMA.meaning}; of a guide unlike the image: its own"),
    },
    cost=_cost,
    validate=_validate,
    tolerance=5e-6,
    gpu_tolerance=5e-6,
    examples=({"radius": 2}, {"radius": 1, "strength": 0.5}, {"radius": 5, "sigma": 12.0}),
    peers=("cv2:boxFilter",),
)
