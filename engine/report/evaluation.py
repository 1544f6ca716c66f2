"""Scores and true classes -> everything the evaluation page and the model card show, as data."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ..learn.judge.bootstrap import Groups
from ..learn.judge.metrics import decide
from ..recipe import Recipe
from . import figures
from .environment import environment

if TYPE_CHECKING:
    from ..learn import Model

STAMP = "Row-level split: groups unknown"
_KEPT = ("grouped", "groups", "rows", "seconds", "split", "parameters", "concerns")
UNGROUPED = (
    "No group (patient, series) is known for these images, so images of one patient may stand on "
    "both sides of a split; the figures may be too good."
)
GROUPED = "No group (patient, series) stands on both sides of a split."


def evaluation(
    title: str,
    data: str,
    recipe: Recipe,
    labels: Sequence[str],
    truth: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    results: Sequence[Mapping[str, Any]],
    *,
    groups_known: bool,
    splits: Sequence[Mapping[str, Any]] = (),
    training: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]] | None = None,
    ceiling: Mapping[str, float] | None = None,
    seconds: Mapping[str, float] | None = None,
    device: str = "cpu",
    model: str = "",
    task: str = "classes",
    groups: Groups = None,
    calibration: Mapping[str, float] | None = None,
    conformal: Mapping[str, Mapping[str, float]] | None = None,
    operating: Mapping[str, Mapping[str, float]] | None = None,
    subgroups: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    novelty: tuple[np.ndarray, float] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The data of the page and of the card, ready for JSON.

    truth          (n,) class index of each image; (n, k) bool for task "labels"
    probabilities  a model's name -> (n, classes), calibrated
    results        of `judge.metrics.result`, one a model: metrics, intervals, threshold, notes
    groups_known   whether the split kept known groups apart; where not, every section is stamped
    splits         {"name", "n", "groups" (None where unknown), "labels": {label: n}} each
    training       title of a chart -> name of a line -> (epochs, values)
    ceiling        name of a bound -> its AUC
    model          hash of the model file
    groups         n group names of the rows judged, for comparisons of models
    calibration    {model: temperature} that was applied to its probabilities
    conformal      {model: {"0.1": quantile}} of `judge.conformal`
    operating      {model: thresholds of `judge.operating.choose`}, for two classes
    subgroups      {model: rows of `judge.subgroups.by_subgroup`}
    novelty        (scores (n,), limit) of `judge.novelty`
    facts          what else is known, for the card; see `card.FACTS`
    """
    truth = np.asarray(truth)
    calibration, conformal, operating = calibration or {}, conformal or {}, operating or {}
    two = task != "labels" and len(labels) == 2
    models = {}
    for result in results:
        name, threshold = result["model"], result["threshold"]
        p = np.asarray(probabilities[name], np.float64)
        aims = operating.get(name, {}) if two else {}
        models[name] = {
            "metrics": result["metrics"],
            "each": result.get("each", {}),
            "notes": result["notes"],
            "threshold": threshold,
            "confusion": figures.confusion(truth, decide(p, threshold, task), len(labels))
            if task != "labels"
            else None,
            "roc": figures.roc(truth == 1, p[:, 1]) if two else None,
            "histogram": figures.histogram(truth, p, labels, task),
            "calibration": figures.calibrated(truth, p, calibration.get(name), task),
            "decision": figures.decision_curve(truth == 1, p[:, 1]) if two else None,
            "selective": figures.selective_curve(truth, p, threshold, task),
            "conformal": figures.conformal_rows(truth, p, conformal.get(name, {})),
            "operating": figures.operating_rows(truth == 1, p[:, 1], aims, groups) if aims else [],
            "subgroups": [dict(row) for row in (subgroups or {}).get(name, ())],
        }
    chosen = {result["model"]: result["threshold"] for result in results}
    compared = {name: np.asarray(probabilities[name], np.float64) for name in models}
    return {
        "title": title,
        "medkern": version("medkern"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        "model": model,
        "task": task,
        "n": len(truth),
        "labels": list(labels),
        "positive": labels[1] if two else None,
        "groups": {"known": groups_known, "sentence": GROUPED if groups_known else UNGROUPED},
        "stamp": None if groups_known else STAMP,
        "splits": [dict(split) for split in splits],
        "models": models,
        "pairs": figures.pairs(truth, compared, chosen, groups, task),
        "novelty": _novelty(novelty),
        "training": {name: dict(lines) for name, lines in (training or {}).items()},
        "ceiling": dict(ceiling or {}),
        "seconds": dict(seconds or {}),
        "facts": dict(facts or {}),
        "recipe": about_recipe(recipe),
        "environment": environment(device),
    }


def of_model(model: "Model") -> dict[str, Any]:
    """What `evaluation` takes from a model, by name: task, calibration, conformal, operating (its
    training facts may hold thresholds under that name) and the facts for the card."""
    return {
        "task": model.task,
        "calibration": model.calibration,
        "conformal": model.conformal,
        "operating": model.training.get("operating", {}),
        "facts": {
            "training": {key: model.training[key] for key in _KEPT if key in model.training},
            "provenance": dict(model.provenance),
            "statistics": {k: v for k, v in model.statistics.items() if k != "features"},
        },
    }


def about_recipe(recipe: Recipe) -> dict[str, str]:
    """What a report says of the recipe."""
    return {
        "name": recipe.name,
        "modality": recipe.modality,
        "hash": recipe.hash,
        "text": recipe.text,
    }


def _novelty(given: tuple[np.ndarray, float] | None) -> dict[str, Any] | None:
    """How many rows are unlike the training ones: {"limit", "n", "flagged", "share"}."""
    if given is None:
        return None
    scores, limit = given
    flagged = int((np.asarray(scores) > limit).sum())
    return {
        "limit": float(limit),
        "n": len(scores),
        "flagged": flagged,
        "share": flagged / max(len(scores), 1),
    }
