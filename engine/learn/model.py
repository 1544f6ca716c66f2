"""A trained model: a network, classical models, and all that is needed to use them rightly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..features import Features
from .classical.heads import Head
from .errors import LearnError, ModelError
from .judge.calibration import soften
from .judge.metrics import RESAMPLES, result
from .labels import codes
from .seen import seen
from .settings import INPUTS

if TYPE_CHECKING:
    from .cnn.trained import Cnn  # brings JAX, which a model without a network does not need
    from .judge.novelty import Novelty

MEAN = "classical"  # the mean of the classical models' probabilities
TOGETHER = "together.fused"  # the mean of the network's and that of the classical models on texture


class Look(NamedTuple):
    """What a network makes of n images: probabilities (n, k) and its last features (n, f). Both
    None where there is no network."""

    scores: np.ndarray | None
    deep: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Model:
    """What `train` makes and a model file holds.

    labels      class names; of two, the second is the positive one
    recipe      text of the recipe that prepared the images and must prepare all later ones
    features    names of the feature columns, in the order the heads take them
    cnn         the network, or None
    heads       the classical models: "svm" sees the measured features, "svm.deep" the network's,
                "svm.fused" both side by side, the measured ones first. Of independent labels
                there is one for each, "svm[0]", "svm[1]", ..., of two classes
    thresholds  of two classes: the least probability of the positive one that is called positive,
                per model, chosen on validation data; empty with more classes
    training    facts of the training: rows, seconds, history, fingerprints of the images seen
    provenance  versions, settings and time
    task        "classes", "ordinal" or "labels"; see `Settings`
    inputs      {head: "texture", "deep" or "fused"}; texture where a head is not named
    calibration {model: temperature} that its probabilities are softened by; 1 where not named
    conformal   {model: {"0.1": quantile}}: prediction sets that miss the truth in 10 % of images
    novelty     what tells images unlike all training images, on the network's features, or on the
                measured ones where there is no network; None: not fitted
    statistics  of the training part: quantiles of each feature column, mean and deviation of pixels
    """

    labels: tuple[str, ...]
    recipe: str
    features: tuple[str, ...]
    cnn: Cnn | None
    heads: Mapping[str, Head]
    thresholds: Mapping[str, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    task: str = "classes"
    inputs: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, float] = field(default_factory=dict)
    conformal: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    novelty: Novelty | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The models that `predict` answers for, in its order."""
        found = ["cnn"] if self.cnn else []
        for taken in INPUTS:
            members = self._members(taken)
            found += members
            found += [title(MEAN, taken)] if len(members) > 1 else []
        return (*found, TOGETHER) if self.halves() else tuple(found)

    @property
    def grouped(self) -> bool:
        """Whether the training split kept known groups apart."""
        return bool(self.training.get("grouped", False))

    def look(self, pixels: Any) -> Look:
        """What the network makes of images (n, h, w), uint8 or uint16 as the recipe makes them."""
        if not self.cnn:
            return Look(None, None)
        if pixels is None:
            raise LearnError("predict: the network needs pixels")
        scores, deep = self.cnn.answers(pixels)
        return Look(scores.astype(np.float64), deep)

    def predict(
        self, pixels: Any = None, features: Features | None = None, look: Look | None = None
    ) -> dict[str, np.ndarray]:
        """{model: calibrated probabilities (n, classes)}. Where several classical models see the
        same columns, "classical" ("classical.deep", "classical.fused") is their mean, which has a
        temperature of its own. So has "together.fused", the mean of the network and of what the
        classical models say of texture: each knows what the other cannot see.

        pixels    see `look`
        features  of the same n rows; needed by the classical models, other columns are ignored
        look      what `look` gave for these pixels, where it was asked before
        """
        look = look or self.look(pixels)
        scores: dict[str, np.ndarray] = {}
        if look.scores is not None:
            scores["cnn"] = self._calibrated("cnn", look.scores)
        for taken in INPUTS:
            members = self._members(taken)
            if members:
                values = self.columns(taken, features, look)
                scores |= {
                    name: self._calibrated(name, self._raw(name, values)) for name in members
                }
            if len(members) > 1:
                mean = np.mean([scores[name] for name in members], axis=0)
                scores[title(MEAN, taken)] = self._calibrated(title(MEAN, taken), mean)
        if halves := self.halves():
            mean = np.mean([scores[name] for name in halves], axis=0)
            scores[TOGETHER] = self._calibrated(TOGETHER, mean)
        for name, p in scores.items():
            if not np.isfinite(p).all():
                raise ModelError(f"{name}: the model's weights lead to a score that is not finite")
        return {name: scores[name] for name in self.names}

    def sets(self, scores: Mapping[str, np.ndarray], misses: str) -> dict[str, np.ndarray]:
        """{model: (n, classes) bool}: the classes that may be true, where a share of `misses`
        ("0.1") of images has its true class left out; of the models that have such a quantile."""
        from .judge import conformal

        return {
            name: conformal.sets(p, self.conformal[name][misses])
            for name, p in scores.items()
            if misses in self.conformal.get(name, {})
        }

    def novelty_of(
        self, pixels: Any = None, features: Features | None = None, look: Look | None = None
    ) -> np.ndarray | None:
        """(n,) how unlike all training images each is, above `novelty.limit` alien; None where the
        model cannot tell. Arguments as of `predict`."""
        if self.novelty is None:
            return None
        taken = "deep" if self.cnn else "texture"
        return self.novelty.score(self.columns(taken, features, look or self.look(pixels)))

    def columns(self, taken: str, features: Features | None, look: Look) -> np.ndarray:
        """(n, f): the columns of an input; of "fused" the measured ones first."""
        if taken == "deep":
            return self._deep(look)
        if features is None:
            raise LearnError("predict: the classical models need features")
        values = features.select(self.features).values
        if taken == "texture":
            return values
        return np.concatenate([values, self._deep(look)], axis=1)

    def halves(self) -> tuple[str, ...]:
        """What `TOGETHER` is the mean of; nothing where network or texture has no model."""
        members = self._members("texture")
        if not self.cnn or not members:
            return ()
        return "cnn", MEAN if len(members) > 1 else members[0]

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """(n,) bool: images (n, h, w), as the recipe makes them, that training used."""
        return seen(pixels, self.training.get("seen", ()))

    def codes(self, labels: Sequence[str]) -> np.ndarray:
        """Class numbers of label names, (n, k) bool for task "labels"; LearnError for a name the
        model does not know."""
        return codes(labels, self.labels, self.task)

    def _deep(self, look: Look) -> np.ndarray:
        if look.deep is None:
            raise ModelError("a model sees the network's features, but there is no network")
        return look.deep

    def _members(self, taken: str) -> list[str]:
        """Names of the classical models that see this input."""
        found = [name for name in self.heads if self.inputs.get(name, "texture") == taken]
        return list(dict.fromkeys(name.partition("[")[0] for name in found))

    def _raw(self, name: str, values: np.ndarray) -> np.ndarray:
        """(n, k) probabilities of a classical model; of independent labels from one head each."""
        if self.task != "labels":
            return self.heads[name].predict(values)
        each = [self.heads[of_label(name, k)].predict(values) for k in range(len(self.labels))]
        return np.stack([p[:, 1] for p in each], axis=1)

    def _calibrated(self, name: str, p: np.ndarray) -> np.ndarray:
        temperature = self.calibration.get(name, 1.0)
        return p if temperature == 1.0 else soften(p, temperature, self.task)


def title(model: str, taken: str) -> str:
    """The name of a classical model that sees an input: "svm", "svm.deep", "svm.fused"."""
    return model if taken == "texture" else f"{model}.{taken}"


def of_label(name: str, label: int) -> str:
    """The head that decides one of several independent labels: "svm[0]"."""
    return f"{name}[{label}]"


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
    thresholds, task = model.thresholds, model.task
    return [
        result(
            name, data, truth, p, thresholds.get(name), groups, resamples, task, model.labels
        )
        for name, p in model.predict(pixels, features).items()
    ]  # fmt: skip
