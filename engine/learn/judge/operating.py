"""Thresholds chosen on validation rows, and what a decision at one is worth.

    sensitivity(t)  share of positives with score >= t      specificity(t)  of negatives < t
    net benefit(t)  (true positives - false positives t / (1 - t)) / n

A net benefit weighs a false alarm by the odds of the probability t at which one would act; beside
the model's stand those of acting on all (the same formula with every row called) and on none (0).

Source: Vickers and Elkin, Med. Decis. Making 2006.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import LearnError
from .bootstrap import RESAMPLES, Groups, Interval, interval, resamples as resampled
from .ranking import divide

WANTED = (0.90, 0.95)  # sensitivities and specificities that `choose` asks for


class Point(NamedTuple):
    """A threshold and what it gives on the rows it was asked of; NaN where a class is absent."""

    threshold: float
    sensitivity: float
    specificity: float


def sensitivity_at(truth: np.ndarray, score: np.ndarray, specificity: float) -> Point:
    """The most sensitive threshold whose specificity is at least the wanted one (0 .. 1).

    truth (n,) of 0 and 1, score (n,) of class 1, both from validation rows. It lies halfway
    between two scores, or above the highest where only calling nothing is specific enough.
    Raises LearnError where a class is absent. O(n log n).
    """
    points = _points(truth, score, "specificity", specificity)
    return next(point for point in points if point.specificity >= specificity - 1e-12)


def specificity_at(truth: np.ndarray, score: np.ndarray, sensitivity: float) -> Point:
    """The most specific threshold whose sensitivity is at least the wanted one; as above."""
    points = _points(truth, score, "sensitivity", sensitivity)
    return next(point for point in reversed(points) if point.sensitivity >= sensitivity - 1e-12)


def choose(truth: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """{"specificity 0.90": threshold, ..., "sensitivity 0.95": threshold} of validation rows."""
    found = {f"specificity {s:.2f}": sensitivity_at(truth, score, s).threshold for s in WANTED}
    return found | {
        f"sensitivity {s:.2f}": specificity_at(truth, score, s).threshold for s in WANTED
    }


def at(truth: np.ndarray, score: np.ndarray, threshold: float) -> Point:
    """What a threshold chosen elsewhere gives on these rows."""
    positive, called = np.asarray(truth) == 1, np.asarray(score) >= threshold
    hit, spared = divide(
        np.array([(called & positive).sum(), (~called & ~positive).sum()], np.float64),
        np.array([positive.sum(), (~positive).sum()]),
    )
    return Point(threshold, float(hit), float(spared))


def at_with_intervals(
    truth: np.ndarray,
    score: np.ndarray,
    threshold: float,
    groups: Groups = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """`at`, each figure with its bootstrap interval: {"sensitivity": ..., "specificity": ...}."""
    positive, called = np.asarray(truth) == 1, np.asarray(score) >= threshold
    of = np.stack([positive, ~positive], axis=1)
    right = of & (called == positive)[:, None]

    def shares(weights: np.ndarray) -> np.ndarray:
        return divide(weights @ right, weights @ of.astype(np.float64))

    value = shares(np.ones((1, len(positive))))[0]
    blocks = resampled(positive.astype(np.intp), groups, resamples, seed)
    drawn = np.concatenate([shares(block) for block in blocks])
    names = ("sensitivity", "specificity")
    return {name: interval(value[side], drawn[:, side]) for side, name in enumerate(names)}


def net_benefit(truth: np.ndarray, score: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(m,) net benefit of calling the rows with score >= each of m thresholds, 0 <= t < 1.

    truth (n,) of 0 and 1, score (n,) probabilities of class 1. A score that is 1 for all is acting
    on all. Raises LearnError without rows or for a threshold outside. O((n + m) log n).
    """
    positive, score = np.asarray(truth) == 1, np.asarray(score, np.float64)
    t = np.asarray(thresholds, np.float64)
    if not len(score) or not ((t >= 0) & (t < 1)).all():
        raise LearnError("net benefit: it needs rows and thresholds of 0 to below 1")
    true, false = (
        side.sum() - np.searchsorted(np.sort(score[side]), t, side="left")
        for side in (positive, ~positive)
    )
    return (true - false * t / (1 - t)) / len(score)


def _points(truth: np.ndarray, score: np.ndarray, name: str, wanted: float) -> list[Point]:
    """Every threshold that separates scores, rising, from calling all to calling none."""
    positive, score = np.asarray(truth) == 1, np.asarray(score, np.float64)
    if not 0 <= wanted <= 1:
        raise LearnError(f"threshold: the wanted {name} is {wanted}; allowed: 0 .. 1")
    if positive.all() or not positive.any():
        raise LearnError(f"threshold: a {name} needs validation rows of both classes")
    levels, index = np.unique(score, return_inverse=True)
    cuts = np.concatenate(
        [levels[:1], (levels[:-1] + levels[1:]) / 2, [np.nextafter(levels[-1], 2)]]
    )
    below = [
        np.append(0, np.cumsum(np.bincount(index, side, len(levels)))) / side.sum()
        for side in (positive, ~positive)
    ]
    return [Point(*map(float, row)) for row in zip(cuts, 1 - below[0], below[1], strict=True)]
