"""The sums over a lesion and its rims; all are integers, so that their order does not matter.

The centroid is a whole number and a fraction (row `b` + v, column `a` + u), wherever the region
lies; the major axis is given by the cosine and sine of its angle and of twice that angle, so that
square roots and quotients, which every machine rounds alike, are all that it takes.
"""

import numpy as np

from .._cpu import compiled
from .._inner import inner
from .._regions import ANY
from ._lesion_features import (
    AREA,
    COLOURS,
    FAR,
    FOLDED,
    FROM,
    FROM_SQUARED,
    HALVES,
    HIGHEST,
    OUTLINE,
    PLACE,
    SECTORS,
    SKIN,
    SQUARES,
    SUMS,
    UNIT,
)
from ._shape2d_features import FLAT

SKIN_KIND, INSIDE, OTHER = 0, 1, 2  # kinds of pixels: around the region, of it, of another one
INNER_RIM, OUTER_RIM = 1, 2  # bits: within the rim's width of a pixel outside, of one inside

# white, red, light brown, dark brown, blue-grey, black: R, G, B of 8 bits
PROTOTYPES = np.array(
    [(197, 188, 217), (118, 21, 17), (163, 82, 16), (135, 44, 5), (113, 108, 139), (41, 31, 30)],
    np.int64,
)


@inner
def cover(labels, box, frame, kinds):
    """kinds of the pixels of a frame y0, y1, x0, x1; row y is number y - y0 + 1, 0 around it."""
    y0, y1, x0, x1 = frame
    label = box[1]
    kinds[0], kinds[y1 - y0 + 1] = np.uint8(SKIN_KIND), np.uint8(SKIN_KIND)
    for y in range(y0, y1):
        row = kinds[y - y0 + 1]
        row[0] = row[x1 - x0 + 1] = np.uint8(SKIN_KIND)
        for x in range(x0, x1):
            if labels.size == 0:
                kind = np.uint8(box[4] <= y < box[5] and box[6] <= x < box[7])
            else:
                found = labels[y, x]
                own = found != 0 if label == ANY else found == label
                kind = np.uint8(INSIDE) if own else np.uint8(OTHER if found > 0 else SKIN_KIND)
            row[x - x0 + 1] = kind


@inner
def axes(kinds, h, w, sums):
    """Fills the area and the places; returns b, a, v, u, cos, sin, cos of twice it, sin of it."""
    n, y1, x1, yy, yx, xx = 0, 0, 0, 0, 0, 0
    for y in range(h):
        row, here, along, squares = kinds[y + 1], 0, 0, 0
        for x in range(w):
            inside = np.int64(row[x + 1] == INSIDE)
            here += inside
            along += inside * x
            squares += inside * x * x
        n, y1, x1 = n + here, y1 + here * y, x1 + along
        yy, yx, xx = yy + here * y * y, yx + along * y, xx + squares
    sums[AREA], sums[PLACE], sums[PLACE + 1] = n, y1, x1
    if n == 0:
        return 0, 0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0
    b, a = y1 // n, x1 // n
    y, x = y1 - b * n, x1 - a * n
    v, u = y / n, x / n
    mu_yy = (yy - 2 * b * y1 + b * b * n) - v * y
    mu_yx = (yx - a * y1 - b * x1 + a * b * n) - v * x
    mu_xx = (xx - 2 * a * x1 + a * a * n) - u * x
    difference, mixed, total = mu_yy - mu_xx, 2.0 * mu_yx, mu_yy + mu_xx
    spread = np.sqrt(difference * difference + mixed * mixed)
    cos2, sin2 = 1.0, 0.0
    if spread > FLAT * total:
        cos2, sin2 = difference / spread, mixed / spread
    cos, sin = np.sqrt(max(1.0 + cos2, 0.0) / 2.0), np.sqrt(max(1.0 - cos2, 0.0) / 2.0)
    return b, a, v, u, cos, (-sin if sin2 < 0.0 else sin), cos2, sin2


@inner
def stamp(y, x, h, w, rim, half, bit, near):
    """Sets a bit on the pixels within the rim's width of (y, x)."""
    for j in range(max(y - rim, 0), min(y + rim + 1, h)):
        reach, row = half[abs(j - y)], near[j]
        for i in range(max(x - reach, 0), min(x + reach + 1, w)):
            row[i] |= bit


@inner
def add_outline(kinds, h, w, b, a, v, u, rim, half, near, sums):
    """Marks both rims, and adds the distances of the outline from the centroid."""
    near[:h, :w] = np.uint8(0)
    for y in range(h):
        above, row, below = kinds[y], kinds[y + 1], kinds[y + 2]
        for x in range(1, w + 1):
            around = (
                np.int64(above[x] == INSIDE) + np.int64(below[x] == INSIDE)
                + np.int64(row[x - 1] == INSIDE) + np.int64(row[x + 1] == INSIDE)
            )  # fmt: skip
            if row[x] != INSIDE:
                if around > 0:
                    stamp(y, x - 1, h, w, rim, half, np.uint8(INNER_RIM), near)
            elif around < 4:
                stamp(y, x - 1, h, w, rim, half, np.uint8(OUTER_RIM), near)
                j, i = y - b, x - 1 - a
                dy, dx = j - v, i - u
                sums[OUTLINE] += 1
                sums[FAR] += np.int64(np.sqrt(dy * dy + dx * dx) * UNIT + 0.5)
                sums[FROM] += j
                sums[FROM + 1] += i
                sums[FROM_SQUARED] += j * j + i * i


