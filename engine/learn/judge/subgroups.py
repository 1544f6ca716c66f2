"""The same figures for parts of the rows: by scanner, site, sex, age band or whatever is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import LearnError
from .bootstrap import RESAMPLES, Groups
from .metrics import Threshold, metrics

MOST = 20  # values of a column
FEW = 30  # rows, below which a row of figures says so
NAMES = ("auc", "accuracy", "sensitivity", "specificity")
UNKNOWN = "not known"


def by_subgroup(
    truth: np.ndarray,
    p: np.ndarray,
    threshold: Threshold,
    columns: Mapping[str, Sequence[str | None]],
    groups: Groups = None,
    resamples: int = RESAMPLES,
    task: str = "classes",
) -> list[dict[str, Any]]:
    """One row for each value of each column: {"column", "value", "n", "few", "metrics"}.

    columns  name -> n texts; a row without one (None or "") is counted as "not known"
    metrics  auc, accuracy, sensitivity, specificity with intervals; see `metrics` for the rest
    few      whether fewer than 30 rows stand behind the figures
    Raises LearnError for a column of another length or of more than 20 values (ages, dates: they
    must be put into bands first).
    """
    truth, p = np.asarray(truth), np.asarray(p)
    found = []
    for column, given in columns.items():
        if len(given) != len(truth):
            raise LearnError(f"subgroups: {len(given)} values of {column!r} for {len(truth)} rows")
        values = np.array([str(value or UNKNOWN) for value in given], object)
        names = sorted(set(values))
        if len(names) > MOST:
            raise LearnError(
                f"subgroups: {column!r} has {len(names)} values; allowed: {MOST}, or bands of them"
            )
        for name in names:
            rows = np.flatnonzero(values == name)
            theirs = None if groups is None else [groups[row] for row in rows.tolist()]
            figures = metrics(truth[rows], p[rows], threshold, theirs, resamples, task=task)
            found.append(
                {
                    "column": column,
                    "value": name,
                    "n": len(rows),
                    "few": len(rows) < FEW,
                    "metrics": {key: figures[key] for key in NAMES},
                }
            )
    return found
