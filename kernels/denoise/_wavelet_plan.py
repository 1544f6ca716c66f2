"""What both sides of the wavelet kernel share: sizes, filters, noise in each band, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import log, log2, prod
from typing import Any

import numpy as np

from .._wavelets import Bank, bank


@dataclass(frozen=True)
class Plan:
    """Sizes of all levels of one image, and the noise of each band for sigma 1.

    sizes   (levels + 1, axes): from the image to the coarsest level
    gains   (levels, bands); the last axis varies fastest in the number of a band, low is 0
    """

    bank: Bank
    sizes: tuple[tuple[int, ...], ...]
    gains: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, ...], wavelet: str, levels: int) -> Plan:
        chosen = bank(wavelet)
        most = int(log2(max(min(shape) / max(chosen.length - 1, 1), 1)))
        sizes = [shape]
        for _ in range(levels or max(most, 1)):
            sizes.append(tuple((n + chosen.length - 1) // 2 for n in sizes[-1]))
        return cls(chosen, tuple(sizes), gains(wavelet, len(sizes) - 1, len(shape)))

    @property
    def levels(self) -> int:
        return len(self.sizes) - 1

    def filters(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the low and the high coefficient; see `_wavelet_cpu`."""
        low, high = self.bank.analysis.astype(np.float32)
        return low, high

    def inverses(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the even and the odd sample: taps of low and high coefficients in turn."""
        taps = self.bank.synthesis.astype(np.float32).T[::-1]
        return taps[1::2].ravel(), taps[::2].ravel()


@cache
def gains(wavelet: str, levels: int, axes: int) -> np.ndarray:
    """The noise of each band of each level for white noise of standard deviation 1."""
    low, norms = np.ones(1), []
    for level in range(levels):
        taps = [np.zeros((bank(wavelet).length - 1) * 2**level + 1) for _ in range(2)]
        for kind in (0, 1):
            taps[kind][:: 2**level] = bank(wavelet).analysis[kind]
        high, low = np.convolve(taps[1], low), np.convolve(taps[0], low)
        norms.append((np.linalg.norm(low), np.linalg.norm(high)))
    found = np.array([[prod(norm) for norm in product(pair, repeat=axes)] for pair in norms])
    found.flags.writeable = False
    return found


def shifts(axes: int, cycle_spin: int) -> Iterator[tuple[int, ...]]:
    """By how many pixels the image is moved on each axis."""
    return product(range(cycle_spin), repeat=axes)


def visu(threshold: str, pixels: int) -> float:
    """How many sigmas the threshold is; 0 where it depends on the band."""
    return (2 * log(max(pixels, 2))) ** 0.5 if threshold == "visu" else 0.0


@dataclass(frozen=True)
class Setting:
    """The parameters, checked, for images of one shape."""

    shape: tuple[int, ...]
    wavelet: str
    levels: int
    factor: float
    hard: bool
    spin: int
    sigma: Any

    @classmethod
    def of(cls, images, *, wavelet, levels, threshold, mode, sigma, cycle_spin) -> Setting:
        shape = images.shape[1:]
        factor = visu(threshold, prod(shape))
        levels = levels or Plan.of(shape, wavelet, 0).levels
        return cls(shape, wavelet, levels, factor, mode == "hard", cycle_spin, sigma)

    def plan(self, shift: tuple[int, ...]) -> Plan:
        """For the image moved by `shift`."""
        shape = tuple(n + k for n, k in zip(self.shape, shift, strict=True))
        return Plan.of(shape, self.wavelet, self.levels)
