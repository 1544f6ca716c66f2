"""Filters of the wavelets: factors of Daubechies' half-band polynomial.

    P(z) = ((1 + z) / 2)^2n  Q(y),   Q(y) = sum_k C(n - 1 + k, k) y^k,   y = -(1 - z)^2 / 4z

A low-pass filter is a share of the zeros of P. Orthogonal wavelets take one of each pair z, 1/z:
those inside the unit circle (db), or those whose phase is closest to linear (sym). Biorthogonal
ones give some zeros to the analysis and the others to the synthesis, so that both are symmetric.
The coiflet has two zero moments of the wavelet and, about its centre, of the scaling function.

source  I. Daubechies, Ten lectures on wavelets, 1992, sections 6.1, 8.1.1, 8.2 and 8.3
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np

NAMES = ("haar", "db2", "db3", "db4", "db6", "db8", "sym4", "sym8", "bior2.2", "bior4.4", "coif1")


@dataclass(frozen=True)
class Bank:
    """A filter bank of even length L.

    low[k] = sum_j analysis[0, j] x[2 k + 1 - j],  high[k] likewise with analysis[1];
    x[n] = sum_k synthesis[0, n + L - 2 - 2 k] low[k] + synthesis[1, n + L - 2 - 2 k] high[k].
    """

    analysis: np.ndarray  # (2, L) float64
    synthesis: np.ndarray

    @property
    def length(self) -> int:
        return self.analysis.shape[1]


@functools.cache
def bank(name: str) -> Bank:
    """The filter bank of a wavelet of `NAMES`."""
    if name.startswith("bior"):
        synthesis, analysis = _biorthogonal(int(name[4]))
    else:
        synthesis = _orthogonal(name)
        analysis = synthesis[::-1]
    signs = (-1.0) ** np.arange(len(synthesis))
    return Bank(np.stack([analysis, -signs * synthesis]), np.stack([synthesis, signs * analysis]))


def _orthogonal(name: str) -> np.ndarray:
    """The synthesis low-pass filter of 2 n coefficients, of norm 1."""
    if name == "coif1":
        r = np.sqrt(7)
        return np.array([1 - r, 5 + r, 14 + 2 * r, 14 - 2 * r, 1 - r, -3 + r]) / (16 * np.sqrt(2))
    order = 1 if name == "haar" else int(name[2:] if name[:2] == "db" else name[3:])
    if name.startswith("sym"):
        taps = min(_choices(order), key=_bend)
        return taps if np.argmax(abs(taps)) >= order else taps[::-1]
    inside = [pair[0] for pair in _pairs(order)]
    return _filter(order, inside)


def _biorthogonal(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Synthesis and analysis low-pass filters with `order` zeros at -1 each, of even length.

    The synthesis filter gets the real zeros of Q above order 2, the analysis filter the others.
    """
    pairs = _pairs(order)
    real = [pair for pair in pairs if abs(pair[0].imag) < 1e-9 and order > 2]
    other = [pair for pair in pairs if pair not in real]
    short = _filter(order, [z for pair in real for z in pair])
    long = _filter(order, [z for pair in other for z in pair])
    length = len(long) + 1
    synthesis, analysis = np.zeros(length), np.zeros(length)
    analysis[1:] = long
    first = (len(long) - len(short)) // 2
    synthesis[first : first + len(short)] = short
    return synthesis, analysis


def _pairs(order: int) -> list[tuple[complex, complex]]:
    """The zeros z, 1/z of Q, the one inside the unit circle first."""
    ys = np.roots([comb(order - 1 + k, k) for k in range(order - 1, -1, -1)])
    zeros = [np.roots([1, 4 * y - 2, 1]) for y in ys.astype(complex)]
    ordered = [sorted(map(complex, pair), key=abs) for pair in zeros]
    return [(small, large) for small, large in ordered]


def _filter(order: int, zeros: list[complex]) -> np.ndarray:
    """Coefficients with these zeros and `order` at -1; their sum is the square root of 2."""
    taps = np.real(np.poly([-1.0] * order + zeros))
    return taps * (np.sqrt(2) / taps.sum())


def _choices(order: int) -> list[np.ndarray]:
    """All filters that take one zero of each pair, conjugates together; one of each mirror pair."""
    pairs = [pair for pair in _pairs(order) if pair[0].imag > -1e-9]
    found = []
    for choice in product((0, 1), repeat=len(pairs) - 1):
        zeros = []
        for pair, side in zip(pairs, (0, *choice), strict=True):
            zero = pair[side]
            zeros += [zero] if abs(zero.imag) < 1e-9 else [zero, zero.conjugate()]
        found.append(_filter(order, zeros))
    return found


def _bend(taps: np.ndarray) -> float:
    """How far the phase is from linear: its largest distance from a straight line."""
    w = np.linspace(0, 0.9 * np.pi, 256)
    phase = np.unwrap(np.angle(np.exp(-1j * np.outer(w, np.arange(len(taps)))) @ taps))
    return float(np.ptp(phase - np.polyval(np.polyfit(w, phase, 1), w)))
