"""Zernike polynomials as sums of y^q x^p, and the angle of a point, without a library's functions.

V_nm(y, x) = sum over k of (-1)^k (n - k)! / (k! ((n + m)/2 - k)! ((n - m)/2 - k)!)
             (y^2 + x^2)^((n - m)/2 - k) (y + i x)^m,        n <= 9, 0 <= m <= n, n - m even
"""

from functools import cache
from math import comb, factorial

import numpy as np

from .._cpu import compiled, frozen_view

DEGREE = 9
POWERS = DEGREE + 1
INDEXES = tuple((n, m) for n in range(POWERS) for m in range(n % 2, n + 1, 2))
TERMS = tuple((q, p) for q in range(POWERS) for p in range(POWERS - q))  # y^q x^p
ANGLE_TERMS = 18  # of a series in z, z^2 <= 0.1716: the next is below 2^-53


def radial(n: int, m: int) -> list[int]:
    """Coefficients of (y^2 + x^2)^j, j from 0."""
    plus, minus = (n + m) // 2, (n - m) // 2
    return [
        (-1) ** k * factorial(n - k) // (factorial(k) * factorial(plus - k) * factorial(minus - k))
        for k in range(minus, -1, -1)
    ]


@cache
def coefficients() -> np.ndarray:
    """(terms, 60): real and imaginary parts of V_nm by the powers y^q x^p; whole numbers."""
    found = np.zeros((len(TERMS), 2 * len(INDEXES)))
    place = {term: k for k, term in enumerate(TERMS)}
    for column, (n, m) in enumerate(INDEXES):
        for j, of_square in enumerate(radial(n, m)):
            for a in range(j + 1):
                for b in range(m + 1):  # (y + i x)^m, i^b
                    sign = -1 if b % 4 > 1 else 1
                    term = place[2 * (j - a) + m - b, 2 * a + b]
                    found[term, 2 * column + b % 2] += sign * of_square * comb(j, a) * comb(m, b)
    return frozen_view(found)


@compiled
def arctangent(z):
    """For 0 <= z <= 1."""
    start = 0.0
    if z > 0.4142135623730951:  # tan(pi / 8)
        start, z = 0.7853981633974483, (z - 1.0) / (z + 1.0)
    square, series = z * z, 0.0
    for k in range(ANGLE_TERMS, -1, -1):
        series = 1.0 / (2.0 * k + 1.0) - square * series
    return start + z * series


@compiled
def angle(y, x):
    """arctan2(y, x), 0 for (0, 0); within -pi .. pi."""
    up, across = abs(y), abs(x)
    if up == 0.0 and across == 0.0:
        return 0.0
    if up <= across:
        found = arctangent(up / across)
    else:
        found = 1.5707963267948966 - arctangent(across / up)
    if x < 0.0:
        found = 3.141592653589793 - found
    return -found if y < 0.0 else found
