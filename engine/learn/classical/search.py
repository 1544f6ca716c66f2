"""Hyper-parameters by cross-validation, and the honest figure of a model that was searched.

A search picks the parameters that do best on inner folds; the best figure it has seen is therefore
too good. `nested` searches anew inside each outer fold and predicts the rows held out of it: what
it returns has never been part of a fit or of a choice (Varma and Simon 2006).

Candidates race: all are tried on the first inner fold, the better half on the second, and so on
(successive halving, Jamieson and Talwalkar 2016, with folds as the budget). On 780 images with
419 columns of texture its AUC was within 0.007 of trying all on all folds; it took half the time of
the slow machines (svm, nystroem) and saved little with the fast ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import ParameterGrid

from ..errors import LearnError
from .fit import fit
from .folds import folds
from .models import pipeline
from .steps import KEEP, Standardise
from .warn import refuse

INNER = 5
LEAST = 2  # candidates that stay in the race to its end
SPREADS = {"svm", "nystroem"}  # kernels whose gamma is searched as a multiple of 1 / columns

GRIDS: dict[str, dict[str, list[Any]]] = {
    "svm": {"C": [0.3, 1, 3, 10], "gamma": [0.1, 0.3, 1]},
    "linear": {"C": [1e-4, 1e-3, 1e-2, 1e-1]},
    "logistic": {"C": [1e-3, 1e-2, 1e-1, 1]},
    "tree": {"depth": [3, 6, 9], "leaf": [0.005, 0.02]},
    "forest": {"leaf": [1, 2, 5, 10]},
    "extra": {"leaf": [1, 2, 5, 10]},
    "boosted": {"rate": [0.03, 0.1], "leaves": [7, 15, 31]},
    "knn": {"neighbours": [5, 15, 31, 61]},
    "nystroem": {"C": [1, 10, 100], "gamma": [0.1, 0.3, 1]},
}
KEEPS = [KEEP // 4, KEEP, 2 * KEEP]


def search(
    name: str,
    values: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    metric: str = "auc",
    correlation: float = 1.0,
    select: str = "none",
) -> dict[str, Any]:
    """The best parameters of a model for these rows; `fit` takes them.

    values, truth, groups, correlation, select  as for `fit`
    metric  auc (mean over the classes of one against the rest), balanced_accuracy or f1 (macro)

    Up to 5 inner folds, groups whole. LearnError where a class has fewer than two groups.
    Cost: about 2 fits a candidate and 5 of the best; `GRIDS` has 4 to 12 candidates a model.
    """
    if metric not in _METRICS:
        raise LearnError(f"search: metric is {metric!r}; allowed: {', '.join(_METRICS)}")
    refuse(values, truth)
    pairs = folds(f"{name}: search", truth, groups, seed, INNER)
    racing = candidates(name, values, correlation, select)
    scores: dict[int, list[float]] = {number: [] for number in range(len(racing))}
    alive = list(scores)
    for train, held in pairs:
        for number in alive:
            steps = pipeline(name, seed, correlation, select, racing[number])
            steps.fit(values[train], truth[train])
            scores[number].append(_METRICS[metric](steps, values[held], truth[held]))
        # of equal candidates the earlier, simpler one stays
        alive.sort(key=lambda number: (-np.mean(scores[number]), number))
        alive = alive[: max(LEAST, (len(alive) + 1) // 2)]
    return racing[alive[0]]


def nested(
    name: str,
    values: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    outer: int = 5,
    metric: str = "auc",
    correlation: float = 1.0,
    select: str = "none",
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Probabilities (n, k) of every row by models that never saw its group, and their parameters.

    In each of `outer` folds (fewer where a class has fewer groups) the parameters are searched and
    the model fitted on the other folds alone; the list has the parameters chosen, fold by fold.
    LearnError as `search`. Cost: `outer` searches and fits.
    """
    refuse(values, truth)
    p = np.empty((len(truth), truth.max() + 1))
    chosen = []
    for train, held in folds(f"{name}: nested search", truth, groups, seed, outer):
        rows, classes = values[train], truth[train]
        inside = None if groups is None else groups[train]
        best = search(name, rows, classes, inside, seed, metric, correlation, select)
        _, model = fit(name, rows, classes, inside, seed, correlation, select, best)
        p[held] = model.predict(values[held])
        chosen.append(best)
    return p, chosen


def candidates(
    name: str, values: np.ndarray, correlation: float, select: str
) -> list[dict[str, Any]]:
    """The parameters that a search tries, simplest first; gammas for the columns of `values`."""
    if name not in GRIDS:
        raise LearnError(f"search: model is {name!r}; allowed: {', '.join(GRIDS)}")
    columns = len(Standardise(correlation).fit(values).kept_)
    grid = dict(GRIDS[name])
    if select != "none":
        grid["keep"] = sorted({min(keep, columns) for keep in KEEPS})
    found = [dict(one) for one in ParameterGrid(grid)]
    if name in SPREADS:
        for one in found:
            one["gamma"] /= one.get("keep", columns)
    return found


def _decisions(steps: Any, values: np.ndarray) -> np.ndarray:
    """A score (n, k) of each class; only the order of a column's values means something."""
    if hasattr(steps, "predict_proba"):
        return steps.predict_proba(values)
    score = steps.decision_function(values)
    return score if score.ndim == 2 else np.stack([-score, score], axis=1)


def _auc(steps: Any, values: np.ndarray, truth: np.ndarray) -> float:
    score = _decisions(steps, values)
    present = np.unique(truth)
    if len(present) < 2:
        return 0.5
    return float(np.mean([roc_auc_score(truth == k, score[:, k]) for k in present]))


def _balanced_accuracy(steps: Any, values: np.ndarray, truth: np.ndarray) -> float:
    return float(balanced_accuracy_score(truth, steps.predict(values)))


def _f1(steps: Any, values: np.ndarray, truth: np.ndarray) -> float:
    return float(f1_score(truth, steps.predict(values), average="macro"))


_METRICS: dict[str, Callable[[Any, np.ndarray, np.ndarray], float]] = {
    "auc": _auc,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
}
