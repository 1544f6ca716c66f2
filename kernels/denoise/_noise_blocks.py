"""Blocks of 4 x 4 pixels, their coefficients, and what is read from them: noise on the CPU.

A block gives seven keys: |d| of its four quarters (d = a - b - c + e of 2 x 2 pixels), |d| of the
sums of the quarters, its mean, and how far its sum is from that of the next block (of every second
one). A key is a float32 as uint32 of the same order, so that a quantile is found bit by bit, by
counting; `MISSING` is above them all.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import ive

from .._cpu import compiled

MOST = 4096  # blocks an image: the standard error of a sigma is then below 1 %
FEW = 64  # blocks: with fewer the scales are not compared
FINE, COARSE, MEAN, WIDE, KEYS = 0, 4, 5, 6, 7  # where the keys of a block stand
MISSING = np.uint32(0xFFFFFFFF)
TOP = np.uint32(0x80000000)
HUGE = np.float32(1e38)
LANES = 128  # sums are kept in as many lanes, as on the GPU
BINS = 8

HALF, TENTH = np.float32(0.67448975), np.float32(1.6448536)  # |normal| is below in 50 and 90 %
COLOURED = np.float32(2.5)  # coarse against fine noise from which noise is taken for coloured
TAILS = np.float32(1.8)  # heavier tails of the coarse differences are structure, not noise
TAKEN = np.float32(1.4)  # of coloured noise, in coarse levels: what a denoiser must take off
SPREAD = np.float32(1.95)  # heavier tails of the wide differences: structure is in the coarse ones
EDGES = np.float32(1.5)  # heavier tails of the fine differences are edges
ROUNDS = 3  # of looking then at those below CUT sigma alone
CUT, INNER = np.float32(2.0), np.float32(0.63916)  # |normal| below CUT is below INNER in 50 %
RAYLEIGH = np.float32(1.9130584)  # mean over standard deviation where there is no signal
CENTRED = np.float32(1.7)  # below this ratio the image is no magnitude


@functools.cache
def koay() -> np.ndarray:
    """How much larger sigma is than the standard deviation of a Rician magnitude: 17 numbers.

    The k-th at mean / standard deviation = RAYLEIGH + (k / 8)^2; beyond the last it is 1.
    source  C. G. Koay, P. J. Basser, Analytically exact correction scheme, J Magn Reson 2006
    """
    signal = np.linspace(0, 12, 4000)
    z = signal**2 / 4
    mean = np.sqrt(np.pi / 2) * ((1 + 2 * z) * ive(0, z) + 2 * z * ive(1, z))
    deviation = np.sqrt(2 + signal**2 - mean**2)
    ratio = mean[0] / deviation[0] + (np.arange(17) / 8) ** 2
    factors = np.interp(ratio, mean / deviation, 1 / deviation).astype(np.float32)
    factors.flags.writeable = False
    return factors


def grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows of blocks that are looked at, and blocks in a row."""
    _, d, h, w = shape
    across, down = w // 4, d * (h // 4)
    return (min(down, max(1, MOST // across)), across) if across and down else (0, 0)


@compiled
def row_of(k, rows, total):
    """The k-th of `rows` rows out of `total`: one of each stratum, in step with nothing."""
    first, stop = k * total // rows, (k + 1) * total // rows
    return first + ((k * 40503 & 0xFFFF) * (stop - first) >> 16)


@compiled
def key_of(value):
    """The float32 `value` as uint32 of the same order; NaN and infinities are MISSING."""
    bits = np.float32(value).view(np.uint32)
    key = ~bits if bits & TOP else bits | TOP
    return key if abs(value) < np.inf else MISSING


@compiled
def value_of(key):
    """The float32 behind a key."""
    key = np.uint32(key)
    return np.uint32(key ^ TOP if key & TOP else ~key).view(np.float32)


@compiled
def some_keys(first, stop, volumes, masks, keys, rows, columns, flats, magnitude):
    """Keys of rows first .. stop - 1 of the batch: keys[image, (KEYS, block)].

    A constant block is missing: it is padding, or clipped. So is a constant quarter, unless
    `flats`, and a block with a pixel that is not finite or outside the mask. With `magnitude`, the
    mean of a block with a negative pixel is huge.
    """
    d, h = volumes.shape[1:3]
    block = np.empty((4, 4), np.float32)
    half = np.empty((2, 2), np.float32)
    size = keys.shape[1] // KEYS
    for item in range(first, stop):
        i, k = divmod(item, rows)
        z, y = divmod(row_of(k, rows, d * (h // 4)), h // 4)
        image, line, before = volumes[i][z], keys[i], np.float32(np.nan)
        for x in range(columns):
            lowest, highest, inside = np.float32(np.inf), np.float32(-np.inf), True
            for j in range(4):
                row = image[4 * y + j]
                for r in range(4):
                    value = np.float32(row[4 * x + r])
                    lowest, highest = min(lowest, value), max(highest, value)
                    inside &= abs(value) < np.inf
                    block[j, r] = value
            if masks.size:
                for j in range(4):
                    for r in range(4):
                        inside &= masks[i, z, 4 * y + j, 4 * x + r] != 0
            at = k * columns + x
            present = inside and lowest < highest
            for j in range(2):
                for r in range(2):
                    a, b = block[2 * j, 2 * r], block[2 * j, 2 * r + 1]
                    c, e = block[2 * j + 1, 2 * r], block[2 * j + 1, 2 * r + 1]
                    half[j, r] = (a + b) + (c + e)
                    seen = present and (flats or not (a == b and a == c and a == e))
                    line[(FINE + 2 * j + r) * size + at] = (
                        key_of(abs((a - b) - (c - e))) if seen else MISSING
                    )
            across, down = half[0, 0] - half[0, 1], half[1, 0] - half[1, 1]
            whole = (half[0, 0] + half[0, 1]) + (half[1, 0] + half[1, 1])
            mean = HUGE if magnitude and lowest < 0 else whole * np.float32(0.0625)
            line[COARSE * size + at] = key_of(abs(across - down)) if present else MISSING
            line[MEAN * size + at] = key_of(mean) if present else MISSING
            line[WIDE * size + at] = MISSING
            whole = whole if present else np.float32(np.nan)
            if x % 2:
                line[WIDE * size + at - 1] = key_of(abs(before - whole))
            before = whole


@compiled
def count_of(keys, limit):
    """How many keys are below the limit."""
    limit, count = np.uint32(limit), 0
    for k in range(keys.size):
        count += np.int32(keys[k] < limit)
    return count


@compiled
def key_of_rank(keys, rank):
    """The key with `rank` keys or more below or beside it: its bits from the top, by counting."""
    found = np.uint32(0)
    for bit in range(31, -1, -1):
        limit = np.uint32(found | np.uint32(1) << np.uint32(bit))
        if count_of(keys, limit) <= rank:
            found = limit
    return np.uint32(found)


@compiled
def quantile(keys, limit, tenths, step):
    """The value below which `tenths` of the keys under the limit lie.

    It lies between the steps of integer images.
    """
    count = count_of(keys, limit)
    if count == 0:
        return np.float32(0.0)
    key = key_of_rank(keys, (count - 1) * tenths // 10)
    below = count_of(keys, key)
    equal = count_of(keys, np.uint32(key + np.uint32(1))) - below
    place = (np.float32(count * tenths) / np.float32(10.0) - np.float32(below)) / np.float32(equal)
    value, place, step = value_of(key), min(place, np.float32(1.0)), np.float32(step)
    if value > 0:
        return value + step * (place - np.float32(0.5))
    return np.float32(0.5) * step * place


@compiled
def some_sigmas(first, stop, keys, factors, step, below, none, sigma):
    """Sigma of images first .. stop - 1; `none` without blocks.

    Where the mean is less than `below` times sigma, sigma is corrected for a Rician magnitude.
    """
    size, step = keys.shape[1] // KEYS, np.float32(step)
    for i in range(first, stop):
        line = keys[i]
        finer, coarser = line[: COARSE * size], line[COARSE * size : MEAN * size]
        blocks = count_of(coarser, MISSING)
        if blocks == 0:
            sigma[i] = none
            continue
        fine = quantile(finer, MISSING, 5, step) / (np.float32(2.0) * HALF)
        coarse = quantile(coarser, MISSING, 5, step) / (np.float32(4.0) * HALF)
        tails = quantile(coarser, MISSING, 9, step) / (np.float32(4.0) * TENTH)
        if blocks >= FEW and coarse > COLOURED * fine and tails < TAILS * coarse:
            sigma[i] = TAKEN * coarse * share(line[WIDE * size :], step)
        else:
            sigma[i] = inner(finer, fine, step)
        middle = quantile(line[MEAN * size : WIDE * size], MISSING, 5, np.float32(0.0))
        if CENTRED * sigma[i] <= middle < np.float32(below) * sigma[i]:
            sigma[i] *= koay_factor(middle / sigma[i], factors)


@compiled
def inner(keys, sigma, step):
    """Sigma of fine differences; where their tails are edges, of those below CUT sigma alone."""
    tails = quantile(keys, MISSING, 9, step) / (np.float32(2.0) * TENTH)
    if tails <= EDGES * sigma:
        return sigma
    for _ in range(ROUNDS):
        limit = key_of(CUT * (np.float32(2.0) * sigma))
        sigma = quantile(keys, limit, 5, step) / (np.float32(2.0) * INNER)
    return sigma


@compiled
def share(keys, step):
    """How much of the coarse level is noise: less where the wide differences have heavy tails."""
    middle = quantile(keys, MISSING, 5, step) * TENTH
    tails = quantile(keys, MISSING, 9, step) * HALF
    part = min(SPREAD * middle / tails, np.float32(1.0)) if tails > 0 else np.float32(1.0)
    return part * part


@compiled
def koay_factor(ratio, factors):
    """Linear between the entries of `koay`."""
    place = np.float32(8.0) * np.sqrt(max(ratio - RAYLEIGH, np.float32(0.0)))
    k = min(int(min(place, np.float32(16.0))), 15)
    part = min(place - np.float32(k), np.float32(1.0))
    return factors[k] + (factors[k + 1] - factors[k]) * part if place < 16 else np.float32(1.0)


# ---- gain and read noise: variance against mean, over eight groups of blocks of rising mean


@compiled
def some_gains(first, stop, keys, found):
    """found[image] = gain and read noise, NaN where there are too few blocks."""
    size = keys.shape[1] // KEYS
    edges = np.empty(BINS - 1, np.uint32)
    sums = np.empty((3, BINS, LANES), np.float32)
    means, variances = np.empty(BINS, np.float32), np.empty(BINS, np.float32)
    for i in range(first, stop):
        line = keys[i]
        middle = line[MEAN * size : WIDE * size]
        count = count_of(middle, MISSING)
        for b in range(BINS - 1):
            edges[b] = key_of_rank(middle, count * (b + 1) // BINS)
        sums[:] = 0
        for k in range(size):
            if middle[k] == MISSING:
                continue
            b = 0
            while b < BINS - 1 and middle[k] >= edges[b]:
                b += 1
            energy, lane = np.float32(0.0), k % LANES
            for quarter in range(4):
                d = value_of(line[quarter * size + k])
                energy += d * d
            sums[0, b, lane] += np.float32(1.0)
            sums[1, b, lane] += value_of(middle[k])
            sums[2, b, lane] += energy
        groups = 0
        for b in range(BINS):
            blocks = total(sums[0, b])
            if blocks > 0:
                means[groups] = total(sums[1, b]) / blocks
                variances[groups] = total(sums[2, b]) / (np.float32(16.0) * blocks)
                groups += 1
        fit(means[:groups], variances[:groups], found[i])


@compiled
def total(lanes):
    """Their sum, in the order of the GPU: halves of 32 lanes, then the groups of 32."""
    whole = np.float32(0.0)
    for warp in range(0, LANES, 32):
        half = lanes[warp : warp + 32].copy()
        step = 16
        while step > 0:
            for lane in range(step):
                half[lane] += half[lane + step]
            step //= 2
        whole = half[0] if warp == 0 else whole + half[0]
    return whole


@compiled
def fit(means, variances, found):
    """The line through the groups: weighted median of the slopes of all pairs, then of the rest."""
    groups = len(means)
    found[:] = np.nan
    if groups < 2:
        return
    pairs = groups * (groups - 1) // 2
    slopes, weights = np.empty(pairs, np.float32), np.empty(pairs, np.float32)
    at = 0
    for a in range(groups):
        for b in range(a + 1, groups):
            weights[at] = means[b] - means[a]
            slopes[at] = (variances[b] - variances[a]) / weights[at]
            at += 1
    gain = max(weighted_median(slopes, weights), np.float32(0.0))
    rest = variances - gain * means
    floor = weighted_median(rest, np.ones(groups, np.float32))
    found[0], found[1] = gain, np.sqrt(max(floor, np.float32(0.0)))


@compiled
def weighted_median(values, weights):
    """The least value that half of the weight does not exceed."""
    best = np.float32(np.inf)
    for a in range(len(values)):
        least, all_of_it = np.float32(0.0), np.float32(0.0)
        for b in range(len(values)):
            all_of_it += weights[b]
            if values[b] <= values[a]:
                least += weights[b]
        if least >= np.float32(0.5) * all_of_it and values[a] < best:
            best = values[a]
    return best
