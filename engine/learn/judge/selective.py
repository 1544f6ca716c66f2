"""What leaving the least sure rows to a person would save: risk against coverage.

Rows are kept in falling order of confidence. At a coverage c the risk is the share of errors among
the c n most confident rows; the area under the curve (AURC, less is better) is its mean over all
coverages. Rows of equal confidence are kept or left together, at their mean risk.

Source: El-Yaniv and Wiener, JMLR 2010; Geifman et al., ICLR 2019.
"""

from __future__ import annotations

import numpy as np

from ..errors import LearnError
from .metrics import Threshold, decide


def risk_coverage(
    truth: np.ndarray, p: np.ndarray, threshold: Threshold = None, task: str = "classes"
) -> tuple[np.ndarray, np.ndarray]:
    """(coverage, risk), each (steps,) float64, coverage rising to 1; one step a confidence.

    truth      (n,) class numbers; (n, k) bool of labels, where any wrong label is an error
    p          (n, k) probabilities
    threshold  see `decide`. The confidence is the probability of the class that is called (with a
               threshold: how far p is from it, on its side); of labels, of the least sure one
    Raises LearnError without rows. O(n log n).
    """
    truth, p = np.asarray(truth), np.asarray(p, np.float64)
    if not len(p):
        raise LearnError("risk and coverage: there are no rows")
    called = decide(p, threshold, task)
    wrong = (called != truth).reshape(len(p), -1).any(axis=1)
    levels, index = np.unique(-_confidence(p, called, threshold, task), return_inverse=True)
    kept = np.cumsum(np.bincount(index, minlength=len(levels)))
    return kept / len(p), np.cumsum(np.bincount(index, wrong, len(levels))) / kept


def area(coverage: np.ndarray, risk: np.ndarray) -> float:
    """AURC: the mean of the risk over coverage, each step's risk for the rows it adds."""
    return float((np.diff(coverage, prepend=0) * risk).sum())


def _confidence(p: np.ndarray, called: np.ndarray, threshold: Threshold, task: str) -> np.ndarray:
    if task == "labels":
        t = np.broadcast_to(0.5 if threshold is None else np.asarray(threshold), p.shape)
        return _side(p, t, called).min(axis=1)
    if threshold is None or p.shape[1] != 2:
        return p.max(axis=1)
    return _side(p[:, 1], np.full(len(p), threshold), called.astype(bool))


def _side(p: np.ndarray, threshold: np.ndarray, called: np.ndarray) -> np.ndarray:
    """0 at the threshold, 1 at the end of its side."""
    return np.where(
        called,
        (p - threshold) / np.maximum(1 - threshold, 1e-12),
        (threshold - p) / np.maximum(threshold, 1e-12),
    )
