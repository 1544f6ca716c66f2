"""What the validation part decides once everything is fitted: how sure a model may sound, from
where on a class is called, which classes cannot be ruled out, and what is unlike all training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .cohort import Cohort
from .judge import conformal, novelty
from .judge.calibration import temperature
from .judge.metrics import choose_threshold
from .model import MEAN, TOGETHER, Look, Model

MISSES = (0.05, 0.1, 0.2)  # shares of images whose true class a conformal set may leave out
POINTS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # quantiles that are kept of each column


def adjusted(model: Model, fitted: Cohort, look: Look, held: Cohort) -> Model:
    """The model with temperatures, thresholds and quantiles from `held`, novelty and statistics
    from `fitted`. look: what the network makes of `fitted`."""
    model = replace(model, statistics=statistics(fitted))
    seen = model.look(held.pixels)
    means = [name for name in model.names if name.partition(".")[0] == MEAN]
    last = [name for name in model.names if name == TOGETHER]
    single = [name for name in model.names if name not in (*means, *last)]
    for names in (single, means, last):  # a mean is of calibrated probabilities
        scores = model.predict(features=held.features, look=seen)
        found = {name: temperature(held.truth, scores[name]) for name in names}
        model = replace(model, calibration={**model.calibration, **found})
    scores = model.predict(features=held.features, look=seen)
    return replace(
        model,
        thresholds=_thresholds(model, held, scores),
        conformal=_quantiles(held, scores),
        novelty=_novelty(model, fitted, look, held, seen),
    )


def statistics(fitted: Cohort) -> dict[str, Any]:
    """Quantiles of every feature column, mean and deviation of the pixels: what new data can be
    held against."""
    found: dict[str, Any] = {"rows": len(fitted.truth)}
    if fitted.pixels is not None:
        share = 1 / (2**fitted.bits - 1)
        deviation = float(fitted.pixels.std(dtype=np.float64)) * share
        found["pixels"] = {"mean": float(fitted.pixels.mean()) * share, "deviation": deviation}
    if fitted.features is not None and fitted.features.names:
        columns = [column[np.isfinite(column)] for column in fitted.features.values.T]
        rows = [
            [float(f"{v:.6g}") for v in np.quantile(column, POINTS)] if column.size else None
            for column in columns
        ]
        found["features"] = {"points": list(POINTS), "quantiles": rows}
    return found


def _thresholds(model: Model, held: Cohort, scores: dict[str, np.ndarray]) -> dict[str, float]:
    """One a model where there are two classes."""
    if len(model.labels) != 2 or model.task == "labels":
        return {}
    return {name: choose_threshold(held.truth, p[:, 1]) for name, p in scores.items()}


def _quantiles(held: Cohort, scores: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    return {
        name: {str(share): conformal.quantile(held.truth, p, share) for share in MISSES}
        for name, p in scores.items()
    }


def _novelty(model: Model, fitted: Cohort, look: Look, held: Cohort, seen: Look) -> novelty.Novelty:
    taken = "deep" if model.cnn else "texture"
    rows = model.columns(taken, fitted.features, look)
    return novelty.fit(rows, model.columns(taken, held.features, seen))
