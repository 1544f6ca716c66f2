"""One level of the wavelet transform and its inverse on the CPU, in bands of rows.

All four passes (rows or columns, forth or back) are the same sum over pairs of rows:

    p = sum_m F[2m] A_m + F[2m + 1] B_m,    q = sum_m G[2m] A_m + G[2m + 1] B_m

Forth, p and q are a low and a high coefficient, A and B the odd and even samples; back, p and q are
an even and an odd sample, A and B low and high coefficients. The sum runs over m in order and over
whole rows at once, so that it vectorises, and the GPU gives the same bits.
"""

from __future__ import annotations

import numpy as np

from .._cpu import compiled
from .._pixels import store_tile

LANES = 32  # of a sum of squares: as a warp adds
ROWS = 32  # coefficients of a band: its tile stays in the second cache
NOTHING = np.float32(3e38)  # a threshold that leaves nothing


@inner
def add_pairs(p, q, rows, at, beside, step, f, g):
    """The sum with A_m from rows[at + step * m] on, and B_m from `beside` it, for a whole row."""
    n, terms = p.size, f.size // 2
    for i in range(n):
        p[i] = q[i] = np.float32(0.0)
    for m in range(0, terms - 1, 2):  # two at a time: half the traffic of p and q
        j, then = 2 * m, at + step
        a, b = rows[at : at + n], rows[at + beside : at + beside + n]
        c, d = rows[then : then + n], rows[then + beside : then + beside + n]
        f0, f1, f2, f3 = f[j], f[j + 1], f[j + 2], f[j + 3]
        g0, g1, g2, g3 = g[j], g[j + 1], g[j + 2], g[j + 3]
        for i in range(n):
            p[i] = (((p[i] + f0 * a[i]) + f1 * b[i]) + f2 * c[i]) + f3 * d[i]
            q[i] = (((q[i] + g0 * a[i]) + g1 * b[i]) + g2 * c[i]) + g3 * d[i]
        at += 2 * step
    if terms % 2:
        a, b = rows[at : at + n], rows[at + beside : at + beside + n]
        f0, f1, g0, g1 = f[-2], f[-1], g[-2], g[-1]
        for i in range(n):
            p[i] = (p[i] + f0 * a[i]) + f1 * b[i]
            q[i] = (q[i] + g0 * a[i]) + g1 * b[i]


@compiled
def reflected(i, n):
    """c b a | a b c d | d c b: the index that stands for i."""
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


@compiled
def place(i, n, shift):
    """Where the pixel i of an axis of n, moved by `shift` and then mirrored, comes from."""
    return reflected(reflected(i, n + shift) - shift, n)


@compiled
def load_moved(tile, image, y, x, shift):
    """tile[j, i] = pixel (y + j, x + i) of the moved image; 0 where it is not finite."""
    h, w = image.shape
    rows, columns = tile.shape
    left = min(max(shift[2] - x, 0), columns)
    right = max(min(shift[2] + w - x, columns), left)
    start = x + left - shift[2]
    for j in range(rows):
        row, line = image[place(y + j, h, shift[1])], tile[j]
        for i in range(left):
            line[i] = known(row[place(x + i, w, shift[2])])
        inside = row[start : start + right - left]
        middle = line[left:right]
        for i in range(middle.size):
            middle[i] = known(inside[i])
        for i in range(right, columns):
            line[i] = known(row[place(x + i, w, shift[2])])


@compiled
def known(pixel):
    """As float32, 0 where it is not finite."""
    value = np.float32(pixel)
    return value if abs(value) < np.inf else np.float32(0.0)


@compiled
def energy(row, lanes):
    """Sum of squares in the order of a warp."""
    lanes[:] = 0
    whole = row.size // LANES * LANES
    for start in range(0, whole, LANES):
        part = row[start : start + LANES]
        for i in range(LANES):
            lanes[i] += part[i] * part[i]
    for i in range(row.size - whole):
        lanes[i] += row[whole + i] * row[whole + i]
    return tree(lanes)


@compiled
def tree(lanes):
    """Their sum, halves onto halves."""
    step = LANES // 2
    while step > 0:
        for i in range(step):
            lanes[i] += lanes[i + step]
        step //= 2
    return lanes[0]


