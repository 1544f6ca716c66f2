"""What every classical pipeline begins with: standardised columns, and a selection of them.

Both are scikit-learn steps, fitted on the rows the pipeline is fitted on and on no others. Inside
a fold they see the fold's training rows alone, so neither a statistic nor a choice of columns can
carry anything of a row held out into the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import f_classif
from sklearn.svm import LinearSVC, l1_min_c

from ..errors import LearnError
from .reference import known, standardise
from .select import moments, select

KEEP = 100  # columns of a selection, unless a search says otherwise
_L1 = 30.0  # times the least C at which an L1 machine uses any column


class Standardise(TransformerMixin, BaseEstimator):
    """x -> (x - mean) / deviation of the columns that vary.

    correlation  below 1, a column that is more correlated with an earlier one goes (see `select`)
    fill         whether a gap becomes 0, the mean; else it stays NaN

    (n, f) -> (n, len(kept_)) float64; kept_ are the indices of the columns that stay, mean_ and
    scale_ are of all f. LearnError where no column varies.
    """

    def __init__(self, correlation: float = 1.0, fill: bool = True):
        self.correlation = correlation
        self.fill = fill

    def fit(self, X: np.ndarray, y: Any = None) -> Standardise:
        self.mean_, spread = moments(X)
        self.scale_ = np.where(spread > 0, spread, 1.0)
        stays = spread > 0 if self.correlation >= 1 else select(X, self.correlation)
        self.kept_ = np.flatnonzero(stays)
        if not self.kept_.size:
            raise LearnError("classical: no feature varies in the training rows")
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        X, kept = np.asarray(X)[:, self.kept_], self.kept_
        z = standardise(X, self.mean_[kept], self.scale_[kept])
        return z if self.fill else np.where(known(X), z, np.nan)


class Select(TransformerMixin, BaseEstimator):
    """The `keep` columns that tell the classes apart best.

    how   "anova": variance between the classes over variance within them (F statistic), column by
          column; "l1": largest |weight| of a linear machine with an L1 penalty, which looks at all
          columns together and gives those that add nothing the weight 0
    keep  columns that stay at most; those that score 0 go, unless all do

    (n, f) -> (n, len(kept_)), kept_ in the order of the columns. Cost: anova O(n f); l1 some tens
    of passes of O(n f k).
    """

    def __init__(self, how: str = "anova", keep: int = KEEP):
        self.how = how
        self.keep = keep

    def fit(self, X: np.ndarray, y: np.ndarray) -> Select:
        score = _SCORES[self.how](np.nan_to_num(X), y)  # of what is standardised, 0 is the mean
        best = np.argsort(-score, kind="stable")[: self.keep]
        useful = best[score[best] > 0]
        self.kept_ = np.sort(useful if useful.size else best)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return X[:, self.kept_]


def _anova(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # no variance within the classes: F is infinite
        return np.nan_to_num(f_classif(z, truth)[0])


def _l1(z: np.ndarray, truth: np.ndarray) -> np.ndarray:
    least = float(l1_min_c(z, truth, loss="squared_hinge"))
    primal: Any = False
    machine = LinearSVC(
        penalty="l1", dual=primal, C=_L1 * least, tol=1e-3, class_weight="balanced", random_state=0
    )
    return np.abs(machine.fit(z, truth).coef_).max(axis=0)


_SCORES = {"anova": _anova, "l1": _l1}
