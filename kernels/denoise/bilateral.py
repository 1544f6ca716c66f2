"""Bilateral filter: a mean over near pixels of like grey level; smooths noise, keeps edges.

    out(p) = I(p) + sum_q w(p, q) (I(q) - I(p)) / sum_q w(p, q),          |q - p| <= radius
    w(p, q) = exp(-|q - p|^2 / (2 spatial^2) - (I(q) - I(p))^2 / (2 range^2))
    range = strength * sigma

images  (n, h, w), or (n, d, h, w) with a ball for a disc; uint8, uint16, int16 or float32, any
        intensity unit; out has the same
borders the nearest pixel is repeated
cost    a pixel is read and written once; exact, so 13 operations for each of the pi radius^2 taps
        (4/3 pi radius^3 in volumes): a weight is computed once and serves both its pixels. The
        GPU computes it twice, with 22 operations a tap, and needs no workspace; the CPU 12 bytes
        a pixel of a block (64 x 1024 pixels or 16 x 32 x 256 voxels at most, and its borders)
        accuracy: a weight is right to 4e-6 of itself, the result to 2e-6 of the largest pixel
        edges: a step of 20 sigma does not widen (from 10 to 90 %, defaults)
nan     NaN and infinities stay as they are and are left out of the windows of all others
        (finite float32 pixels are taken up to 1e17)
source  C. Tomasi, R. Manduchi, Bilateral filtering for gray and color images, ICCV 1998
"""

from itertools import product
from math import isqrt
from typing import Any, NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled
from .._cuda import Cuda
from .._inner import inner
from .._kernel import Cost, Filter, Parameter, Quality
from .._pixels import load_block, to_pixel
from .noise import SIGMA

HIGHEST_3D = 4  # radius of the largest ball


def reference(
    images: np.ndarray, *, radius: int, spatial: float, strength: float, sigma: np.ndarray
) -> np.ndarray:
    """One tap after the other, over the whole batch."""
    n, *sizes = images.shape
    pixels, known = images.astype(np.float64), np.isfinite(images)
    clean = np.where(known, pixels, 0)
    around = [(0, 0), *[(radius, radius)] * len(sizes)]
    others, counted = np.pad(clean, around, mode="edge"), np.pad(known, around, mode="edge")
    likeness = np.maximum(strength * np.float64(sigma), 1e-100).reshape(n, *[1] * len(sizes))
    change, weights = np.zeros(images.shape), np.zeros(images.shape)
    for step in product(range(-radius, radius + 1), repeat=len(sizes)):
        distance = float(np.square(step).sum())
        if distance <= radius**2:
            start = np.add(step, radius)
            window = tuple(slice(a, a + size) for a, size in zip(start, sizes, strict=True))
            apart = others[:, *window] - clean
            exponent = -distance / (2 * spatial**2) - np.square(apart / likeness) / 2
            weight = counted[:, *window] * np.exp(exponent)
            change += weight * apart
            weights += weight
    found = np.where(known, clean + change / np.maximum(weights, 1e-100), pixels)
    return found.astype(images.dtype) if images.dtype == np.float32 else rounded(found, images)


