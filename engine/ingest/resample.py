"""Resize by exact area averaging (down) and linear interpolation (up), one axis at a time.

out = R @ image @ C.T, where row i of R holds the weights of the input rows that make output row i:
the overlap of their intervals when shrinking, the two neighbours of the pixel centre when growing.
Every row of weights sums to 1. The matrices are sparse, float32 and kept for reuse; the cost is
one multiply-add an input pixel when shrinking and two an output pixel when growing.
"""

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) numbers -> `size`: float32 for integers up to 16 bits and float32, else float64.

    The image itself, whatever its dtype, where the size is the same.
    """
    rows, columns = size
    if image.shape[0] != rows:
        image = weights(image.shape[0], rows) @ image
    if image.shape[1] != columns:
        image = (weights(image.shape[1], columns) @ np.ascontiguousarray(image.T)).T
    return image


@lru_cache(maxsize=256)
def weights(old: int, new: int) -> csr_array:
    """(new, old) float32 weights of one axis."""
    return _area(old, new) if new < old else _linear(old, new)


def _area(old: int, new: int) -> csr_array:
    """Output i averages the input interval [i, i + 1) * old / new."""
    step = old / new
    low = np.arange(new) * step
    high = low + step
    reach = int(np.ceil(step)) + 1  # pixels an interval may touch
    index = np.floor(low).astype(int)[:, None] + np.arange(reach)
    overlap = np.minimum(index + 1, high[:, None]) - np.maximum(index, low[:, None])
    share = np.where((overlap > 1e-9) & (index < old), overlap, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    return _sparse(index, share, old)


def _linear(old: int, new: int) -> csr_array:
    """Output centre (i + 1/2) * old / new - 1/2 between its two neighbours; edges are held."""
    centre = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    below = np.minimum(np.floor(centre).astype(int), old - 1)
    part = centre - below
    index = np.stack([below, np.minimum(below + 1, old - 1)], axis=1)
    return _sparse(index, np.stack([1 - part, part], axis=1), old)


def _sparse(index: np.ndarray, share: np.ndarray, old: int) -> csr_array:
    row, place = np.nonzero(share)
    entries = share[row, place].astype(np.float32), (row, index[row, place])
    return csr_array(entries, shape=(len(index), old))
