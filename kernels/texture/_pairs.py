"""Pairs of intensities of one object, one from each of two channels: sums, ranks, Costes' search.

    sums of f(a_k, b_k)     256 sums of every 256th pair, then a tree over these: see _values.py
    dense rank of a value   how many different values of the object are less
    Costes' search          the least threshold below which the channels correlate

`colocalisation.cu` is the twin: the same operations in the same order.
"""

import numpy as np

from .._cpu import compiled
from .._inner import inner
from ._values import LANES, fold

N, A, B, AA, BB, AB = range(6)  # sums over pairs: 1, a, b, a a, b b, a b
DIGITS, DIGIT_BITS = 256, 8
FLAT = 1e-13  # a variance that much smaller than the square of the mean is rounding, and none
TURNS = 256  # of Costes' search, at most


# ---- sums


@compiled
def sums(first, second, sign, low, high, origin, found):
    """found[N .. AB] over the pairs with sign a < low or sign b < high, a and b from `origin`."""
    lanes = np.zeros((6, LANES))
    for start in range(0, first.size, LANES):
        one, other = first[start : start + LANES], second[start : start + LANES]
        for x in range(one.size):
            a, b = np.float64(one[x]), np.float64(other[x])
            keep = np.float64((sign * a < low) | (sign * b < high))
            a, b = keep * (a - origin[0]), keep * (b - origin[1])
            lanes[N, x] += keep
            lanes[A, x] += a
            lanes[B, x] += b
            lanes[AA, x] += a * a
            lanes[BB, x] += b * b
            lanes[AB, x] += a * b
    for k in range(6):
        found[k] = fold(lanes[k])


@inner
def covariance(found):
    """n^2 times the covariance."""
    return found[N] * found[AB] - found[A] * found[B]


@inner
def variance(found, channel):
    """n^2 times the variance of channel A or B; 0 where all its values are alike."""
    squares = found[N] * found[AA - A + channel]
    spread = squares - found[channel] * found[channel]
    return spread if spread > FLAT * squares else 0.0


@compiled
def shares(first, second, low, high, above_low, above_high, found):
    """found[:5] = sums of a >= low and of b >= high; of a and of b where a >= above_low and
    b >= above_high; and how many these are."""
    lanes = np.zeros((5, LANES))
    for start in range(0, first.size, LANES):
        one, other = first[start : start + LANES], second[start : start + LANES]
        for x in range(one.size):
            a, b = np.float64(one[x]), np.float64(other[x])
            both = np.float64((a >= above_low) & (b >= above_high))
            lanes[0, x] += a * np.float64(a >= low)
            lanes[1, x] += b * np.float64(b >= high)
            lanes[2, x] += a * both
            lanes[3, x] += b * both
            lanes[4, x] += both
    for k in range(5):
        found[k] = fold(lanes[k])


@compiled
def products(first, second, ranks, low, high, most, found):
    """found[:5] = sums of a a, b b, a b, w a and w b where a >= low and b >= high.

    w = 1 - |difference of the ranks| / most
    """
    lanes = np.zeros((5, LANES))
    for start in range(0, first.size, LANES):
        one, other = first[start : start + LANES], second[start : start + LANES]
        rank, beside = ranks[0, start : start + LANES], ranks[1, start : start + LANES]
        for x in range(one.size):
            a, b = np.float64(one[x]), np.float64(other[x])
            both = np.float64((a >= low) & (b >= high))
            a, b = a * both, b * both
            weight = np.float64(most - abs(rank[x] - beside[x])) / np.float64(most)
            lanes[0, x] += a * a
            lanes[1, x] += b * b
            lanes[2, x] += a * b
            lanes[3, x] += a * weight
            lanes[4, x] += b * weight
    for k in range(5):
        found[k] = fold(lanes[k])


# ---- ranks


