"""Sums over all pairs of voxels, weighted by the inverse of their distance.

    pairs = sum w_kl        products = sum w_kl d_k d_l        squares = sum w_kl d_k^2,    k != l

They are sums over a box of voxels, 0 outside the region. Small boxes are summed pair by pair; in
large ones the sum over l is a convolution, and Parseval's theorem gives all three from the spectra
of the region, of d and of d^2: N log N operations instead of N^2, equal to rounding.
"""

from typing import Any

import numpy as np
from scipy.fft import dctn, next_fast_len, rfftn

from .._cpu import compiled
from .._threads import threads

DIRECT = 1 << 21  # pairs of a voxel inside and one of the box: more are faster by Fourier

Sums = tuple[float, float, float]


def pair_sums(inside: np.ndarray, deviation: np.ndarray, spacing: tuple[float, ...]) -> Sums:
    """(pairs, products, squares) of a box (d, h, w); deviation is 0 outside."""
    if np.count_nonzero(inside) * inside.size <= DIRECT:
        weights = inverse_distances(inside.shape, spacing)
        return direct_sums(inside.astype(np.float64), deviation, weights)
    return spectral_sums(inside.astype(np.float64), deviation, spacing)


def inverse_distances(steps: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    """1 / |(z, y, x)| in mm for steps 0, 1, ... along each axis; 0 at the origin."""
    z, y, x = (np.arange(n) * s for n, s in zip(steps, spacing, strict=True))
    squares = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2
    squares[0, 0, 0] = np.inf
    return 1 / np.sqrt(squares)


@compiled
def add_row(inside, deviation, weights, x, weight_sum, product_sum):
    """Adds what voxel x of a row brings to all voxels of another; weights start at step -x."""
    d = deviation[x]
    for other in range(weight_sum.size):
        weight_sum[other] += weights[other]
        product_sum[other] += weights[other] * d


@compiled
def direct_sums(inside, deviation, weights):
    """Row by row: each voxel inside adds to the sums of every voxel of the box."""
    depth, height, width = inside.shape
    line = np.empty(2 * width - 1)
    weight_sum, product_sum = np.empty(width), np.empty(width)
    pairs, products, squares = 0.0, 0.0, 0.0
    for row in range(depth * height):
        z, y = row // height, row % height
        weight_sum[:], product_sum[:] = 0.0, 0.0
        for other in range(depth * height):
            i, j = other // height, other % height
            for x in range(width):
                line[width - 1 + x] = line[width - 1 - x] = weights[abs(i - z), abs(j - y), x]
            for x in range(width):
                if inside[i, j, x] != 0.0:
                    add_row(
                        inside[i, j], deviation[i, j], line[width - 1 - x :], x,
                        weight_sum, product_sum,
                    )  # fmt: skip
        for x in range(width):
            d = deviation[z, y, x]
            pairs += inside[z, y, x] * weight_sum[x]
            products += d * product_sum[x]
            squares += d * d * weight_sum[x]
    return pairs, products, squares


def spectral_sums(inside: np.ndarray, deviation: np.ndarray, spacing: tuple[float, ...]) -> Sums:
    """By Fourier, in a box twice as wide, whose steps are cyclic but do not meet."""
    size = [2 * int(next_fast_len(n, real=True) or n) for n in inside.shape]
    half = [n // 2 + 1 for n in size]
    # The weights are even on every axis: their spectrum is real, even, and a cosine transform.
    weights: Any = dctn(inverse_distances(tuple(half), spacing), type=1, workers=threads())
    mirrored = [np.minimum(np.arange(n), n - np.arange(n)) for n in size]
    counted = np.full(half[2], 2.0)  # a real spectrum is stored as its half
    counted[0] = counted[-1] = 1.0

    def spectrum(box: np.ndarray) -> Any:
        return rfftn(box, size, workers=threads())

    def summed(first: Any, second: Any) -> float:
        rows = (
            np.einsum(
                "yx,yx,x->",
                weights[mirrored[0][z]][mirrored[1]],
                first[z].real * second[z].real + first[z].imag * second[z].imag,
                counted,
            )
            for z in range(size[0])
        )
        return float(sum(rows)) / float(np.prod(size))

    region = spectrum(inside)
    pairs, squares = summed(region, region), summed(region, spectrum(deviation**2))
    region = spectrum(deviation)
    return pairs, summed(region, region), squares


def moran_and_geary(
    inside: np.ndarray, grey: np.ndarray, spacing: tuple[float, ...]
) -> tuple[float, float]:
    """Moran's I and Geary's C of the grey values inside a box; NaN where all of them are equal.

    sum w_kl (x_k - x_l)^2 = 2 (squares - products)
    """
    number = int(np.count_nonzero(inside))
    deviation = np.where(inside, grey - grey[inside].mean(), 0.0) if number else grey
    variation = float((deviation**2).sum()) if number else 0.0
    if not number or np.ptp(grey[inside]) == 0.0:
        return np.nan, np.nan
    pairs, products, squares = pair_sums(inside, deviation, spacing)
    return (
        number / pairs * products / variation,
        (number - 1) / pairs * (squares - products) / variation,
    )
