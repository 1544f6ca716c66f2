"""Pixels of objects: which of a row count."""

import numpy as np

from .._cpu import compiled
from .._regions import ANY


@compiled
def mark(flags, pixels, labels, label):
    """flags uint8: the finite pixels of a row inside its region; `labels` is empty if all are."""
    for x in range(pixels.size):
        flags[x] = abs(np.float64(pixels[x])) < np.inf
    if labels.size == 0:
        return
    if label == ANY:
        for x in range(pixels.size):
            flags[x] &= labels[x] != 0
    else:
        for x in range(pixels.size):
            flags[x] &= labels[x] == label
