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
from .._inner import inner
from .._pixels import store_tile
from ._wavelet_vector import sum_pairs

LANES = 32  # of a sum of squares: as a warp adds
ROWS = 32  # coefficients of a band: its tile stays in the second cache
NOTHING = np.float32(3e38)  # a threshold that leaves nothing
# Numbers with a type: for a plain one Numba would compile a version of its own.
START, NEXT, BEFORE = np.int64(0), np.int64(1), np.int64(-1)


@inner
def add_pairs(p, q, rows, at, beside, step, f, g):
    """The sum with A_m from rows[at + step * m] on, and B_m from `beside` it, for a whole row."""
    sum_pairs(p, q, rows, at, beside, step, f, g)


@inner
def reflected(i, n):
    """c b a | a b c d | d c b: the index that stands for i."""
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


@inner
def place(i, n, shift):
    """Where the pixel i of an axis of n, moved by `shift` and then mirrored, comes from."""
    return reflected(reflected(i, n + shift) - shift, n)


@inner
def load_moved(tile, image, y, x, shift):
    """tile[j, i] = pixel (y + j, x + i) of the moved image; 0 where it is not finite."""
    h, w = image.shape
    rows, columns = tile.shape
    left = min(max(shift[2] - x, 0), columns)
    right = max(min(shift[2] + w - x, columns), left)
    start = x + left - shift[2]
    for j in range(rows):
        row, line = image[place(y + j, h, shift[1])], tile[j]
        inside, middle = row[start : start + right - left], line[left:right]
        for i in range(middle.size):
            middle[i] = known(inside[i])
        for k in range(columns - middle.size):
            i = k if k < left else k + middle.size
            line[i] = known(row[place(x + i, w, shift[2])])


@inner
def known(pixel):
    """As float32, 0 where it is not finite."""
    value = np.float32(pixel)
    return value if abs(value) < np.inf else np.float32(0.0)


@inner
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


@inner
def tree(lanes):
    """Their sum, halves onto halves."""
    step = LANES // 2
    while step > 0:
        for i in range(step):
            lanes[i] += lanes[i + step]
        step //= 2
    return lanes[0]


