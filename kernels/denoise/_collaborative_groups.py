"""Groups of similar patches on the CPU: found, filtered, added up.

The memory of a group is (PATCH, members, PATCH) float32: row j of every member, one after the
other, so that the transform down the columns runs along memory.
"""

from functools import partial
from typing import Any

import numpy as np

from .._cpu import compiled

PATCH = 8  # side of a patch
BLOCK = 64  # reference patches of a row that are compared at a time
FRACTION = np.float32(65536.0)  # steps of a unit weight, and of a sigma, in the sums
LIMIT = np.float32(1 << 30)  # larger steps of noise are none: a sum of them might overflow
LARGEST = np.float32(3.0e38)  # of the steps in a grey level

_half_cosines = [np.float32(0.5 * np.cos(np.pi * k / 16)) for k in range(8)]
_, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = _half_cosines

# of compiled code for compiled code: without the entry from Python, which takes as long to compile
_inner: Any = partial(compiled, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_inner
def dct8(a, b, c, d, e, f, g, h):
    """The orthonormal cosine transform of eight numbers, or of eight arrays."""
    a, h = a + h, a - h
    b, g = b + g, b - g
    c, f = c + f, c - f
    d, e = d + e, d - e
    a, d = a + d, a - d
    b, c = b + c, b - c
    return (
        (a + b) * _C4,
        ((h * _C1 + g * _C3) + f * _C5) + e * _C7,
        d * _C2 + c * _C6,
        ((h * _C3 - g * _C7) - f * _C1) - e * _C5,
        (a - b) * _C4,
        ((h * _C5 - g * _C1) + f * _C7) + e * _C3,
        d * _C6 - c * _C2,
        ((h * _C7 - g * _C5) + f * _C3) - e * _C1,
    )


@_inner
def inverse_dct8(a, b, c, d, e, f, g, h):
    """Its inverse."""
    p, q = (a + e) * _C4, (a - e) * _C4
    r, s = c * _C2 + g * _C6, c * _C6 - g * _C2
    even0, even1, even2, even3 = p + r, q + s, q - s, p - r
    odd0 = ((b * _C1 + d * _C3) + f * _C5) + h * _C7
    odd1 = ((b * _C3 - d * _C7) - f * _C1) - h * _C5
    odd2 = ((b * _C5 - d * _C1) + f * _C7) + h * _C3
    odd3 = ((b * _C7 - d * _C5) + f * _C3) - h * _C1
    return (
        even0 + odd0,
        even1 + odd1,
        even2 + odd2,
        even3 + odd3,
        even3 - odd3,
        even2 - odd2,
        even1 - odd1,
        even0 - odd0,
    )


# ---- the similar patches


@_inner
def _compare(guide, y, dy, dx, columns, distances, o, sums):
    """distances[k, o] of the patches at (y, columns[k]) to those (dy, dx) away; infinite outside.

    The squares are added down the columns, then these sums in pairs: columns 0 to 7 as
    ((0+1)+(2+3)) + ((4+5)+(6+7)).
    """
    h, w = guide.shape
    start, stop = max(columns[0], -dx), min(columns[-1] + PATCH, w - dx)
    length = stop - start
    if 0 <= y + dy <= h - PATCH and length >= PATCH:
        for i in range(length):
            sums[i] = np.float32(0.0)
        for j in range(PATCH):
            here, there = guide[y + j][start:stop], guide[y + dy + j][start + dx : stop + dx]
            for i in range(length):
                apart = here[i] - there[i]
                sums[i] += apart * apart
        for shift in (1, 2, 4):
            ahead = sums[shift:]
            for i in range(length - shift):
                sums[i] += ahead[i]
    else:
        start = stop
    for k in range(columns.size):
        x = columns[k]
        inside = start <= x and x + PATCH <= stop
        distances[k, o] = sums[x - start] if inside else np.float32(np.inf)


@_inner
def _nearest(distances, centre, members, nearest):
    """The smallest of the distances in rising order, the patch itself first; how many there are.

    Equal distances keep their order; NaN and infinity are not among them.
    """
    members[0], nearest[0] = centre, distances[centre]
    if nearest[0] != 0:
        return 0
    most, kept = members.size, 1
    for m in range(1, most):
        nearest[m] = np.inf
    distances[centre] = np.inf
    worst = nearest[most - 1]
    for o in range(distances.size):
        distance = distances[o]
        if distance < worst:
            at = most - 1
            while at > 1 and nearest[at - 1] > distance:
                nearest[at], members[at] = nearest[at - 1], members[at - 1]
                at -= 1
            nearest[at], members[at] = distance, o
            worst = nearest[most - 1]
    while kept < most and nearest[kept] < np.inf:
        kept += 1
    return kept


# ---- a group


@_inner
def _gather(group, image, ys, xs, size):
    for m in range(size):
        for j in range(PATCH):
            row = image[ys[m] + j][xs[m] : xs[m] + PATCH]
            line = group[j, m]
            for i in range(PATCH):
                line[i] = row[i]


@_inner
def _across_members(group, size):
    """Sums and differences of members (Walsh-Hadamard, not normalised): its own inverse * size."""
    rows = group.reshape(PATCH, -1)
    step = 1
    while step < size:
        for j in range(PATCH):
            for first in range(0, size, 2 * step):
                line = rows[j][first * PATCH : (first + 2 * step) * PATCH]
                a, b = line[: step * PATCH], line[step * PATCH :]
                for i in range(step * PATCH):
                    p, q = a[i], b[i]
                    a[i], b[i] = p + q, p - q
        step *= 2


@_inner
def _forward(group, size):
    """The transform of the patches and across them."""
    _across_members(group, size)
    g = group.reshape(PATCH, -1)
    for i in range(size * PATCH):
        (g[0, i], g[1, i], g[2, i], g[3, i], g[4, i], g[5, i], g[6, i], g[7, i]) = dct8(
            g[0, i], g[1, i], g[2, i], g[3, i], g[4, i], g[5, i], g[6, i], g[7, i]
        )
    for j in range(PATCH):
        g = group[j]
        for m in range(size):
            (g[m, 0], g[m, 1], g[m, 2], g[m, 3], g[m, 4], g[m, 5], g[m, 6], g[m, 7]) = dct8(
                g[m, 0], g[m, 1], g[m, 2], g[m, 3], g[m, 4], g[m, 5], g[m, 6], g[m, 7]
            )


@_inner
def _backward(group, size):
    """The inverse of `_forward`, times size."""
    for j in range(PATCH):
        g = group[j]
        for m in range(size):
            (g[m, 0], g[m, 1], g[m, 2], g[m, 3], g[m, 4], g[m, 5], g[m, 6], g[m, 7]) = inverse_dct8(
                g[m, 0], g[m, 1], g[m, 2], g[m, 3], g[m, 4], g[m, 5], g[m, 6], g[m, 7]
            )
    g = group.reshape(PATCH, -1)
    for i in range(size * PATCH):
        (g[0, i], g[1, i], g[2, i], g[3, i], g[4, i], g[5, i], g[6, i], g[7, i]) = inverse_dct8(
            g[0, i], g[1, i], g[2, i], g[3, i], g[4, i], g[5, i], g[6, i], g[7, i]
        )
    _across_members(group, size)


@_inner
def _threshold(group, size, least):
    """Leaves the small coefficients, which are noise, and 0 for the others; how many others."""
    kept = 1
    mean = group[0, 0, 0]
    for j in range(PATCH):
        values = group[j].reshape(-1)[: size * PATCH]
        for i in range(values.size):
            large = values[i] * values[i] > least
            kept += large
            values[i] = np.float32(0.0) if large else values[i]
    kept -= mean * mean > least
    group[0, 0, 0] = np.float32(0.0)  # the mean of the group is no noise
    return kept * np.int64(FRACTION)


@_inner
def _wiener(group, pilot, size, noise):
    """Leaves of each coefficient the share of the noise in it; the sum of the squared gains."""
    gain = _gain(pilot[0, 0, 0], noise)
    kept = np.int64(FRACTION) - np.int64(gain * gain * FRACTION)
    group[0, 0, 0] = np.float32(0.0)  # the mean of the group is no noise
    for j in range(PATCH):
        values = group[j].reshape(-1)[: size * PATCH]
        clean = pilot[j].reshape(-1)[: size * PATCH]
        row = np.int32(0)
        for i in range(values.size):
            gain = _gain(clean[i], noise)
            row += np.int32(gain * gain * FRACTION)
            values[i] = values[i] * (np.float32(1.0) - gain)
        kept += row
    return max(kept, np.int64(FRACTION))


@_inner
def _gain(clean, noise):
    """Clean power / all power; 1 also where the power is too large for a number."""
    return np.float32(1.0) - noise / (clean * clean + noise)


@_inner
def _add(group, size, ys, xs, scale, weight, noise, weights):
    """Adds weight * steps of noise, whole numbers: the sums are the same in any order."""
    for m in range(size):
        for j in range(PATCH):
            line = group[j, m]
            sums = noise[ys[m] + j][xs[m] : xs[m] + PATCH]
            total = weights[ys[m] + j][xs[m] : xs[m] + PATCH]
            for i in range(PATCH):
                steps = line[i] * scale
                steps = steps if abs(steps) < LIMIT else np.float32(0.0)
                sums[i] += np.int64(np.int32(steps)) * np.int64(weight)
                total[i] += weight


# ---- images


@compiled
def some_bands(
    first, stop, odd, band, rows, columns, planes, guides, levels, noise, weights, reach, spacing,
    size, threshold, wiener,
):  # fmt: skip
    """Every second band of `band` rows of reference patches: no two of them add to one pixel.

    The patches lie at all (rows[..], columns[..]).
    """
    bands = (rows.size + band - 1) // band
    half = (bands + 1 - odd) // 2
    side = 2 * reach + 1
    distances = np.empty((BLOCK, side * side), np.float32)
    sums = np.empty(BLOCK * PATCH + PATCH, np.float32)
    nearest, members = np.empty(size, np.float32), np.empty(size, np.int64)
    ys, xs = np.empty(size, np.int64), np.empty(size, np.int64)
    group = np.empty((PATCH, size, PATCH), np.float32)
    pilot = np.empty((PATCH, size, PATCH), np.float32)
    for item in range(first, stop):
        image, top = item // half, (2 * (item % half) + odd) * band
        level = levels[image]
        variance = level * level
        if not 0 < variance < np.inf:
            continue
        plane, guide = planes[image], guides[image]
        for row in range(top, min(top + band, rows.size)):
            y = rows[row]
            for left in range(0, columns.size, BLOCK):
                block = columns[left : left + BLOCK]
                for o in range(side * side):
                    dy, dx = (o // side - reach) * spacing, (o % side - reach) * spacing
                    _compare(guide, y, dy, dx, block, distances, o, sums)
                for k in range(block.size):
                    count = _nearest(distances[k], side * side // 2, members, nearest)
                    if count == 0:
                        continue
                    many = 1
                    while 2 * many <= count:
                        many *= 2
                    for m in range(many):
                        ys[m] = y + (members[m] // side - reach) * spacing
                        xs[m] = block[k] + (members[m] % side - reach) * spacing
                    _gather(group, plane, ys, xs, many)
                    _forward(group, many)
                    if wiener:
                        _gather(pilot, guide, ys, xs, many)
                        _forward(pilot, many)
                        kept = _wiener(group, pilot, many, variance * np.float32(many))
                    else:
                        least = variance * np.float32(many) * (threshold * threshold)
                        kept = _threshold(group, many, least)
                    _backward(group, many)
                    scale = min(FRACTION / (level * np.float32(many)), LARGEST)
                    weight = np.int32(FRACTION * FRACTION / np.float32(kept))
                    _add(group, many, ys, xs, scale, weight, noise[image], weights[image])


@compiled
def clean(value, noise, weight, step):
    """A pixel without its mean noise; as it is where no patch holds it."""
    if weight == 0:
        return value
    return value - np.float32(noise) / np.float32(weight) * step
