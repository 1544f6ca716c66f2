"""The training images most like an image, as the model measures likeness.

    z = (x - mean) / deviation                      mean and deviation of the training rows
    distance = sqrt(mean over columns of (z - z')^2)

A distance of 1 is one deviation a column on average; unlike images are about 1.4 apart. In the
fused space the columns of each part (texture, deep) weigh the same together, however many they
are: `weights` divides by their number.

Neighbours say what the model finds alike, which need not be what a reader finds alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..classical.select import moments
from ..errors import LearnError

_BLOCK = 1 << 24  # distances held at once


def nearest(
    train: np.ndarray,
    rows: np.ndarray,
    k: int = 3,
    weights: np.ndarray | None = None,
    same: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (n, k) of the nearest training rows, nearest first, and their distances (n, k).

    train    (m, f) features of the training images; rows (n, f) of the images to explain;
             what is not finite stands for the training mean
    k        how many, at most m (less one with `same`)
    weights  (f,) of the columns, summing to 1; None: all alike
    same     (n,) index of the training row that is this very image, -1 where there is none: it is
             never its own neighbour

    LearnError where k is out of range or the columns differ. Cost O(n m f).
    """
    train, rows = np.asarray(train, np.float64), np.asarray(rows, np.float64)
    most = len(train) - (same is not None and bool((same >= 0).any()))
    if train.ndim != 2 or rows.ndim != 2 or train.shape[1] != rows.shape[1] or not train.shape[1]:
        raise LearnError(f"nearest: columns of {rows.shape} rows and {train.shape} training rows "
                         "differ, or there are none")  # fmt: skip
    if not 1 <= k <= most:
        raise LearnError(f"nearest: {k} neighbours are asked for; allowed: 1 .. {most}")
    mean, spread = moments(train)
    share = np.full(len(mean), 1 / len(mean)) if weights is None else np.asarray(weights)
    factor = np.sqrt(share) / np.where(spread > 0, spread, np.inf)  # a constant column says nothing
    z, known = (np.where(np.isfinite(x), x - mean, 0) * factor for x in (rows, train))
    own = np.full(len(z), -1) if same is None else np.asarray(same)
    step = max(1, _BLOCK // len(known))
    parts = [_closest(z[i : i + step], known, own[i : i + step], k) for i in range(0, len(z), step)]
    if not parts:
        return np.empty((0, k), np.intp), np.empty((0, k))
    index, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    return index, distance


def even(parts: Sequence[int]) -> np.ndarray:
    """Weights with which parts of so many columns each weigh the same together."""
    filled = [count for count in parts if count]
    return np.concatenate([np.full(count, 1 / (count * len(filled))) for count in filled])


def _closest(
    z: np.ndarray, known: np.ndarray, own: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    square = (z**2).sum(axis=1)[:, None] - 2 * z @ known.T + (known**2).sum(axis=1)
    at = np.flatnonzero(own >= 0)
    square[at, own[at]] = np.inf
    index = np.argsort(square, axis=1, kind="stable")[:, :k]
    return index, np.sqrt(((z[:, None] - known[index]) ** 2).sum(axis=2))
