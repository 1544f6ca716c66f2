"""A model whose answers are known: it scores an image by its mean."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

RECIPE = "[ingest]\nsize = [16, 16]\nbatch = 4\n"


@dataclass(frozen=True)
class Brightness:
    """A model that scores an image by its mean: the network part of it, and a classical part."""

    labels: tuple[str, ...] = ("dark", "bright")
    recipe: str = RECIPE
    task: str = "classes"
    features: tuple[str, ...] = ()
    cnn: bool = True
    heads: dict = field(default_factory=lambda: {"tree": 1})
    thresholds: dict = field(default_factory=lambda: {"cnn": 0.4})
    conformal: dict = field(default_factory=lambda: {"cnn": {"0.1": 0.7}})
    novelty: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(limit=0.8))

    @property
    def names(self):
        return ("cnn", "tree")

    def look(self, pixels):
        return np.asarray(pixels, np.float64).mean(axis=(1, 2)) / 255

    def predict(self, features, look):
        score = np.stack([1 - look, look], axis=1)
        return {"cnn": score, "tree": score**2}

    def sets(self, scores, misses):
        return {"cnn": 1 - scores["cnn"] <= self.conformal["cnn"][misses]}

    def novelty_of(self, features, look):
        return look
