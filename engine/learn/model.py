"""A trained model: a network, classical models, and all that is needed to use them rightly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import Features
from .classical.heads import Head
from .errors import LearnError, ModelError
from .judge.metrics import RESAMPLES, result
from .seen import seen

if TYPE_CHECKING:
    from .cnn.trained import Cnn  # brings JAX, which a model without a network does not need

MEAN = "classical"  # the mean of the classical models' probabilities


@dataclass(frozen=True, eq=False)
class Model:
    """What `train` makes and a model file holds.

    labels      class names; of two, the second is the positive one
    recipe      text of the recipe that prepared the images and must prepare all later ones
    features    names of the feature columns, in the order the heads take them
    cnn         the network, or None
    heads       {"svm", "tree", "forest", "logistic"} -> the classical models there are
    thresholds  of two classes: the least probability of the positive one that is called positive,
                per model, chosen on validation data; empty with more classes
    training    facts of the training: rows, seconds, history, fingerprints of the images seen
    provenance  versions, settings and time
    """

    labels: tuple[str, ...]
    recipe: str
    features: tuple[str, ...]
    cnn: Cnn | None
    heads: Mapping[str, Head]
    thresholds: Mapping[str, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The models that `predict` answers for, in its order."""
        together = (MEAN,) if len(self.heads) > 1 else ()
        return (("cnn",) if self.cnn else ()) + tuple(self.heads) + together

    @property
    def grouped(self) -> bool:
        """Whether the training split kept known groups apart."""
        return bool(self.training.get("grouped", False))

    def predict(
        self, pixels: Any = None, features: Features | None = None
    ) -> dict[str, np.ndarray]:
        """{model: probabilities (n, classes)}; where there are several classical models,
        "classical" is their mean.

        pixels    (n, h, w) uint8 or uint16 as the recipe makes them; needed by the network
        features  of the same n rows; needed by the classical models, other columns are ignored
        """
        scores: dict[str, np.ndarray] = {}
        if self.cnn:
            if pixels is None:
                raise LearnError("predict: the network needs pixels")
            scores["cnn"] = self.cnn.predict(pixels).astype(np.float64)
        if self.heads:
            if features is None:
                raise LearnError("predict: the classical models need features")
            values = features.select(self.features).values
            scores |= {name: head.predict(values) for name, head in self.heads.items()}
            if len(self.heads) > 1:
                scores[MEAN] = np.mean([scores[name] for name in self.heads], axis=0)
        for name, p in scores.items():
            if not np.isfinite(p).all():
                raise ModelError(f"{name}: the model's weights lead to a score that is not finite")
        return scores

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """(n,) bool: images (n, h, w), as the recipe makes them, that training used."""
        return seen(pixels, self.training.get("seen", ()))

    def codes(self, labels: Sequence[str]) -> np.ndarray:
        """Class numbers of label names; LearnError for a name the model does not know."""
        position = {label: index for index, label in enumerate(self.labels)}
        if unknown := sorted({str(label) for label in labels} - set(position)):
            raise LearnError(
                f"label {unknown[0]!r} is unknown to the model; known: {', '.join(self.labels)}"
            )
        return np.array([position[str(label)] for label in labels], np.intp)


def evaluate(
    model: Model,
    pixels: Any,
    features: Features | None,
    labels: Sequence[str],
    groups: Sequence[str | None] | None = None,
    data: str = "",
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """One row per model of the bundle: see `result`. LearnError for no rows."""
    if not len(labels):
        raise LearnError(f"evaluate: there are no labelled rows{' in ' + data if data else ''}")
    truth = model.codes(labels)
    return [
        result(name, data, truth, p, model.thresholds.get(name), groups, resamples)
        for name, p in model.predict(pixels, features).items()
    ]
