"""What the charts and tables of one model show, as plain data; every figure is of the rows given.

Nothing is fitted here: thresholds, temperatures and quantiles come from validation rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..learn.judge import calibration, conformal, operating, paired, selective
from ..learn.judge.bootstrap import Groups
from ..learn.judge.metrics import Threshold, auc, decide

BINS = 20
APART = 4  # classes that a histogram can show side by side
POINTS = 500  # of a curve
PAIRED = 6  # models, beyond which each is compared with the best alone
LEVEL = 0.05
ACTED_ON = np.arange(0.01, 1, 0.01)  # probabilities at which one would act, of a decision curve


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
    shown = _thinned(np.flatnonzero(corner))
    return (false[shown] / false[-1]).tolist(), (true[shown] / true[-1]).tolist()


def histogram(truth: np.ndarray, p: np.ndarray, labels: Sequence[str], task: str) -> dict[str, Any]:
    """Of the positive class's score for two classes, else of the true class's score (by class up
    to four of them); of the score of every label, where it is present and where not."""
    edges = np.linspace(0, 1, BINS + 1)
    if task == "labels":
        parts, of = {"present": p[truth], "absent": p[~truth]}, "score of a label"
    else:
        two = len(labels) == 2
        shown = p[:, 1] if two else np.take_along_axis(p, truth[:, None], 1)[:, 0]
        parts = {label: shown[truth == index] for index, label in enumerate(labels)}
        parts = parts if len(labels) <= APART else {"": shown}
        of = f"score of {labels[1]}" if two else "score of the true class"
    counts = {name: np.histogram(part, edges)[0].tolist() for name, part in parts.items()}
    return {"edges": edges.round(6).tolist(), "counts": counts, "of": of}


def calibrated(
    truth: np.ndarray, p: np.ndarray, temperature: float | None, task: str
) -> dict[str, Any]:
    """{"temperature", "after", "before"}: each {"ece", "brier", "bins"} of `judge.calibration`.

    p are calibrated probabilities; those before are p with the temperature undone, None without.
    """

    def of(values: np.ndarray) -> dict[str, Any]:
        return {
            "ece": calibration.ece(truth, values),
            "brier": calibration.brier(truth, values),
            "bins": calibration.reliability(truth, values),
        }

    undone = None if temperature is None else calibration.soften(p, 1 / temperature, task)
    return {
        "temperature": temperature,
        "after": of(p),
        "before": None if undone is None else of(undone),
    }


def decision_curve(positive: np.ndarray, score: np.ndarray) -> dict[str, list[float]]:
    """{"thresholds", "model", "all"}: net benefits of the model's calls and of acting on all."""
    rows = positive.astype(int)
    return {
        "thresholds": ACTED_ON.round(2).tolist(),
        "model": operating.net_benefit(rows, score, ACTED_ON).round(6).tolist(),
        "all": operating.net_benefit(rows, np.ones(len(rows)), ACTED_ON).round(6).tolist(),
    }


def selective_curve(
    truth: np.ndarray, p: np.ndarray, threshold: Threshold, task: str
) -> dict[str, Any]:
    """{"coverage", "risk", "area"} of `judge.selective`, thinned to what a drawing can show."""
    coverage, risk = selective.risk_coverage(truth, p, threshold, task)
    shown = _thinned(np.arange(len(coverage)))
    return {
        "coverage": coverage[shown].round(6).tolist(),
        "risk": risk[shown].round(6).tolist(),
        "area": selective.area(coverage, risk),
    }


def conformal_rows(
    truth: np.ndarray, p: np.ndarray, quantiles: Mapping[str, float]
) -> list[dict[str, Any]]:
    """One row a promise: {"promised", "coverage", "mean", "counts", "empty", "single", "several"}.

    quantiles  {"0.1": quantile}: the share that may miss, and `judge.conformal.quantile` of it
    """
    found = []
    for misses, quantile in sorted(quantiles.items(), key=lambda pair: float(pair[0])):
        sets = conformal.sets(p, quantile)
        held = conformal.coverage(truth, sets)
        found.append({"promised": 1 - float(misses), "coverage": held, **conformal.sizes(sets)})
    return found


def operating_rows(
    truth: np.ndarray, score: np.ndarray, thresholds: Mapping[str, float], groups: Groups
) -> list[dict[str, Any]]:
    """One row a threshold: {"aim", "threshold", "sensitivity", "specificity"} with intervals."""
    return [
        {"aim": aim, "threshold": threshold}
        | operating.at_with_intervals(truth, score, threshold, groups)
        for aim, threshold in thresholds.items()
    ]


def pairs(
    truth: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    thresholds: Mapping[str, Threshold],
    groups: Groups,
    task: str,
) -> list[dict[str, Any]]:
    """Each two models on the same rows: AUC by DeLong, decisions by McNemar.

    {"a", "b", "difference", "low", "high", "p", "p_holm", "only_a", "only_b", "p_calls",
    "p_calls_holm", "distinguishable": by AUC, by decisions}; p_holm are adjusted for the number of
    pairs, and a pair is distinguishable where that is below 0.05. Of more than six models each
    is compared with the one of the highest AUC alone.
    """
    names = list(probabilities)
    couples = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    if len(names) > PAIRED:
        best = max(names, key=lambda name: np.nan_to_num(auc(truth, probabilities[name])))
        couples = [(best, name) for name in names if name != best]
    called = {name: decide(p, thresholds.get(name), task) for name, p in probabilities.items()}
    rows = []
    for a, b in couples:
        areas = paired.delong_difference(truth, probabilities[a], probabilities[b], groups)
        calls = paired.mcnemar(truth, called[a], called[b], groups)
        rows.append({"a": a, "b": b, **areas, **calls | {"p_calls": calls["p"], "p": areas["p"]}})
    for key in ("p", "p_calls"):
        for row, raised in zip(rows, paired.holm([row[key] for row in rows]), strict=True):
            row[f"{key}_holm"] = raised
    for row in rows:
        row["distinguishable"] = {
            "auc": row["p_holm"] is not None and row["p_holm"] < LEVEL,
            "calls": row["p_calls_holm"] < LEVEL,
        }
    return rows


def _thinned(index: np.ndarray) -> np.ndarray:
    """No more of them than a drawing can show, both ends kept."""
    return index[np.linspace(0, len(index) - 1, min(len(index), POINTS)).round().astype(int)]
