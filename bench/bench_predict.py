"""Prediction of classical models: medkern's compiled code against scikit-learn's predict_proba.

Both sides get the same 100,000 rows of features and all cores; scikit-learn runs its forests with
n_jobs=-1. The machines' probabilities come from sigmoids over one machine a class (two classes:
one). Before anything is timed, probabilities must agree within 1e-6 and all labels that are no tie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn

from medkern.bench.rows import Rival, make_row
from medkern.bench.timing import Timed, turn_of
from medkern.engine.learn.classical.fit import fit
from medkern.engine.learn.classical.heads import Head
from medkern.kernels import Cost

TURNS = 7
ROWS, FEW = 100_000, 2_000  # of a benchmark and of a test run
TOO_SLOW = 20_000  # rows of a machine's turn: scikit-learn takes a minute for the others


class Case(NamedTuple):
    """Which model, on how many training rows, features and classes."""

    name: str
    train: int
    features: int
    classes: int

    @property
    def label(self) -> str:
        return f"{self.name}-{self.features}x{self.classes}"


CASES = (
    Case("forest", 4000, 100, 2),
    Case("forest", 4000, 360, 10),
    Case("extra", 4000, 100, 2),
    Case("boosted", 4000, 100, 2),
    Case("svm", 2000, 100, 2),
    Case("svm", 2000, 200, 10),
)


def rows(case: Case, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal features (n, f) float32, a third of which leans towards the class."""
    rng = np.random.default_rng(seed)
    shift = np.random.default_rng(0).normal(0, 0.3, (case.classes, case.features))
    shift[:, rng.permutation(case.features)[case.features // 3 :]] = 0
    truth = np.arange(n) % case.classes
    return (rng.normal(size=(n, case.features)) + shift[truth]).astype(np.float32), truth


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def bench_predict(
    case: Case, request: pytest.FixtureRequest, benchmark: Any, machine: Any, report: Any
) -> None:
    measuring = request.config.getoption("benchmark_enable")
    values, truth = rows(case, case.train if measuring else 300, 1)
    estimator, head = fit(case.name, values, truth, None, seed=0)
    most = TOO_SLOW if case.name == "svm" else ROWS
    unseen, _ = rows(case, most if measuring else FEW, 2)
    check = agree(head, estimator, unseen)
    ours, theirs = (lambda: head.predict(unseen)), with_all_cores(estimator, unseen)
    a, b = Timed(ours), Timed(theirs)
    benchmark.group = "predict"
    benchmark.pedantic(a, setup=turn_of(b), rounds=TURNS, warmup_rounds=1)
    row = make_row(
        kernel=f"predict {case.name}",
        backend="cpu",
        data=case.label,
        images=unseen,
        parameters={"train": case.train, "classes": case.classes},
        cost=Cost(bytes=unseen.itemsize, operations=0),
        seconds=a.seconds[-TURNS:],
        rival=Rival("scikit-learn", sklearn.__version__, "n_jobs=-1", b.seconds[-TURNS:]),
        check=check,
        machine=machine.name,
        roof_gb_s=machine.copy_gb_s,
    ).describe()
    row["rows_per_s"] = len(unseen) / row["median_s"]
    shown = {
        "model": case.label,
        "rows": str(len(unseen)),
        "rows/s": f"{row['rows_per_s']:.4g}",
        "against": f"{row['peer']} {row['peer_version']}",
        "ratio": f"{row['ratio']:.3g}x",
        "range": f"{row['ratio_low']:.3g} to {row['ratio_high']:.3g}",
        "best": f"{row['ratio_best']:.3g}x",
    }
    report("Prediction of classical models", row, shown)


def with_all_cores(estimator: Any, unseen: np.ndarray) -> Callable[[], np.ndarray]:
    """scikit-learn's prediction on every core, where the model has a way to say so."""
    last = getattr(estimator, "steps", [("", estimator)])[-1][1]
    if hasattr(last, "n_jobs"):
        last.n_jobs = -1

    return lambda: estimator.predict_proba(unseen)


def agree(head: Head, estimator: Any, unseen: np.ndarray) -> str:
    """Compare probabilities and labels of some rows; say what was found, or fail."""
    some = unseen[:: max(1, len(unseen) // 2000)]
    own, other = head.predict(some), estimator.predict_proba(some)
    apart = float(np.abs(own - other).max())
    assert apart <= 1e-6, f"a probability differs by {apart:.2g}"
    ordered = np.sort(other, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-6
    same = (own.argmax(axis=1) == other.argmax(axis=1))[clear]
    assert same.all(), f"{(~same).sum()} of {clear.sum()} labels differ"
    return f"{len(some)} rows: probabilities within {apart:.1g}, all {clear.sum()} clear labels"
