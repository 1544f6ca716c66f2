"""Analysis filters of orthogonal wavelets, low-pass and high-pass, of norm 1.

    high[k] = (-1)^(k+1) low[L-1-k]

source  I. Daubechies, Ten lectures on wavelets, 1992, section 6.1 (db) and section 8.2 (coif)
"""

from __future__ import annotations

import functools
from math import comb, sqrt

import numpy as np

NAMES = ("haar", "db2", "db3", "db4", "coif1")


@functools.cache
def analysis(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Low-pass and high-pass filter, of even length."""
    if name == "coif1":
        low = _coiflet()
    else:
        low = _daubechies(1 if name == "haar" else int(name[2:]))[::-1]
    signs = (-1.0) ** np.arange(1, len(low) + 1)
    return low, signs * low[::-1]


def _daubechies(n: int) -> np.ndarray:
    """n zeros at -1, and of each pair z, 1/z of zeros of Q the one inside the unit circle.

    Q(y) = sum_k C(n - 1 + k, k) y^k,  y = -(1 - z)^2 / 4z
    """
    ys = np.roots([comb(n - 1 + k, k) for k in range(n - 1, -1, -1)])
    pairs = [np.roots([1, 4 * y - 2, 1]) for y in ys.astype(complex)]
    inside = [min(pair, key=abs) for pair in pairs]
    taps = np.real(np.poly([-1.0] * n + inside))
    return taps * (sqrt(2) / taps.sum())


def _coiflet() -> np.ndarray:
    """Six taps; the wavelet and, about its centre, the scaling function have two zero moments."""
    r = sqrt(7)
    taps = np.array([1 - r, 5 + r, 14 + 2 * r, 14 - 2 * r, 1 - r, -3 + r])
    return taps[::-1] / (16 * sqrt(2))
