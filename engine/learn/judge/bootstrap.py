"""Stratified cluster bootstrap: rows of integer weights, and intervals from what they give.

A resample draws units with replacement, as many in each stratum as there are. A unit is a group of
rows (a patient, a plate) where groups are known, because its rows are not independent; else a row.
A stratum is the commonest class of the unit. A resample is kept as how often each row was drawn,
so that every metric of weighted rows is at once a metric of resamples.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993; Field and Welsh, JRSS B 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
_HELD = 1 << 17  # weights at once: they stay in the processor's cache

Groups = Sequence[str | None] | None
Interval = dict[str, float | None]


def resamples(stratum: np.ndarray, groups: Groups, count: int, seed: int) -> Iterator[np.ndarray]:
    """`count` resamples of n rows, as blocks (b, n) float64 of how often each row was drawn.

    stratum  (n,) whole numbers >= 0, the class of each row
    groups   n names; a row without one (None or "") is a group of its own. None: no groups
    Cost: O(count n); about 2^17 weights are held at once.
    """
    stratum = np.asarray(stratum)
    unit, of_unit = _units(stratum, groups)
    members = [np.flatnonzero(of_unit == value) for value in np.unique(of_unit)]
    generator = np.random.default_rng(seed)
    step = max(1, _HELD // max(len(stratum), 1))
    for start in range(0, count, step):
        drawn = _draw(members, len(of_unit), min(step, count - start), generator)
        yield drawn if unit is None else drawn[:, unit]


def interval(value: float, drawn: np.ndarray) -> Interval:
    """{"value", "low", "high"}: the 2.5 % and 97.5 % points of the resamples' values.

    What is not finite in `drawn` is left out; without a value or any resample all are None.
    """
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if not drawn.size:
        return {"value": float(value), "low": None, "high": None}
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}


def norm_interval(value: float, drawn: np.ndarray, moved: np.ndarray) -> Interval:
    """`interval` of the norm of a vector, which a resample can hardly make smaller.

    The resamples' values are biased upwards, so their points would leave out a true norm of 0. The
    lower end is instead value - the 97.5 % point of `moved`, the norm of how far each resample
    moved the vector: by the triangle inequality the true norm is below it in 1 of 40 samples at
    most.
    """
    found = interval(value, drawn)
    if found["low"] is not None:
        far = float(np.quantile(moved[np.isfinite(moved)], (1 + LEVEL) / 2))
        found["low"] = max(0.0, float(value) - far)
    return found


def numbers(groups: Sequence[str | None]) -> np.ndarray:
    """(n,) the number of each row's group; a row without a name is a group of its own."""
    names = [name or f"\0{row}" for row, name in enumerate(groups)]
    return np.unique(names, return_inverse=True)[1]


def _units(stratum: np.ndarray, groups: Groups) -> tuple[np.ndarray | None, np.ndarray]:
    """(n,) number of each row's unit, None where each row is one; (u,) the stratum of each."""
    if groups is None:
        return None, stratum
    unit = numbers(groups)
    counts = np.zeros((int(unit.max(initial=-1)) + 1, int(stratum.max(initial=0)) + 1), np.intp)
    np.add.at(counts, (unit, stratum), 1)
    return unit, counts.argmax(axis=1)


def _draw(
    members: list[np.ndarray], units: int, count: int, generator: np.random.Generator
) -> np.ndarray:
    """(count, units) how often each unit was drawn."""
    picks = [
        chosen[generator.integers(len(chosen), size=(count, len(chosen)))] for chosen in members
    ]
    index = np.concatenate(picks, axis=1) + units * np.arange(count)[:, None]
    drawn = np.bincount(index.ravel(), minlength=count * units).reshape(count, units)
    return drawn.astype(np.float64)
