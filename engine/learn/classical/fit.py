"""Fitting the classical models with scikit-learn, and turning them into arrays.

Every model is a pipeline whose first step standardises, so that no statistic of a row held out,
by our split or by an inner fold, can enter the fit. Classes count equally (class_weight balanced).
The SVM's probabilities are Platt's: a sigmoid fitted to decisions on inner folds that the machine
had not seen (5 folds, whole groups), never to its own training decisions.

The settings are fixed, not searched: with strongly related features and a few thousand rows a
search on validation data mostly picks noise.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ..errors import LearnError
from .heads import LARGEST, LEAF, Head, standardise
from .select import moments, select

FOLDS = 5


class Standardise(TransformerMixin, BaseEstimator):
    """x -> (x - mean) / deviation over the finite training values; gaps become 0, the mean.

    A column that is constant, or never finite, gets deviation 1 (and mean 0). With a correlation
    below 1, columns that `select` leaves out are divided by so much that nothing of them remains:
    every fold of a pipeline chooses by its own training rows.
    """

    def __init__(self, correlation: float = 1.0):
        self.correlation = correlation

    def fit(self, X: np.ndarray, y: Any = None) -> Standardise:
        self.mean_, spread = moments(X)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        if self.correlation < 1:
            self.scale_[~select(X, self.correlation)] = LARGEST
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return standardise(X, self.mean_, self.scale_)


def fit(
    name: str,
    values: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
    correlation: float = 1.0,
) -> tuple[Any, Head]:
    """The fitted scikit-learn estimator and the same model as a `Head`.

    name    svm, tree, forest or logistic
    values  (n, f) training features; gaps may be NaN
    truth   (n,) class numbers, each of 0 .. k-1 present
    groups  (n,) group numbers, or None: inner folds never separate a group
    correlation  columns that are more correlated with an earlier one take no part; 1: all do
    Cost: SVM O(n^2 f), forest O(200 n log n sqrt(f)).
    """
    scaler = Standardise(correlation)
    estimator = _ESTIMATORS[name](scaler, truth, groups, seed)
    estimator.fit(values, truth)
    return estimator, _EXPORTS[name](estimator)


def _svm(
    scaler: Standardise, truth: np.ndarray, groups: np.ndarray | None, seed: int
) -> CalibratedClassifierCV:
    machine = OneVsRestClassifier(SVC(C=1.0, gamma="scale", class_weight="balanced"))
    folds = inner_folds(truth, groups, seed)
    pipeline = make_pipeline(scaler, machine)
    how: Any = {"method": "sigmoid", "ensemble": False}
    return CalibratedClassifierCV(pipeline, cv=folds, **how)


def _tree(scaler: Standardise, truth: np.ndarray, groups: np.ndarray | None, seed: int) -> Pipeline:
    smallest: Any = 0.005  # share of the rows in a leaf
    tree = DecisionTreeClassifier(
        max_depth=6, min_samples_leaf=smallest, class_weight="balanced", random_state=seed
    )
    return make_pipeline(scaler, tree)


def _forest(
    scaler: Standardise, truth: np.ndarray, groups: np.ndarray | None, seed: int
) -> Pipeline:
    forest = RandomForestClassifier(
        200, max_depth=32, min_samples_leaf=2, class_weight="balanced", random_state=seed, n_jobs=-1
    )
    return make_pipeline(scaler, forest)


def _logistic(
    scaler: Standardise, truth: np.ndarray, groups: np.ndarray | None, seed: int
) -> Pipeline:
    return make_pipeline(scaler, LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000))


def inner_folds(
    truth: np.ndarray, groups: np.ndarray | None, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to 5 (train, held out) index pairs that separate no group; every class in every train.

    LearnError where a class has fewer than two groups.
    """
    unit = np.arange(len(truth)) if groups is None else groups
    fewest = min(len(np.unique(unit[truth == k])) for k in np.unique(truth))
    if fewest < 2:
        raise LearnError("svm: calibration needs every class in at least two groups of train")
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    pairs = list(folds.split(truth, truth, unit))
    if any(len(np.unique(truth[train])) < len(np.unique(truth)) for train, _ in pairs):
        raise LearnError("svm: too few groups to calibrate; an inner fold would lack a class")
    return pairs


def _export_svm(estimator: CalibratedClassifierCV) -> Head:
    (calibrated,) = cast(Any, estimator.calibrated_classifiers_)
    pipeline = calibrated.estimator
    machines = list(pipeline[-1].estimators_)
    arrays = _scaler(pipeline)
    arrays |= {
        "vectors": np.concatenate([m.support_vectors_ for m in machines]),
        "dual": np.concatenate([m.dual_coef_[0] for m in machines]),
        "machine": np.repeat(
            np.arange(len(machines), dtype=np.int32), [len(m.support_) for m in machines]
        ),
        "bias": np.array([m.intercept_[0] for m in machines]),
        "gamma": np.array([m._gamma for m in machines]),
        "slope": np.array([c.a_ for c in calibrated.calibrators]),
        "offset": np.array([c.b_ for c in calibrated.calibrators]),
    }
    return Head("svm", arrays)


def _export_trees(pipeline: Any) -> Head:
    last = pipeline[-1]
    trees = [tree.tree_ for tree in getattr(last, "estimators_", [last])]
    roots = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])

    def shifted(name: str) -> np.ndarray:
        return np.concatenate(
            [
                np.where(child == LEAF, LEAF, child + root)
                for root, child in (
                    (r, getattr(t, name)) for r, t in zip(roots, trees, strict=True)
                )
            ]
        ).astype(np.int32)

    value = np.concatenate([tree.value[:, 0, :] for tree in trees])
    arrays = _scaler(pipeline)
    arrays |= {
        "roots": roots.astype(np.int32),
        "left": shifted("children_left"),
        "right": shifted("children_right"),
        # of a leaf, -2 by convention: it is never read
        "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "value": value / value.sum(axis=1, keepdims=True),
    }
    return Head("forest", arrays)


def _export_logistic(pipeline: Any) -> Head:
    weight, bias = pipeline[-1].coef_, pipeline[-1].intercept_
    if len(bias) == 1:  # two classes: the sigmoid of z is the softmax of (0, z)
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return Head("logistic", _scaler(pipeline) | {"weight": weight, "bias": bias})


def _scaler(pipeline: Any) -> dict[str, np.ndarray]:
    return {"mean": pipeline[0].mean_, "scale": pipeline[0].scale_}


_ESTIMATORS = {"svm": _svm, "tree": _tree, "forest": _forest, "logistic": _logistic}
_EXPORTS = {
    "svm": _export_svm,
    "tree": _export_trees,
    "forest": _export_trees,
    "logistic": _export_logistic,
}
