"""Entropies of counts, the same bits on every machine.

    -sum c/N log2(c/N) = (N log2 N - sum c log2 c) / N

The sum is one of integers, in units of 2^-57 of N: int(c log2(c) 2^57 / N'), N' the power of two at
or above N. Its order then does not matter, so that any machine, GPU included, gets the same bits;
log2 and exp are built from +, -, *, / alone for the same reason. `_information.cuh` is its twin.
"""

from functools import cache

import numpy as np

from .._cpu import compiled

LOG2_TERMS = 10  # z^2 <= 0.0295: the next term is below 2^-53
EXP_TERMS = 14
TABLE = 1 << 14


@compiled
def log2(x):
    """Binary logarithm of a float64 >= 1; exact for powers of two, otherwise to 2 ulp."""
    exponent = 0.0
    while x > 1.4142135623730951:
        x *= 0.5
        exponent += 1.0
    z = (x - 1.0) / (x + 1.0)
    square, series = z * z, 0.0
    for k in range(LOG2_TERMS, -1, -1):
        series = series * square + 1.0 / (2.0 * k + 1.0)
    return exponent + 2.8853900817779268 * z * series  # 2 / ln 2


@compiled
def exp_minus(t):
    """exp(-t) for t >= 0, to a few ulp."""
    halvings = np.floor(t * 1.4426950408889634 + 0.5)
    rest, series = halvings * 0.6931471805599453 - t, 1.0
    for k in range(EXP_TERMS, 0, -1):
        series = 1.0 + series * rest / k
    while halvings > 0.0:
        series *= 0.5
        halvings -= 1.0
    return series


@compiled
def unit_of(total):
    """The unit of information for counts that add up to `total`: 2^57 / N', N' >= total."""
    whole, unit = 1.0, 144115188075855872.0
    while whole < total:
        whole *= 2.0
        unit *= 0.5
    return unit


@cache
def information_table() -> np.ndarray:
    """c log2(c) for the counts that are met most."""
    table = np.array([0.0] + [count * log2(float(count)) for count in range(1, TABLE)])
    table.flags.writeable = False
    return table


@compiled
def information_one(count, unit, table):
    """c log2(c) as an integer number of units."""
    if count < table.size:
        return np.int64(table[count] * unit)
    return np.int64(count * log2(np.float64(count)) * unit)


@compiled
def information(counts, unit, table):
    """Sum of c log2(c) over uint32 counts, as an integer number of units."""
    total = np.int64(0)
    for count in counts:
        total += information_one(count, unit, table)
    return total


@compiled
def entropy(bits, total, unit):
    """Entropy in bits of counts that add up to `total` and whose information is `bits`."""
    whole = np.int64(total * log2(np.float64(total)) * unit)
    return (whole - bits) / (unit * total)
