"""Labelled images and their features, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..features import Features
from .seen import fingerprints


@dataclass(frozen=True, eq=False)
class Cohort:
    """What training and judging see of n images.

    pixels    (n, h, w), (n, h, w, 3) or (n, d, h, w) uint8 or uint16, grey levels 0 .. 2^bits - 1;
              None where no network is trained
    features  n rows; None where no classical model is
    truth     (n,) class numbers, or (n, k) bool for task "labels"
    groups    n group names, None where nothing is known
    alike     (n,) numbers of near-duplicate groups, where they stand in for unknown groups
    """

    pixels: np.ndarray | None
    bits: int
    features: Features | None
    truth: np.ndarray
    groups: Sequence[str | None] | None
    alike: np.ndarray | None = None

    def rows(self, index: np.ndarray) -> Cohort:
        """The cohort of these rows alone."""
        return Cohort(
            None if self.pixels is None else self.pixels[index],
            self.bits,
            None if self.features is None else self.features.rows(index),
            self.truth[index],
            None if self.groups is None else [self.groups[row] for row in index],
            None if self.alike is None else self.alike[index],
        )

    def marks(self) -> list[str]:
        """The images' fingerprints; none where there are no pixels."""
        return [] if self.pixels is None else fingerprints(self.pixels)

    def group_numbers(self) -> np.ndarray | None:
        """A number for each row's group; one without a group is its own."""
        if self.alike is not None:
            return self.alike
        if self.groups is None:
            return None
        names = [name or f"\0{row}" for row, name in enumerate(self.groups)]
        return np.unique(names, return_inverse=True)[1]
