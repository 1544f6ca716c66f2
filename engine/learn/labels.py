"""Label texts, and the numbers that stand for them.

classes, ordinal   a class name                 -> (n,) class numbers
labels             "effusion;nodule", none: ";" -> (n, k) bool, each label independent
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .errors import LearnError

BETWEEN = ";"


def several(text: str) -> list[str]:
    """The label names that a text of task "labels" holds."""
    return [name for part in str(text).split(BETWEEN) if (name := part.strip())]


def class_names(
    labels: Sequence[str], task: str = "classes", order: Sequence[str] = ()
) -> tuple[str, ...]:
    """The different labels: in the `order` given, else numbers by value, else by name.

    LearnError where a label is missing from the order, an ordered class has no row, or grades that
    are words come without an order.
    """
    found = {
        name for text in labels for name in (several(text) if task == "labels" else [str(text)])
    }
    whole = all(name.isdecimal() for name in found)
    if order:
        if odd := sorted(found ^ set(order)):
            state = "is not in the order" if odd[0] in found else "is in the order, but has no row"
            raise LearnError(f"training: label {odd[0]!r} {state}: {', '.join(order)}")
        return tuple(order)
    if task == "ordinal" and not whole:
        raise LearnError(
            f"training: grades that are words need an order; found are {', '.join(sorted(found))}"
        )
    return tuple(sorted(found, key=(lambda name: (int(name), name)) if whole else None))


def codes(labels: Sequence[str], names: Sequence[str], task: str = "classes") -> np.ndarray:
    """(n,) class numbers, or (n, k) bool for task "labels"; LearnError for an unknown name."""
    position = {name: number for number, name in enumerate(names)}
    texts = [several(text) if task == "labels" else [str(text)] for text in labels]
    if unknown := sorted({name for row in texts for name in row} - set(position)):
        raise LearnError(f"label {unknown[0]!r} is unknown to the model; known: {', '.join(names)}")
    if task != "labels":
        return np.array([position[row[0]] for row in texts], np.intp)
    truth = np.zeros((len(texts), len(names)), bool)
    for row, found in enumerate(texts):
        truth[row, [position[name] for name in found]] = True
    return truth


def counts(truth: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many rows each class or label has."""
    if truth.ndim == 2:
        found = truth.sum(axis=0)
    else:
        found = np.bincount(truth, minlength=len(names))
    return dict(zip(names, found.tolist(), strict=True))
