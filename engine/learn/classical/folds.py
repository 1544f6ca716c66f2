"""Folds that separate no group and leave no class out."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from ..errors import LearnError

Folds = list[tuple[np.ndarray, np.ndarray]]


def folds(
    purpose: str, truth: np.ndarray, groups: np.ndarray | None, seed: int, count: int = 5
) -> Folds:
    """Up to `count` pairs (rows to fit on, rows held out), stratified, groups whole.

    purpose  what the folds are for; it opens the sentence of an error
    truth    (n,) class numbers
    groups   (n,) group numbers; None: each row is a group

    There are fewer folds where a class has fewer groups. LearnError where a class has fewer than
    two, or where a fold would be fitted without one of the classes.
    """
    classes = np.unique(truth)
    unit = np.arange(len(truth)) if groups is None else groups
    fewest = min(len(np.unique(unit[truth == k])) for k in classes)
    if fewest < 2:
        raise LearnError(f"{purpose} needs every class in at least two groups of train")
    cut = StratifiedGroupKFold(min(count, fewest), shuffle=True, random_state=seed)
    pairs = list(cut.split(truth, truth, unit))
    if any(len(np.unique(truth[rows])) < len(classes) for rows, _ in pairs):
        raise LearnError(f"{purpose}: too few groups; an inner fold would lack a class")
    return pairs
