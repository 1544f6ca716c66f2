"""Pixels to float32 and back, and a shared exponential: what most CPU kernels begin and end with.

The same functions stand in `_cuda.cuh`; they use only operations that IEEE 754 rounds in one way,
in the same order, so that both sides give the same bits.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ._cpu import compiled

_LOG2E = np.float32(1.44269504)
_LN2_HIGH = np.float32(0.693359375)  # few bits: its product with a small whole number is exact
_LN2_LOW = np.float32(-2.12194440e-4)
_ROUND = np.float32(12582912.0)  # 1.5 * 2**23: adding it leaves the whole part in the last bits
_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_BIAS = np.int32(127 - 0x4B400000)  # 0x4B400000: the bits of _ROUND


@compiled
def exp32(x):
    """e**x for float32, relative error below 2e-7; below -87 it stays at e**-87 (1.6e-38).

    x = n ln 2 + r with |r| <= ln 2 / 2;  e**x = 2**n (1 + r + r^2 (1/2 + r (1/6 + ...)))
    source  J.-M. Muller et al., Handbook of Floating-Point Arithmetic, 2018, section 10
    """
    x = min(max(x, _LOWEST), _HIGHEST) if x == x else x
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = (p * (r * r) + r) + np.float32(1.0)
    exponent = (np.float32(shifted).view(np.int32) + _BIAS) << np.int32(23)
    return p * np.int32(exponent).view(np.float32)


def to_pixel(value: Any, like: Any) -> Any:
    """float32 `value` as a pixel of the array `like`: integers to the nearest (ties to even),
    ends of the range where it is outside. For compiled code."""
    raise TypeError("to_pixel is for compiled code")


@overload(to_pixel, inline="never")
def _to_pixel(value, like):
    dtype = like.dtype
    if isinstance(dtype, types.Float):
        return lambda value, like: value
    low, high = np.float32(dtype.minval), np.float32(dtype.maxval)
    cast = getattr(np, str(dtype))

    def to_integer(value, like):
        value = min(max(value, low), high)
        return cast((value + _ROUND) - _ROUND)

    return to_integer


@compiled
def load_tile(tile, image, y, x):
    """tile[j, i] = image[y + j, x + i] as float32; outside the image its nearest pixel."""
    h, w = image.shape
    rows, columns = tile.shape
    first, last = min(max(x, 0), w - 1), max(min(x + columns, w), 1)
    left, right = first - x, last - x
    for j in range(rows):
        row, line = image[min(max(y + j, 0), h - 1)], tile[j]
        inside, middle = row[first:last], line[max(left, 0) : max(right, 0)]
        for i in range(len(middle)):
            middle[i] = np.float32(inside[i])
        for i in range(min(left, columns)):
            line[i] = np.float32(row[0])
        for i in range(max(right, 0), columns):
            line[i] = np.float32(row[w - 1])


@compiled
def load_block(block, volume, z, y, x):
    """block[k, j, i] = volume[z + k, y + j, x + i], likewise."""
    for k in range(block.shape[0]):
        load_tile(block[k], volume[min(max(z + k, 0), volume.shape[0] - 1)], y, x)


@compiled
def store_tile(image, y, x, tile):
    """image[y + j, x + i] = tile[j, i] as pixels, as far as the image goes."""
    h, w = image.shape
    rows, columns = min(tile.shape[0], h - y), min(tile.shape[1], w - x)
    for j in range(rows):
        row, line = image[y + j][x : x + columns], tile[j]
        for i in range(columns):
            row[i] = to_pixel(line[i], image)
