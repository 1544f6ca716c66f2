"""From prepared images and features to a model: split, fit, choose thresholds, judge on validation.

The order keeps the parts apart: networks and classical models are fitted on train; the network's
epoch and every threshold are chosen on val; test is not touched here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import Features
from .classical.heads import Head
from .errors import LearnError
from .judge.metrics import choose_threshold
from .model import Model, evaluate
from .seen import fingerprints
from .settings import Progress, Settings
from .split import PARTS, Split, split

if TYPE_CHECKING:
    from .cnn.trained import Cnn


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, the split it was made with, and its rows of figures on the validation part."""

    model: Model
    split: Split
    validation: list[dict[str, Any]]


def train(
    pixels: np.ndarray | None,
    bits: int,
    features: Features | None,
    labels: Sequence[str],
    groups: Sequence[str | None] | None = None,
    given: Sequence[str | None] | None = None,
    settings: Settings | None = None,
    recipe: str = "",
    progress: Progress = lambda model, done, total, figures: None,
) -> Trained:
    """Train the models that `settings` names on n labelled images.

    pixels    (n, h, w) uint8 or uint16, grey levels 0 .. 2^bits - 1; None without a network
    features  n rows; None without classical models
    labels    n label names; groups, given: see `split`
    recipe    text of the recipe that made pixels and features

    Raises LearnError where the data cannot teach these models: a class missing in train or val,
    pixels or features absent or of another length.
    """
    settings = settings or Settings()
    _check(pixels, features, labels, settings)
    names = class_names(labels)
    parts = split(labels, groups, given, settings.fractions, settings.seed)
    cohort = Cohort(
        pixels, bits, features, np.array([names.index(str(label)) for label in labels]), groups
    )
    fitted, held = cohort.rows(parts.rows("train")), cohort.rows(parts.rows("val"))
    for part, rows in (("train", fitted), ("val", held)):
        _need_each_class(part, rows.truth, names)

    seconds: dict[str, float] = {}
    cnn = history = None
    if "cnn" in settings.models:
        cnn, history = _network(fitted, held, len(names), settings, progress, seconds)
    heads = _classical(fitted, settings, progress, seconds)
    facts = {
        "grouped": parts.grouped,
        "rows": {
            part: dict(zip(names, _counts(cohort.rows(parts.rows(part)).truth, names), strict=True))
            for part in PARTS
        },
        "seconds": seconds,
        "history": history,
        "seen": [mark for part in (fitted, held) for mark in part.marks()],
    }
    columns = features.names if heads and features is not None else ()
    model = Model(names, recipe, columns, cnn, heads, {}, facts, provenance(settings))
    model = replace(model, thresholds=_thresholds(model, held))
    known = [names[code] for code in held.truth]
    figures = evaluate(model, held.pixels, held.features, known, held.groups, "validation")
    return Trained(model, parts, figures)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Labelled images and their features, row by row; see `train`. truth: (n,) class numbers."""

    pixels: np.ndarray | None
    bits: int
    features: Features | None
    truth: np.ndarray
    groups: Sequence[str | None] | None

    def rows(self, index: np.ndarray) -> Cohort:
        """The cohort of these rows alone."""
        return Cohort(
            None if self.pixels is None else self.pixels[index],
            self.bits,
            None if self.features is None else self.features.rows(index),
            self.truth[index],
            None if self.groups is None else [self.groups[row] for row in index],
        )

    def marks(self) -> list[str]:
        """The images' fingerprints; none where there are no pixels."""
        return [] if self.pixels is None else fingerprints(self.pixels)


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels in order: as numbers where all are whole numbers, else as text."""
    names = {str(label) for label in labels}
    whole = all(name.isdecimal() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if whole else None))


def provenance(settings: Settings) -> dict[str, Any]:
    """Versions, settings and time, for the model file."""
    packages = ("medkern", "numpy", "jax", "optax", "scikit-learn")
    return {
        "versions": {name: version(name) for name in packages},
        "settings": asdict(settings),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _network(
    fitted: Cohort,
    held: Cohort,
    classes: int,
    settings: Settings,
    progress: Progress,
    seconds: dict[str, float],
) -> tuple[Cnn, dict[str, Any]]:
    from .cnn import fit  # brings JAX and optax

    assert fitted.pixels is not None and held.pixels is not None
    begun = time.perf_counter()
    train, val = (fitted.pixels, fitted.truth), (held.pixels, held.truth)
    cnn, history = fit.fit(train, val, fitted.bits, classes, settings, progress)
    seconds["cnn"] = time.perf_counter() - begun
    return cnn, asdict(history)


def _classical(
    fitted: Cohort, settings: Settings, progress: Progress, seconds: dict[str, float]
) -> dict[str, Head]:
    names = [name for name in settings.models if name != "cnn"]
    heads: dict[str, Head] = {}
    if not names or fitted.features is None:
        return heads
    from .classical import fit  # brings scikit-learn

    values, groups = fitted.features.values, _numbers(fitted.groups)
    for done, name in enumerate(names, start=1):
        begun = time.perf_counter()
        _, heads[name] = fit.fit(
            name, values, fitted.truth, groups, settings.seed, settings.correlation
        )
        seconds[name] = time.perf_counter() - begun
        progress(name, done, len(names), {})
    return heads


def _thresholds(model: Model, held: Cohort) -> dict[str, float]:
    """One a model where there are two classes, from the validation part."""
    if len(model.labels) != 2:
        return {}
    scores = model.predict(held.pixels, held.features)
    return {name: choose_threshold(held.truth, p[:, 1]) for name, p in scores.items()}


def _check(
    pixels: np.ndarray | None,
    features: Features | None,
    labels: Sequence[str],
    settings: Settings,
) -> None:
    if "cnn" in settings.models and pixels is None:
        raise LearnError("training: the network needs pixels")
    if set(settings.models) != {"cnn"} and (features is None or not features.names):
        raise LearnError("training: the classical models need features; the recipe measures none")
    for what, rows in (("images", pixels), ("rows of features", features and features.values)):
        if rows is not None and len(rows) != len(labels):
            raise LearnError(f"training: {len(rows)} {what} for {len(labels)} labels")
    if len({str(label) for label in labels}) < 2:
        raise LearnError("training: all rows have the same label; at least two are needed")


def _need_each_class(part: str, truth: np.ndarray, names: tuple[str, ...]) -> None:
    if missing := [name for name, n in zip(names, _counts(truth, names), strict=True) if not n]:
        raise LearnError(
            f"training: the {part} part has no image of class {missing[0]!r}; "
            f"more images or groups of it are needed"
        )


def _counts(truth: np.ndarray, names: tuple[str, ...]) -> list[int]:
    return np.bincount(truth, minlength=len(names)).tolist()


def _numbers(groups: Sequence[str | None] | None) -> np.ndarray | None:
    """Group numbers of the rows; one without a group is its own."""
    if groups is None:
        return None
    names = [name or f"\0{row}" for row, name in enumerate(groups)]
    return np.unique(names, return_inverse=True)[1]
