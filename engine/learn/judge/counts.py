"""What a confusion matrix says: accuracy, sensitivity, specificity, F1, kappa; NumPy alone.

With M[i, j] the weight of rows of class i called j, row i and column j its sums, N its whole:

    accuracy        sum_i M[i, i] / N                     sensitivity_i  M[i, i] / row_i
    specificity_i   (N - row_i - column_i + M[i, i]) / (N - row_i)
    F1_i            2 M[i, i] / (row_i + column_i)
    kappa           1 - sum v M / sum v E,   E[i, j] = row_i column_j / N,   v[i, j] = [i != j];
                    quadratic kappa has v[i, j] = (i - j)^2

Source: Cohen, Educ. Psychol. Meas. 1960 and Psychol. Bull. 1968.
"""

from __future__ import annotations

import numpy as np

from .ranking import divide


def confusions(cell: np.ndarray, classes: int, weights: np.ndarray) -> np.ndarray:
    """(b, k, k) confusion matrices, true class by called class, for weights (b, n).

    cell  (n,) true class * k + called class
    """
    rows, size = len(weights), classes**2
    index = cell + size * np.arange(rows)[:, None]
    counted = np.bincount(index.ravel(), weights.ravel(), rows * size)
    return counted.reshape(rows, classes, classes)


def by_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """sensitivity, specificity, f1: (b, k) each, NaN where a class has no rows to tell from."""
    true, called, hit = _sums(matrix)
    total = true.sum(axis=1, keepdims=True)
    return {
        "sensitivity": divide(hit, true),
        "specificity": divide(total - true - called + hit, total - true),
        "f1": divide(2 * hit, true + called),
    }


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """(b,) share of the rows called right."""
    return divide(_sums(matrix)[2].sum(axis=1), matrix.sum(axis=(1, 2)))


def kappa(matrix: np.ndarray, quadratic: bool = False) -> np.ndarray:
    """(b,) agreement beyond chance; NaN where all rows are of one class and called so."""
    true, called, _ = _sums(matrix)
    apart = np.subtract.outer(np.arange(matrix.shape[1]), np.arange(matrix.shape[1])) ** 2
    cost = apart if quadratic else np.minimum(apart, 1)
    chance = np.einsum("bi,ij,bj->b", true, cost, called)
    found = (matrix * cost).sum(axis=(1, 2)) * true.sum(axis=1)
    return 1 - divide(found, chance)


def _sums(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(b, k) weight of each true class, of each called class, of the hits of each."""
    return matrix.sum(axis=2), matrix.sum(axis=1), np.einsum("bii->bi", matrix)
