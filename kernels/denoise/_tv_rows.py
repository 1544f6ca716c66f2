"""Total variation on the CPU: several primal-dual iterations, in place, row by row, and the gap.

Iteration k + 1 follows iteration k one slice behind, so that the slices between them stay in the
cache. Arrays are (slices, rows, columns + 1); r, p along the rows, is None for images (one row a
slice), and the code for it is then not compiled.
"""

import numpy as np

from .._cpu import compiled
from .._inner import inner

LARGEST = np.float32(np.finfo(np.float32).max)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
UNIT = 256  # of the gap that a pixel may have: integers add up alike in any order
MOST = np.float32(2.0**35)  # units of a pixel: above it an image of 2^27 pixels goes on


@compiled
def advance(f, u, v, x, r, s, first, stop, steps, sigma, strength, gap, isotropic):
    """The iterations `steps`; the gap of slices first .. stop - 1."""
    slices, rows, stride = f.shape
    weight = strength * sigma
    if not ZERO < weight <= LARGEST:
        return 0
    scratch = np.zeros((3, stride), np.float32)
    for front in range(slices + len(steps) - 1):
        for k in range(max(front - slices + 1, 0), min(front + 1, len(steps))):
            dual, primal, extra = steps[k]
            for j in range(rows):
                m = front - k
                _ascend(v, x, r, s, m, j, dual / weight, isotropic, scratch[0])
                _inflow(scratch[1], x, r, s, m, j, scratch[2])
                _descend(u[m, j], v[m, j], f[m, j], scratch[1], weight, primal, extra)
    unit = np.float32(UNIT) / (gap * sigma * sigma)
    total = 0
    for m in range(first, stop):
        for j in range(rows):
            total += _gap(u, f, x, r, s, m, j, weight, unit, isotropic, scratch[2])
    return total


@inner
def _ascend(v, x, r, s, m, j, dual, isotropic, squares):
    """A row of p goes a step up the gradient of v and back into the ball, or the cube."""
    slices, rows, stride = v.shape
    w = stride - 1
    here = v[m, j]
    here[w] = here[w - 1]
    right, below = here[1:], v[min(m + 1, slices - 1), j]
    p, q = x[m, j][1:], s[m, j]
    if not isotropic:
        _climb_cube(p, here, right, dual)
        if r is not None:
            _climb_cube(r[m, j], here, v[m, min(j + 1, rows - 1)], dual)
        _climb_cube(q, here, below, dual)
    elif r is None:
        _climb_disk(p, q, here, right, below, dual)
    else:
        for i in range(w):
            squares[i] = ZERO
        _climb(p, squares, here, right, dual)
        _climb(r[m, j], squares, here, v[m, min(j + 1, rows - 1)], dual)
        _climb(q, squares, here, below, dual)
        _to_ball(p, r[m, j], q, squares)


@inner
def _difference(ahead, here):
    d = ahead - here
    return d if abs(d) <= LARGEST else ZERO


@inner
def _climb_cube(p, v, ahead, dual):
    for i in range(len(v) - 1):
        p[i] = min(max(p[i] + dual * _difference(ahead[i], v[i]), -ONE), ONE)


@inner
def _climb_disk(p, q, v, right, below, dual):
    for i in range(len(v) - 1):
        a = p[i] + dual * _difference(right[i], v[i])
        b = q[i] + dual * _difference(below[i], v[i])
        factor = ONE / max(np.sqrt(a * a + b * b), ONE)
        p[i], q[i] = a * factor, b * factor


@inner
def _climb(p, squares, v, ahead, dual):
    for i in range(len(v) - 1):
        a = p[i] + dual * _difference(ahead[i], v[i])
        p[i] = a
        squares[i] += a * a


@inner
def _to_ball(p, r, q, squares):
    for i in range(len(p)):
        factor = ONE / max(np.sqrt(squares[i]), ONE)
        p[i] *= factor
        r[i] *= factor
        q[i] *= factor


@inner
def _inflow(d, x, r, s, m, j, nothing):
    """D'p of a row; `nothing` comes in across the edge."""
    p, before = x[m, j], s[m - 1, j] if m else nothing
    if r is None:
        _add_up(d, p, p[1:], before, s[m, j])
    else:
        _add_up(d, p, p[1:], r[m, j - 1] if j else nothing, r[m, j])
        _add_on(d, before, s[m, j])


@inner
def _add_up(d, left, p, above, q):
    for i in range(len(p)):
        d[i] = (left[i] - p[i]) + (above[i] - q[i])


@inner
def _add_on(d, before, s):
    for i in range(len(d) - 1):
        d[i] += before[i] - s[i]


@inner
def _descend(u, v, f, inflow, weight, primal, extra):
    share = ONE / (ONE + primal)
    for i in range(len(u) - 1):
        new = (u[i] + primal * (f[i] - weight * inflow[i])) * share
        v[i] = new + extra * (new - u[i])
        u[i] = new


@inner
def _gap(u, f, x, r, s, m, j, weight, unit, isotropic, nothing):
    """The gap of a row, in units."""
    slices, rows, stride = u.shape
    here = u[m, j]
    here[stride - 1] = here[stride - 2]
    right, below = here[1:], u[min(m + 1, slices - 1), j]
    left, p, q, before = x[m, j], x[m, j][1:], s[m, j], s[m - 1, j] if m else nothing
    source, o, above, under = f[m, j], nothing, nothing, nothing
    if r is not None:
        o, above, under = r[m, j], r[m, j - 1] if j else nothing, u[m, min(j + 1, rows - 1)]
    total = 0
    for i in range(stride - 1):
        d = _difference(right[i], here[i])
        length, product, inflow = d * d if isotropic else abs(d), d * p[i], left[i] - p[i]
        if r is not None:
            d = _difference(under[i], here[i])
            length += d * d if isotropic else abs(d)
            product += d * o[i]
            inflow += above[i] - o[i]
        d = _difference(below[i], here[i])
        length += d * d if isotropic else abs(d)
        product += d * q[i]
        inflow += before[i] - q[i]
        rest = (here[i] - source[i]) + weight * inflow
        length = np.sqrt(length) if isotropic else length
        part = (HALF * rest * rest + weight * (length - product)) * unit
        part = part if part > ZERO else ZERO  # also where a pixel is no number
        total += np.int64(min(part, MOST))
    return total
