"""Whether two models differ on the same rows: DeLong for AUC, McNemar for decisions.

A model's AUC is a mean over pairs; row i takes part in it with its placement: of a positive the
share of negatives it beats (V10), of a negative the share of positives that beat it (V01), equal
scores counting half. Its influence on the AUC of m positives and l negatives is

    phi_i = (V10_i - AUC) / sqrt(m (m - 1))   or   (V01_i - AUC) / sqrt(l (l - 1))

and the variance of the AUC is sum phi_i^2, which is DeLong's; that of a difference has the
differences of the two models' phi. Rows of one group are summed before they are squared (with
numbers of groups in place of m - 1, l - 1), which is Obuchowski's variance for clustered data. A
mean over classes has the mean of the classes' phi. Placements come from ranks, in O(n log n).

McNemar compares the rows that only one model calls right. If the models are alike, each such row
is a coin; the exact p is that of the coins' sum, with a whole group as one coin.

Source: DeLong et al., Biometrics 1988; Sun and Xu, IEEE Signal Process. Lett. 2014; Obuchowski,
Biometrics 1997; McNemar, Psychometrika 1947; Holm, Scand. J. Stat. 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import LearnError
from .bootstrap import LEVEL, Groups, numbers


def delong(truth: np.ndarray, score: np.ndarray, groups: Groups = None) -> tuple[float, float]:
    """(AUC, its variance); NaN where undefined (fewer than two of a class, or two groups).

    truth   (n,) class numbers; (n, k) bool of labels
    score   (n,) of class 1 where the classes are 0 and 1; (n, k) probabilities: the AUC of class 1
            for k = 2, else the mean over the classes that have rows, one against the rest
    groups  n names of groups whose rows are not independent
    """
    area, phi = _influence(truth, score, groups)
    return area, _variance(phi, groups)


def delong_difference(
    truth: np.ndarray, a: np.ndarray, b: np.ndarray, groups: Groups = None
) -> dict[str, float | None]:
    """{"difference": AUC of a - AUC of b, "low", "high" (95 %), "p" (two-sided)}; see `delong`.

    None for what is not defined; p is 1 where the two rank all rows alike.
    """
    from scipy.special import ndtr, ndtri

    (area_a, phi_a), (area_b, phi_b) = (_influence(truth, score, groups) for score in (a, b))
    difference, variance = area_a - area_b, _variance(phi_a - phi_b, groups)
    if not np.isfinite(difference) or not np.isfinite(variance):
        known = float(difference) if np.isfinite(difference) else None
        return {"difference": known, "low": None, "high": None, "p": None}
    if variance < 1e-24:  # the influences are equal but for rounding
        alike = abs(difference) < 1e-12
        bound = float(difference) if alike else None
        p = 1.0 if alike else None
        return {"difference": float(difference), "low": bound, "high": bound, "p": p}
    error = float(np.sqrt(variance))
    reach = float(ndtri((1 + LEVEL) / 2)) * error
    return {
        "difference": float(difference),
        "low": float(max(difference - reach, -1.0)),
        "high": float(min(difference + reach, 1.0)),
        "p": float(2 * ndtr(-abs(difference) / error)),
    }


def mcnemar(
    truth: np.ndarray, called_a: np.ndarray, called_b: np.ndarray, groups: Groups = None
) -> dict[str, Any]:
    """{"only_a", "only_b": rows that only this model calls right, "p": exact, two-sided}.

    truth, called_a, called_b  (n,) class numbers; (n, k) bool of labels: every one is a call
    groups  n names; then p is that of the groups' sums, each of either sign with chance 1/2
    O(n), and O(s^2) with groups for s = the groups' sums together.
    """
    truth, a, b = (np.asarray(calls) for calls in (truth, called_a, called_b))
    if not truth.shape == a.shape == b.shape:
        raise LearnError("mcnemar: the two models' calls and the true classes differ in shape")
    apart = (a == truth).astype(np.intp) - (b == truth)
    rows = apart if apart.ndim == 1 else apart.sum(axis=1)
    sums = rows if groups is None else np.bincount(numbers(groups), rows).round().astype(np.intp)
    coins = sums[sums != 0]
    return {
        "only_a": int((apart > 0).sum()),
        "only_b": int((apart < 0).sum()),
        "p": _sign_flips(np.abs(coins), abs(int(coins.sum()))),
    }


def holm(p: Sequence[float | None]) -> list[float | None]:
    """p values of several comparisons, raised so that all together err with at most their level.

    The i-th smallest of m (from 0) is multiplied by m - i, and none is below a smaller one's;
    None is kept and does not count.
    """
    known = sorted((value, index) for index, value in enumerate(p) if value is not None)
    raised: list[float | None] = [None] * len(p)
    least = 0.0
    for rank, (value, index) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        raised[index] = least
    return raised


def _influence(truth: np.ndarray, score: np.ndarray, groups: Groups) -> tuple[float, np.ndarray]:
    """(AUC, phi (n,)), for more classes their means."""
    truth, score = np.asarray(truth), np.asarray(score, np.float64)
    if score.shape[0] != len(truth) or (truth.ndim == 2 and truth.shape != score.shape):
        raise LearnError(f"delong: {score.shape} scores for {truth.shape} true classes")
    unit = np.arange(len(truth)) if groups is None else numbers(groups)
    if score.ndim == 1:
        return _two(truth == 1, score, unit)
    if truth.ndim == 1 and score.shape[1] == 2:
        return _two(truth == 1, score[:, 1], unit)
    positive = (
        truth.astype(bool) if truth.ndim == 2 else truth[:, None] == np.arange(score.shape[1])
    )
    defined = np.flatnonzero(positive.any(axis=0) & ~positive.all(axis=0))
    if not defined.size:
        return float("nan"), np.full(len(truth), np.nan)
    areas, phis = zip(*(_two(positive[:, c], score[:, c], unit) for c in defined), strict=True)
    return float(np.mean(areas)), np.mean(phis, axis=0)


def _two(positive: np.ndarray, score: np.ndarray, unit: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUC of positives against the rest and phi (n,), from mid-ranks."""
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return float("nan"), np.full(len(score), np.nan)
    every = _mid_ranks(score)
    placement = np.empty(len(score))
    placement[positive] = (every[positive] - _mid_ranks(score[positive])) / n
    placement[~positive] = 1 - (every[~positive] - _mid_ranks(score[~positive])) / m
    area = float(placement[positive].mean())
    phi = placement - area
    for side, size in ((positive, m), (~positive, n)):
        units = len(np.unique(unit[side]))
        phi[side] *= np.sqrt(units / (units - 1)) / size if units > 1 else np.nan
    return area, phi


def _variance(phi: np.ndarray, groups: Groups) -> float:
    return float(np.square(phi if groups is None else np.bincount(numbers(groups), phi)).sum())


def _mid_ranks(score: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal scores share the mean of theirs."""
    _, index, count = np.unique(score, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[index]


def _sign_flips(coins: np.ndarray, seen: int) -> float:
    """P(|sum of +-coins| >= seen), the signs fair and independent; coins (c,) whole, above 0.

    The sum's distribution is the product of ((x^-size + x^size) / 2)^count over the sizes of the
    coins, multiplied out size by size.
    """
    from scipy.stats import binom

    chance = np.ones(1)
    for size, count in zip(*np.unique(coins, return_counts=True), strict=True):
        spread = np.zeros(size * count + 1)
        spread[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, spread)
    total = 2 * np.arange(len(chance)) - int(coins.sum())
    return float(min(1.0, chance[np.abs(total) >= seen].sum()))
