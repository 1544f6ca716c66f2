"""What follows from the counts of a 2D region: moments, axes, convex hull, Feret's diameters.

Central moments are integers about the pixel nearest below the centre, so that nothing cancels; the
hull is exact in doubled coordinates (`_outline.py`).
"""

import numpy as np

from .._cpu import compiled
from ._outline import chain, clear, polygon, widen

COUNTS = (
    *("1", "y", "x", "yy", "yx", "xx", "yyy", "yyx", "yxx", "xxx"),  # sums over the pixels
    *("straight", "diagonal", "mixed"),  # pixels of the outline
    *("one", "three", "opposed"),  # squares of four pixels: how many of them are inside
)
FLAT = 1e-12  # a variance that much smaller than the other is rounding and counts as 0
SIDE = 8192  # of a box whose third moments fit 64 bits


@compiled
def central(counts, mu):
    """mu = mu_20, mu_11, mu_02, mu_30, mu_21, mu_12, mu_03 from the sums over the pixels.

    Sums may have overflown: they are exact modulo 2^64, and so are those about the centre.
    """
    n = counts[0]
    b, a = counts[1] // n, counts[2] // n
    y, x = counts[1] - b * n, counts[2] - a * n
    yy = counts[3] - 2 * b * counts[1] + b * b * n
    yx = counts[4] - a * counts[1] - b * counts[2] + a * b * n
    xx = counts[5] - 2 * a * counts[2] + a * a * n
    yyy = counts[6] - 3 * b * counts[3] + 3 * b * b * counts[1] - b * b * b * n
    yyx = counts[7] - a * counts[3] - 2 * b * counts[4]
    yyx += 2 * a * b * counts[1] + b * b * counts[2] - a * b * b * n
    yxx = counts[8] - b * counts[5] - 2 * a * counts[4]
    yxx += 2 * a * b * counts[2] + a * a * counts[1] - a * a * b * n
    xxx = counts[9] - 3 * a * counts[5] + 3 * a * a * counts[2] - a * a * a * n
    v, u = y / n, x / n  # what the centre is beyond (b, a)
    mu[0] = yy - v * y
    mu[1] = yx - v * x
    mu[2] = xx - u * x
    mu[3] = yyy - 3.0 * v * yy + 2.0 * v * v * y
    mu[4] = yyx - 2.0 * v * yx - u * yy + 2.0 * v * v * x
    mu[5] = yxx - 2.0 * u * yx - v * xx + 2.0 * u * u * y
    mu[6] = xxx - 3.0 * u * xx + 2.0 * u * u * x


@compiled
def add_axes(mu, area, out):
    """Lengths of the axes, eccentricity, orientation."""
    total, difference, mixed = mu[0] + mu[2], mu[0] - mu[2], 2.0 * mu[1]
    spread = np.sqrt(difference * difference + mixed * mixed)
    large, small = (total + spread) / 2.0 / area, (total - spread) / 2.0 / area
    if small <= FLAT * large:
        small = 0.0
    out[0] = 4.0 * np.sqrt(large)
    out[1] = 4.0 * np.sqrt(small)
    out[2] = np.sqrt(1.0 - small / large) if large > 0.0 else 0.0
    mixed = mixed if abs(mixed) > FLAT * total else 0.0  # pi / 2 and -pi / 2 are one orientation
    out[3] = np.arctan2(mixed, difference) / 2.0 if spread > FLAT * total else 0.0


@compiled
def add_hu(mu, area, out):
    """Hu's seven invariants."""
    second, third = area**2.0, area**2.5
    s, d, n = (mu[0] + mu[2]) / second, (mu[0] - mu[2]) / second, mu[1] / second
    a, b = (mu[3] + mu[5]) / third, (mu[4] + mu[6]) / third
    c, e = (mu[3] - 3.0 * mu[5]) / third, (3.0 * mu[4] - mu[6]) / third
    out[0] = s
    out[1] = d * d + 4.0 * n * n
    out[2] = c * c + e * e
    out[3] = a * a + b * b
    out[4] = c * a * (a * a - 3.0 * b * b) + e * b * (3.0 * a * a - b * b)
    out[5] = d * (a * a - b * b) + 4.0 * n * a * b
    out[6] = e * a * (a * a - 3.0 * b * b) - c * b * (3.0 * a * a - b * b)


