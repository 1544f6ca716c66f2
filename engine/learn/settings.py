"""What a training run can be told, checked when it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .errors import LearnError

MODELS = (
    "cnn", "svm", "linear", "tree", "forest", "extra", "boosted", "logistic", "knn", "nystroem",
)  # fmt: skip
GROUPS = ("auto", "required", "none")
TASKS = ("classes", "ordinal", "labels")
INPUTS = ("texture", "deep", "fused")
FLIPS = ("horizontal", "vertical", "depth")
ARCHITECTURES = ("light", "resnet18")
SELECTIONS = ("none", "anova", "l1")
STANDARDISE = ("image", "data")

# progress(model, done, total, figures): `done` of `total` images or fits; figures of the epoch
Progress = Callable[[str, int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Settings:
    """Settings of a training run; LearnError outside the ranges.

    models       which of `MODELS`
    task         "classes": one of them; "ordinal": one of them, in an order (grades); "labels":
                 any number of them, written "a;b" (";" alone: none)
    order        the class names in the order wanted; of two classes the second is the positive
                 one. Empty: numbers by value, else by name; grades that are words need an order
    inputs       what the classical models see: "texture" (all measured features), "deep" (the
                 network's), "fused" (both); each model is fitted once an input
    seed         of the split, the weights, the order and the augmentation
    groups       "auto": rows of one group stay in one part; where no group is known, near-duplicate
                 images do; "required": a row without a group is refused; "none": known groups are
                 kept, near-duplicates are not looked for
    near         bits of 256 in which the hashes of two images may differ that are still taken for
                 one (near-duplicates), 0 .. 48; used where no groups are known
    mirrored     whether an image and its mirror image are near-duplicates too
    fractions    of the rows in train, val and test, where the data bring no split
    epochs       of the network, 1 .. 10000
    batch        images a step, 1 .. 4096
    architecture "light" (for CPUs and small images) or "resnet18"
    width        channels of the first stage, 1 .. 512; 0: the architecture's own (16, 64)
    blocks       residual blocks a stage, 1 .. 9; 0: the architecture's own (1, 2)
    rate         peak learning rate, above 0 to 1
    decay        weight decay, 0 .. 1
    patience     epochs without a better validation AUC before the training stops
    smoothing    of the labels: share of each target that is spread over all classes, 0 .. 1
    balance      0: every image weighs the same in the loss; 1: every class does, however rare;
                 between: n / (k count) to this power
    shift        largest random shift as a share of the side, 0 .. 0.5
    rotate       largest random rotation in degrees, of volumes in the plane, 0 .. 180
    zoom         largest random log scale, 0 .. 0.7
    flips        which of horizontal, vertical, depth (volumes) leave the label true (none in a
                 chest image)
    intensity    largest random log gain and offset (in deviations of the image), 0 .. 1
    gamma        largest random log exponent of the grey levels, 0 .. 1
    colour       largest random log saturation, and hue in radians, of colour images, 0 .. 1
    cutout       largest side of a square that is blanked, as a share of the image's, 0 .. 0.7
    correlation  columns of features that are more correlated with an earlier one take no part in
                 the classical models, above 0 to 1; 1: all do
    select       columns for the classical models: "none": all; "anova", "l1": those that tell the
                 classes of the training part apart best
    search       whether the classical models' hyper-parameters are searched on folds of the
                 training part (minutes instead of seconds), or fixed
    standardise  "image": each image by its own mean and deviation (X-ray, MR, microscopy);
                 "data": by those of the training part (CT, where the grey level is a measurement)
    """

    models: tuple[str, ...] = ("cnn", "svm", "tree", "forest", "logistic")
    task: str = "classes"
    order: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("texture",)
    seed: int = 0
    groups: str = "auto"
    near: int = 32
    mirrored: bool = False
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    epochs: int = 12
    batch: int = 64
    architecture: str = "light"
    width: int = 0
    blocks: int = 0
    rate: float = 2e-3
    decay: float = 1e-2
    patience: int = 6
    smoothing: float = 0.0
    balance: float = 1.0
    shift: float = 0.07
    rotate: float = 0.0
    zoom: float = 0.0
    flips: tuple[str, ...] = ()
    intensity: float = 0.2
    gamma: float = 0.0
    colour: float = 0.0
    cutout: float = 0.0
    correlation: float = 1.0
    select: str = "none"
    search: bool = False
    standardise: str = "image"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seed", 0, 2**31 - 1), ("near", 0, 48), ("epochs", 1, 10_000), ("batch", 1, 4096),
            ("width", 0, 512), ("blocks", 0, 9), ("rate", 1e-9, 1), ("decay", 0, 1),
            ("patience", 1, 10_000), ("smoothing", 0, 1), ("balance", 0, 1), ("shift", 0, 0.5),
            ("rotate", 0, 180), ("zoom", 0, 0.7), ("intensity", 0, 1), ("gamma", 0, 1),
            ("colour", 0, 1), ("cutout", 0, 0.7), ("correlation", 1e-9, 1),
        ):  # fmt: skip
            value = getattr(self, name)
            whole = isinstance(getattr(Settings, name), int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                kind = "a whole number" if whole else "a number"
                raise LearnError(f"training: {name} is {value!r}; it must be {kind}")
            if not low <= value <= high:
                raise LearnError(f"training: {name} is {value}; allowed: {low} .. {high}")
        for name, known in (("models", MODELS), ("inputs", INPUTS), ("flips", FLIPS)):
            chosen = getattr(self, name)
            if not isinstance(chosen, tuple) or not set(chosen) <= set(known):
                raise LearnError(f"training: {name} are {chosen!r}; allowed: {', '.join(known)}")
            if len(set(chosen)) < len(chosen):
                raise LearnError(f"training: {name} are {chosen!r}; each may be named once")
            if not chosen and name != "flips":
                raise LearnError(f"training: no {name[:-1]} is chosen; allowed: {', '.join(known)}")
        for name, known in (
            ("task", TASKS), ("groups", GROUPS), ("architecture", ARCHITECTURES),
            ("select", SELECTIONS), ("standardise", STANDARDISE),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise LearnError(
                    f"training: {name} is {getattr(self, name)!r}; allowed: {', '.join(known)}"
                )
        for name in ("mirrored", "search"):
            if not isinstance(getattr(self, name), bool):
                raise LearnError(
                    f"training: {name} is {getattr(self, name)!r}; allowed: true, false"
                )
        self._check_order()

    def _check_order(self) -> None:
        texts = isinstance(self.order, tuple) and all(isinstance(v, str) for v in self.order)
        if not texts or len(set(self.order)) < len(self.order) or len(self.order) == 1:
            raise LearnError(
                f"training: order is {self.order!r}; it must hold the class names as texts, each "
                f"once"
            )
