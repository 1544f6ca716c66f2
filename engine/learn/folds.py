"""Cross-validation: every image is judged by a model that has not seen its group.

For each fold all is fitted anew on the others: network, standardisation, choice of columns, every
classical model; temperatures and thresholds come from a validation part cut from those others.
The out-of-fold probabilities of all images together give the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..features import Features
from .bundle import fit_bundle
from .cohort import Cohort
from .errors import LearnError
from .model import Model
from .settings import Progress, Settings
from .split import GIVEN, NEAR, NONE, deal, membership, units
from .train import gather, judged, need_each_class


@dataclass(frozen=True, eq=False)
class Folded:
    """What cross-validation found.

    labels         the class names
    groups         "given", "near-duplicates" or "none": what no fold separates; see `Split`
    fold           (n,) which fold held each row out
    truth          (n,) class numbers, or (n, k) bool
    probabilities  {model: (n, k)} out of fold, calibrated
    figures        a row a model over all images: see `judge.metrics.result`
    per_fold       the same rows for each fold, without intervals
    """

    labels: tuple[str, ...]
    groups: str
    fold: np.ndarray
    truth: np.ndarray
    probabilities: Mapping[str, np.ndarray]
    figures: list[dict[str, Any]]
    per_fold: list[list[dict[str, Any]]]


def cross_validate(
    pixels: np.ndarray | None,
    bits: int,
    features: Features | None,
    labels: Sequence[str],
    groups: Sequence[str | None] | None = None,
    folds: int = 5,
    settings: Settings | None = None,
    by_image: bool = False,
    progress: Progress = lambda model, done, total, figures: None,
) -> Folded:
    """Judge what `settings` describes on all n rows; arguments as of `train`.

    folds     2 .. 20
    by_image  divide image by image, whatever the groups: what leaks so shows in the figures

    The same data, settings and machine give the same figures. Cost: `folds` trainings.
    Raises LearnError where a class has fewer groups than there are folds.
    """
    settings = settings or Settings()
    if not 2 <= folds <= 20:
        raise LearnError(f"folds: {folds} are asked for; allowed: 2 .. 20")
    cohort, names = gather(pixels, bits, features, labels, groups, settings)
    if by_image:
        cohort = replace(cohort, groups=None, alike=None)
    unit, by = _units(cohort)
    member = membership(cohort.truth)
    _enough(member, unit, names, folds)
    each = [str(number) for number in range(folds)]
    fold = deal(member, unit, each, [1.0] * folds, settings.seed).astype(np.intp)
    found: dict[str, np.ndarray] = {}
    thresholds: dict[str, list[float]] = {}
    per_fold = []
    for number in range(folds):
        out = cohort.rows(np.flatnonzero(fold == number))
        need_each_class(f"fold {number + 1}", out.truth, names)
        model, scores = _one(cohort, unit, fold != number, out, names, settings, progress)
        for name, p in scores.items():
            found.setdefault(name, np.zeros((len(fold), len(names))))[fold == number] = p
        for name, value in model.thresholds.items():
            thresholds.setdefault(name, []).append(value)
        figures = judged(
            f"fold {number + 1}", out, scores, model.thresholds, names, settings.task, 0
        )
        per_fold.append(figures)
    middle = {name: float(np.mean(values)) for name, values in thresholds.items()}
    figures = judged(f"{folds} folds, out of fold", cohort, found, middle, names, settings.task)
    return Folded(names, by, fold, cohort.truth, found, figures, per_fold)


def _one(
    cohort: Cohort,
    unit: np.ndarray,
    inside: np.ndarray,
    out: Cohort,
    names: tuple[str, ...],
    settings: Settings,
    progress: Progress,
) -> tuple[Model, dict[str, np.ndarray]]:
    """The model of one fold, and its probabilities for the rows held out."""
    rows = np.flatnonzero(inside)
    shares = settings.fractions[:2]
    part = deal(membership(cohort.truth[rows]), unit[rows], ("train", "val"), shares, settings.seed)
    fitted, held = cohort.rows(rows[part == "train"]), cohort.rows(rows[part == "val"])
    for name, some in (("train", fitted), ("val", held)):
        need_each_class(name, some.truth, names)
    model, _ = fit_bundle(fitted, held, names, settings, progress=progress)
    return model, model.predict(out.pixels, out.features)


def _units(cohort: Cohort) -> tuple[np.ndarray, str]:
    """(n,) what no fold separates, and what it is called."""
    if cohort.alike is not None:
        return cohort.alike, NEAR
    unit = units(cohort.groups, len(cohort.truth))
    return unit, GIVEN if cohort.groups is not None and all(cohort.groups) else NONE


def _enough(member: np.ndarray, unit: np.ndarray, names: tuple[str, ...], folds: int) -> None:
    for name, column in zip(names, member.T, strict=False):
        if (groups := len(np.unique(unit[column > 0]))) < folds:
            raise LearnError(
                f"folds: class {name!r} has {groups} groups, which is fewer than {folds} folds"
            )
