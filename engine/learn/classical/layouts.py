"""The arrays of each kind of classical model, and the check that makes them safe to predict with.

Nothing that predicts from checked arrays can index out of range, loop, overflow or give NaN.
`reference` says what the arrays mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import ModelError
from .reference import LARGEST, LEAF

Layout = Mapping[str, tuple[str, str]]

DEEPEST = 64  # levels of a tree
LEAST_SCALE = 1e-30
LARGEST_GAMMA = 1e30

_SCALER = {"mean": ("float64", "f"), "scale": ("float64", "f")}
_SIGMOID = {"slope": ("float64", "m"), "offset": ("float64", "m")}
_NODES = {
    "roots": ("int32", "t"), "left": ("int32", "n"), "right": ("int32", "n"),
    "feature": ("int32", "n"), "threshold": ("float64", "n"),
}  # fmt: skip

# name -> (dtype, shape); a letter is a length that must agree: f features, k classes, m machines
# or raw scores (one for two classes, else one a class), t trees, n nodes, s stored rows
LAYOUTS: dict[str, Layout] = {
    "logistic": {**_SCALER, "weight": ("float64", "kf"), "bias": ("float64", "k")},
    "svm": {
        **_SCALER, **_SIGMOID, "bias": ("float64", "m"), "gamma": ("float64", "m"),
        "vectors": ("float64", "sf"), "dual": ("float64", "s"), "machine": ("int32", "s"),
    },
    "linear": {**_SCALER, **_SIGMOID, "weight": ("float64", "mf"), "bias": ("float64", "m")},
    "forest": {**_SCALER, **_NODES, "value": ("float64", "nk")},
    "boosted": {
        **_SCALER, **_NODES, "missing_left": ("int32", "n"), "leaf": ("float64", "n"),
        "tree_class": ("int32", "t"), "baseline": ("float64", "m"),
    },
    "knn": {
        **_SCALER, "rows": ("float64", "sf"), "truth": ("int32", "s"), "neighbours": ("int32", "1"),
    },
    "nystroem": {
        **_SCALER, "landmarks": ("float64", "sf"), "gamma": ("float64", "1"),
        "map": ("float64", "ss"), "weight": ("float64", "ks"), "bias": ("float64", "k"),
    },
}  # fmt: skip

Arrays = Mapping[str, np.ndarray]


def check_head(name: str, kind: str, arrays: Arrays, features: int, classes: int) -> None:
    """ModelError unless every value of these arrays is usable for so many features and classes."""
    if kind not in LAYOUTS:
        raise ModelError(f"{name}: kind {kind!r} is unknown; allowed: {', '.join(LAYOUTS)}")
    machines = 1 if classes == 2 else classes
    lengths = {"f": features, "k": classes, "m": machines, "1": 1}
    check_arrays(name, arrays, LAYOUTS[kind], lengths)
    _require(name, (arrays["scale"] > LEAST_SCALE).all(), "a scale is not above 0")
    if further := _FURTHER.get(kind):
        further(name, arrays, features, classes)


def check_arrays(name: str, arrays: Arrays, layout: Layout, lengths: dict[str, int]) -> None:
    """Names, dtypes, shapes and finiteness; `lengths` are the letters already known."""
    if set(arrays) != set(layout):
        odd = sorted(set(arrays) ^ set(layout))[0]
        raise ModelError(f"{name}: array {odd!r} is {'unknown' if odd in arrays else 'missing'}")
    lengths = dict(lengths)
    for key, (dtype, letters) in layout.items():
        array = arrays[key]
        for axis, letter in enumerate(letters[: array.ndim]):
            lengths.setdefault(letter, array.shape[axis])
        wanted = tuple(lengths.get(letter, 0) for letter in letters)
        if array.dtype != dtype or array.shape != wanted:
            raise ModelError(
                f"{name}: array {key!r} is {array.dtype} {array.shape}, not {dtype} {wanted}"
            )
        _require(name, np.isfinite(array).all(), f"array {key!r} holds NaN or infinity")
        largest = np.abs(array, dtype=np.float64).max(initial=0)
        _require(name, largest <= LARGEST, f"array {key!r} holds values above {LARGEST}")


def _check_svm(name: str, a: Arrays, features: int, classes: int) -> None:
    owner = a["machine"]
    _require(name, ((owner >= 0) & (owner < len(a["bias"]))).all(), "a machine is out of range")
    _check_gamma(name, a, features, classes)


def _check_gamma(name: str, a: Arrays, features: int, classes: int) -> None:
    gamma = a["gamma"]
    _require(name, (gamma > 0).all(), "a gamma is not above 0")
    _require(name, (gamma <= LARGEST_GAMMA).all(), f"a gamma is above {LARGEST_GAMMA}")


def _check_knn(name: str, a: Arrays, features: int, classes: int) -> None:
    present = np.array_equal(np.unique(a["truth"]), np.arange(classes))
    _require(name, present, "the classes of the rows are not all those there are")
    neighbours, stored = int(a["neighbours"][0]), len(a["rows"])
    _require(name, 1 <= neighbours <= stored, f"neighbours is {neighbours}, not 1 to {stored}")


def _check_forest(name: str, a: Arrays, features: int, classes: int) -> None:
    _check_trees(name, a, features)
    value = a["value"]
    whole = (value >= 0).all() and np.allclose(value.sum(axis=1), 1, atol=1e-6)
    _require(name, bool(whole), "class shares of a node do not sum to 1")


def _check_boosted(name: str, a: Arrays, features: int, classes: int) -> None:
    _check_trees(name, a, features)
    owner, scores = a["tree_class"], len(a["baseline"])
    _require(name, ((owner >= 0) & (owner < scores)).all(), "a tree's class is out of range")
    flag = a["missing_left"]
    _require(name, ((flag == 0) | (flag == 1)).all(), "a missing_left is neither 0 nor 1")


def _check_trees(name: str, a: Arrays, features: int) -> None:
    """Every node but the roots is the child of one earlier node."""
    left, right, roots, nodes = a["left"], a["right"], a["roots"], len(a["left"])
    inner = np.flatnonzero(left != LEAF)
    _require(name, len(roots) > 0, "there is no tree")
    _require(name, ((left == LEAF) == (right == LEAF)).all(), "a node has one child only")
    children = np.concatenate([left[inner], right[inner]])
    parents = np.concatenate([inner, inner])
    _require(
        name,
        ((children > parents) & (children < nodes)).all()
        and ((roots >= 0) & (roots < nodes)).all(),
        "a child or root is out of range or stands before its parent",
    )
    times = np.bincount(np.concatenate([children, roots]), minlength=nodes)
    _require(name, (times == 1).all(), "a node belongs to no tree or to more than one place")
    used = a["feature"][inner]
    _require(name, ((used >= 0) & (used < features)).all(), "a feature is out of range")
    level = roots
    for _ in range(DEEPEST):
        level = level[left[level] != LEAF]
        level = np.concatenate([left[level], right[level]])
        if not level.size:
            return
    raise ModelError(f"{name}: a tree is deeper than {DEEPEST} levels")


def _require(name: str, good: bool | np.bool_, otherwise: str) -> None:
    if not good:
        raise ModelError(f"{name}: {otherwise}")


_FURTHER: dict[str, Callable[[str, Arrays, int, int], None]] = {
    "svm": _check_svm,
    "forest": _check_forest,
    "boosted": _check_boosted,
    "knn": _check_knn,
    "nystroem": _check_gamma,
}
