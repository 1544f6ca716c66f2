"""A decision tree read back from its arrays: questions in the features' own units.

A tree asks z[feature] <= threshold of standardised values, z = (x - mean) / scale; a reader wants
x <= mean + scale threshold. Shares of the classes at a node are those of the training, where
classes count equally however many images they have; counts need rows: `counts` sends some
through the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..classical.heads import LEAF, Head, standardise
from ..errors import LearnError

DEPTH = 6  # levels that are shown
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Node:
    """A question or an answer.

    number     of the node in the head's arrays
    shares     of the classes, of training rows weighted so that classes count equally
    question   (column, threshold in the column's unit), of what goes on to `low` if it is at most
               the threshold or missing-as-mean, else to `high`; None of an answer
    collapsed  answers that are below a node at which the picture stops; 0 elsewhere
    """

    number: int
    shares: tuple[float, ...]
    question: tuple[str, float] | None = None
    low: Node | None = None
    high: Node | None = None
    collapsed: int = 0


def read(head: Head, names: Sequence[str], depth: int = DEPTH) -> Node:
    """The tree of a head, down to `depth` questions in a row.

    names  the columns that the head takes
    LearnError unless the head is a single tree of so many columns.
    """
    _check(head, names)
    a = head.arrays

    def node(number: int, level: int) -> Node:
        shares = tuple(a["value"][number].tolist())
        if a["left"][number] == LEAF:
            return Node(number, shares)
        if level == depth:
            return Node(number, shares, collapsed=_answers(a["left"], a["right"], number))
        column = int(a["feature"][number])
        threshold = float(a["mean"][column] + a["scale"][column] * a["threshold"][number])
        low, high = (node(int(a[side][number]), level + 1) for side in ("left", "right"))
        return Node(number, shares, (names[column], threshold), low, high)

    return node(int(a["roots"][0]), 0)


def counts(head: Head, values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(nodes, k) how many of the rows (n, f) of each class (n,) come by each node."""
    a = head.arrays
    z = standardise(values, a["mean"], a["scale"])
    z = z.clip(-_LARGEST, _LARGEST).astype(np.float32)  # the precision that a tree compares in
    found = np.zeros(a["value"].shape, np.intp)
    rows, node = np.arange(len(z)), np.full(len(z), a["roots"][0])
    while rows.size:
        np.add.at(found, (node, truth[rows]), 1)
        inner = a["left"][node] != LEAF
        rows, node = rows[inner], node[inner]
        low = z[rows, a["feature"][node]] <= a["threshold"][node]
        node = np.where(low, a["left"][node], a["right"][node])
    return found


def rules(node: Node, labels: Sequence[str], indent: str = "") -> list[str]:
    """The tree as lines of text:

    if glcm.contrast.d1 <= 12.3:
        pneumonia 0.93
    else:
        ...
    """
    if node.question is None or node.low is None or node.high is None:
        best = int(np.argmax(node.shares))
        more = f" ({node.collapsed} answers below)" if node.collapsed else ""
        return [f"{indent}{labels[best]} {node.shares[best]:.2f}{more}"]
    column, threshold = node.question
    inside = indent + "    "
    return [
        f"{indent}if {column} <= {threshold:.4g}:",
        *rules(node.low, labels, inside),
        f"{indent}else:",
        *rules(node.high, labels, inside),
    ]


def _answers(left: np.ndarray, right: np.ndarray, number: int) -> int:
    level, found = np.array([number]), 0
    while level.size:
        leaf = left[level] == LEAF
        found += int(leaf.sum())
        level = np.concatenate([left[level[~leaf]], right[level[~leaf]]])
    return found


def _check(head: Head, names: Sequence[str]) -> None:
    if head.kind != "forest" or len(head.arrays["roots"]) != 1:
        trees = len(head.arrays["roots"]) if head.kind == "forest" else 0
        raise LearnError(
            f"tree: only a single decision tree can be drawn, not a {head.kind} of {trees} trees"
            if trees
            else f"tree: only a decision tree can be drawn, not a model of kind {head.kind}"
        )
    if len(names) != len(head.arrays["mean"]):
        raise LearnError(
            f"tree: {len(names)} names for the tree's {len(head.arrays['mean'])} columns"
        )
