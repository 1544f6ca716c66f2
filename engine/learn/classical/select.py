"""Which columns of features tell something that no earlier one tells.

Radiomics has hundreds of columns that say nearly the same. `select` keeps, in their order, the
columns that vary and whose correlation with every column kept before is at most a limit. What it
looks at must be training rows only: a choice made with all rows has seen the answers of the test.
"""

from __future__ import annotations

import numpy as np

from .reference import known

FLAT = 1e-12  # of its mean: a column whose deviation is less is constant


def select(values: np.ndarray, correlation: float) -> np.ndarray:
    """Which columns stay: bool (f,).

    values       (n, f) training rows; a gap (see `known`) stands for the column's mean
    correlation  greatest |Pearson r| of a column with one kept before; 1 leaves only columns out
                 that are constant or repeat another exactly, up to scale and sign
    Cost O(n f^2); 8 f^2 bytes.
    """
    mean, spread = moments(values)
    kept = spread > 0
    values = np.asarray(values, np.float64)
    z = np.where(known(values), values, mean) - mean
    z /= np.where(kept, np.linalg.norm(z, axis=0), np.inf)
    r = np.abs(z.T @ z)
    limit = min(correlation, 1 - 1e-9)  # rounding: a copy has r = 1 only nearly
    for column in range(1, len(kept)):
        before = kept[:column]
        kept[column] &= not (r[column, :column][before] > limit).any()
    return kept


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the known values of each column; 0 for what is constant or empty."""
    values = np.asarray(values, np.float64)
    finite = known(values)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, values, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(finite, values - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > FLAT * np.maximum(np.abs(mean), FLAT), spread, 0.0)
