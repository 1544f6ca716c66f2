"""A fitted pipeline as the arrays of a `Head`.

Each function reads one kind of estimator, which knows only the columns that were chosen; `head`
then writes the arrays for all columns. Those left out get weight 0 and so great a scale that
nothing of them remains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .heads import LAYOUTS, Head
from .reference import LARGEST, LEAF

Found = dict[str, np.ndarray]


def head(name: str, pipeline: Any, sigmoids: Any = ()) -> Head:
    """The head of a fitted pipeline of `models`.

    sigmoids  the calibration of each machine (a_ slope, b_ offset) of svm and linear
    """
    kind = _KINDS.get(name, name)
    found = _EXPORTS[kind](pipeline["model"])
    if sigmoids:
        found |= {
            "slope": np.array([float(s.a_) for s in sigmoids]),
            "offset": np.array([float(s.b_) for s in sigmoids]),
        }
    return Head(kind, _whole(kind, found, pipeline))


def _whole(kind: str, found: Found, pipeline: Any) -> Found:
    """The arrays over all f columns, from those over the columns that the model has seen."""
    scaler, selector = pipeline["standardise"], pipeline["select"]
    kept = scaler.kept_
    if selector != "passthrough":
        kept = kept[selector.kept_]
    scale = np.full_like(scaler.scale_, LARGEST)
    scale[kept] = scaler.scale_[kept]
    whole = {"mean": scaler.mean_, "scale": scale}
    for key, array in found.items():
        letters = LAYOUTS[kind][key][1]
        if letters.endswith("f"):
            whole[key] = np.zeros((*array.shape[:-1], len(scale)))
            whole[key][..., kept] = array
        elif key == "feature":  # of a leaf it means nothing, and may be below 0
            whole[key] = kept[np.maximum(array, 0)].astype(np.int32)
        else:
            whole[key] = array
    return whole


def _svm(model: Any) -> Found:
    machines = list(model.estimators_)
    owner = np.repeat(np.arange(len(machines)), [len(m.support_) for m in machines])
    return {
        "vectors": np.concatenate([m.support_vectors_ for m in machines]),
        "dual": np.concatenate([m.dual_coef_[0] for m in machines]),
        "machine": owner.astype(np.int32),
        "bias": np.array([m.intercept_[0] for m in machines]),
        "gamma": np.array([float(m._gamma) for m in machines]),
    }


def _linear(model: Any) -> Found:
    return {"weight": model.coef_, "bias": model.intercept_}


def _logistic(model: Any) -> Found:
    return _softmax(model.coef_, model.intercept_)


def _softmax(weight: np.ndarray, bias: np.ndarray) -> Found:
    if len(bias) == 1:  # two classes: the sigmoid of z is the softmax of (0, z)
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return {"weight": weight, "bias": bias}


def _nystroem(model: Any) -> Found:
    return nystroem(*model)


def nystroem(features: Any, regression: Any, host: Callable[[Any], Any] = np.asarray) -> Found:
    """Landmarks and weights; `host` copies an array from wherever it was fitted."""
    landmarks = host(features.components_)
    gamma = 1 / landmarks.shape[1] if features.gamma is None else features.gamma
    return {
        "landmarks": landmarks,
        "gamma": np.array([float(gamma)]),
        "map": host(features.normalization_),
        **_softmax(host(regression.coef_), host(regression.intercept_)),
    }


def _knn(model: Any) -> Found:
    return {
        "rows": model._fit_X,
        "truth": model._y.astype(np.int32),
        "neighbours": np.array([model.n_neighbors], np.int32),
    }


def _forest(model: Any) -> Found:
    trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
    value = np.concatenate([tree.value[:, 0, :] for tree in trees])
    return {
        **_nodes(
            [tree.children_left for tree in trees],
            [tree.children_right for tree in trees],
            [tree.feature for tree in trees],
        ),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "value": value / value.sum(axis=1, keepdims=True),
    }


def _boosted(model: Any) -> Found:
    trees = [tree.nodes for turn in model._predictors for tree in turn]
    leaf = [tree["is_leaf"] == 1 for tree in trees]
    nodes = np.concatenate(trees)
    scores = model.n_trees_per_iteration_
    return {
        **_nodes(
            [
                np.where(end, LEAF, t["left"].astype(int))
                for end, t in zip(leaf, trees, strict=True)
            ],
            [
                np.where(end, LEAF, t["right"].astype(int))
                for end, t in zip(leaf, trees, strict=True)
            ],
            [tree["feature_idx"] for tree in trees],
        ),
        # infinite where all known values go left and only gaps go right
        "threshold": np.minimum(nodes["num_threshold"], LARGEST),
        "missing_left": nodes["missing_go_to_left"].astype(np.int32),
        "leaf": nodes["value"].copy(),
        "tree_class": np.tile(np.arange(scores, dtype=np.int32), len(trees) // scores),
        "baseline": model._baseline_prediction.reshape(-1).astype(np.float64),
    }


def _nodes(left: list[Any], right: list[Any], feature: list[Any]) -> Found:
    """Trees one behind the other: children count from the first node of the first tree."""
    roots = np.cumsum([0] + [len(tree) for tree in left[:-1]])

    def shifted(children: list[Any]) -> np.ndarray:
        parts = zip(children, roots, strict=True)
        moved = [np.where(child == LEAF, LEAF, child + root) for child, root in parts]
        return np.concatenate(moved).astype(np.int32)

    return {
        "roots": roots.astype(np.int32),
        "left": shifted(left),
        "right": shifted(right),
        "feature": np.concatenate(feature).astype(np.int32),
    }


_KINDS = {"tree": "forest", "extra": "forest"}
_EXPORTS = {
    "svm": _svm,
    "linear": _linear,
    "logistic": _logistic,
    "nystroem": _nystroem,
    "knn": _knn,
    "forest": _forest,
    "boosted": _boosted,
}
