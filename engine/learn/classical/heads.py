"""Classical models as checked arrays, and their prediction in NumPy.

A fitted SVM, tree, forest or logistic regression is nothing but arrays. Kept as such they need no
scikit-learn to predict, do not depend on its version, and can be checked completely, which an
estimator object from a file cannot.

All kinds first standardise, z = (x - mean) / scale with 0 where x is not finite; then
    logistic   p = softmax(weight z + bias)
    svm        d_m = sum_s dual_s exp(-gamma_m |z - vector_s|^2) + bias_m over the vectors of
               machine m; p_m = 1 / (1 + exp(slope_m d_m + offset_m)) (Platt); one machine for two
               classes, else one a class against the rest, then normalised
    forest     from each root: left if z[feature] <= threshold else right, until a leaf; the mean
               of the leaves' class shares. A tree is a forest with one root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError

DEEPEST = 64  # levels of a tree
_ROWS = 1024  # predicted at once
LEAF = -1
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
LARGEST, LEAST_SCALE = 1e100, 1e-30  # keep every product of a checked head finite

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Head:
    """One classical model. kind: logistic, svm or forest; arrays: see `LAYOUTS`."""

    kind: str
    arrays: Arrays

    @property
    def classes(self) -> int:
        if self.kind == "svm":
            return max(2, len(self.arrays["bias"]))
        return (
            len(self.arrays["bias"]) if self.kind == "logistic" else self.arrays["value"].shape[1]
        )

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) float64 of feature rows (n, f)."""
        z = standardise(values, self.arrays["mean"], self.arrays["scale"])
        parts = [
            _PREDICT[self.kind](z[i : i + _ROWS], self.arrays) for i in range(0, len(z), _ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty((0, self.classes))


def standardise(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(values - mean) / scale in float64; what is not finite becomes 0, the mean."""
    values = np.asarray(values, np.float64)
    return (np.where(np.isfinite(values), values, mean) - mean) / scale


def _logistic(z: np.ndarray, a: Arrays) -> np.ndarray:
    logits = z @ a["weight"].T + a["bias"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _svm(z: np.ndarray, a: Arrays) -> np.ndarray:
    vectors = a["vectors"]
    square = (z**2).sum(axis=1)[:, None] - 2 * z @ vectors.T + (vectors**2).sum(axis=1)
    kernel = np.exp(-a["gamma"][a["machine"]] * np.maximum(square, 0)) * a["dual"]
    machines = len(a["bias"])
    owner = a["machine"][:, None] == np.arange(machines)
    decision = kernel @ owner.astype(np.float64) + a["bias"]
    # exp cannot overflow below 700, where the probability is 0 to double precision anyway
    p = 1 / (1 + np.exp(np.minimum(a["slope"] * decision + a["offset"], 700)))
    if machines == 1:
        return np.concatenate([1 - p, p], axis=1)
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / machines)


def _forest(z: np.ndarray, a: Arrays) -> np.ndarray:
    # float32 is the precision in which scikit-learn compares
    z = z.clip(-LARGEST_FLOAT32, LARGEST_FLOAT32).astype(np.float32)
    row = np.arange(len(z))[:, None]
    node = np.tile(a["roots"], (len(z), 1))
    while (inner := a["left"][node] != LEAF).any():
        low = z[row, a["feature"][node]] <= a["threshold"][node]
        node = np.where(inner, np.where(low, a["left"][node], a["right"][node]), node)
    return a["value"][node].mean(axis=1)


_PREDICT: dict[str, Callable[[np.ndarray, Arrays], np.ndarray]] = {
    "logistic": _logistic,
    "svm": _svm,
    "forest": _forest,
}

# name -> (dtype, shape); a letter is a length that must agree: f features, k classes, m machines
LAYOUTS: dict[str, dict[str, tuple[str, str]]] = {
    "logistic": {
        "mean": ("float64", "f"), "scale": ("float64", "f"),
        "weight": ("float64", "kf"), "bias": ("float64", "k"),
    },
    "svm": {
        "mean": ("float64", "f"), "scale": ("float64", "f"),
        "bias": ("float64", "m"), "gamma": ("float64", "m"),
        "slope": ("float64", "m"), "offset": ("float64", "m"),
        "vectors": ("float64", "sf"), "dual": ("float64", "s"), "machine": ("int32", "s"),
    },
    "forest": {
        "mean": ("float64", "f"), "scale": ("float64", "f"), "roots": ("int32", "t"),
        "left": ("int32", "n"), "right": ("int32", "n"), "feature": ("int32", "n"),
        "threshold": ("float64", "n"), "value": ("float64", "nk"),
    },
}  # fmt: skip


def check(name: str, kind: str, arrays: Arrays, features: int, classes: int) -> Head:
    """The head these arrays describe; ModelError unless every value of them is usable.

    Nothing that predicts from a checked head can index out of range, loop or return NaN.
    """
    if kind not in LAYOUTS:
        raise ModelError(f"{name}: kind {kind!r} is unknown; allowed: {', '.join(LAYOUTS)}")
    machines = 1 if classes == 2 else classes
    check_arrays(name, arrays, LAYOUTS[kind], {"f": features, "k": classes, "m": machines})
    _require(name, (arrays["scale"] > LEAST_SCALE).all(), "a scale is not above 0")
    if kind == "svm":
        owner = arrays["machine"]
        _require(name, ((owner >= 0) & (owner < machines)).all(), "a machine is out of range")
        _require(name, (arrays["gamma"] > 0).all(), "a gamma is not above 0")
    if kind == "forest":
        _check_forest(name, arrays, features)
    return Head(kind, dict(arrays))


def check_arrays(
    name: str, arrays: Arrays, layout: Mapping[str, tuple[str, str]], lengths: dict[str, int]
) -> None:
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


def _check_forest(name: str, a: Arrays, features: int) -> None:
    """Every node but the roots is the child of one earlier node; leaves hold class shares."""
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
    value = a["value"]
    shares = (value >= 0).all() and np.allclose(value.sum(axis=1), 1, atol=1e-6)
    _require(name, bool(shares), "class shares of a node do not sum to 1")
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