@inner
def nearest(red, green, blue):
    """The number of the prototype that is nearest to a colour of 8 bits; the first of equals."""
    best, least = 0, 1 << 30
    for c in range(6):
        r, g, b = red - PROTOTYPES[c, 0], green - PROTOTYPES[c, 1], blue - PROTOTYPES[c, 2]
        square = r * r + g * g + b * b
        if square < least:
            best, least = c, square
    return best


@inner
def is_inside(b, a, y, x, h, w, kinds):
    """Whether the region has the pixel at (b + y, a + x), rounded; 0.5 goes up."""
    j, i = b + np.int64(np.floor(y + 0.5)), a + np.int64(np.floor(x + 0.5))
    return 0 <= j < h and 0 <= i < w and kinds[j + 1, i + 1] == INSIDE


@inner
def add_half(side, pixels, sums):
    """Adds a pixel to the half on its side of an axis; on the axis it is in neither."""
    if side != 0.0:
        to = 0 if side > 0.0 else 4
        sums[to] += 1
        for c in range(3):
            sums[to + 1 + c] += pixels[c]


@inner
def add_pixels(image, frame, kinds, near, at, shift, sums):
    """Adds every pixel of the region, and of the skin around it."""
    h, w = frame[1] - frame[0], frame[3] - frame[2]
    b, a, v, u, cos, sin, cos2, sin2 = at
    pixels = np.empty(3, np.int64)
    for y in range(h):
        dy = (y - b) - v
        for x in range(w):
            kind, rims = kinds[y + 1, x + 1], near[y, x]
            if kind != INSIDE and (kind == OTHER or rims & OUTER_RIM == 0):
                continue
            for c in range(3):
                pixels[c] = image[frame[0] + y, frame[2] + x, c]
            dx = (x - a) - u
            along, across = cos * dy + sin * dx, cos * dx - sin * dy
            bright = pixels[0] + pixels[1] + pixels[2]
            sector = SECTORS + 4 * (4 * (along < 0.0) + 2 * (across < 0.0)
                                    + (abs(across) > abs(along)))  # fmt: skip
            if kind != INSIDE:
                sums[SKIN] += 1
                for c in range(3):
                    sums[SKIN + 1 + c] += pixels[c]
                sums[sector + 2] += 1
                sums[sector + 3] += bright
                continue
            if rims & INNER_RIM:
                sums[sector] += 1
                sums[sector + 1] += bright
            for c in range(3):
                sums[SUMS + c] += pixels[c]
                sums[SQUARES + c] += pixels[c] * pixels[c]
                sums[HIGHEST + c] = max(sums[HIGHEST + c], pixels[c])
            sums[COLOURS + nearest(pixels[0] >> shift, pixels[1] >> shift, pixels[2] >> shift)] += 1
            add_half(across, pixels, sums[HALVES:])
            add_half(along, pixels, sums[HALVES + 8 :])
            my, mx = cos2 * dy + sin2 * dx, sin2 * dy - cos2 * dx
            sums[FOLDED] += is_inside(b, a, v + my, u + mx, h, w, kinds)
            sums[FOLDED + 1] += is_inside(b, a, v - my, u - mx, h, w, kinds)


@compiled
def add_up(start, stop, images, labels, table, rim, shift, totals):
    """The sums of regions start .. stop - 1.

    images  (n, h, w, 3); labels (n, h, w), or of size 0; table: that of `Regions`
    shift   bits of a value below the 8 that name its colour; totals int64 (m, TOTAL)
    """
    tall, wide = 0, 0
    for k in range(start, stop):
        tall = max(tall, table[k, 5] - table[k, 4] + 2 * rim)
        wide = max(wide, table[k, 7] - table[k, 6] + 2 * rim)
    kinds = np.empty((tall + 2, wide + 2), np.uint8)
    near = np.empty((tall, wide), np.uint8)
    half = np.empty(rim + 1, np.int64)
    for k in range(rim + 1):
        half[k] = np.int64(np.sqrt(np.float64(rim * rim - k * k)))
    for k in range(start, stop):
        box, sums = table[k], totals[k]
        image, own = images[box[0]], labels[box[0] if labels.size else 0]
        frame = (max(box[4] - rim, 0), min(box[5] + rim, image.shape[0]),
                 max(box[6] - rim, 0), min(box[7] + rim, image.shape[1]))  # fmt: skip
        h, w = frame[1] - frame[0], frame[3] - frame[2]
        sums[:] = 0
        cover(own, box, frame, kinds)
        at = axes(kinds, h, w, sums)
        if sums[AREA]:
            add_outline(kinds, h, w, at[0], at[1], at[2], at[3], rim, half, near, sums)
            add_pixels(image, frame, kinds, near, at, shift, sums)
