"""The 25 IBSI features of one co-occurrence matrix, from three 1-D histograms (Unser 1986).

Let U_ij (i <= j) count unordered pairs of neighbours with levels i and j, P their number, N = 2P.
The symmetric matrix has p_ij = U_ij / N off the diagonal and p_ii = 2 U_ii / N on it.

    S_k = pairs with i + j = k        D_k = pairs with |i - j| = k        H_i = sum over j of N p_ij

Moments and inverse differences need only S and D; with V the variance of i + j and C the contrast,
joint variance = (V + C) / 4 and correlation = (V - C) / (V + C), which cancels less than the usual
form. Only joint maximum, joint entropy and angular second moment need U, and these only the
multiset of its counts.

Entropies are sums of integers, see `_information.py`.
"""

import numpy as np

from .._cpu import compiled
from .._kernel import Feature
from ._information import entropy, exp_minus, information, information_one, unit_of

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("joint_maximum", "GYBY", "max p_ij"),
        ("joint_average", "60VM", "mu = sum i p_ij", "level"),
        ("joint_variance", "UR99", "sum (i - mu)^2 p_ij", "level^2"),
        ("joint_entropy", "TU9B", "HXY = -sum p_ij log2 p_ij", "bit"),
        ("difference_average", "TF7R", "sum |i - j| p_ij", "level"),
        ("difference_variance", "D3YU", "sum (|i - j| - difference_average)^2 p_ij", "level^2"),
        ("difference_entropy", "NTRS", "entropy of |i - j|, bits", "bit"),
        ("sum_average", "ZGXS", "sum (i + j) p_ij", "level"),
        ("sum_variance", "OEEB", "sum (i + j - 2 mu)^2 p_ij", "level^2"),
        ("sum_entropy", "P6QZ", "entropy of i + j, bits", "bit"),
        ("angular_second_moment", "8ZQL", "sum p_ij^2"),
        ("contrast", "ACUI", "sum (i - j)^2 p_ij", "level^2"),
        ("dissimilarity", "8S9J", "sum |i - j| p_ij", "level"),
        ("inverse_difference", "IB1Z", "sum p_ij / (1 + |i - j|)"),
        ("normalised_inverse_difference", "NDRX", "sum p_ij / (1 + |i - j| / Ng)"),
        ("inverse_difference_moment", "WF0Z", "sum p_ij / (1 + (i - j)^2)"),
        ("normalised_inverse_difference_moment", "1QCO", "sum p_ij / (1 + (i - j)^2 / Ng^2)"),
        ("inverse_variance", "E8JP", "sum over i != j of p_ij / (i - j)^2"),
        ("correlation", "NI2N", "sum (i - mu) (j - mu) p_ij / joint_variance"),
        ("autocorrelation", "QWB0", "sum i j p_ij", "level^2"),
        ("cluster_tendency", "DG8W", "sum (i + j - 2 mu)^2 p_ij", "level^2"),
        ("cluster_shade", "7NFM", "sum (i + j - 2 mu)^3 p_ij", "level^3"),
        ("cluster_prominence", "AE86", "sum (i + j - 2 mu)^4 p_ij", "level^4"),
        ("information_correlation_1", "R8DG", "(HXY - 2 HX) / HX, HX = -sum p_i log2 p_i"),
        ("information_correlation_2", "JN9H", "sqrt(1 - exp(-2 (2 HX - HXY)))"),
    )
)

HISTOGRAMS = 7  # S, D, H, and four rows of scratch
NOISE = 1e-9  # bits; mutual information below it is rounding and counts as 0


@compiled
def pairs_inside(counts, side, visited):
    """P of `visited` ordered pairs: row and column 0 have a pixel outside the region."""
    pairs = np.int64(visited)
    for k in range(side):
        pairs -= counts[k]
    for k in range(1, side):
        pairs -= counts[k * side]
    return pairs


@compiled
def diagonal(counts, side, apart, row, kept, number):
    """row = N p_ij with j - i = apart, for i = 1, 2, ...; those above 0 also go to `kept`.

    Returns how many `kept` holds then, `number` before.
    """
    above, below = counts[side + 1 + apart :], counts[(1 + apart) * side + 1 :]
    for k in range(row.size):
        at = np.uint64(k) * np.uint64(side + 1)
        count = above[at] + below[at]
        row[k] = count
        kept[np.uint64(number)] = count
        number += np.int64(count != 0)
    return number


