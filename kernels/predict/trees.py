"""Sums over decision trees: forests and boosted trees, many rows at a time.

    S[r, j] = sum over trees t of value[leaf(t, r), j - first_t]

leaf(t, r) is where row r ends that starts at the root of t and goes left where z <= threshold and
right elsewhere. A forest adds the class shares of a leaf to all scores, a boosted tree one number
to the score of its class.

rows     float32 or float64 (n, f); z = (x - mean) / scale, compared in the precision of `threshold`
result   float64 (n, scores); trees are added in their order, so every number of threads, and the
         GPU, gives the same bits
gaps     NaN, infinite and beyond float32: z = 0; in trees that know gaps, where `missing_left` says
cost     one node a level and row, 12 bytes each, read from where 256 or more rows find them near
source   L. Breiman, Random forests, Machine Learning 45, 2001; J. Friedman, Greedy function
         approximation, Annals of Statistics 29, 2001

Nodes lie in breadth-first order, tree after tree, the children of a node side by side, and a leaf
is its own child: the next node is child + (z > threshold), without a branch. One step waits for
the memory of the step before, so eight rows walk together and wait at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _cuda, _threads
from .._cpu import compiled
from .._inner import inner
from ._rows import beside, known, rows_of

_LEAF = -1
_LANES = 8  # rows that walk together
_NEAR = 3 << 18  # bytes of rows that stay in a core's own cache
_MOST, _LEAST = 512, 64  # rows of a block
_FOUND = 1 << 20  # leaves that are found before they are added
_BLOCK = 128  # threads of a block on the GPU
_GPU_ROWS = 1 << 16  # whose standardised values are in memory at once

_source = _cuda.Cuda(__file__)


@dataclass(frozen=True, eq=False)
class Trees:
    """Trees, packed: node arrays (nodes,), `value` (nodes, w), `roots` and `first` (trees,).

    `first` is the first of the `scores` that a tree adds to. `columns` is f, or 2 f for trees that
    know gaps: then column c holds -infinity for a gap, which goes left anywhere, and column f + c
    +infinity, which goes right.
    """

    mean: Any
    scale: Any
    roots: Any
    first: Any
    column: Any
    threshold: Any
    child: Any
    value: Any
    scores: int
    columns: int

    @classmethod
    def pack(
        cls,
        mean: np.ndarray,
        scale: np.ndarray,
        roots: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        feature: np.ndarray,
        threshold: np.ndarray,
        value: np.ndarray,
        first: np.ndarray | None = None,
        scores: int | None = None,
        missing_left: np.ndarray | None = None,
        precision: type = np.float32,
    ) -> Trees:
        """Trees from node arrays in any order: child -1 marks a leaf, roots (t,) are nodes.

        Each node must be a root or the child of one other node. `value` is (nodes, w);
        `missing_left` (nodes,) 0 or 1, or None for trees in which a gap is the mean.
        """
        order = _breadth_first(roots, left, right)
        place = np.empty(len(order), np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        leaf = left[order] == _LEAF
        column = np.where(leaf, 0, feature[order])
        if missing_left is not None:
            column += np.where(leaf | (missing_left[order] == 1), 0, len(mean))
        return cls(
            mean=mean,
            scale=scale,
            roots=place[roots],
            first=np.zeros(len(roots), np.int32) if first is None else first.astype(np.int32),
            column=column.astype(np.uint32),
            threshold=np.where(leaf, np.inf, _down(threshold[order], precision)).astype(precision),
            child=np.where(leaf, place[order], place[left[order]]),
            value=np.ascontiguousarray(value[order]),
            scores=value.shape[1] if scores is None else scores,
            columns=len(mean) * (1 if missing_left is None else 2),
        )


def trees(values: Any, packed: Trees) -> Any:
    """S (n, scores) float64 of rows (n, f): see the head of this file."""
    values = rows_of(values, len(packed.mean))
    return (cpu if isinstance(values, np.ndarray) else gpu)(values, packed)


def _breadth_first(roots: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """All nodes, tree after tree and level after level, children in the order of their parents."""
    children = np.stack([left, right], axis=1)
    nodes, tree, levels = roots, np.arange(len(roots)), []
    while nodes.size:
        levels.append((nodes, tree))
        inside = left[nodes] != _LEAF
        nodes, tree = children[nodes[inside]].ravel(), np.repeat(tree[inside], 2)
    order, owner = (np.concatenate(part) for part in zip(*levels, strict=True))
    return order[owner.argsort(kind="stable")]


def _down(threshold: np.ndarray, precision: type) -> np.ndarray:
    """The greatest number of the precision not above the threshold: z <= it alike."""
    limit = float(np.finfo(precision).max)
    near = threshold.clip(-limit, limit).astype(precision)
    above = (near > threshold) & (near > -limit)
    near[above] = np.nextafter(near[above], precision(-np.inf))
    return np.where(threshold < -limit, precision(-np.inf), near)


# ---- CPU


def cpu(values: np.ndarray, packed: Trees) -> np.ndarray:
    """Rows in blocks that stay in the cache, each through all trees."""
    p = packed
    sums = np.zeros((len(values), p.scores))
    fitting = _NEAR // (p.columns * p.threshold.itemsize + 1)
    block = max(_LEAST, min(_MOST, fitting)) // _LANES * _LANES
    arrays = (p.mean, p.scale, p.roots, p.first, p.column, p.threshold, p.child, p.value)
    _threads.run(_some_rows, len(values), values, p.columns, block, *arrays, sums, least=_LEAST)
    return sums


@compiled
def _some_rows(
    begin, stop, values, columns, block, mean, scale, roots, first, column, threshold, child, value,
    sums,
):  # fmt: skip
    """sums[begin:stop] += the leaves of rows begin .. stop - 1.

    The leaves of many blocks are found before any is added: their values, which are many, are then
    read tree by tree, and stay near for as many rows.
    """
    block = min(block, (stop - begin) // _LANES * _LANES + _LANES)
    many = block * max(1, min((stop - begin + block - 1) // block, _FOUND // (block * roots.size)))
    z = np.zeros(block * columns, threshold.dtype)
    at = np.empty((roots.size, many), np.uint32)
    for start in range(begin, stop, many):
        end = min(start + many, stop)
        for near in range(start, end, block):
            rows = values[near : min(near + block, end)]
            _fill(rows, mean, scale, columns, z)
            for tree in range(roots.size):
                for lane in range(0, len(rows), _LANES):
                    _walk(roots[tree], z, np.uint64(lane), np.uint64(columns), column, threshold,
                          child, at[tree, near - start :])  # fmt: skip
        for tree in range(roots.size):
            _add(value, at[tree], first[tree], sums[start:end])


@inner
def _fill(rows, mean, scale, columns, z):
    """z (rows, columns), flat: standardised rows in the precision that nodes compare in."""
    f = len(mean)
    limit = np.float64(np.finfo(z.dtype).max)
    for i in range(len(rows)):
        for c in range(f):
            x = np.float64(rows[i, c])
            here = known(x)
            x = (x - mean[c]) / scale[c] if here else 0.0
            x = min(max(x, -limit), limit)
            if columns == f:
                z[i * columns + c] = x
            else:
                z[i * columns + c] = x if here else -np.inf
                z[i * columns + f + c] = x if here else np.inf


@inner
def _step(node, z, row, column, threshold, child):
    """The child to which a row goes; a leaf stays."""
    return child[node] + np.uint32(z[row + column[node]] > threshold[node])


@inner
def _walk(root, z, lane, columns, column, threshold, child, at):
    """at[lane : lane + 8] = the leaves of eight rows."""
    r0 = lane * columns
    r1, r2, r3 = r0 + columns, r0 + 2 * columns, r0 + 3 * columns
    r4, r5, r6, r7 = r3 + columns, r3 + 2 * columns, r3 + 3 * columns, r3 + 4 * columns
    n0 = n1 = n2 = n3 = n4 = n5 = n6 = n7 = np.uint64(root)
    moved = np.uint64(1)
    while moved:
        b0, b1, b2, b3, b4, b5, b6, b7 = n0, n1, n2, n3, n4, n5, n6, n7
        n0 = _step(n0, z, r0, column, threshold, child)
        n1 = _step(n1, z, r1, column, threshold, child)
        n2 = _step(n2, z, r2, column, threshold, child)
        n3 = _step(n3, z, r3, column, threshold, child)
        n4 = _step(n4, z, r4, column, threshold, child)
        n5 = _step(n5, z, r5, column, threshold, child)
        n6 = _step(n6, z, r6, column, threshold, child)
        n7 = _step(n7, z, r7, column, threshold, child)
        moved = (b0 ^ n0) | (b1 ^ n1) | (b2 ^ n2) | (b3 ^ n3)
        moved |= (b4 ^ n4) | (b5 ^ n5) | (b6 ^ n6) | (b7 ^ n7)
    at[lane], at[lane + 1], at[lane + 2], at[lane + 3] = n0, n1, n2, n3
    at[lane + 4], at[lane + 5], at[lane + 6], at[lane + 7] = n4, n5, n6, n7


@inner
def _add(value, at, first, sums):
    """sums[i, first :] += value[at[i]]."""
    width = value.shape[1]
    if width == 1:
        for i in range(len(sums)):
            sums[i, first] += value[at[i], 0]
    else:
        for i in range(len(sums)):
            node = at[i]
            for c in range(width):
                sums[i, first + c] += value[node, c]


# ---- GPU: a thread a row


def gpu(values: Any, packed: Trees) -> Any:
    """`cpu` on the GPU; standardised rows lie feature by feature, for rows at one node to share."""
    p = beside(values, packed)
    n, f = values.shape
    sums = _cuda.empty(values, (p.scores, n), np.float64)
    macros = {"VALUE": values.dtype, "REAL": p.threshold.dtype}
    fill, add = (_source.function(name, **macros) for name in ("fill", "add_trees"))
    z = _cuda.empty(values, (p.columns, min(n, _GPU_ROWS)), p.threshold.dtype)
    for start in range(0, n, _GPU_ROWS):
        rows = min(_GPU_ROWS, n - start)
        tiles = (-(-rows // 32), min(-(-f // 32), 65535))
        fill(tiles, (32, 8), values, p.mean, p.scale, z, start, rows, f, p.columns)
        add(
            -(-rows // _BLOCK), _BLOCK, z, p.roots, p.first, p.column, p.threshold, p.child,
            p.value, sums, start, rows, n, len(p.roots), p.value.shape[1], p.scores,
        )  # fmt: skip
    return sums.T
