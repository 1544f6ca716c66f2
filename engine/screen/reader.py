"""The model as screening uses it: network and classical models timed apart, padding cut off."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..clock import Clock
from ..stages import Processed

if TYPE_CHECKING:
    from ..learn import Model

MISSES = "0.1"  # share of images whose true class may be missing from the set of classes


class Reading(NamedTuple):
    """What the model says of n images.

    scores   {model: (n, classes) calibrated probabilities}
    sets     {model: (n, classes) bool}: the classes that cannot be ruled out at 10 % misses
    novelty  (n,) how unlike the training images; NaN where the model cannot tell
    """

    scores: dict[str, np.ndarray]
    sets: dict[str, np.ndarray]
    novelty: np.ndarray


class Reader:
    """hash, names, labels and thresholds of a model, and what it says of a batch."""

    def __init__(self, model: Model):
        from ..learn import identity  # brings JAX, which a run without a model does not need

        self.model, self.hash = model, identity(model)
        self.names, self.labels, self.task = model.names, model.labels, model.task
        self.with_sets = [name for name in model.names if MISSES in model.conformal.get(name, {})]

    def read(self, done: Processed, clock: Clock) -> Reading:
        """The reading of the batch's rows, the padding left out."""
        valid = done.batch.valid
        pixels = done.pixels if valid.all() else done.pixels[np.flatnonzero(valid)]
        model, features = self.model, done.features if self.model.features else None
        with clock("network") if model.cnn else nullcontext():
            look = model.look(pixels)
        with clock("classical") if model.heads else nullcontext():
            scores = model.predict(features=features, look=look)
            novelty = model.novelty_of(features=features, look=look)
        unknown = np.full(len(done.features.ids), np.nan)
        return Reading(scores, model.sets(scores, MISSES), unknown if novelty is None else novelty)

    def threshold(self, name: str) -> float | None:
        """Of two classes, the least score of the second that is called; None where none was set."""
        return self.model.thresholds.get(name) if len(self.labels) == 2 else None

    def alien(self, novelty: np.ndarray) -> np.ndarray:
        """(n,) bool: whether an image is so unlike the training images that its scores mean
        nothing."""
        if self.model.novelty is None:
            return np.zeros(len(novelty), bool)
        return novelty > self.model.novelty.limit
