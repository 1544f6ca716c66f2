"""Whether a probability of 0.8 means eight of ten: reliability, ECE, Brier, temperature.

    ECE    sum over bins of (rows in the bin / n) |share observed - mean probability|
    Brier  two classes and each label: mean of (p - y)^2; more classes: mean of sum_k (p_k - y_k)^2

The bins are 15 of equal width on 0 .. 1. What is binned: with two classes the probability of the
positive class; with more the probability of the most probable class, observed where that is the
true one; with labels the probability of each label (their mean is the figure).

Temperature scaling divides log probabilities by one T > 0 fitted on validation rows: the least
mean of -log p_true, which has one minimum because it is convex in 1 / T. It changes how sure a
model is and never the order of the classes of a row.

Source: Guo et al., ICML 2017; Brier, Mon. Weather Rev. 1950.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LearnError

BINS = 15
TEMPERATURES = (0.05, 20.0)
LEAST = 1e-12  # a probability of 0 is taken as this, so that it has a logarithm


def temperature(truth: np.ndarray, p: np.ndarray) -> float:
    """The T of least cross-entropy of `soften(p, T)`, within 0.05 .. 20, from validation rows.

    truth  (n,) class numbers, or (n, k) bool of independent labels
    p      (n, k) probabilities
    Raises LearnError without rows. O(n k) a trial, about 30 trials.
    """
    from scipy.optimize import minimize_scalar  # slow to import

    truth, p, logits = _checked(truth, p)
    if not len(p):
        raise LearnError("temperature: there are no validation rows to fit it on")
    labels = truth.ndim == 2

    def loss(log_t: float) -> float:
        z = logits / np.exp(log_t)
        if labels:
            return float(np.logaddexp(0, np.where(truth, -z, z)).mean())
        return float((_log_sum(z) - np.take_along_axis(z, truth[:, None], 1)[:, 0]).mean())

    low, high = np.log(TEMPERATURES)
    found: Any = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def soften(p: np.ndarray, temperature: float, task: str = "classes") -> np.ndarray:
    """(n, k) float64: softmax(log p / T); for task "labels" sigmoid(logit p / T) each.

    T > 1 makes a model less sure, T < 1 surer, 1 leaves p as it is (where p >= 1e-12).
    """
    if not 0 < temperature < np.inf:
        raise LearnError(f"soften: temperature is {temperature}; allowed: above 0")
    z = _logits(np.asarray(p, np.float64), task == "labels") / temperature
    if task == "labels":
        return np.exp(-np.logaddexp(0, -z))
    return np.exp(z - _log_sum(z)[:, None])


def reliability(truth: np.ndarray, p: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """The bins that hold rows, in order: {"low", "high", "n", "probability", "observed"}.

    probability and observed are means over the bin; labels are pooled.
    """
    truth, p, _ = _checked(truth, p)
    said, right = binned(truth, p)
    index = bin_of(said.ravel(), bins)
    n = np.bincount(index, minlength=bins)
    mean = [np.bincount(index, v.ravel(), bins) / np.maximum(n, 1) for v in (said, right)]
    return [
        {
            "low": b / bins, "high": (b + 1) / bins, "n": int(n[b]),
            "probability": float(mean[0][b]), "observed": float(mean[1][b]),
        }
        for b in np.flatnonzero(n)
    ]  # fmt: skip


def ece(truth: np.ndarray, p: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error, 0 .. 1; NaN without rows."""
    truth, p, _ = _checked(truth, p)
    if not len(p):
        return float("nan")
    said, right = (v.reshape(len(p), -1).T for v in binned(truth, p))
    gaps = [np.bincount(bin_of(s, bins), r - s, bins) for s, r in zip(said, right, strict=True)]
    return float(np.abs(gaps).sum() / right.size)


def brier(truth: np.ndarray, p: np.ndarray) -> float:
    """Brier score, 0 .. 1 (0 .. 2 with more than two classes); NaN without rows."""
    truth, p, _ = _checked(truth, p)
    return float(squares(truth, p).mean()) if len(p) else float("nan")


def binned(truth: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(said, right): the probabilities that are binned and whether each came true, as float64."""
    if truth.ndim == 2:
        return p, truth.astype(np.float64)
    if p.shape[1] == 2:
        return p[:, 1], (truth == 1).astype(np.float64)
    return p.max(axis=1), (p.argmax(axis=1) == truth).astype(np.float64)


def bin_of(said: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The number of the bin of equal width that holds each probability; 1 is in the last."""
    return np.minimum((said * bins).astype(np.intp), bins - 1)


def squares(truth: np.ndarray, p: np.ndarray) -> np.ndarray:
    """(n,) squared distance of each row's probabilities from the truth; (n, k) for labels."""
    if truth.ndim == 2:
        return (p - truth) ** 2
    if p.shape[1] == 2:
        return (p[:, 1] - (truth == 1)) ** 2
    return ((p - np.eye(p.shape[1])[truth]) ** 2).sum(axis=1)


def _checked(truth: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, p = np.asarray(truth), np.asarray(p, np.float64)
    if p.ndim != 2 or len(truth) != len(p) or (truth.ndim == 2 and truth.shape != p.shape):
        raise LearnError(f"calibration: {p.shape} probabilities for {truth.shape} true classes")
    return truth, p, _logits(p, truth.ndim == 2)


def _logits(p: np.ndarray, labels: bool) -> np.ndarray:
    p = np.clip(p, LEAST, 1)
    return np.log(p) - np.log(np.clip(1 - p, LEAST, 1)) if labels else np.log(p)


def _log_sum(z: np.ndarray) -> np.ndarray:
    """log sum exp over the classes, (n,), without overflow."""
    top = z.max(axis=1)
    return top + np.log(np.exp(z - top[:, None]).sum(axis=1))
