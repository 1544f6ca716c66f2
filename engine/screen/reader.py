"""The model as screening uses it: network and classical models timed apart, padding cut off."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ..clock import Clock
from ..stages import Processed

if TYPE_CHECKING:
    from ..learn import Model


class Reader:
    """hash, names, labels and thresholds of a model, and its scores for a batch."""

    def __init__(self, model: Model):
        from ..learn import identity  # brings JAX, which a run without a model does not need

        self.hash = identity(model)
        self.names, self.labels = model.names, model.labels
        self.thresholds = model.thresholds
        self._parts: dict[str, Model] = {}
        if model.cnn:
            self._parts["network"] = dataclasses.replace(model, heads={})
        if model.heads:
            self._parts["classical"] = dataclasses.replace(model, cnn=None)

    def scores(self, done: Processed, clock: Clock) -> dict[str, np.ndarray]:
        """Probabilities (batch.count, classes) by name, padding rows left out."""
        valid = done.batch.valid
        pixels = done.pixels if valid.all() else done.pixels[np.flatnonzero(valid)]
        found: dict[str, np.ndarray] = {}
        for stage, part in self._parts.items():
            with clock(stage):
                found |= part.predict(pixels, done.features)
        return {name: found[name] for name in self.names}

    def threshold(self, name: str) -> float | None:
        """Of two classes, the least score of the second that is called; None where none was set."""
        return self.thresholds.get(name) if len(self.labels) == 2 else None
