"""Which images a model has already seen, told by their pixels and not by their names.

A fingerprint is the first 8 bytes of BLAKE2b over an image's grey levels as the recipe makes them.
The model file carries those of its train and val images, so that an evaluation can leave them out
even where the data bring no split, and wherever the files have been moved or renamed.
"""

import hashlib
from collections.abc import Collection

import numpy as np


def fingerprints(pixels: np.ndarray) -> list[str]:
    """16 hexadecimal digits for each of the n images (n, h, w)."""
    images = np.ascontiguousarray(pixels)
    return [hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in images]


def seen(pixels: np.ndarray, known: Collection[str]) -> np.ndarray:
    """(n,) bool: whether each image's fingerprint is among the known ones."""
    known = set(known)
    return np.array([mark in known for mark in fingerprints(pixels)], bool)
