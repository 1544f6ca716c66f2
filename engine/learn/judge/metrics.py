"""AUC, accuracy, sensitivity, specificity with bootstrap intervals; NumPy alone.

    AUC = P(score of a positive > score of a negative) + P(equal) / 2          (Mann-Whitney)

With more than two classes AUC, sensitivity and specificity are means over the classes, one
against the rest. An interval is the 2.5 % and 97.5 % points over resamples of the rows; a
resample draws within each class, and draws whole groups where groups are known, because images of
one patient are not independent. A resample is a row of integer weights, so all of them are
evaluated at once.

Source: Hanley and McNeil, Radiology 1982; Efron and Tibshirani, An Introduction to the Bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
_BLOCK = 1 << 22  # weights held at once


def metrics(
    truth: np.ndarray,
    probabilities: np.ndarray,
    threshold: float | None = None,
    groups: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """{"auc", "accuracy", "sensitivity", "specificity"} -> {"value", "low", "high"}.

    truth          (n,) class numbers 0 .. k-1
    probabilities  (n, k)
    threshold      two classes only: class 1 is called where its probability is >= threshold;
                   it must come from validation data. None: the most probable class is called
    A metric that is not defined (one class is absent) is None.
    Cost: O(n log n + resamples n), 0.05 s for 1,000 resamples of 624 rows.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or probabilities.shape[0] != len(truth):
        raise ValueError(f"{probabilities.shape} probabilities for {len(truth)} rows")
    called = decide(probabilities, threshold)
    value = _weighted(truth, probabilities, called, np.ones((1, len(truth))))
    unit, stratum = _units(truth, groups)
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // max(len(truth), 1))
    drawn = [
        _weighted(truth, probabilities, called, _resample(unit, stratum, count, generator))
        for count in _blocks(resamples, step)
    ]
    return {
        name: _interval(value[name][0], np.concatenate([block[name] for block in drawn]))
        for name in value
    }


def auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """AUC of class 1, or the mean over classes of one against the rest; NaN if undefined."""
    weights = np.ones((1, len(truth)))
    return float(_auc(np.asarray(truth), np.asarray(probabilities, np.float64), weights)[0])


def decide(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """(n,) class numbers; see `metrics` for the threshold."""
    if threshold is None or probabilities.shape[1] != 2:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] >= threshold).astype(np.intp)


def choose_threshold(truth: np.ndarray, score: np.ndarray) -> float:
    """The score of class 1 above which sensitivity + specificity is largest (Youden's index).

    truth (n,) of 0 and 1, score (n,), both from validation data. Halfway between the two scores
    it separates; 0.5 where nothing separates the classes.
    """
    levels, index = np.unique(np.asarray(score, np.float64), return_inverse=True)
    positive = np.bincount(index, truth == 1, len(levels))
    negative = np.bincount(index, truth == 0, len(levels))
    if len(levels) < 2 or not positive.any() or not negative.any():
        return 0.5
    youden = np.cumsum(negative / negative.sum() - positive / positive.sum())[:-1]
    best = np.flatnonzero(youden >= youden.max() - 1e-12)
    best = best[len(best) // 2]
    return float((levels[best] + levels[best + 1]) / 2)


def is_constant(probabilities: np.ndarray) -> bool:
    """Whether all rows get the same probabilities: a model that learned nothing."""
    return len(probabilities) > 1 and float(np.ptp(probabilities, axis=0).max()) < 1e-6


def result(
    model: str,
    data: str,
    truth: np.ndarray,
    probabilities: np.ndarray,
    threshold: float | None,
    groups: Sequence[str | None] | None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """A row of an evaluation, for JSON: {model, data, n, groups, threshold, metrics, notes}.

    groups  number of groups, None where they are not known
    notes   sentences a reader must see beside the figures
    """
    known = groups is not None and len(groups) > 0 and all(groups)
    notes = [] if known else ["rows are resampled one by one: their groups are not known"]
    if is_constant(probabilities):
        notes.append("constant prediction: every image gets the same probabilities")
    if absent := sorted(set(range(probabilities.shape[1])) - set(np.unique(truth).tolist())):
        notes.append(f"{len(absent)} of {probabilities.shape[1]} classes have no image here")
    return {
        "model": model,
        "data": data,
        "n": len(truth),
        "groups": len(set(groups)) if known and groups is not None else None,
        "threshold": threshold,
        "metrics": metrics(truth, probabilities, threshold, groups, resamples),
        "notes": notes,
    }


def _weighted(
    truth: np.ndarray, probabilities: np.ndarray, called: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Each metric (b,) for b rows of weights (b, n)."""
    classes = range(probabilities.shape[1])
    positives = (1,) if len(classes) == 2 else classes
    sensitivity = [_share(weights, truth == k, called == k) for k in positives]
    specificity = [_share(weights, truth != k, called != k) for k in positives]
    return {
        "auc": _auc(truth, probabilities, weights),
        "accuracy": _share(weights, np.ones(len(truth), bool), called == truth),
        "sensitivity": _mean(sensitivity),
        "specificity": _mean(specificity),
    }


def _auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    k = probabilities.shape[1]
    positives = (1,) if k == 2 else range(k)
    return _mean([_auc_two(truth == c, probabilities[:, c], weights) for c in positives])


def _auc_two(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Mann-Whitney AUC (b,), equal scores counting half."""
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    start = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    weights, positive = weights[:, order], positive[order]
    above = np.add.reduceat(weights * positive, start, axis=1)
    below = np.add.reduceat(weights * ~positive, start, axis=1)
    won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    return _divide(won, above.sum(axis=1) * below.sum(axis=1))


def _share(weights: np.ndarray, of: np.ndarray, those: np.ndarray) -> np.ndarray:
    return _divide(weights @ (of & those), weights @ of.astype(np.float64))


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _mean(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the classes for which the metric is defined."""
    values = np.stack(parts)
    defined = np.isfinite(values)
    return _divide(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0).astype(float))


def _units(truth: np.ndarray, groups: Sequence[str | None] | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) number of each row's unit, and (u,) the commonest class of each unit."""
    n, classes = len(truth), int(truth.max(initial=0)) + 1
    if groups is None:
        return np.arange(n), truth
    names = [name or f"\0{row}" for row, name in enumerate(groups)]
    units, unit = np.unique(names, return_inverse=True)
    counts = np.zeros((len(units), classes), np.intp)
    np.add.at(counts, (unit, truth), 1)
    return unit, counts.argmax(axis=1)


def _resample(
    unit: np.ndarray, stratum: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """(count, n) how often each row was drawn, units with replacement within their stratum."""
    drawn = np.zeros((count, len(stratum)))
    for value in np.unique(stratum):
        members = np.flatnonzero(stratum == value)
        m = len(members)
        picks = generator.integers(m, size=(count, m)) + m * np.arange(count)[:, None]
        drawn[:, members] = np.bincount(picks.ravel(), minlength=count * m).reshape(count, m)
    return drawn[:, unit]


def _blocks(total: int, step: int) -> list[int]:
    return [min(step, total - start) for start in range(0, total, step)]


def _interval(value: float, drawn: np.ndarray) -> dict[str, float | None]:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not drawn.size:
        return {
            "value": None if not np.isfinite(value) else float(value),
            "low": None,
            "high": None,
        }
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}
