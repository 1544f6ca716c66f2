"""What is wrong, or may be, with a table of features and with what models make of it.

`refuse` raises where nothing can be learned. The others return sentences for the report: a model
can be fitted, but its figures must be read with care.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from ..errors import LearnError
from .reference import known
from .select import moments

SPREADS = 1e3  # ratio of two columns' deviations beyond which only the greater one counts
SAME = 0.95  # share of one value from which a column hardly varies
FLAT = 0.01  # range of a probability below which it is constant
MANY_ROWS = 20_000  # beyond which models of quadratic cost are slow
FEW_GROUPS = 10  # of a class, below which folds differ by chance
_QUADRATIC = {"svm": "fitting it", "knn": "predicting with it"}


def refuse(values: np.ndarray, truth: np.ndarray) -> None:
    """LearnError unless something can be learned from n rows of features and class numbers."""
    if values.ndim != 2 or truth.shape != values.shape[:1]:
        raise LearnError(f"classical: {values.shape} features for {truth.shape} class numbers")
    refuse_classes(truth)
    if not known(values.astype(np.float64)).any():
        raise LearnError("classical: no feature has a value; all are NaN or infinite")


def refuse_classes(truth: np.ndarray) -> None:
    """LearnError unless (n,) class numbers name at least two classes and leave none out."""
    if not np.issubdtype(truth.dtype, np.integer) or (truth < 0).any():
        raise LearnError("classical: the truth must be class numbers 0 .. k-1")
    counts = np.bincount(truth)
    if np.count_nonzero(counts) < 2:
        raise LearnError("classical: all rows are of one class; at least two are needed")
    if (counts == 0).any():
        raise LearnError(f"classical: class number {counts.argmin()} has no row to learn from")


def concerns(
    values: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None = None,
    models: Collection[str] = (),
    names: Sequence[str] | None = None,
) -> list[str]:
    """Sentences on a training table that can be learned from, but not without doubts.

    values (n, f), truth (n,), groups (n,) as for `fit`; names: (f,) of the columns.
    Cost O(n f log n).
    """
    n, f = values.shape
    found = []
    if f > n:
        found.append(f"There are more features ({f}) than rows ({n}): chance alone fits them.")
    if flat := [column for column in range(f) if _hardly_varies(values[:, column])]:
        found.append(f"These columns hardly vary: {_first(flat, names)}.")
    if gaps := np.flatnonzero(~known(values.astype(np.float64)).any(axis=0)).tolist():
        found.append(f"These columns have no value at all: {_first(gaps, names)}.")
    unit = np.arange(n) if groups is None else groups
    fewest, k = min((len(np.unique(unit[truth == k])), k) for k in np.unique(truth))
    if fewest < FEW_GROUPS:
        what = "rows" if groups is None else "groups"
        found.append(f"Class number {k} has {fewest} {what} only: folds differ by chance.")
    for model in models:
        if n > MANY_ROWS and model in _QUADRATIC:
            found.append(
                f"{model}: {_QUADRATIC[model]} is slow for {n} rows, of which each meets every "
                f"other; nystroem approximates the same kernel at a cost linear in the rows."
            )
    return found


def unscaled(name: str, seen: np.ndarray) -> str | None:
    """A sentence where the columns that a model sees differ too much in spread.

    seen  (n, f): what reaches a model that measures distances or penalises weights (svm, linear,
          logistic, knn, nystroem), after all steps before it. Trees do not mind.
    """
    spread = moments(seen)[1]
    spread = spread[spread > 0]
    if not spread.size or (ratio := spread.max() / spread.min()) <= SPREADS:
        return None
    return (
        f"{name}: the columns are not scaled; the deviation of one is {ratio:.0e} times that of "
        f"another, so that few of them decide alone."
    )


def constant(name: str, p: np.ndarray, labels: Sequence[str]) -> str | None:
    """A sentence where probabilities (n, k) tell the rows apart hardly or not at all."""
    if len(p) < 2:
        return None
    if np.ptp(p, axis=0).max() < FLAT:
        return f"{name}: it gives every row the same probabilities; it has learned nothing."
    called = np.unique(p.argmax(axis=1))
    if len(called) == 1:
        return f"{name}: it calls every row {labels[called[0]]!r}."
    return None


def _hardly_varies(column: np.ndarray) -> bool:
    column = column[known(column.astype(np.float64))]
    return len(column) > 0 and np.unique(column, return_counts=True)[1].max() >= SAME * len(column)


def _first(which: Sequence[int], names: Sequence[str] | None) -> str:
    """The first three of some columns by name, and how many more there are."""
    first = [str(column if names is None else names[column]) for column in which[:3]]
    return ", ".join(first) + (f" and {len(which) - 3} more" if len(which) > 3 else "")
