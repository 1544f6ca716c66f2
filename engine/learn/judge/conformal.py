"""Sets of classes that hold the true one as often as promised: split conformal prediction.

A row's strangeness is s = 1 - p_true. With s_(r) the r-th smallest of n validation rows and
r = ceil((n + 1) (1 - alpha)), the set {k: 1 - p_k <= s_(r)} of a new row holds its true class with
probability at least 1 - alpha, whatever the model, as long as new rows come as the validation rows
did (they are exchangeable; images of one patient in both would break it). Where r > n the
validation rows are too few for the promise and the set is all classes.

Of independent labels s is the largest 1 - p of the labels that are present, and the set holds all
of them with that probability.

Source: Vovk, Gammerman and Shafer, 2005; Sadinle, Lei and Wasserman, JASA 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LearnError
from .metrics import checked


def quantile(truth: np.ndarray, p: np.ndarray, alpha: float) -> float:
    """The strangeness, 0 .. 1, up to which a class belongs to the set; from validation rows.

    truth (n,) class numbers, or (n, k) bool of labels; p (n, k) probabilities; 0 < alpha < 1 the
    share of rows whose set may miss. Raises LearnError outside these. O(n log n).
    """
    if not 0 < alpha < 1:
        raise LearnError(f"conformal: alpha is {alpha}; allowed: above 0 to below 1")
    truth, p = checked(truth, p, "labels" if np.ndim(truth) == 2 else "classes")
    n = len(p)
    rank = int(np.ceil((n + 1) * (1 - alpha) - 1e-9))
    if rank > n:
        return 1.0
    if truth.ndim == 2:
        strange = np.where(truth, 1 - p, 0).max(axis=1)
    else:
        strange = 1 - np.take_along_axis(p, truth[:, None], 1)[:, 0]
    return float(np.clip(np.partition(strange, rank - 1)[rank - 1], 0, 1))


def sets(p: np.ndarray, quantile: float) -> np.ndarray:
    """(n, k) bool: the classes in each row's set."""
    return np.minimum(1 - np.asarray(p, np.float64), 1) <= quantile


def coverage(truth: np.ndarray, sets: np.ndarray) -> float:
    """Share of the rows whose set holds the true class (all labels present); NaN without rows."""
    truth, sets = np.asarray(truth), np.asarray(sets, bool)
    if not len(sets):
        return float("nan")
    if truth.ndim == 2:
        return float((sets | ~truth.astype(bool)).all(axis=1).mean())
    return float(np.take_along_axis(sets, truth.astype(np.intp)[:, None], 1).mean())


def sizes(sets: np.ndarray) -> dict[str, Any]:
    """{"mean", "counts": rows by size 0 .. k}, "empty", "single" and "several": rows}."""
    size = np.asarray(sets, bool).sum(axis=1)
    counts = np.bincount(size, minlength=np.shape(sets)[1] + 1)
    return {
        "mean": float(size.mean()) if len(size) else None,
        "counts": counts.tolist(),
        "empty": int(counts[0]),
        "single": int(counts[1]),
        "several": int(counts[2:].sum()),
    }