@compiled
def forth(tile, bands, energies, y, f, g, work, lanes):
    """Rows of the four bands from y on, and the energy of each, from the tile under them."""
    half = f.size // 2
    low, high, odd, even = work[0], work[1], work[2], work[3]
    for k in range(min(ROWS, bands.shape[1] - y)):
        across_rows(low, high, tile, 2 * k + f.size - 1, np.int64(-2), f, g)
        for v in range(2):
            row = low if v == 0 else high
            for i in range(row.size // 2):
                even[i], odd[i] = row[2 * i], row[2 * i + 1]
            p, q = bands[2 * v, y + k], bands[2 * v + 1, y + k]
            along_rows(p, q, odd, even, half - 1, np.int64(-1), f, g)
            energies[2 * v, y + k] = energy(p, lanes)
            energies[2 * v + 1, y + k] = energy(q, lanes)


@compiled
def shrink(row, source, limit, hard):
    """row = source, shrunk by `limit`, or 0 below it if `hard`."""
    if hard:
        for i in range(row.size):
            row[i] = source[i] if abs(source[i]) >= limit else np.float32(0.0)
    else:
        for i in range(row.size):
            row[i] = max(source[i] - limit, np.float32(0.0)) + min(
                source[i] + limit, np.float32(0.0)
            )


@compiled
def back(tile, bands, limits, hard, y, f, g, rows, work):
    """tile = rows 2 y .. of what the four bands, shrunk, came from."""
    half, n = f.size // 2, tile.shape[1] // 2
    pairs = tile.shape[0] // 2
    low, high, even, odd = work[0], work[1], work[2][:n], work[3][:n]
    columns = bands.shape[2]
    for k in range(min(pairs + half - 1, bands.shape[1] - y)):
        for v in range(2):
            shrink(low[:columns], bands[2 * v, y + k], limits[2 * v], hard)
            shrink(high[:columns], bands[2 * v + 1, y + k], limits[2 * v + 1], hard)
            along_rows(even, odd, low, high, np.int64(0), np.int64(1), f, g)
            row = rows[2 * k + v]
            for i in range(n):
                row[2 * i], row[2 * i + 1] = even[i], odd[i]
    for k in range(min(pairs, bands.shape[1] - half + 1 - y)):
        across_rows(tile[2 * k], tile[2 * k + 1], rows, 2 * k, np.int64(2), f, g)


@compiled
def some_forth(first, stop, planes, bands, energies, shift, f, g):
    """Rows first .. stop - 1, in bands: planes (d, h, w), moved -> bands (d, 4, h', w')."""
    _, _, h, w = bands.shape
    down = (h + ROWS - 1) // ROWS
    width = 2 * w + f.size - 2
    tile = np.empty((2 * ROWS + f.size - 2, width), np.float32)
    work, lanes = np.empty((4, width), np.float32), np.empty(LANES, np.float32)
    for item in range(first, stop):
        z, y = item // down, item % down * ROWS
        plane = planes[place(z, planes.shape[0], shift[0])]
        load_moved(tile, plane, 2 * y + 2 - f.size, 2 - f.size, shift)
        forth(tile, bands[z], energies[z], y, f, g, work, lanes)


@compiled
def some_back(first, stop, bands, limits, hard, planes, f, g):
    """Rows first .. stop - 1, in bands: bands (d, 4, h', w'), shrunk -> planes (d, h, w)."""
    _, h, w = planes.shape
    half, down = f.size // 2, (h + 2 * ROWS - 1) // (2 * ROWS)
    width = w + w % 2
    tile = np.empty((2 * ROWS, width), np.float32)
    rows = np.empty((2 * (ROWS + half - 1), width), np.float32)
    work = np.empty((4, max(width, bands.shape[3])), np.float32)
    for item in range(first, stop):
        z, y = item // down, item % down * ROWS
        back(tile, bands[z], limits, hard, y, f, g, rows, work)
        store_tile(planes[z], 2 * y, 0, tile[:, :w])


@compiled
def some_forth_deep(first, stop, planes, bands, energies, f, g):
    """Lines first .. stop - 1 along z: planes (d, 4, h, w) -> bands (2, 4, d', h, w)."""
    d, _, h, w = planes.shape
    deep = bands.shape[2]
    tile, lanes = np.empty((2 * deep + f.size - 2, w), np.float32), np.empty(LANES, np.float32)
    for item in range(first, stop):
        b, y = item // h, item % h
        for j in range(tile.shape[0]):
            tile[j] = planes[reflected(j + 2 - f.size, d), b, y]
        for k in range(deep):
            p, q = bands[0, b, k, y], bands[1, b, k, y]
            across_rows(p, q, tile, 2 * k + f.size - 1, np.int64(-2), f, g)
            energies[0, b, k, y], energies[1, b, k, y] = energy(p, lanes), energy(q, lanes)


@compiled
def some_back_deep(first, stop, bands, limits, hard, planes, f, g):
    """Lines first .. stop - 1 along z: bands (2, 4, d', h, w), shrunk -> planes (d, 4, h, w)."""
    d, _, h, w = planes.shape
    deep = bands.shape[2]
    rows, pair = np.empty((2 * deep, w), np.float32), np.empty((2, w), np.float32)
    for item in range(first, stop):
        b, y = item // h, item % h
        for k in range(deep):
            for v in range(2):
                shrink(rows[2 * k + v], bands[v, b, k, y], limits[4 * v + b], hard)
        for k in range((d + 1) // 2):
            across_rows(pair[0], pair[1], rows, 2 * k, np.int64(2), f, g)
            planes[2 * k, b, y] = pair[0]
            if 2 * k + 1 < d:
                planes[2 * k + 1, b, y] = pair[1]


@compiled
def limits_of(energies, count, sigmas, factor, limits):
    """The threshold of each band but the first, which stays as it is.

    energies (bands, rows), `count` coefficients a band; `sigmas` the noise in each band; with a
    `factor` above 0 (VisuShrink) the threshold is that many sigmas, else BayesShrink's.
    """
    lanes = np.empty(LANES, np.float32)
    limits[0] = 0
    for b in range(1, energies.shape[0]):
        noise = sigmas[b] * sigmas[b]
        if factor > 0:
            limits[b] = np.float32(factor) * sigmas[b]
            continue
        lanes[:] = 0
        for r in range(energies.shape[1]):
            lanes[r % LANES] += energies[b, r]
        signal = tree(lanes) / np.float32(count) - noise
        limits[b] = noise / np.sqrt(signal) if signal > 0 else NOTHING


@compiled
def some_shares(first, stop, sums, count, out):
    """Rows first .. stop - 1 of out = sums / count, as pixels."""
    for r in range(first, stop):
        for x in range(sums.shape[1]):
            sums[r, x] /= np.float32(count)
    store_tile(out[first:stop], 0, 0, sums[first:stop])


@compiled
def some_missing(first, stop, images, out):
    """Rows first .. stop - 1: pixels that are not finite pass through."""
    for r in range(first, stop):
        row, line = images[r], out[r]
        for x in range(row.size):
            line[x] = line[x] if abs(row[x]) < np.inf else row[x]
