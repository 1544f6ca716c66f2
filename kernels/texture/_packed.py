"""Colour images as images of one number a pixel: what crops and gathers grey values takes colours.

number = red + 256 green + 65536 blue        24 bits, which float32 holds
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._inner import inner
from .._threads import run

_source = _cuda.Cuda(__file__)

WORTH_A_THREAD = 1 << 16  # pixels
THREADS = 256


@compiled
def _pack(first, stop, colours, numbers):
    for k in range(first, stop):
        red, green, blue = colours[k, 0], colours[k, 1], colours[k, 2]
        numbers[k] = np.uint32(red) | np.uint32(green) << 8 | np.uint32(blue) << 16


@inner
def unpack(number):
    """Red, green and blue of a number, as indexes of a table."""
    whole = np.uint32(np.int32(number))
    return whole & np.uint32(255), whole >> np.uint32(8) & np.uint32(255), whole >> np.uint32(16)


def cpu_packed(images: np.ndarray) -> np.ndarray:
    """Images (n, h, w, 3) uint8 as (n, h, w) uint32."""
    numbers = np.empty(images.shape[:-1], np.uint32)
    run(_pack, numbers.size, images.reshape(-1, 3), numbers.reshape(-1), least=WORTH_A_THREAD)
    return numbers


def gpu_packed(images: Any) -> Any:
    """The same on the device."""
    numbers = _cuda.empty(images, images.shape[:-1], np.uint32)
    blocks = -(-numbers.size // THREADS)
    _source.function("pack")(blocks, THREADS, images, numbers, numbers.size)
    return numbers
