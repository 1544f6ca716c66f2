"""AUC and average precision of weighted rows, for many sets of weights at once; NumPy alone.

    AUC = P(score of a positive > score of a negative) + P(equal) / 2            (Mann-Whitney)
    AP  = sum over thresholds of (recall_t - recall_(t-1)) precision_t

With rows in falling order of score and equal scores as one step, P and F the running sums of the
weights of positives and negatives at the end of each step, and a difference d from step to step:

    AUC = sum dF (P - dP / 2) / (P_end F_end)        AP = sum dP P / (P + F) / P_end

Source: Hanley and McNeil, Radiology 1982; Su, Yuan and Zhu, ICTIR 2015.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Rows in falling order of score: order (n,), positive (n,); last: (steps,) ends of steps."""

    order: np.ndarray
    positive: np.ndarray
    last: np.ndarray


def ranking(positive: np.ndarray, score: np.ndarray) -> Ranking:
    """Of n scores and whether each row is a positive. O(n log n)."""
    order = np.argsort(-score, kind="stable")
    fallen = np.diff(score[order], append=-np.inf) < 0
    return Ranking(order, positive[order].astype(np.float64), np.flatnonzero(fallen))


def ranked(rows: Ranking, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(AUC (b,), AP (b,)) for b rows of weights (b, n), whole numbers; NaN where undefined.

    AUC needs a positive and a negative of weight above 0, AP a positive. O(b n).
    """
    if not len(rows.order):
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    every = weights.take(rows.order, axis=1)
    gained = every * rows.positive
    found, seen = np.cumsum(gained, axis=1), np.cumsum(every, axis=1)
    if len(rows.last) < len(rows.order):
        found, seen = found[:, rows.last], seen[:, rows.last]
        gained, every = (np.diff(sums, axis=1, prepend=0) for sums in (found, seen))
    positives, negatives = found[:, -1], seen[:, -1] - found[:, -1]
    # sum dF (P - dP / 2) with dF = every - gained: whole and half numbers, hence exact
    won = (
        _dot(every, found) - _dot(gained, found) - (_dot(every, gained) - _dot(gained, gained)) / 2
    )
    precision = np.divide(found, np.maximum(seen, 1), out=seen)
    return divide(won, positives * negatives), divide(_dot(gained, precision), positives)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("bs,bs->b", a, b)


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, NaN where bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, np.float64), bottom)
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
