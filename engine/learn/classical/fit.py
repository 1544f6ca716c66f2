"""Fitting a classical model with scikit-learn, and handing it over as arrays.

A machine's decisions become probabilities by Platt's sigmoid (Platt 1999), fitted to decisions on
inner folds that the machine had not seen (up to 5, whole groups), never to its own training
decisions. All other models have probabilities of their own.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from sklearn.calibration import CalibratedClassifierCV

from .export import head
from .folds import folds
from .heads import Head
from .models import MACHINES, Parameters, pipeline
from .warn import refuse


def fit(
    name: str,
    values: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    correlation: float = 1.0,
    select: str = "none",
    parameters: Parameters | None = None,
) -> tuple[Any, Head]:
    """The fitted scikit-learn estimator and the same model as a `Head`.

    name    svm, linear, tree, forest, extra, boosted, logistic, knn or nystroem
    values  (n, f) training features; gaps may be NaN
    truth   (n,) class numbers, each of 0 .. k-1 present
    groups  (n,) group numbers, or None: inner folds never separate a group
    correlation, select, parameters  see `models.pipeline`

    The head's probabilities are the estimator's within 1e-6. svm and knn keep training rows, and
    with them something of the training data. LearnError where nothing can be learned.
    Cost: svm O(n^2 f); forest, extra O(200 n log n sqrt(f)); boosted O(100 k n f); else O(n f).
    """
    refuse(values, truth)
    steps = pipeline(name, seed, correlation, select, parameters)
    if name not in MACHINES:
        steps.fit(values, truth)
        return steps, head(name, steps)
    inner = folds(f"{name}: calibration", truth, groups, seed)
    how: Any = {"method": "sigmoid", "ensemble": False}
    estimator = CalibratedClassifierCV(steps, cv=inner, **how).fit(values, truth)
    (calibrated,) = cast(Any, estimator.calibrated_classifiers_)
    return estimator, head(name, calibrated.estimator, calibrated.calibrators)
