"""Scores and true classes -> everything the evaluation page shows, as plain data."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from ..learn.judge.metrics import decide
from ..recipe import Recipe
from .environment import environment

BINS = 20
POINTS = 500  # of a ROC curve
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
) -> dict[str, Any]:
    """The data of the page, ready for JSON.

    truth          (n,) class index of each image
    probabilities  a model's name -> (n, classes)
    results        of `judge.metrics.result`, one a model: metrics, intervals, threshold, notes
    splits         {"name", "n", "groups" (None where unknown), "labels": {label: n}} each
    training       title of a chart -> name of a line -> (epochs, values)
    ceiling        name of a bound -> its AUC
    model          hash of the model file
    """
    truth = np.asarray(truth)
    two = len(labels) == 2
    models = {}
    for result in results:
        score = probabilities[result["model"]]
        threshold = result["threshold"]
        models[result["model"]] = {
            "metrics": result["metrics"],
            "notes": result["notes"],
            "threshold": threshold,
            "confusion": confusion(truth, decide(score, threshold), len(labels)),
            "roc": roc(truth == 1, score[:, 1]) if two else None,
            "histogram": _histogram(truth, score, labels),
        }
    return {
        "title": title,
        "medkern": version("medkern"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": data,
        "model": model,
        "n": len(truth),
        "labels": list(labels),
        "positive": labels[1] if two else None,
        "groups": {"known": groups_known, "sentence": GROUPED if groups_known else UNGROUPED},
        "splits": [dict(split) for split in splits],
        "models": models,
        "training": {name: dict(lines) for name, lines in (training or {}).items()},
        "ceiling": dict(ceiling or {}),
        "seconds": dict(seconds or {}),
        "recipe": about_recipe(recipe),
        "environment": environment(device),
    }


def about_recipe(recipe: Recipe) -> dict[str, str]:
    """What a report says of the recipe."""
    return {
        "name": recipe.name,
        "modality": recipe.modality,
        "hash": recipe.hash,
        "text": recipe.text,
    }


def confusion(truth: np.ndarray, decided: np.ndarray, classes: int) -> list[list[int]]:
    """Counts, true class by predicted class."""
    return (
        np.bincount(truth * classes + decided, minlength=classes**2).reshape(classes, -1).tolist()
    )


def roc(positive: np.ndarray, score: np.ndarray) -> tuple[list[float], list[float]] | None:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1).

    Only the corners, and no more than a drawing can show. None where a class is missing.
    """
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)  # of equal scores
    true = np.append(0, np.cumsum(positive[order])[last])
    false = np.append(0, np.cumsum(~positive[order])[last])
    corner = np.ones(len(true), bool)  # points on a straight line are not needed
    corner[1:-1] = (
        np.diff(true)[1:] * np.diff(false)[:-1] != np.diff(true)[:-1] * np.diff(false)[1:]
    )
    shown = np.flatnonzero(corner)
    shown = shown[np.linspace(0, len(shown) - 1, min(len(shown), POINTS)).round().astype(int)]
    return (false[shown] / false[-1]).tolist(), (true[shown] / true[-1]).tolist()


def _histogram(truth: np.ndarray, scores: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Of the positive class's score for two classes, else of the true class's score."""
    two = len(labels) == 2
    shown = scores[:, 1] if two else np.take_along_axis(scores, truth[:, None], 1)[:, 0]
    edges = np.linspace(0, 1, BINS + 1)
    counts = {
        label: np.histogram(shown[truth == index], edges)[0].tolist()
        for index, label in enumerate(labels)
    }
    of = f"score of {labels[1]}" if two else "score of the true class"
    return {"edges": edges.round(6).tolist(), "counts": counts, "of": of}