@compiled
def fill(bound, sense, kept, ends):
    """ends[y] = the last pixel of row y on this side of the hull whose chain bounds the region."""
    size = chain(bound, sense, kept)
    for k in range(size - 1):
        i, j = kept[k], kept[k + 1]
        for at in range(i + (i + 1) % 2, j + 1, 2):  # rows of pixels have odd numbers
            value = bound[i] * (j - i) + (bound[j] - bound[i]) * (at - i)
            ends[at // 2] = -((-sense * value) // (2 * (j - i))) * sense


@compiled
def feret(corners, size):
    """The greatest and the least width of a convex polygon in doubled coordinates."""
    greatest, least = np.int64(0), np.inf
    for i in range(size):
        j = (i + 1) % size
        y, x = corners[j, 0] - corners[i, 0], corners[j, 1] - corners[i, 1]
        far = np.int64(0)
        for k in range(size):
            v, u = corners[k, 0] - corners[i, 0], corners[k, 1] - corners[i, 1]
            greatest = max(greatest, v * v + u * u)
            far = max(far, abs(y * u - x * v))
        least = min(least, far / np.sqrt(np.float64(y * y + x * x)))
    return np.sqrt(np.float64(greatest)) / 2.0, least / 2.0


@compiled
def add_hull(first, last, out):
    """Convex area, and Feret's diameters of the convex pixels."""
    rows = first.size
    low, high = np.empty(2 * rows + 1, np.int64), np.empty(2 * rows + 1, np.int64)
    kept = np.empty(2 * rows + 1, np.int64)
    corners = np.empty((4 * rows + 2, 2), np.int64)
    left, right = np.full(rows, 1, np.int32), np.full(rows, 0, np.int32)
    clear(low, high)
    widen(first, last, 1, low, high)
    fill(low, 1, kept, left)
    fill(high, -1, kept, right)
    pixels = 0
    for y in range(rows):
        pixels += right[y] - left[y] + 1
    clear(low, high)
    widen(left, right, 1, low, high)
    out[0] = pixels
    out[2], out[3] = feret(corners, polygon(low, high, kept, corners))


@compiled
def add_box(first, last, top, left, out):
    """Bounding box in the image."""
    y0, y1, x0, x1 = first.size, 0, np.int64(1) << 40, np.int64(0)
    for y in range(first.size):
        if first[y] <= last[y]:
            y0, y1 = min(y0, y), y + 1
            x0, x1 = min(x0, np.int64(first[y])), max(x1, np.int64(last[y]) + 1)
    out[0], out[1], out[2], out[3] = top + y0, left + x0, top + y1, left + x1


@compiled
def measure_outlines(start, stop, table, starts, counts, ends, values):
    """The features of regions start .. stop - 1; see `FEATURES` for their order."""
    mu, out = np.empty(7), np.empty(values.shape[1])
    for k in range(start, stop):
        found = counts[k]
        if found[0] == 0:
            values[k] = np.nan
            continue
        area = np.float64(found[0])
        first, last = ends[0, starts[k] : starts[k + 1]], ends[1, starts[k] : starts[k + 1]]
        around = found[10] + np.sqrt(2.0) * found[11] + (1.0 + np.sqrt(2.0)) / 2.0 * found[12]
        add_box(first, last, table[k, 4], table[k, 6], out[13:])
        central(found, mu)
        add_axes(mu, area, out[5:])
        add_hull(first, last, out[9:])
        add_hu(mu, area, out[18:])
        height, width = out[15] - out[13], out[16] - out[14]
        if max(height, width) > SIDE:
            out[18:] = np.nan
        out[0], out[1] = area, around
        out[2] = np.sqrt(4.0 * area / np.pi)
        out[3] = area / (height * width)
        out[4] = 4.0 * np.pi * area / (around * around) if around > 0.0 else np.nan
        out[10] = area / out[9]
        out[17] = (found[13] - found[14] - 2 * found[15]) / 4.0
        for f in range(out.size):
            values[k, f] = out[f]
