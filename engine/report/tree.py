"""A decision tree as a drawing: questions from left to right, answers one below the other.

Lying on its side a tree stays readable: names of features are long, and sixty-four answers need
more height than width. Of each question the upper branch is its yes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..learn.explain.tree import Node
from .svg import COLOURS, box, drawing, line, words

ACROSS, DOWN = 232.0, 40.0  # from a question to the next, from an answer to the next
LONG = 190.0  # of the bar of class shares
LETTERS = 31  # of a question; its middle is left out beyond


@dataclass(frozen=True)
class Place:
    """Where a node stands: x of its left edge, y of its bar."""

    node: Node
    x: float
    y: float
    parts: tuple[Place, ...] = ()


def tree_drawing(root: Node, labels: Sequence[str], counts: np.ndarray | None = None) -> Markup:
    """The tree of a model; counts (nodes, k): how many rows of each class came by each node."""
    top, _ = _placed(root, 8.0, 0)
    places = list(_all(top))
    parts: list[Markup] = []
    for place in places:
        for part, says in zip(place.parts, ("yes", "no"), strict=False):
            parts += _branch(place, part, says)
    for place in places:
        parts += _box(place, labels, counts)
    width = max(place.x for place in places) + LONG + 12
    height = max(place.y for place in places) + 24
    return drawing("Decision tree", width, height, parts, style=f"width:{width:g}px;max-width:none")


def _placed(node: Node, x: float, row: int) -> tuple[Place, int]:
    """The places of a node and of all below it; the number of rows used so far."""
    if node.low is None or node.high is None:
        return Place(node, x, 24 + DOWN * row), row + 1
    low, row = _placed(node.low, x + ACROSS, row)
    high, row = _placed(node.high, x + ACROSS, row)
    return Place(node, x, (low.y + high.y) / 2, (low, high)), row


def _all(place: Place) -> Iterator[Place]:
    yield place
    for part in place.parts:
        yield from _all(part)


def _branch(place: Place, part: Place, says: str) -> list[Markup]:
    """A line down or up beside the question, then to the next node."""
    x = place.x + LONG + 14
    return [
        line("grid", place.x + LONG, place.y + 4, x, place.y + 4),
        line("grid", x, place.y + 4, x, part.y + 4),
        line("grid", x, part.y + 4, part.x, part.y + 4),
        words("end", part.x - 3, part.y + (0 if says == "yes" else 15), says),
    ]


def _box(place: Place, labels: Sequence[str], counts: np.ndarray | None) -> list[Markup]:
    """The words of a node above a bar of its class shares."""
    node = place.node
    rows = None if counts is None else counts[node.number]
    x, parts = place.x, [words("node", place.x, place.y - 4, _says(node, labels))]
    for k, share in enumerate(node.shares):
        if share > 0:
            says = f"{_question(node)}{labels[k]}: share {share:.3f}"
            says += "" if rows is None else f", {rows[k]:,} images"
            parts.append(box(f"f{k % COLOURS}", x, place.y, LONG * share, 8, says))
            x += LONG * share
    if rows is not None:
        parts.append(words("count", place.x, place.y + 19, f"n = {rows.sum():,}"))
    return parts


def _says(node: Node, labels: Sequence[str]) -> str:
    if node.question:
        name, threshold = node.question
        value = f" ≤ {threshold:.4g} ?"
        return _short(name, LETTERS - len(value)) + value
    best = int(np.argmax(node.shares))
    more = f" (+ {node.collapsed} answers)" if node.collapsed else ""
    return f"{_short(labels[best], LETTERS - 8)} {node.shares[best]:.2f}{more}"


def _question(node: Node) -> str:
    """The question in full, for who points at the bar."""
    return f"{node.question[0]} ≤ {node.question[1]:.6g}? " if node.question else ""


def _short(text: str, letters: int) -> str:
    half = (letters - 1) // 2
    return text if len(text) <= letters else f"{text[:half]}…{text[-half:]}"
