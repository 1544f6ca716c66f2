"""What a training run can be told, checked when it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .errors import LearnError

MODELS = ("cnn", "svm", "tree", "forest", "logistic")
FLIPS = ("horizontal", "vertical")
STANDARDISE = ("image", "data")

# progress(model, done, total, figures): `done` of `total` images or fits; figures of the epoch
Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Settings:
    """Settings of a training run; LearnError outside the ranges.

    models       which of cnn, svm, tree, forest, logistic
    seed         of the split, the weights, the order and the augmentation
    fractions    of the rows in train, val and test, where the data bring no split
    epochs       of the network, 1 .. 10000
    batch        images a step, 1 .. 4096
    width        channels of the first stage, 1 .. 512
    blocks       residual blocks a stage, 1 .. 9
    rate         peak learning rate, above 0 to 1
    decay        weight decay, 0 .. 1
    patience     epochs without a better validation AUC before the training stops
    shift        largest random shift as a share of the side, 0 .. 0.5
    intensity    largest random log gain and offset (in deviations of the image), 0 .. 1
    flips        which of horizontal, vertical leave the label true (neither in a chest image)
    correlation  columns of features that are more correlated with an earlier one take no part in
                 the classical models, above 0 to 1; 1: all do
    standardise  "image": each image by its own mean and deviation (X-ray, MR, microscopy);
                 "data": by those of the training part (CT, where the grey level is a measurement)
    """

    models: tuple[str, ...] = MODELS
    seed: int = 0
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    epochs: int = 12
    batch: int = 64
    width: int = 16
    blocks: int = 1
    rate: float = 2e-3
    decay: float = 1e-2
    patience: int = 6
    shift: float = 0.07
    intensity: float = 0.2
    flips: tuple[str, ...] = ()
    correlation: float = 1.0
    standardise: str = "image"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seed", 0, 2**31 - 1), ("epochs", 1, 10_000), ("batch", 1, 4096), ("width", 1, 512),
            ("blocks", 1, 9), ("rate", 1e-9, 1), ("decay", 0, 1), ("patience", 1, 10_000),
            ("shift", 0, 0.5), ("intensity", 0, 1), ("correlation", 1e-9, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            whole = isinstance(getattr(Settings, name), int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                kind = "a whole number" if whole else "a number"
                raise LearnError(f"training: {name} is {value!r}; it must be {kind}")
            if not low <= value <= high:
                raise LearnError(f"training: {name} is {value}; allowed: {low} .. {high}")
        for name, known in (("models", MODELS), ("flips", FLIPS)):
            chosen = getattr(self, name)
            if not isinstance(chosen, tuple) or not set(chosen) <= set(known):
                raise LearnError(f"training: {name} are {chosen!r}; allowed: {', '.join(known)}")
        if not self.models:
            raise LearnError(f"training: no model is chosen; allowed: {', '.join(MODELS)}")
        if self.standardise not in STANDARDISE:
            raise LearnError(f"training: standardise is {self.standardise!r}; allowed: image, data")