@inner
def dense_ranks(values, sorting, ranks):
    """ranks[k] = how many different values are less than value k; returns the greatest rank.

    Sorted by the digits of their bits, the lowest first (Knuth 1998, Algorithm 5.2.5 R); a digit
    that is the same in all values is passed over.
    """
    counts, pairs, spare = np.zeros((4, DIGITS), np.int32), sorting[0], sorting[1]
    for k in range(values.size):
        bits = values.view(np.uint32)[k]
        key = bits ^ (np.uint32(0xFFFFFFFF) if bits >> np.uint32(31) else np.uint32(0x80000000))
        pairs[k] = np.uint64(key) << np.uint64(32) | np.uint64(k)
        for digit in range(4):
            counts[digit, (key >> np.uint32(DIGIT_BITS * digit)) & np.uint32(DIGITS - 1)] += 1
    for digit in range(4):
        shift = np.uint64(32 + DIGIT_BITS * digit)
        of_digit, mask = counts[digit], np.uint64(DIGITS - 1)
        if of_digit[(pairs[0] >> shift) & mask] == values.size:
            continue
        before = 0
        for k in range(DIGITS):
            of_digit[k], before = before, before + of_digit[k]
        for k in range(values.size):
            place = (pairs[k] >> shift) & mask
            spare[of_digit[place]] = pairs[k]
            of_digit[place] += 1
        pairs, spare = spare, pairs
    rank, before = np.int32(0), pairs[0] >> np.uint64(32)
    for k in range(values.size):
        key = pairs[k] >> np.uint64(32)
        rank += np.int32(key != before)
        before = key
        ranks[pairs[k] & np.uint64(0xFFFFFFFF)] = rank
    return rank


# ---- Costes' thresholds


@inner
def line(found, origin):
    """Slope and intercept of the orthogonal regression b = slope a + intercept; NaN if none."""
    of_a, of_b, both = variance(found, A), variance(found, B), covariance(found)
    if found[N] < 3.0 or of_a == 0.0 or of_b == 0.0 or abs(both) <= FLAT * max(of_a, of_b):
        return np.nan, np.nan
    more = of_b - of_a
    slope = (more + np.sqrt(more * more + 4.0 * (both * both))) / (2.0 * both)
    at_a, at_b = found[A] / found[N] + origin[0], found[B] / found[N] + origin[1]
    return slope, at_b - slope * at_a


@inner
def correlated(found):
    """1 where the correlation is at least 0, -1 where it is below, 0 where it is undefined."""
    if found[N] < 3.0 or variance(found, A) == 0.0 or variance(found, B) == 0.0:
        return 0
    return 1 if covariance(found) >= 0.0 else -1


@inner
def search(first, second, ends, origin, whole, steps, unit, found):
    """Costes' thresholds of both channels; NaN if there are none.

    The least of `steps` thresholds below which the channels correlate is looked for in a window
    that each trial makes smaller, a sixth below its upper end. Where all pairs lie below, their
    sums are known: `whole`.
    """
    sums(first, second, -1.0, 0.0, 0.0, origin, found)
    slope, intercept = line(found, origin)
    if np.isnan(slope):
        return np.nan, np.nan
    left, right, last, valid = np.int64(1), np.int64(steps), np.int64(0), np.int64(-1)
    middle, turns = (right - left) * 5 // 6 + left, 0
    while last != middle:
        turns += 1
        if turns > TURNS:
            return np.nan, np.nan
        low = middle * unit
        high = slope * low + intercept
        sign = correlated(whole)
        if low <= ends[0] and high <= ends[1]:
            sums(first, second, 1.0, low, high, origin, found)
            sign = correlated(found)
        if sign > 0:
            right, valid = middle + 1, middle
        else:
            left = middle - 1
        last = middle
        middle = left + ((right - left) * 5 // 6 if right - left > 6 else (right - left) // 2)
    if valid < 0:
        return np.nan, np.nan
    low = (valid - 1) * unit
    high = slope * low + intercept
    sums(first, second, 1.0, low, high, origin, found)
    if correlated(found) == 0:
        return np.nan, np.nan
    return low, high