def rounded(found: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A mean of pixels is never outside their range: nothing is clipped."""
    return np.rint(found).astype(like.dtype)


# ---- CPU: pairs of rows, their pixels a fixed step apart
#
# A weight belongs to two pixels p and q = p + step: the loops go over the steps of the half disc
# after p. Every row has two sums: `after`, over its own taps, and `before`, to which earlier rows
# add. So the order of a pixel's sum is the same wherever a block begins:
#
#     before   rows from the top, their columns from the right, up to the left neighbours
#     after    the pixel itself, its right neighbours, rows downwards, their columns from the left

LANES = 16  # loops run over whole vectors; what they compute beside a row is never read
MISSING = np.float32(1e18)  # stands for what is not finite: no pixel is like it
_LEAST = np.float32(-110.0)  # 2**-110 is nothing beside the weight 1 of the pixel itself
_ROUND = np.float32(12582912.0)  # 1.5 * 2**23: adding it leaves the whole part in the last bits
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_HALF_LOG2E = np.float32(0.72134752)


class Block(NamedTuple):
    """The largest part of an image or volume that is worked on at a time."""

    depth: int
    rows: int
    columns: int

    @classmethod
    def of(cls, volumes: np.ndarray) -> "Block":
        _, d, h, w = volumes.shape
        limits = (1, 64, 1024) if d == 1 else (16, 32, 256)
        parts = zip((d, h, w), limits, strict=True)
        return cls(*(-(-size // -(-size // most)) for size, most in parts))


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    radius: int,
    spatial: float,
    strength: float,
    sigma: np.ndarray,
) -> None:
    """Blocks, each by one thread."""
    volumes, results = as_volumes(images), as_volumes(out)
    n, d, h, w = volumes.shape
    block = Block.of(volumes)
    blocks = n * -(-d // block.depth) * -(-h // block.rows) * -(-w // block.columns)
    deep = radius if images.ndim == 4 else 0
    half = half_ball(radius, deep)
    near, ranges = nearness(spatial), np.float32(strength) * sigma
    _threads.run(_some_blocks, blocks, volumes, results, block, (radius, deep), half, near, ranges)


def as_volumes(images: Any) -> Any:
    """(n, h, w) as (n, 1, h, w)."""
    return images if images.ndim == 4 else images[:, None]


def half_ball(radius: int, deep: int) -> np.ndarray:
    """(dz, dy, reach) of the rows from the centre on: its taps are dx = -reach .. reach."""
    rows = [
        (dz, dy, isqrt(radius**2 - dz**2 - dy**2))
        for dz, dy in product(range(deep + 1), range(-radius, radius + 1))
        if (dz, dy) >= (0, 0) and dz**2 + dy**2 <= radius**2
    ]
    return np.array(rows, np.int64)


def nearness(spatial: float) -> np.float32:
    """1 / (2 spatial^2), for a power of two instead of e."""
    return np.float32(np.log2(np.e) / (2 * spatial**2))


@compiled
def _weight(exponent):
    """2**exponent for exponents up to 0, relative error below 4e-6; the same stands in the .cu.

    2**(n + f) = 2**n p(f) with |f| <= 1/2; n is added to the exponent in the bits of p.
    """
    exponent = exponent if exponent > _LEAST else _LEAST
    shifted = exponent + _ROUND
    f = exponent - (shifted - _ROUND)
    p = np.float32(9.5828306e-3)
    p = p * f + np.float32(5.590637e-2)
    p = p * f + np.float32(2.4024099e-1)
    p = p * f + np.float32(6.9312418e-1)
    p = p * f + _ONE
    bits = np.float32(p).view(np.int32) + (np.float32(shifted).view(np.int32) << np.int32(23))
    return np.int32(bits).view(np.float32)


@inner
def _pair(p, q, weights_p, changes_p, weights_q, changes_q, near, like):
    """Every p[i] meets q[i], and the other way round."""
    for i in range(p.size):
        apart = q[i] - p[i]
        weight = _weight(near - apart * apart * like)
        change = weight * apart
        weights_p[i] += weight
        changes_p[i] += change
        weights_q[i] += weight
        changes_q[i] -= change


@inner
def _whole(count):
    """Lanes of the vectors that hold `count` pixels."""
    return (count + LANES - 1) // LANES * LANES


@inner
def _pairs(p, q, after, before, row, left, columns, near, like):
    """A row of pixels, from `left` on, with all taps of a row of the window (dz, dy, reach)."""
    dz, dy, reach = row
    for dx in range(1 if dz == 0 and dy == 0 else -reach, reach + 1):
        start = left - _whole(max(dx, 0))
        stop = left + _whole(columns - min(dx, 0))
        _pair(
            p[start:stop],
            q[start + dx : stop + dx],
            after[0, start:stop],
            after[1, start:stop],
            before[0, start + dx : stop + dx],
            before[1, start + dx : stop + dx],
            -near * np.float32(dz * dz + dy * dy + dx * dx),
            like,
        )


@inner
def _filter_block(tile, before, after, sizes, radii, half, near, like):
    """Filter the block of `sizes` in the middle of `tile`; the results replace before[:, :, 0]."""
    depth, rows, columns = sizes
    radius, deep = radii
    left = _whole(radius)
    before[:] = _ZERO
    for z in range(depth + deep):
        for y in range(rows + 2 * radius):
            after[0], after[1] = _ONE, _ZERO
            here = z >= deep and radius <= y < rows + radius
            for k in range(len(half)):
                dz, dy, reach = half[k, 0], half[k, 1], half[k, 2]
                there = deep <= z + dz < depth + deep and radius <= y + dy < rows + radius
                if here or there:
                    p, q, before_q = tile[z, y], tile[z + dz, y + dy], before[z + dz, y + dy]
                    row = (dz, dy, reach)
                    _pairs(p, q, after, before_q, row, left, columns, near, like)
            if here:
                _finish(tile[z, y], before[z, y], after)


@inner
def _finish(p, before, after):
    result, change_before, weight_after, change_after = before[0], before[1], after[0], after[1]
    for i in range(p.size):
        change = change_before[i] + change_after[i]
        result[i] = p[i] + change / (result[i] + weight_after[i])


@inner
def _hide(tile):
    """What is not finite becomes MISSING."""
    for k in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            line = tile[k, j]
            for i in range(line.size):
                line[i] = line[i] if abs(line[i]) < MISSING else MISSING


@inner
def _store(row, original, p, result, out):
    """The results as pixels; what was missing as it is in the image."""
    for i in range(row.size):
        row[i] = to_pixel(result[i], out)
    for i in range(row.size):
        if p[i] == MISSING:
            row[i] = original[i]


@compiled
def _some_blocks(first, stop, volumes, out, block, radii, half, near, ranges):
    """Blocks first .. stop - 1 of the batch, counted along rows, then down, then deep."""
    _, d, h, w = volumes.shape
    depth, rows, columns = block
    radius, deep = radii
    across, down = -(-w // columns), -(-h // rows)
    shape = (depth + 2 * deep, rows + 2 * radius)
    left = _whole(radius)
    width = left + _whole(columns + radius + LANES)
    tile = np.empty((*shape, width), np.float32)
    before = np.empty((*shape, 2, width), np.float32)
    after = np.empty((2, width), np.float32)
    for item in range(first, stop):
        rest, x = divmod(item, across)
        rest, y = divmod(rest, down)
        i, z = divmod(rest, -(-d // depth))
        z, y, x = z * depth, y * rows, x * columns
        sizes = min(depth, d - z), min(rows, h - y), min(columns, w - x)
        load_block(tile, volumes[i], z - deep, y - radius, x - left)
        _hide(tile)
        like = _HALF_LOG2E / (ranges[i] * ranges[i])
        _filter_block(tile, before, after, sizes, radii, half, near, like)
        inside = slice(left, left + sizes[2])
        for k in range(sizes[0]):
            for j in range(sizes[1]):
                p, result = tile[k + deep, j + radius], before[k + deep, j + radius, 0]
                original, row = volumes[i, z + k, y + j], out[i, z + k, y + j]
                _store(row[x : x + sizes[2]], original[x:], p[inside], result[inside], out)


# ---- GPU

_source = Cuda(__file__)
GRID = 65535  # most blocks in y and z; they go on with the next tile


def gpu(images: Any, out: Any, *, radius: int, spatial: float, strength: float, sigma: Any) -> None:
    """A thread block a tile: 64 x 16 pixels or 64 x 8 x 2 voxels, borders in shared memory."""
    n, *_, h, w = images.shape
    d = images.shape[1] if images.ndim == 4 else 1
    depth, rows, deep = (2, 8, radius) if images.ndim == 4 else (1, 16, 0)
    tile = {"TILE_DEPTH": depth, "TILE_ROWS": rows}
    launch = _source.function("bilateral", PIXEL=images.dtype, RADIUS=radius, DEEP=deep, **tile)
    grid = (-(-w // 64), min(-(-h // rows), GRID), min(n * -(-d // depth), GRID))
    launch(grid, 256, images, out, sigma, n, d, h, w, nearness(spatial), strength)


def _validate(dtype: np.dtype, shape: tuple[int, ...], *, radius: int, **_: Any) -> None:
    if len(shape) == 4 and radius > HIGHEST_3D:
        raise ValueError(f"bilateral: radius must be 1 to {HIGHEST_3D} in volumes, got {radius}")


def _cost(itemsize: int, *, radius: int, **_: Any) -> Cost:
    """Taps of the disc; a weight serves two of them."""
    taps = 1 + 2 * sum(2 * reach + (dy > 0) for _, dy, reach in half_ball(radius, 0))
    return Cost(bytes=2 * itemsize, operations=13 * taps)


bilateral = Filter(
    name="bilateral",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={
        "radius": Parameter(
            4, "of the window, a disc (in volumes a ball, at most 4)", 1, 25, unit="pixels"
        ),
        "spatial": Parameter(
            2.0, "standard deviation of the weights over distance", above=0, unit="pixels"
        ),
        "strength": Parameter(
            3.2, "standard deviation of the weights over grey levels, in sigmas", above=0
        ),
        "sigma": SIGMA,
    },
    cost=_cost,
    validate=_validate,
    tolerance=3e-6,
    examples=(
        {"radius": 2, "spatial": 1.5},
        {"radius": 1, "spatial": 1.0, "strength": 4.0},
        {"radius": 4, "spatial": 3.0, "sigma": 20.0, "strength": 1.0},
    ),
    peers=("cv2:bilateralFilter",),
    quality=Quality(
        sector_efficiency=0.45,
        excuse="hundreds of operations a pixel: borders of rows of bytes may be read in vain",
    ),
)