@inner
def forth(memory, width, bands, energies, y, f, g, lanes):
    """Rows of the four bands from y on, and the energy of each, from the tile under them.

    memory  rows of `width` pixels: the tile, then low, high, odd and even
    """
    work = memory.size - 4 * width
    odd, even = memory[work + 2 * width :], memory[work + 3 * width :]
    half = f.size // 2
    for k in range(min(ROWS, bands.shape[1] - y)):
        low, high = memory[work : work + width], memory[work + width : work + 2 * width]
        at = (2 * k + f.size - 1) * width
        add_pairs(low, high, memory, at, -width, -2 * width, f, g)
        for v in range(2):
            row = memory[work + v * width : work + (v + 1) * width]
            for i in range(width // 2):
                even[i], odd[i] = row[2 * i], row[2 * i + 1]
            p, q = bands[2 * v, y + k], bands[2 * v + 1, y + k]
            add_pairs(p, q, memory, work + 2 * width + half - 1, width, BEFORE, f, g)
            energies[2 * v, y + k] = energy(p, lanes)
            energies[2 * v + 1, y + k] = energy(q, lanes)


@inner
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


@inner
def back(tile, bands, limits, hard, y, f, g, rows, work):
    """tile = rows 2 y .. of what the four bands, shrunk, came from."""
    half, n = f.size // 2, tile.shape[1] // 2
    pairs = tile.shape[0] // 2
    even, odd = tile[0][:n], tile[0][n:]
    columns = bands.shape[2]
    low, high = work[:columns], work[columns:]
    for k in range(min(pairs + half - 1, bands.shape[1] - y)):
        for v in range(2):
            shrink(low, bands[2 * v, y + k], limits[2 * v], hard)
            shrink(high, bands[2 * v + 1, y + k], limits[2 * v + 1], hard)
            add_pairs(even, odd, work, START, columns, NEXT, f, g)
            row = rows[(2 * k + v) * 2 * n :]
            for i in range(n):
                row[2 * i], row[2 * i + 1] = even[i], odd[i]
    for k in range(min(pairs, bands.shape[1] - half + 1 - y)):
        add_pairs(tile[2 * k], tile[2 * k + 1], rows, 4 * k * n, 2 * n, 4 * n, f, g)


@compiled
def some_forth(first, stop, planes, bands, energies, top, shift, f, g):
    """Bands of rows first .. stop - 1: planes (d, h, w), moved -> rows from `top` on of the
    coefficients, bands (d, 4, rows, w')."""
    _, _, h, w = bands.shape
    down = (h + ROWS - 1) // ROWS
    high, width = 2 * ROWS + f.size - 2, 2 * w + f.size - 2
    memory, lanes = np.empty((high + 4) * width, np.float32), np.empty(LANES, np.float32)
    tile = memory[: high * width].reshape((high, width))
    for item in range(first, stop):
        z, y = item // down, item % down * ROWS
        plane = planes[place(z, planes.shape[0], shift[0])]
        load_moved(tile, plane, 2 * (top + y) + 2 - f.size, 2 - f.size, shift)
        forth(memory, width, bands[z], energies[z], y, f, g, lanes)


@compiled
def some_back(first, stop, bands, limits, hard, planes, top, f, g):
    """Bands of rows first .. stop - 1: rows from `top` on of the coefficients, bands
    (d, 4, rows, w'), shrunk -> planes (d, h, w)."""
    _, h, w = planes.shape
    half = f.size // 2
    down = (bands.shape[2] - half + ROWS) // ROWS
    width = w + w % 2
    tile = np.empty((2 * ROWS, width), np.float32)
    rows = np.empty(2 * (ROWS + half - 1) * width, np.float32)
    work = np.empty(2 * bands.shape[3], np.float32)
    for item in range(first, stop):
        z, y = item // down, item % down * ROWS
        back(tile, bands[z], limits, hard, y, f, g, rows, work)
        for j in range(min(2 * ROWS, 2 * (bands.shape[2] - half + 1 - y), h - 2 * (top + y))):
            row, line = planes[z, 2 * (top + y) + j], tile[j]
            for i in range(w):
                row[i] = line[i]


@compiled
def some_forth_deep(first, stop, planes, bands, energies, top, f, g):
    """Lines first .. stop - 1 along z: planes (d, 4, rows, w) -> rows from `top` on of bands
    (2, 4, d', h, w)."""
    d, _, h, w = planes.shape
    deep, high = bands.shape[2], 2 * bands.shape[2] + f.size - 2
    memory, lanes = np.empty(high * w, np.float32), np.empty(LANES, np.float32)
    for item in range(first, stop):
        b, y = item // h, item % h
        for j in range(high):
            line, row = memory[j * w :], planes[reflected(j + 2 - f.size, d), b, y]
            for i in range(w):
                line[i] = row[i]
        y += top
        for k in range(deep):
            p, q = bands[0, b, k, y], bands[1, b, k, y]
            add_pairs(p, q, memory, (2 * k + f.size - 1) * w, -w, -2 * w, f, g)
            energies[0, b, k, y], energies[1, b, k, y] = energy(p, lanes), energy(q, lanes)


@compiled
def some_back_deep(first, stop, bands, limits, hard, planes, top, f, g):
    """Lines first .. stop - 1 along z: rows from `top` on of bands (2, 4, d', h, w), shrunk ->
    planes (d, 4, rows, w)."""
    d, _, h, w = planes.shape
    deep = bands.shape[2]
    rows, beyond = np.empty(2 * deep * w, np.float32), np.empty(w, np.float32)
    for item in range(first, stop):
        b, y = item // h, item % h
        for j in range(2 * deep):
            row = rows[j * w : (j + 1) * w]
            shrink(row, bands[j % 2, b, j // 2, top + y], limits[4 * (j % 2) + b], hard)
        for k in range((d + 1) // 2):
            odd = planes[2 * k + 1, b, y] if 2 * k + 1 < d else beyond
            add_pairs(planes[2 * k, b, y], odd, rows, 2 * k * w, w, 2 * w, f, g)


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
