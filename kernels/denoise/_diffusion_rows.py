"""Anisotropic diffusion on the CPU: several iterations, in place, row by row.

Iteration k + 1 follows iteration k one slice behind, so that the slices between them stay in the
cache. What flows through a face is computed once: when the pixel behind it changes, it is kept for
the pixel ahead. Each iteration has its own such memory, one slice large.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._cpu import compiled
from .._inner import inner
from .._pixels import exp32

LARGEST = np.float32(np.finfo(np.float32).max)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
FLAT = np.float32(0.0025)  # 0.05^2: below slopes of 0.05 kappa a level line has no direction


class Workspace(NamedTuple):
    """`kept` (iterations, ...): what flows through the faces between two slices (rows, columns), or
    for "curvature" three slices as they were, (3, rows, columns + 2). `lines`: scratch."""

    kept: np.ndarray
    lines: np.ndarray


def workspace(iterations: int, rows: int, columns: int, conductance: str) -> Workspace:
    """Memory for as many iterations on an image, or on a band of it; zero where it must be."""
    slices = (3, rows, columns + 2) if conductance == "curvature" else (rows, columns)
    kept = np.zeros((iterations, *slices), np.float32)
    return Workspace(kept, np.zeros((7, columns + 1), np.float32))


def advance(
    u: np.ndarray,
    work: Workspace,
    iterations: int,
    kappa: np.float32,
    conductance: str,
    step: np.float32,
) -> None:
    """Iterations on u (slices, rows, columns); nothing where kappa is not a positive number."""
    if not 0 < kappa <= LARGEST:
        return
    if conductance == "curvature":
        _curvature(u, *work, iterations, kappa, step)
    else:
        _perona_malik(u, *work, iterations, kappa, step, conductance == "rational")


@inner
def _difference(ahead, here):
    """Zero where one of the pixels is no number."""
    d = ahead - here
    return d if abs(d) <= LARGEST else ZERO


# ---- Perona and Malik


@compiled
def _perona_malik(u, flux, lines, iterations, kappa, step, rational):
    slices, rows, columns = u.shape
    scale = ONE / kappa
    along, through, inflow = lines[0], lines[1], lines[2]
    for front in range(slices + iterations - 1):
        for k in range(max(front - slices + 1, 0), min(front + 1, iterations)):
            m = front - k
            for j in range(rows):
                here = u[m, j]
                _along(along, inflow, here, scale, rational)
                if rows > 1:
                    ahead = u[m, min(j + 1, rows - 1)]
                    _through(through, inflow, here, ahead, scale, rational)
                _through(flux[k, j], inflow, here, u[min(m + 1, slices - 1), j], scale, rational)
                for i in range(columns):
                    here[i] += step * inflow[i]


@inner
def _flow(ahead, here, scale, rational):
    d = _difference(ahead, here)
    t = d * scale
    return d / (ONE + t * t) if rational else d * exp32(-(t * t))


@inner
def _along(flux, inflow, u, scale, rational):
    """flux[i] comes in from the left of pixel i: nothing at both ends."""
    w = len(u)
    left = flux[1:w]
    for i in range(w - 1):
        left[i] = _flow(u[i + 1], u[i], scale, rational)
    flux[w] = ZERO
    for i in range(w):
        inflow[i] = flux[i + 1] - flux[i]


@inner
def _through(flux, inflow, here, ahead, scale, rational):
    """Add what comes in from ahead and goes out behind; it then is what goes out ahead. At the last
    row or slice that is zero, as the next image wants it at its first."""
    for i in range(len(here)):
        new = _flow(ahead[i], here[i], scale, rational)
        inflow[i] += new - flux[i]
        flux[i] = new


# ---- curvature
#
# Slopes are central differences in units of kappa; that of a pixel that is no number is none. Rows
# of `old` have a pixel more at both ends: the nearest one again.


@compiled
def _curvature(u, old, lines, iterations, kappa, step):
    slices = len(u)
    for front in range(slices + iterations - 1):
        for k in range(max(front - slices + 1, 0), min(front + 1, iterations)):
            m = front - k
            if m == 0:
                _keep(old[k, 0], u[0])
            if m + 1 < slices:
                _keep(old[k, (m + 1) % 3], u[m + 1])
            now = old[k, m % 3]
            before = old[k, (m + 2) % 3] if m else now
            after = old[k, (m + 1) % 3] if m + 1 < slices else now
            for j in range(len(now)):
                _curvature_row(u[m, j], before, now, after, j, lines, kappa, step)


@inner
def _keep(copy, u):
    rows, w = u.shape
    for j in range(rows):
        source, line = u[j], copy[j]
        inside = line[1:]
        for i in range(w):
            inside[i] = source[i]
        line[0], line[w + 1] = source[0], source[w - 1]


@inner
def _curvature_row(out, before, now, after, j, lines, kappa, step):
    """One row; `before`, `now` and `after` are slices as they were."""
    rows, w = len(now), len(out)
    half, scale = HALF / kappa, ONE / kappa
    squares, change, ahead, behind = lines[0][:w], lines[1][:w], lines[2][:w], lines[3][:w]
    x, r, s = lines[4][:w], lines[5][:w], lines[6][:w]
    row, up, down = now[j], now[max(j - 1, 0)], now[min(j + 1, rows - 1)]
    left, here, right = row[:w], row[1:], row[2:]

    _slope(x, left, here, right, half)
    _slope(s, before[j][1:], here, after[j][1:], half)
    for i in range(w):
        squares[i], change[i] = x[i] * x[i], ZERO
    if rows > 1:
        _slope(r, up[1:], here, down[1:], half)
        _add_square(squares, r)
    _add_square(squares, s)

    _add_second(change, squares, x, left, here, right, scale)
    if rows > 1:
        _add_second(change, squares, r, up[1:], here, down[1:], scale)
    _add_second(change, squares, s, before[j][1:], here, after[j][1:], scale)

    if rows > 1:
        _slope(behind, up, up[1:], up[2:], half)
        _slope(ahead, down, down[1:], down[2:], half)
        _add_mixed(change, x, r, behind, ahead)
    _slope(behind, before[j], before[j][1:], before[j][2:], half)
    _slope(ahead, after[j], after[j][1:], after[j][2:], half)
    _add_mixed(change, x, s, behind, ahead)
    if rows > 1:
        above, below = max(j - 1, 0), min(j + 1, rows - 1)
        _slope(behind, before[above][1:], before[j][1:], before[below][1:], half)
        _slope(ahead, after[above][1:], after[j][1:], after[below][1:], half)
        _add_mixed(change, r, s, behind, ahead)
    _move(out, here, squares, change, step * kappa)


@inner
def _slope(g, behind, here, ahead, half):
    for i in range(len(g)):
        d = _difference(ahead[i], here[i]) + _difference(here[i], behind[i])
        g[i] = half * d + (here[i] - here[i])


@inner
def _add_square(squares, g):
    for i in range(len(squares)):
        squares[i] += g[i] * g[i]


@inner
def _add_second(change, squares, g, behind, here, ahead, scale):
    for i in range(len(change)):
        d = _difference(ahead[i], here[i]) - _difference(here[i], behind[i])
        change[i] += scale * d * (squares[i] - g[i] * g[i])


@inner
def _add_mixed(change, a, b, behind, ahead):
    """2 a b times the derivative of a along b, from its values behind and ahead."""
    for i in range(len(change)):
        d = _difference(ahead[i], a[i]) + _difference(a[i], behind[i])
        change[i] -= a[i] * b[i] * d


@inner
def _move(out, here, squares, change, step):
    for i in range(len(out)):
        d = step * (change[i] / (squares[i] + FLAT) * exp32(-squares[i]))
        out[i] = here[i] + (d if abs(d) <= LARGEST else ZERO)
