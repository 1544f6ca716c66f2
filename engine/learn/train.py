"""From prepared images and features to a model: split, fit, adjust, judge on validation.

The order keeps the parts apart: networks and classical models are fitted on train; the network's
epoch, every temperature and every threshold are chosen on val; test is not touched here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..features import Features
from .bundle import fit_bundle
from .classical.warn import constant
from .cohort import Cohort
from .duplicates import near_duplicates
from .errors import LearnError
from .judge import operating
from .judge.metrics import RESAMPLES, result
from .labels import class_names, codes, counts
from .model import Model
from .settings import Progress, Settings
from .split import PARTS, Split, split

if TYPE_CHECKING:
    from .cnn.network import Network


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
    folder: Path | None = None,
    network: Network | None = None,
) -> Trained:
    """Train the models that `settings` names on n labelled images.

    pixels    (n, h, w) uint8 or uint16, grey levels 0 .. 2^bits - 1; None without a network
    features  n rows; None without classical models
    labels    n label names; see `labels` for several in one text
    groups, given  see `split`; where no group is known, near-duplicates stay together
    recipe    text of the recipe that made pixels and features
    folder    where the network's checkpoints are kept: an interrupted training goes on from there
    network   a network of one's own, in place of the one that `settings` describes

    Raises LearnError where the data cannot teach these models: a class missing in train or val,
    pixels or features absent or of another length.
    """
    settings = settings or Settings()
    cohort, names = gather(pixels, bits, features, labels, groups, settings)
    parts = split(cohort.truth, groups, given, settings.fractions, settings.seed, cohort.alike)
    fitted, held = cohort.rows(parts.rows("train")), cohort.rows(parts.rows("val"))
    for part, rows in (("train", fitted), ("val", held)):
        need_each_class(part, rows.truth, names)
    model, log = fit_bundle(fitted, held, names, settings, recipe, progress, folder, network)
    scores = model.predict(held.pixels, held.features)
    if settings.task != "labels":
        log.concerns += filter(None, (constant(name, p, names) for name, p in scores.items()))
    facts = {
        "grouped": parts.grouped,
        "groups": parts.groups,
        "rows": {part: counts(cohort.truth[parts.rows(part)], names) for part in PARTS},
        "seconds": log.seconds,
        "history": log.history,
        "parameters": log.parameters,
        "concerns": log.concerns,
        "operating": _operating(model, held, scores),
        "seen": [mark for part in (fitted, held) for mark in part.marks()],
    }
    model = replace(model, training=facts, provenance=provenance(settings))
    figures = judged("validation", held, scores, model.thresholds, names, settings.task)
    return Trained(model, parts, figures)


def gather(
    pixels: np.ndarray | None,
    bits: int,
    features: Features | None,
    labels: Sequence[str],
    groups: Sequence[str | None] | None,
    settings: Settings,
) -> tuple[Cohort, tuple[str, ...]]:
    """The rows as one cohort, near-duplicates found where they are all that can keep related images
    together, and the class names; LearnError unless they can teach anything."""
    _check(pixels, features, labels, groups, settings)
    names = class_names(labels, settings.task, settings.order)
    if len(names) < 2:
        raise LearnError("training: all rows have the same label; at least two are needed")
    truth, alike = codes(labels, names, settings.task), None
    if pixels is not None and not any(groups or ()) and settings.groups == "auto":
        alike = near_duplicates(pixels, settings.near, settings.mirrored)
    return Cohort(pixels, bits, features, truth, groups, alike), names


def judged(
    data: str,
    rows: Cohort,
    scores: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    names: tuple[str, ...],
    task: str,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """A row of figures for each model's probabilities; see `judge.metrics.result`."""
    return [
        result(
            name, data, rows.truth, p, thresholds.get(name), rows.groups, resamples, task, names
        )
        for name, p in scores.items()
    ]  # fmt: skip


def _operating(
    model: Model, held: Cohort, scores: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Of two classes, the thresholds that reach wanted sensitivities and specificities on val."""
    if not model.thresholds:
        return {}
    return {name: operating.choose(held.truth, p[:, 1]) for name, p in scores.items()}


def provenance(settings: Settings) -> dict[str, Any]:
    """Versions, settings and time, for the model file."""
    packages = ("medkern", "numpy", "jax", "optax", "scikit-learn")
    return {
        "versions": {name: version(name) for name in packages},
        "settings": asdict(settings),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def need_each_class(part: str, truth: np.ndarray, names: tuple[str, ...]) -> None:
    """LearnError unless every class has a row; every independent label one with and one without."""
    for name, n in counts(truth, names).items():
        if not n:
            raise LearnError(
                f"training: the {part} part has no image of class {name!r}; "
                f"more images or groups of it are needed"
            )
        if truth.ndim == 2 and n == len(truth):
            raise LearnError(f"training: every image of the {part} part has the label {name!r}")


def _check(
    pixels: np.ndarray | None,
    features: Features | None,
    labels: Sequence[str],
    groups: Sequence[str | None] | None,
    settings: Settings,
) -> None:
    if "cnn" in settings.models and pixels is None:
        raise LearnError("training: the network needs pixels")
    classical = set(settings.models) != {"cnn"}
    if classical and settings.inputs != ("deep",) and (features is None or not features.names):
        raise LearnError("training: the classical models need features; the recipe measures none")
    if classical and "cnn" not in settings.models and settings.inputs != ("texture",):
        raise LearnError(
            "training: the inputs deep and fused need the network; add cnn to the models"
        )
    for what, rows in (("images", pixels), ("rows of features", features and features.values)):
        if rows is not None and len(rows) != len(labels):
            raise LearnError(f"training: {len(rows)} {what} for {len(labels)} labels")
    if groups is not None and len(groups) != len(labels):
        raise LearnError(f"training: {len(groups)} groups for {len(labels)} labels")
    if settings.groups == "required" and not (groups is not None and all(groups)):
        raise LearnError(
            "training: groups are required, but not every row has one (a patient, a plate); "
            "name them in the manifest's column group"
        )
