"""Train, val and test parts that no group (patient, series, near-duplicate set) straddles.

A group is what the data name one (a patient), else what near-duplicates connect, else one image.
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
GIVEN, NEAR, NONE = "given", "near-duplicates", "none"  # what keeps related rows together
_SYNONYMS = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


@dataclass(frozen=True, eq=False)
class Split:
    """Which part each row belongs to, and what kept related rows together.

    part    (n,) of "train", "val", "test"
    groups  "given": every row's group was known; "near-duplicates": images that look the same were
            kept together; "none": nothing was. Unless given, images of one patient may stand on
            both sides, and reports say so
    """

    part: np.ndarray
    groups: str

    @property
    def grouped(self) -> bool:
        """Whether every row's group was known."""
        return self.groups == GIVEN

    def rows(self, part: str) -> np.ndarray:
        """Indices of the rows of a part."""
        return np.flatnonzero(self.part == part)


def split(
    labels: Sequence[str] | Sequence[int] | np.ndarray,
    groups: Sequence[str | None] | None = None,
    given: Sequence[str | None] | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    alike: np.ndarray | None = None,
) -> Split:
    """Divide n rows into train, val and test, stratified by label, whole groups only.

    labels  n class labels, or (n, k) bool where a row can have several
    groups  n group names; a row without one (None or "") is a group of its own
    given   n part names that come with the data and are kept (all or none). Where they name no
            val part, one is cut from train, in the same proportion as `fractions`
    alike   n numbers of near-duplicate groups (see `duplicates`), used where no group is known;
            a given split is kept even where it separates them

    The same input and seed give the same split. O(n log n) and one pass over the groups.
    Raises LearnError if a given split separates a group, is incomplete or names another part.
    """
    n = len(labels)
    _check(n, groups, given, fractions)
    member = membership(labels)
    unit, by = units(groups, n), NONE
    if groups is not None and all(groups):
        by = GIVEN
    elif alike is not None and not any(groups or ()):
        unit, by = np.asarray(alike), NEAR
    if given is None or not any(given):
        return Split(deal(member, unit, PARTS, fractions, seed), by)
    part = _given(given)
    if (part == "val").any():
        by = GIVEN if by == GIVEN else NONE
    else:
        rows = part == "train"
        part[rows] = deal(member[rows], unit[rows], PARTS[:2], fractions[:2], seed)
    _refuse_straddling(part, units(groups, n), groups)
    return Split(part, by)


def membership(labels: Sequence[str] | Sequence[int] | np.ndarray) -> np.ndarray:
    """(n, k) float64: 1 where a row has a label; rows without any are one more class."""
    labels = np.asarray(labels)
    if labels.ndim == 2:
        return np.column_stack([labels, ~labels.astype(bool).any(axis=1)]).astype(np.float64)
    classes, codes = np.unique(labels, return_inverse=True)
    return np.eye(len(classes))[codes]


def deal(
    member: np.ndarray,
    unit: np.ndarray,
    parts: Sequence[str],
    shares: Sequence[float],
    seed: int,
) -> np.ndarray:
    """(n,) part names: rows of one `unit` together, the labels of `member` in these shares."""
    names, unit = np.unique(unit, return_inverse=True)
    counts = np.zeros((len(names), member.shape[1]))
    np.add.at(counts, unit, member)
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


def units(groups: Sequence[str | None] | None, n: int) -> np.ndarray:
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
