"""How unlike the training rows a row is, so that an alien image is flagged; NumPy alone.

With z = (x - mean) / scale, S = z'z / n of the training rows and its eigenvalues l_i, v_i,

    l_i <- (1 - d) l_i + d mean(l)                                    (Ledoit-Wolf shrinkage)
    score(x) = (sum_(i <= r) (z v_i)^2 / l_i + |residual of z|^2 / l_rest) / f

which is the squared Mahalanobis distance a column under a Gaussian whose leading r directions are
kept and whose other variances are equal to their mean (probabilistic principal components); near 1
for a row like the training ones. The directions hold 95 % of the variance, 64 at most. What the
training never saw (an empty direction) counts through the residual, where a plain Mahalanobis
distance of the leading directions alone is blind.

A column that does not vary in training takes no part. A value that is not finite stands for the
mean; a row with more of them than any row the limit was set on has the score infinity.

Source: Ledoit and Wolf, J. Multivar. Anal. 2004; Tipping and Bishop, JRSS B 1999; Lee et al.,
NeurIPS 2018 (Mahalanobis distances of deep features).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import LearnError, ModelError

VARIANCE, DIRECTIONS = 0.95, 64
SHARE = 0.01  # of rows like the held-out ones may be flagged
_FAR = 1e60  # a standardised value is cut there, so that its square is finite
_ROWS = 4096  # scored at once


@dataclass(frozen=True, eq=False)
class Novelty:
    """What `fit` found; f columns, r directions. All arrays float64.

    mean, scale  (f,), scale 0 where a column takes no part
    directions   (f, r) orthonormal;  variances (r,) above 0;  rest: of every other direction
    limit        the score above which a row is flagged; missing: most values not finite in a row
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float
    limit: float
    missing: int

    def score(self, rows: np.ndarray) -> np.ndarray:
        """(n,) float64 of rows (n, f); LearnError for another number of columns. O(n f r)."""
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise LearnError(
                f"novelty: {rows.shape} rows; it was fitted on {len(self.mean)} columns"
            )
        parts = [self._score(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        return np.concatenate(parts) if parts else np.empty(0)

    def flagged(self, rows: np.ndarray) -> np.ndarray:
        """(n,) bool: whether the score is above the limit."""
        return self.score(rows) > self.limit

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for a model file."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "directions": self.directions,
            "variances": self.variances,
            "numbers": np.array([self.rest, self.limit, self.missing], np.float64),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Novelty:
        """The inverse of `arrays`; ModelError for anything that `fit` could not have made."""
        _check(arrays)
        rest, limit, missing = (float(value) for value in arrays["numbers"])
        mean, scale = arrays["mean"], arrays["scale"]
        directions, variances = arrays["directions"], arrays["variances"]
        return Novelty(mean, scale, directions, variances, rest, limit, int(missing))

    def _score(self, rows: np.ndarray) -> np.ndarray:
        z = _standardised(rows, self.mean, self.scale)
        along = z @ self.directions
        used = max(int((self.scale > 0).sum()), 1)
        residual = np.maximum((z**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        score = ((along**2 / self.variances).sum(axis=1) + residual / self.rest) / used
        return np.where(_missing(rows, self.scale) > self.missing, np.inf, score)


def fit(rows: np.ndarray, held: np.ndarray | None = None, share: float = SHARE) -> Novelty:
    """The statistics of training rows (n, f), n >= 2, with the limit from held-out ones (m, f).

    held   validation rows, of which at most a share lies above the limit; the rows themselves
           without them, which sets the limit too low where n is not much larger than f
    share  of new rows like the held ones to be flagged; where m is too small for it (m < 1 / share)
           the limit is the largest score of the held rows
    Raises LearnError for shapes or shares outside these, and where no column varies.
    Cost: O(n f^2 + f^3), with n and f exchanged where n < f.
    """
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not 0 < share < 1:
        raise LearnError(
            f"novelty: {rows.shape} rows, share {share}; at least 2 rows, 0 < share < 1"
        )
    mean, scale = _moments(rows)
    if not scale.any():
        raise LearnError("novelty: no column varies over the training rows")
    z = _standardised(rows, mean, scale)
    spectrum, directions = _spectrum(z)
    used = int((scale > 0).sum())
    shrunk, floor = _shrink(z, spectrum, used)
    r = int(np.searchsorted(np.cumsum(spectrum), VARIANCE * spectrum.sum())) + 1
    r = min(r, DIRECTIONS, len(spectrum))
    left = used - r
    rest = (shrunk[r:].sum() + floor * (used - len(spectrum))) / left if left else floor
    held = rows if held is None else np.asarray(held, np.float64)
    missing = max(int(_missing(part, scale).max(initial=0)) for part in (rows, held))
    found = Novelty(mean, scale, directions[:, :r].copy(), shrunk[:r].copy(), rest, 0.0, missing)
    return replace(found, limit=_limit(found.score(held), share))


def _limit(scores: np.ndarray, share: float) -> float:
    """The finite-sample quantile: a new score is above it with chance <= share (if m allows)."""
    if not len(scores):
        raise LearnError("novelty: there are no held-out rows to set the limit on")
    rank = min(int(np.ceil((len(scores) + 1) * (1 - share) - 1e-9)), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the finite values of each column; 0 where it does not vary."""
    finite = np.isfinite(rows)
    n = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, rows, 0).sum(axis=0) / n
    scale = np.sqrt((np.where(finite, rows - mean, 0) ** 2).sum(axis=0) / n)
    return mean, np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-12), scale, 0)


def _standardised(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        z = np.divide(rows - mean, scale, out=np.zeros(rows.shape), where=scale > 0)
    return np.clip(np.where(np.isfinite(rows), z, 0), -_FAR, _FAR)


def _missing(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(n,) how many values of the columns that take part are not finite."""
    return (~np.isfinite(rows[:, scale > 0])).sum(axis=1)


def _spectrum(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Falling eigenvalues (m,) above 0 of z'z / n and their directions (f, m)."""
    n, f = z.shape
    if f <= n:
        values, vectors = np.linalg.eigh(z.T @ z / n)
    else:  # the small matrix z z' / n has the same eigenvalues
        values, vectors = np.linalg.eigh(z @ z.T / n)
    kept = np.flatnonzero(values > 1e-10 * values[-1])[::-1]
    values, vectors = values[kept], vectors[:, kept]
    return values, vectors if f <= n else z.T @ vectors / np.sqrt(n * values)


def _shrink(z: np.ndarray, spectrum: np.ndarray, used: int) -> tuple[np.ndarray, float]:
    """The shrunk eigenvalues, and the one of every direction that had none."""
    n, mean = len(z), spectrum.sum() / used
    squared = (spectrum**2).sum()
    noise = ((z**2).sum(axis=1) ** 2).sum() / n**2 - squared / n
    apart = squared - used * mean**2
    d = float(np.clip(noise / apart, 0, 1)) if apart > 0 else 1.0
    return (1 - d) * spectrum + d * mean, max(d * mean, 1e-6 * mean)


def _check(arrays: Mapping[str, np.ndarray]) -> None:
    keys = {"mean", "scale", "directions", "variances", "numbers"}
    if set(arrays) != keys:
        raise ModelError(f"novelty: the arrays must be {', '.join(sorted(keys))}")
    for key, array in arrays.items():
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise ModelError(f"novelty: {key} must be finite float64")
    f, r = arrays["mean"].shape[0] if arrays["mean"].ndim == 1 else -1, arrays["variances"].size
    shapes = {"mean": (f,), "scale": (f,), "directions": (f, r), "variances": (r,), "numbers": (3,)}
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise ModelError(f"novelty: {key} is {arrays[key].shape}; it must be {shape}")
    rest, limit, missing = arrays["numbers"]
    if not 0 < r <= min(f, DIRECTIONS) or (np.abs(arrays["directions"]) > 1 + 1e-6).any():
        raise ModelError("novelty: directions must be 1 .. 64 unit vectors")
    if (arrays["scale"] < 0).any() or (arrays["variances"] < 1e-30).any() or rest < 1e-30:
        raise ModelError("novelty: deviations and variances must not be negative or vanish")
    if limit < 0 or missing != int(missing) or not 0 <= missing <= f:
        raise ModelError("novelty: the limit or the number of missing values is impossible")