@compiled
def add_diagonal(row, lower, upper, sums):
    """Adds the pairs of a diagonal to their levels and to their i + j; returns how many."""
    total = np.uint32(0)
    for k in range(row.size):  # contiguous vector additions
        count = row[k]
        lower[k] += count
        upper[k] += count
        sums[k] += count
        total += count
    return total


@compiled
def summarise(counts, side, visited, table, histograms, kept, totals):
    """All that the features need of one matrix, as integers.

    Diagonal by diagonal, until all pairs are seen: neighbours differ little, most are empty.

    counts       uint32 (side^2,), side = top + 1: ordered pairs (a, b) at a side + b, of which
                 `visited` are counted
    histograms   uint32 (HISTOGRAMS, 2 side or more): S, D, H, then scratch
    kept         uint32 (side^2,): scratch
    totals       int64 (4,): P, greatest count, sum of squares and information of the counts N p_ij
    """
    clear(histograms, side)
    lower, upper, scratch = histograms[2], histograms[3], histograms[4]
    even, odd = histograms[5], histograms[6]
    pairs = pairs_inside(counts, side, visited)
    seen, apart, equal, number = np.int64(0), 0, 0, 0
    while seen < pairs:
        row = scratch[: side - 1 - apart]
        number = diagonal(counts, side, apart, row, kept, number)
        if apart == 0:  # N p_ii = 2 U_ii
            equal = number
            for k in range(row.size):
                row[k] //= np.uint32(2)
        sums = odd if apart % 2 else even  # of 2 i + apart, i = 1, 2, ...
        found = add_diagonal(row, lower[1:], upper[1 + apart :], sums[1 + apart // 2 :])
        histograms[1, apart] = found
        seen += found
        apart += 1
    for k in range(side):
        histograms[0, 2 * k], histograms[0, 2 * k + 1] = even[k], odd[k]
        lower[k] += upper[k]  # H
    unit, all_of, once = unit_of(2 * pairs), kept[:number], kept[:equal]
    totals[0], totals[1] = pairs, greatest(all_of)
    totals[2] = 2 * squares(all_of) - squares(once)
    totals[3] = 2 * information(all_of, unit, table) - information(once, unit, table)


@compiled
def clear(histograms, side):
    """All 0."""
    for row in histograms:
        for k in range(2 * side):
            row[k] = np.uint32(0)


@compiled
def greatest(counts):
    """The greatest count; 0 if there is none."""
    most = np.uint32(0)
    for count in counts:
        most = max(most, count)
    return most


@compiled
def squares(counts):
    """Sum of their squares."""
    total = np.int64(0)
    for count in counts:
        total += np.int64(count) * np.int64(count)
    return total


# ---- the same for few pairs: what they have touched, instead of the whole matrix


@compiled
def summarise_few(levels, length, offsets, counts, side, table, histograms, totals):
    """`summarise` of the pairs (levels[k], levels[k + offset]), k < length, of all offsets.

    The second visit to a pair finds its cell's count, adds it up and puts it back to 0: neither
    clearing nor folding costs side^2.

    counts   uint32 (side^2,), all 0 before and after
    """
    clear(histograms[:3], side)
    sums, differences, marginal = histograms[0], histograms[1], histograms[2]
    pairs = np.int64(0)
    for offset in offsets:
        for at in range(length):
            a, b = np.int64(levels[at]), np.int64(levels[at + offset])
            if a != 0 and b != 0:
                counts[min(a, b) * side + max(a, b)] += np.uint32(1)
                sums[a + b] += np.uint32(1)
                differences[abs(a - b)] += np.uint32(1)
                marginal[a] += np.uint32(1)
                marginal[b] += np.uint32(1)
                pairs += 1
    unit = unit_of(2 * pairs)
    greatest, squares, bits = np.int64(0), np.int64(0), np.int64(0)
    for offset in offsets:
        for at in range(length):
            a, b = np.int64(levels[at]), np.int64(levels[at + offset])
            cell = min(a, b) * side + max(a, b)
            if a != 0 and b != 0 and counts[cell] != 0:
                times, count = (1, 2 * counts[cell]) if a == b else (2, counts[cell])
                greatest = max(greatest, np.int64(count))
                squares += times * np.int64(count) * np.int64(count)
                bits += times * information_one(count, unit, table)
                counts[cell] = np.uint32(0)
    totals[0], totals[1], totals[2], totals[3] = pairs, greatest, squares, bits


# ---- float64 from here on, each sum in the order of its histogram


@compiled
def moments(sums, pairs):
    """Mean of i + j and its central moments 2 to 4."""
    first = np.int64(0)
    for k in range(sums.size):
        first += k * np.int64(sums[k])
    mean = first / pairs
    second, third, fourth = 0.0, 0.0, 0.0
    for k in range(2, sums.size):
        from_mean = k - mean
        square = from_mean * from_mean
        count = np.float64(sums[k])
        second += square * count
        third += square * from_mean * count
        fourth += square * square * count
    return mean, second / pairs, third / pairs, fourth / pairs


@compiled
def spread(differences, pairs):
    """Mean of |i - j|, its mean square and its variance."""
    first, second = np.int64(0), np.int64(0)
    for k in range(differences.size):
        first += k * np.int64(differences[k])
        second += k * k * np.int64(differences[k])
    mean, central = first / pairs, 0.0
    for k in range(differences.size):
        central += (k - mean) * (k - mean) * np.float64(differences[k])
    return mean, second / pairs, central / pairs


@compiled
def inverse_differences(differences, pairs, top):
    """The five features that weigh |i - j| down; `top` is Ng."""
    plain, normal, moment, normal_moment, variance = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(differences.size):
        d, count = np.float64(k), np.float64(differences[k])
        relative = d / top
        plain += count / (1.0 + d)
        normal += count / (1.0 + relative)
        moment += count / (1.0 + d * d)
        normal_moment += count / (1.0 + relative * relative)
        if k > 0:
            variance += count / (d * d)
    return plain / pairs, normal / pairs, moment / pairs, normal_moment / pairs, variance / pairs


@compiled
def add_features(histograms, totals, top, table, values):
    """Adds the 25 features of one matrix, as `summarise` gives it, to `values`; `top` is Ng."""
    sums, marginal = histograms[0, : 2 * top + 1], histograms[2, : top + 1]
    differences = histograms[1, :top]
    while differences[-1] == 0:  # most pairs differ little
        differences = differences[:-1]
    pairs, greatest, squares, joint = totals[0], totals[1], totals[2], totals[3]
    both = 2 * pairs
    unit = unit_of(both)
    mean, tendency, shade, prominence = moments(sums, pairs)
    dissimilarity, contrast, variance = spread(differences, pairs)
    scatter, covariance = tendency + contrast, tendency - contrast
    inverse = inverse_differences(differences, pairs, np.float64(top))
    joint_entropy = entropy(joint, both, unit)
    level_entropy = entropy(information(marginal, unit, table), both, unit)
    mutual = 2.0 * level_entropy - joint_entropy
    if mutual < NOISE:
        mutual = 0.0

    values[0] += greatest / both
    values[1] += mean / 2.0
    values[2] += scatter / 4.0
    values[3] += joint_entropy
    values[4] += dissimilarity
    values[5] += variance
    values[6] += entropy(information(differences, unit, table), pairs, unit)
    values[7] += mean
    values[8] += tendency
    values[9] += entropy(information(sums, unit, table), pairs, unit)
    values[10] += squares / np.float64(both) / np.float64(both)
    values[11] += contrast
    values[12] += dissimilarity
    values[13] += inverse[0]
    values[14] += inverse[1]
    values[15] += inverse[2]
    values[16] += inverse[3]
    values[17] += inverse[4]
    values[18] += covariance / scatter if scatter > 0.0 else 1.0
    values[19] += (covariance + mean * mean) / 4.0
    values[20] += tendency
    values[21] += shade
    values[22] += prominence
    values[23] += -mutual / level_entropy if level_entropy > 0.0 else 0.0
    values[24] += np.sqrt(1.0 - exp_minus(2.0 * mutual))
