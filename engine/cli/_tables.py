"""Figures as people read them: tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._road import interval

SHORT = {
    "auc": "AUC", "accuracy": "accuracy", "sensitivity": "sens.", "specificity": "spec.",
    "ece": "ECE",
}  # fmt: skip
INPUTS = ("texture", "deep", "fused")
WITH_INTERVAL = ("auc", "accuracy")
HEADINGS = ("model", *SHORT.values())


def summary_rows(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One row a model: AUC and accuracy as `0.951 (0.934-0.967)`, the others as values alone; all
    intervals stand in the JSON and in the report."""
    return [
        [row["model"]]
        + [
            interval(metric) if name in WITH_INTERVAL else number(metric["value"])
            for name in SHORT
            for metric in [row["metrics"][name]]
        ]
        for row in results
    ]


def input_rows(results: Sequence[Mapping[str, Any]], metric: str = "auc") -> list[list[str]]:
    """Models below one another, what they see side by side: texture, deep, fused. The network sees
    pixels: its figure is the row's only one."""
    found: dict[str, dict[str, str]] = {}
    for row in results:
        model, _, taken = row["model"].partition(".")
        found.setdefault(model, {})[taken or "texture"] = interval(row["metrics"][metric])
    return [
        ["cnn (pixels)", "", cells["texture"], ""]
        if model == "cnn"
        else [model, *(cells.get(taken, "") for taken in INPUTS)]
        for model, cells in found.items()
    ]


def by_input(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{model: {input: metrics}} for JSON; the network's input is "pixels"."""
    table: dict[str, dict[str, Any]] = {}
    for row in results:
        model, _, taken = row["model"].partition(".")
        of = "pixels" if model == "cnn" else taken or "texture"
        table.setdefault(model, {})[of] = row["metrics"]
    return table


def number(value: float | None) -> str:
    """Three digits, or a word where there is no value."""
    return "none" if value is None else f"{value:.3f}"
