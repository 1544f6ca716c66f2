"""`python -m medkern.bench.accuracy SET FOLDER --json rows.json`"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medkern.engine.learn import Settings, evaluate
from medkern.engine.learn.folds import cross_validate
from medkern.engine.learn.train import train
from medkern.engine.recipe import load_recipe
from medkern.engine.report import environment
from medkern.engine.whole import write

from . import sets

SHOWN = ("auc", "accuracy", "balanced_accuracy", "f1", "ece")
LARGE = ("svm", "extra", "logistic")  # the classical models of the two smaller sets
Rows = list[dict[str, Any]]


def pneumonia(folder: Path, seeds: int, by_image: bool) -> Rows:
    """Train, choose and calibrate on train and val; each seed's model sees test once."""
    del by_image  # no groups are known
    data, chosen = sets.pneumonia(folder), load_recipe("chest-xray")
    given = np.array([part or "" for part in data.parts])
    learned, judged = data.rows(given != "test"), data.rows(given == "test")
    rows = []
    for seed in range(seeds):
        settings = replace(chosen.training, seed=seed, inputs=("texture", "fused"))
        begun = time.perf_counter()
        trained = train(
            learned.pixels, chosen.layout.bits, learned.features, learned.labels,
            given=learned.parts, settings=settings,
        )  # fmt: skip
        figures = evaluate(
            trained.model, judged.pixels, judged.features, judged.labels, data="official test part"
        )
        took = dict(trained.model.training["seconds"], all=time.perf_counter() - begun)
        rows += [dict(row, seed=seed, seconds=took) for row in figures]
    return rows


def breast(folder: Path, seeds: int, by_image: bool) -> Rows:
    """Three classes and benign against malignant, by near-duplicate group and by image."""
    data, chosen = sets.breast(folder), load_recipe("ultrasound")
    settings = replace(
        chosen.training, models=("cnn", *LARGE), inputs=("texture", "fused"),
        order=("normal", "benign", "malignant"),
    )  # fmt: skip
    two, tumours = sets.without(data, "normal"), replace(settings, order=("benign", "malignant"))
    rows = []
    for what, labelled, chosen_settings in (
        ("three classes", data, settings), ("benign or malignant", two, tumours),
    ):  # fmt: skip
        name = f"{what}, by {'image' if by_image else 'near-duplicate group'}"
        rows += _folded(name, labelled, chosen_settings, seeds, by_image)
    return rows


def cells(folder: Path, seeds: int, by_image: bool) -> Rows:
    """Thirteen kinds of red blood cells, by smear image."""
    settings = Settings(
        models=("cnn", *LARGE), inputs=("texture", "fused"), epochs=12, batch=64, balance=0.5,
        shift=0.05, rotate=180.0, flips=("horizontal", "vertical"), zoom=0.05, colour=0.1,
        smoothing=0.05, decay=0.05, patience=30, standardise="data",
    )  # fmt: skip
    name = f"thirteen kinds, by {'cell' if by_image else 'smear image'}"
    return _folded(name, sets.cells(folder), settings, seeds, by_image)


def _folded(name: str, data: sets.Labelled, settings: Settings, seeds: int, by_image: bool) -> Rows:
    rows = []
    for seed in range(seeds):
        begun = time.perf_counter()
        found = cross_validate(
            data.pixels, 8, data.features, data.labels, data.groups,
            settings=replace(settings, seed=seed), by_image=by_image,
        )  # fmt: skip
        took = {"all": time.perf_counter() - begun}
        rows += [dict(row, data=name, seed=seed, seconds=took) for row in found.figures]
        show(rows[-len(found.figures) :])
    return rows


def show(rows: Rows) -> None:
    """A line a model: each metric with its interval."""
    for row in rows:
        cells = [f"{name} {_interval(row['metrics'][name])}" for name in SHOWN]
        print(
            f"{row['data']}, seed {row['seed']}: {row['model']:18s} {', '.join(cells)}", flush=True
        )


def _interval(metric: dict[str, float | None]) -> str:
    if metric["value"] is None:
        return "not defined"
    return f"{metric['value']:.3f} ({metric['low']:.3f}-{metric['high']:.3f})"


SETS: dict[str, Callable[[Path, int, bool], Rows]] = {
    "pneumonia": pneumonia,
    "breast": breast,
    "cells": cells,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="medkern.bench.accuracy", description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("folder", type=Path, help="the folder of that set")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--by-image", action="store_true", help="ignore the groups, to show what leaks"
    )
    parser.add_argument("--json", type=Path, help="write the rows here")
    chosen = parser.parse_args(arguments)
    rows = SETS[chosen.set](chosen.folder, chosen.seeds, chosen.by_image)
    if chosen.set == "pneumonia":
        show(rows)
    if chosen.json:
        report = {"set": chosen.set, "rows": rows, "environment": environment("cpu")}
        write(chosen.json, json.dumps(report, indent=1).encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
