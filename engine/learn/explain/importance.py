"""Permutation importance by feature family: what a model loses when columns are shuffled.

    drop = AUC(scores) - AUC(scores of rows whose columns of one family come from other rows)

Texture columns of one family say nearly the same, so that shuffling one of them alone costs a
model nothing even where the family is all it has: all columns of a family are taken from the same
other row, at once. Where groups (patients) are known, the other row is one of another group, and
all rows of a group take theirs from the same one.

The interval is the 2.5 % and 97.5 % points over resamples: each draws groups (or rows) with
replacement within their class, and takes one of the permutations; it holds both what the
permutation and what the choice of images leaves open. An interval over 0 says that the family is
not seen to matter for these scores. It does not say that the family tells nothing: another family
may tell the same.

Rows must be held out: on training rows a model uses noise that it has learned by heart.

Source: Breiman, Random Forests, Machine Learning 2001; Fisher, Rudin and Dominici, JMLR 2019;
grouped columns: Gregorutti et al., Computational Statistics and Data Analysis 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import LearnError
from ..judge import bootstrap
from ..judge.bootstrap import LEVEL, numbers
from ..judge.metrics import auc

REPEATS = 10  # permutations
RESAMPLES = 200
Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Importance:
    """What the AUC loses without these columns, and the 95 % interval of that."""

    name: str
    columns: int
    drop: float
    low: float
    high: float


def families(names: Sequence[str]) -> dict[str, np.ndarray]:
    """{family: its columns}; a column's family is its name up to the first dot."""
    owner = [name.partition(".")[0] for name in names]
    return {
        family: np.flatnonzero([other == family for other in owner])
        for family in dict.fromkeys(owner)
    }


def importance(
    predict: Predict,
    values: np.ndarray,
    truth: np.ndarray,
    columns: Mapping[str, np.ndarray],
    groups: Sequence[str | None] | None = None,
    repeats: int = REPEATS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Importance]:
    """One row for each set of columns, the greatest drop first.

    predict  rows (m, f) -> probabilities (m, k), of any m
    values   (n, f) held-out rows
    truth    (n,) class numbers, or (n, k) bool of independent labels
    columns  {name: indices of the columns that are permuted together}, see `families`
    groups   n group names; a row without one (None or "") is a group of its own

    LearnError where there are not two classes or not two groups.
    Cost: `repeats` predictions of n rows and 2 `resamples` AUCs a set of columns.
    """
    values, truth = np.asarray(values), np.asarray(truth)
    kinds = np.unique(truth, axis=0, return_inverse=True)[1].ravel()
    unit = numbers(groups or [None] * len(truth))
    if not kinds.any() or not unit.any():
        raise LearnError("importance: held-out rows of at least two classes and groups are needed")
    generator = np.random.default_rng(seed)
    sources = [_exchange(unit, generator) for _ in range(repeats)]
    blocks = bootstrap.resamples(kinds, groups, resamples, seed)
    draws = [np.repeat(np.arange(len(truth)), row.astype(int)) for block in blocks for row in block]
    scores = predict(values)
    whole, drawn = auc(truth, scores), _aucs(truth, [scores] * len(draws), draws)

    def measured(name: str, chosen: np.ndarray) -> Importance:
        permuted = [predict(_permuted(values, chosen, source)) for source in sources]
        drops = [whole - auc(truth, p) for p in permuted]
        turns = [permuted[turn % repeats] for turn in range(len(draws))]
        low, high = np.nanquantile(
            drawn - _aucs(truth, turns, draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        )
        return Importance(name, len(chosen), float(np.mean(drops)), float(low), float(high))

    rows = [measured(name, np.asarray(chosen)) for name, chosen in columns.items()]
    return sorted(rows, key=lambda row: -row.drop)


def _permuted(values: np.ndarray, columns: np.ndarray, source: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[:, columns] = values[np.ix_(source, columns)]
    return changed


def _aucs(
    truth: np.ndarray, scores: Sequence[np.ndarray], draws: Sequence[np.ndarray]
) -> np.ndarray:
    return np.array(
        [auc(truth[rows], p[rows]) for p, rows in zip(scores, draws, strict=True)], np.float64
    )


def _exchange(unit: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(n,) the row that each row takes its columns from: that of the next group in a random
    circle of all groups, so never its own; a shorter group is gone through again and again."""
    circle = generator.permutation(unit.max() + 1)
    following = np.empty_like(circle)
    following[circle] = np.roll(circle, -1)
    members = [np.flatnonzero(unit == group) for group in range(len(circle))]
    source = np.empty(len(unit), np.intp)
    for group, rows in enumerate(members):
        source[rows] = np.resize(members[following[group]], len(rows))
    return source
