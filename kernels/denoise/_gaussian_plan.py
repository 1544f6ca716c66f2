"""The numbers of a Gaussian: its weights, and how a wide one is made of three narrow ones.

A Gaussian of sigma < WIDE is summed as it stands. A wider one is taken apart: variances add up, so

    sigma^2 = (0.95 f)^2 + (f sigma')^2 + (0.95 f)^2

First blur with 0.95 f and keep every f-th pixel of each axis, then blur that coarse image with
sigma', then put the pixels back, blurring with 0.95 f again. A wave of 1 / f cycles a pixel, which
would look constant on the coarse grid, is left with exp(-2 (0.95 pi)^2) = 2e-8 of its height. Along
one axis all errors together are below 2e-6 of the largest pixel, and those of the impulse response
below 5e-6 of its peak. sigma' may be wide again.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

WIDE = 4.0  # from this sigma on the Gaussian is taken apart, and not cut off
WHOLE = 5.2  # beyond so many sigma lie 2e-7 of a Gaussian's weight: nothing
LONGEST = 24  # the largest radius: of sigma = WIDE, six sigma
EDGE = 5  # coarse pixels that a blur reaches; beyond the image all of them are the border's value
TAPS = 2 * EDGE  # coarse pixels that make one pixel
_SHARE = 0.95  # sigma of the first and the last blur, in coarse pixels


def reach(sigma: float, truncate: float) -> int:
    """Pixels to each side that a Gaussian is summed over."""
    return int(truncate * sigma + 0.5)


@cache
def weights(sigma: float, radius: int) -> np.ndarray:
    """float32 weights at distance 0 .. radius; those of both sides sum to one."""
    bell = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return (bell / (2 * bell.sum() - bell[0])).astype(np.float32)


class Pyramid(NamedTuple):
    """One step of a wide Gaussian: its factor f, and the sigma' of the coarse image."""

    factor: int
    inner: float

    @classmethod
    def of(cls, sigma: float) -> "Pyramid":
        """The largest f of 2, 4 and 8 that is at most sigma / 2: then sigma' > 1.4."""
        factor = 2 if sigma < 8 else 4 if sigma < 16 else 8
        return cls(factor, math.sqrt(sigma**2 - 2 * (_SHARE * factor) ** 2) / factor)

    def coarse(self, size: int, multiple: int = 1) -> int:
        """Samples of the coarse axis, at least; number m lies at pixel f (m - EDGE)."""
        samples = -(-(size - 1) // self.factor) + 2 * EDGE + 1
        return -(-samples // multiple) * multiple

    @property
    def shrink_weights(self) -> np.ndarray:
        """Of the first blur, at distance 0 .. 5 f."""
        return weights(_SHARE * self.factor, EDGE * self.factor)

    @property
    def grow_weights(self) -> np.ndarray:
        """(f, TAPS): pixel x from the coarse pixels x // f - 4 .. x // f + 5, one row for each
        x mod f"""
        return _grow_weights(self.factor)


@cache
def _grow_weights(factor: int) -> np.ndarray:
    phase, tap = np.arange(factor)[:, None], np.arange(TAPS)[None, :]
    distance = (tap - EDGE + 1) - phase / factor
    bell = np.exp(-0.5 * (distance / _SHARE) ** 2)
    return (bell / bell.sum(axis=1, keepdims=True)).astype(np.float32)
