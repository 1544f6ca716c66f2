"""Gaussians on the GPU: the launches of gaussian.cu."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .._cuda import Cuda, Function, empty
from ._gaussian_plan import LONGEST, WHOLE, WIDE, Pyramid, reach, weights

_source = Cuda(Path(__file__).with_name("gaussian.cu"))
TILE_W, TILE_H, THREADS, SIFTED = 128, 32, 256, 128
SECTOR = 32
GRID = 65535  # most blocks in y and z; they go on with the next image or row


def smooth(images: Any, out: Any, sigma: float, truncate: float, subtract: bool = False) -> None:
    """out = the smoothed images, or out - the smoothed images."""
    if sigma < WIDE:
        _sum(images, out, weights(sigma, reach(sigma, truncate)), subtract)
        return
    step = Pyramid.of(sigma)
    unfinished = empty(images, (len(images),), np.int32)
    unfinished[...] = 0
    coarse = _shrink(images, step, unfinished)
    inner = empty(images, coarse.shape, np.float32)
    smooth(coarse, inner, step.inner, WHOLE)
    _grow(inner, out, step, unfinished, subtract)


def _blocks(size: int, each: int) -> int:
    return -(-size // each)


def _grid(across: int, down: int, n: int) -> tuple[int, int, int]:
    return across, min(down, GRID), min(n, GRID)


def _arguments(taps: np.ndarray) -> list[float]:
    """Weights as arguments of a launch, as many as it takes."""
    return [*map(float, taps), *[0.0] * (LONGEST + 1 - len(taps))]


def _run(radius: int) -> int:
    """Pixels in a column that a thread sums."""
    return 16 if radius <= 4 else 8


def tiles(pixel: Any, shape: tuple[int, int, int], radius: int) -> tuple[tuple[int, int, int], int]:
    """The grid of tiles, and a thread for each run of their columns, borders in whole sectors."""
    n, h, w = shape
    side = SECTOR // np.dtype(pixel).itemsize
    threads = TILE_H // _run(radius) * (TILE_W + 2 * side * _blocks(radius, side))
    return _grid(_blocks(w, TILE_W), _blocks(h, TILE_H), n), threads


def _sum(images: Any, out: Any, taps: np.ndarray, subtract: bool) -> None:
    *outer, h, w = images.shape
    n, radius, deep = int(np.prod(outer)), len(taps) - 1, images.ndim == 4
    grid, threads = tiles(images.dtype, (n, h, w), radius)
    flat = empty(images, images.shape, np.float32) if deep else out
    tile = _narrow("gaussian_tile", images.dtype, flat.dtype, radius, subtract and not deep)
    tile(grid, threads, images, flat, n, h, w, *_arguments(taps))
    if deep:
        n, d = outer
        depth = _narrow("gaussian_depth", images.dtype, out.dtype, radius, subtract)
        grid = _grid(_blocks(h * w, THREADS), _blocks(d, _run(radius)), n)
        depth(grid, THREADS, flat, out, n, d, h * w, *_arguments(taps))


def _narrow(name: str, pixel: Any, result: Any, radius: int, subtract: bool) -> Function:
    how = {"SUBTRACT": 1} if subtract else {}
    return _source.function(name, PIXEL=pixel, RESULT=result, RADIUS=radius, **how)


def _wide(name: str, pixel: Any, result: Any, step: Pyramid, subtract: bool = False) -> Function:
    shrink, grow = _numbers(step.shrink_weights), _numbers(step.grow_weights.ravel())
    how: dict[str, Any] = {"SUBTRACT": 1} if subtract else {}
    how |= {"FACTOR": step.factor, "SHRINK": shrink, "GROW": grow}
    return _source.function(name, PIXEL=pixel, RESULT=result, **how)


def _numbers(values: Iterable[float]) -> str:
    """float32 numbers as C writes them, to the last bit."""
    return ",".join(f"{float(value).hex()}f" for value in values)


def _shrink(images: Any, step: Pyramid, unfinished: Any) -> Any:
    """The coarse images; `unfinished` becomes 1 where a pixel of an image is not finite."""
    *outer, h, w = images.shape
    n = int(np.prod(outer))
    rows = empty(images, (n, step.coarse(h), w), np.float32)
    grid = _grid(_blocks(w, THREADS), rows.shape[1], n)
    shrink = _wide("gaussian_shrink", images.dtype, np.float32, step)
    shrink(grid, THREADS, images, rows, n, h, w, rows.shape[1])
    coarse = empty(images, (n, step.coarse(h), step.coarse(w, SECTOR // 4)), np.float32)
    grid = _grid(_blocks(coarse.shape[2], SIFTED), coarse.shape[1], n)
    sift = _wide("gaussian_sift", images.dtype, np.float32, step)
    each = n // len(images)
    sift(grid, SIFTED, rows, coarse, unfinished, n, each, coarse.shape[1], w, coarse.shape[2])
    if len(outer) == 1:
        return coarse
    n, d = outer
    deep = empty(images, (n, step.coarse(d), *coarse.shape[1:]), np.float32)
    pixels = deep.shape[2] * deep.shape[3]
    grid = _grid(_blocks(pixels, THREADS), deep.shape[1], n)
    shrink = _wide("gaussian_shrink", np.float32, np.float32, step)
    shrink(grid, THREADS, coarse, deep, n, d, pixels, deep.shape[1])
    return deep


def _grow(coarse: Any, out: Any, step: Pyramid, unfinished: Any, subtract: bool) -> None:
    *outer, h, w = out.shape
    *_, coarse_h, coarse_w = coarse.shape
    if len(outer) == 2:
        n, d = outer
        slices = empty(out, (n, d, coarse_h, coarse_w), np.float32)
        pixels = coarse_h * coarse_w
        grid = _grid(_blocks(pixels, THREADS), _blocks(d, step.factor), n)
        deepen = _wide("gaussian_deepen", np.float32, np.float32, step)
        deepen(grid, THREADS, coarse, slices, n, coarse.shape[1], pixels, d)
        coarse = slices
    n = int(np.prod(outer))
    each = n // len(out)
    grid = _grid(_blocks(w, TILE_W), _blocks(h, TILE_H), n)
    grow = _wide("gaussian_grow", np.float32, out.dtype, step, subtract)
    grow(grid, THREADS, coarse, out, unfinished, n, each, coarse_h, coarse_w, h, w)
