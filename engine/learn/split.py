"""Train, val and test parts that no group (patient, series, near-duplicate set) straddles.

Groups are dealt out whole. Each goes to the part whose class counts it brings closest to the
wanted ones: the part p that gains most of  sum_k ((wanted[p, k] - have[p, k]) / total[k])^2.
Large groups are dealt first, because only small ones can even out the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import LearnError

PARTS = ("train", "val", "test")
_SYNONYMS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


@dataclass(frozen=True, eq=False)
class Split:
    """part: (n,) of "train", "val", "test". grouped: whether every row's group was known.

    Where `grouped` is False a patient's images may stand on both sides, and reports say so.
    """

    part: np.ndarray
    grouped: bool

    def rows(self, part: str) -> np.ndarray:
        """Indices of the rows of a part."""
        return np.flatnonzero(self.part == part)


def split(
    labels: Sequence[str] | Sequence[int] | np.ndarray,
    groups: Sequence[str | None] | None = None,
    given: Sequence[str | None] | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> Split:
    """Divide n rows into train, val and test, stratified by label, whole groups only.

    labels  n class labels
    groups  n group names; a row without one (None or "") is a group of its own
    given   n part names that come with the data and are kept (all or none). Where they name no
            val part, one is cut from train, in the same proportion as `fractions`

    The same input and seed give the same split. O(n log n) and one pass over the groups.
    Raises LearnError if a given split separates a group, is incomplete or names another part.
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    n = len(codes)
    _check(n, groups, given, fractions)
    known = groups is not None and all(groups)
    unit = _units(groups, n)
    if given is None or not any(given):
        return Split(_deal(codes, unit, len(classes), PARTS, fractions, seed), known)
    part = _given(given)
    if not (part == "val").any():
        rows = part == "train"
        parts, shares = PARTS[:2], fractions[:2]
        part[rows] = _deal(codes[rows], unit[rows], len(classes), parts, shares, seed)
    _refuse_straddling(part, unit, groups)
    return Split(part, known)


def _deal(
    codes: np.ndarray,
    unit: np.ndarray,
    classes: int,
    parts: Sequence[str],
    shares: Sequence[float],
    seed: int,
) -> np.ndarray:
    names, unit = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (unit, codes), 1)
    total = counts.sum(axis=0)
    share = np.asarray(shares) / sum(shares)
    missing = share[:, None] * (total > 0)  # what each part still lacks, as a share of the class
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    chosen = np.empty(len(names), np.intp)
    portions = counts / np.maximum(total, 1)
    for group in order:
        portion = portions[group]
        # adding q to a part changes its squared error m^2 to (m - q)^2: the gain is q (2 m - q)
        chosen[group] = best = np.argmax((portion * (2 * missing - portion)).sum(axis=1))
        missing[best] -= portion
    return np.asarray(parts)[chosen[unit]]


def _units(groups: Sequence[str | None] | None, n: int) -> np.ndarray:
    """A number for each row's group; rows without one get a number of their own."""
    if groups is None:
        return np.arange(n)
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(name, row) if name else row for row, name in enumerate(groups)], np.intp
    )


def _given(given: Sequence[str | None]) -> np.ndarray:
    if not all(given):
        row = next(row for row, name in enumerate(given) if not name)
        raise LearnError(f"split: row {row} has no part, but others have; name it for all or none")
    part = np.array([_SYNONYMS.get(str(name).lower(), str(name).lower()) for name in given], "<U5")
    for name, lowered in zip(given, part, strict=True):
        if lowered not in PARTS:
            raise LearnError(f"split: a part is named {name!r}; allowed: {', '.join(PARTS)}")
    return part


def _refuse_straddling(
    part: np.ndarray, unit: np.ndarray, groups: Sequence[str | None] | None
) -> None:
    if groups is None:
        return
    first = part[unit]  # a group is numbered by its first row
    if (wrong := np.flatnonzero(part != first)).size:
        row = wrong[0]
        raise LearnError(
            f"split: group {groups[row]!r} stands in {first[row]} and in {part[row]}; "
            f"a group must stay in one part"
        )


def _check(
    n: int,
    groups: Sequence[str | None] | None,
    given: Sequence[str | None] | None,
    fractions: tuple[float, float, float],
) -> None:
    if n == 0:
        raise LearnError("split: there are no labelled rows to divide")
    for name, column in (("groups", groups), ("split", given)):
        if column is not None and len(column) != n:
            raise LearnError(f"split: {len(column)} {name} for {n} labels")
    if len(fractions) != 3 or min(fractions) < 0 or not fractions[0] > 0:
        raise LearnError(
            f"split: fractions are {fractions}; allowed: three shares, none negative, train above 0"
        )
