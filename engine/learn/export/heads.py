"""The classical models as ONNX operators: `classical.reference` line by line, in float64.

Everything is plain operators of ai.onnx but the trees, which are a TreeEnsembleRegressor of
ai.onnx.ml with float64 thresholds; its sums come back in float32, which is all the precision that
is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..classical.heads import LARGEST, LEAF, Head
from ..classical.reference import LARGEST_FLOAT32
from ..file.container import Arrays
from .graph import ML, Graph


def add_head(graph: Graph, head: Head, x: str) -> str:
    """Probabilities (n, k) float64 of feature rows `x` (n, f) float32."""
    return _ADD[head.kind](graph, x, head.arrays)


def _known(graph: Graph, x: str) -> str:
    """Where a float64 value is no gap."""
    return graph("LessOrEqual", graph("Abs", x), graph.constant(LARGEST_FLOAT32))


def _standardised(graph: Graph, x: str, a: Arrays) -> str:
    x, mean = graph.cast(x, np.float64), graph.constant(a["mean"])
    filled = graph("Where", _known(graph, x), x, mean)
    return graph("Div", graph("Sub", filled, mean), graph.constant(a["scale"]))


def _line(graph: Graph, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
    """weight x + bias."""
    return graph("Add", graph("MatMul", x, graph.constant(weight.T)), graph.constant(bias))


def _softmax(graph: Graph, score: str) -> str:
    return graph("Softmax", score, axis=1)


def _squares(graph: Graph, z: str, points: np.ndarray) -> str:
    """|z - point|^2 (n, s)."""
    own = graph("ReduceSum", graph("Mul", z, z), graph.whole(1), keepdims=1)
    mixed = graph("MatMul", z, graph.constant(2 * points.T))
    square = graph("Add", graph("Sub", own, mixed), graph.constant((points**2).sum(axis=1)))
    return graph("Max", square, graph.constant(0.0))


def _platt(graph: Graph, decision: str, a: Arrays) -> str:
    decision = graph("Clip", decision, graph.constant(-LARGEST), graph.constant(LARGEST))
    slope, offset = graph.constant(a["slope"]), graph.constant(a["offset"])
    exponent = graph("Add", graph("Mul", decision, slope), offset)
    one = graph.constant(1.0)
    power = graph("Exp", graph("Min", exponent, graph.constant(700.0)))
    p = graph("Div", one, graph("Add", one, power))
    machines = len(a["slope"])
    if machines == 1:
        return graph("Concat", graph("Sub", one, p), p, axis=1)
    total = graph("ReduceSum", p, graph.whole(1), keepdims=1)
    some = graph("Greater", total, graph.constant(0.0))
    share = graph("Div", p, graph("Where", some, total, one))
    return graph("Where", some, share, graph.constant(1 / machines))


def _logistic(graph: Graph, x: str, a: Arrays) -> str:
    return _softmax(graph, _line(graph, _standardised(graph, x, a), a["weight"], a["bias"]))


def _linear(graph: Graph, x: str, a: Arrays) -> str:
    return _platt(graph, _line(graph, _standardised(graph, x, a), a["weight"], a["bias"]), a)


def _svm(graph: Graph, x: str, a: Arrays) -> str:
    square = _squares(graph, _standardised(graph, x, a), a["vectors"])
    near = graph("Exp", graph("Mul", square, graph.constant(-a["gamma"][a["machine"]])))
    owner = a["machine"][:, None] == np.arange(len(a["bias"]))
    decision = graph("MatMul", near, graph.constant(a["dual"][:, None] * owner))
    return _platt(graph, graph("Add", decision, graph.constant(a["bias"])), a)


def _nystroem(graph: Graph, x: str, a: Arrays) -> str:
    square = _squares(graph, _standardised(graph, x, a), a["landmarks"])
    near = graph("Exp", graph("Mul", square, graph.constant(-a["gamma"])))
    embedded = graph("MatMul", near, graph.constant(a["map"].T))
    return _softmax(graph, _line(graph, embedded, a["weight"], a["bias"]))


def _knn(graph: Graph, x: str, a: Arrays) -> str:
    square = _squares(graph, _standardised(graph, x, a), a["rows"])
    count = graph.whole(int(a["neighbours"][0]))
    _, nearest = graph.two("TopK", square, count, axis=1, largest=0, sorted=1)
    votes = a["truth"][:, None] == np.arange(int(a["truth"].max()) + 1)
    cast = graph("Gather", graph.constant(votes), nearest, axis=0)
    return graph("ReduceMean", cast, graph.whole(1), keepdims=0)


def _forest(graph: Graph, x: str, a: Arrays) -> str:
    z = _standardised(graph, x, a)
    z = graph("Clip", z, graph.constant(-LARGEST_FLOAT32), graph.constant(LARGEST_FLOAT32))
    z = graph.cast(graph.cast(z, np.float32), np.float64)
    leaves = np.flatnonzero(a["left"] == LEAF)
    classes = a["value"].shape[1]
    weights = a["value"][leaves].ravel() / len(a["roots"])
    targets = np.tile(np.arange(classes), len(leaves))
    return _trees(graph, z, a, np.repeat(leaves, classes), targets, weights, np.zeros(classes))


def _boosted(graph: Graph, x: str, a: Arrays) -> str:
    z = _standardised(graph, x, a)
    known = _known(graph, graph.cast(x, np.float64))
    z = graph("Where", known, z, graph.constant(np.nan))
    leaves = np.flatnonzero(a["left"] == LEAF)
    targets = a["tree_class"][_tree_of(a)[leaves]]
    score = _trees(graph, z, a, leaves, targets, a["leaf"][leaves], a["baseline"])
    if len(a["baseline"]) == 1:
        score = graph("Concat", graph("Mul", score, graph.constant(0.0)), score, axis=1)
    return _softmax(graph, score)


def _trees(
    graph: Graph,
    z: str,
    a: Arrays,
    leaves: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    base: np.ndarray,
) -> str:
    """base + the sums (n, targets) of the weights of the leaves that each row ends in."""
    from onnx import numpy_helper

    inner, tree = a["left"] != LEAF, _tree_of(a)
    missing_left = a.get("missing_left", np.zeros_like(a["left"]))
    score = graph(
        "TreeEnsembleRegressor",
        z,
        domain=ML,
        n_targets=len(base),
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=tree.tolist(),
        nodes_nodeids=list(range(len(tree))),
        nodes_modes=np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_featureids=np.where(inner, a["feature"], 0).tolist(),
        nodes_truenodeids=np.where(inner, a["left"], 0).tolist(),
        nodes_falsenodeids=np.where(inner, a["right"], 0).tolist(),
        nodes_missing_value_tracks_true=missing_left.tolist(),
        nodes_values_as_tensor=numpy_helper.from_array(np.where(inner, a["threshold"], 0.0)),
        target_treeids=tree[leaves].tolist(),
        target_nodeids=leaves.tolist(),
        target_ids=targets.tolist(),
        target_weights_as_tensor=numpy_helper.from_array(np.asarray(weights, np.float64)),
    )
    return graph("Add", graph.cast(score, np.float64), graph.constant(base))


def _tree_of(a: Arrays) -> np.ndarray:
    """The tree of each node: that of its parent, who always stands before it."""
    tree = np.zeros(len(a["left"]), np.int64)
    tree[a["roots"]] = np.arange(len(a["roots"]))
    for node in np.flatnonzero(a["left"] != LEAF):
        tree[[a["left"][node], a["right"][node]]] = tree[node]
    return tree


_ADD: dict[str, Callable[[Graph, str, Arrays], str]] = {
    "logistic": _logistic,
    "linear": _linear,
    "svm": _svm,
    "nystroem": _nystroem,
    "knn": _knn,
    "forest": _forest,
    "boosted": _boosted,
}
