"""The classical models as scikit-learn pipelines: standardise, select columns, model.

Classes count equally in each: by weights of the rows (class_weight balanced), in k-NN by copies of
the rows of rarer classes. The defaults are fixed and plain; `search` looks for better ones.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from ..errors import LearnError
from ..settings import SELECTIONS
from .steps import KEEP, Select, Standardise

MACHINES = ("svm", "linear")  # give decisions; probabilities come from a calibration
TREES = 200
COPIES = 5  # of a row of a rare class, at most
_NO: Any = False  # where scikit-learn's annotations know texts alone

Parameters = Mapping[str, Any]


def pipeline(
    name: str,
    seed: int,
    correlation: float = 1.0,
    select: str = "none",
    parameters: Parameters | None = None,
) -> Pipeline:
    """The unfitted pipeline of a model; every step is fitted on the rows it is given.

    name         svm, linear, tree, forest, extra, boosted, logistic, knn or nystroem
    correlation  see `Standardise`
    select       none, anova or l1; see `Select`
    parameters   the arguments of the model's function below, and "keep", the columns of a selection

    LearnError for another name, selection or parameter.
    """
    for what, one, known in (("model", name, tuple(MODELS)), ("select", select, SELECTIONS)):
        if one not in known:
            raise LearnError(f"classical: {what} is {one!r}; allowed: {', '.join(known)}")
    own = dict(parameters or {})
    keep = own.pop("keep", KEEP)
    allowed = inspect.signature(MODELS[name]).parameters
    if odd := [word for word in own if word not in allowed]:
        raise LearnError(f"{name}: parameter {odd[0]!r} is unknown; allowed: {', '.join(allowed)}")
    standardise = Standardise(correlation, fill=name != "boosted")
    selector = "passthrough" if select == "none" else Select(select, keep)
    model = MODELS[name](seed=seed, **own)
    return Pipeline([("standardise", standardise), ("select", selector), ("model", model)])


def svm(seed: int, C: float = 1.0, gamma: float | str = "scale") -> OneVsRestClassifier:
    """Support vector machines with the kernel exp(-gamma |a - b|^2); scale: gamma = 1 / f."""
    return OneVsRestClassifier(SVC(C=C, gamma=gamma, class_weight="balanced"))  # pyright: ignore[reportArgumentType]


def linear(seed: int, C: float = 0.01) -> LinearSVC:
    """Linear support vector machines, squared hinge."""
    return LinearSVC(C=C, dual=_NO, class_weight="balanced", max_iter=5000, random_state=seed)


def logistic(seed: int, C: float = 0.1) -> LogisticRegression:
    """Logistic regression, softmax over all classes at once."""
    return LogisticRegression(C=C, class_weight="balanced", max_iter=5000)


def tree(seed: int, depth: int = 6, leaf: float = 0.005) -> DecisionTreeClassifier:
    """One decision tree that can be read; leaf: least share of the rows in a leaf."""
    smallest: Any = leaf
    return DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=smallest, class_weight="balanced", random_state=seed
    )


def forest(seed: int, leaf: int = 2) -> RandomForestClassifier:
    """A random forest of 200 trees; leaf: least number of rows in a leaf."""
    return RandomForestClassifier(TREES, **_grown(seed, leaf))


def extra(seed: int, leaf: int = 2) -> ExtraTreesClassifier:
    """200 extremely randomised trees: thresholds are drawn, not searched for."""
    return ExtraTreesClassifier(TREES, **_grown(seed, leaf))


def _grown(seed: int, leaf: int) -> dict[str, Any]:
    shape = {"max_depth": 32, "min_samples_leaf": leaf}
    return shape | {"class_weight": "balanced", "random_state": seed, "n_jobs": -1}


def boosted(
    seed: int, rate: float = 0.1, leaves: int = 15, rounds: int = 100
) -> HistGradientBoostingClassifier:
    """Gradient boosting on histograms; a gap is a value of its own to it.

    The rounds are fixed: stopping early would hold out random rows, and separate groups. 63
    bins a column tell as much as 255 at a quarter of the time.
    """
    return HistGradientBoostingClassifier(
        learning_rate=rate, max_leaf_nodes=leaves, max_iter=rounds, early_stopping=_NO,
        l2_regularization=1.0, max_bins=63, class_weight="balanced", random_state=seed,
    )  # fmt: skip


def knn(seed: int, neighbours: int = 15) -> Neighbours:
    """The classes' shares among the nearest rows."""
    return Neighbours(neighbours, algorithm="brute")


def nystroem(
    seed: int, C: float = 10.0, gamma: float | None = None, landmarks: int = 300
) -> Pipeline:
    """Logistic regression on nearness to landmarks: the svm's kernel, at a cost linear in n.

    The features map K(x, L) K(L, L)^-1/2 of random rows L approximates the kernel (Williams and
    Seeger 2001). gamma None: 1 / f.
    """
    features = Landmarks(gamma=gamma, n_components=landmarks, random_state=seed)
    return make_pipeline(features, LogisticRegression(C=C, class_weight="balanced", max_iter=5000))


class Landmarks(Nystroem):
    """Nystroem that takes all rows, in silence, where fewer than its landmarks are there."""

    def fit(self, X: np.ndarray, y: Any = None) -> Landmarks:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "n_components > n_samples", UserWarning)
            return super().fit(X, y)


class Neighbours(KNeighborsClassifier):
    """k-NN among rows of which those of rarer classes stand several times, at most `COPIES`.

    A vote of neighbours has no class weights; copies are its whole-numbered ones.
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> Neighbours:
        counts = np.bincount(y)
        copies = np.clip(np.rint(counts.max() / np.maximum(counts, 1)), 1, COPIES).astype(int)
        rows = np.repeat(np.arange(len(y)), copies[y])
        wanted = cast(int, self.n_neighbors)
        if len(rows) < wanted:
            raise LearnError(f"knn: {wanted} neighbours wanted of {len(rows)} rows")
        return super().fit(X[rows], y[rows])


MODELS: dict[str, Callable[..., Any]] = {
    "svm": svm,
    "linear": linear,
    "tree": tree,
    "forest": forest,
    "extra": extra,
    "boosted": boosted,
    "logistic": logistic,
    "knn": knn,
    "nystroem": nystroem,
}
