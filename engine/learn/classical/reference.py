"""What each kind of classical model predicts, in NumPy: the definitions.

z = (x - mean) / scale is a standardised row, with 0 for a gap: NaN, infinite, or beyond float32.

    logistic   p = softmax(weight z + bias)
    linear     d = weight z + bias; then as svm
    svm        d_m = sum_s dual_s exp(-gamma_m |z - vector_s|^2) + bias_m over the vectors of
               machine m; p_m = 1 / (1 + exp(slope_m d_m + offset_m)) (Platt); one machine for two
               classes, else one a class against the rest, then normalised
    forest     from each root: left if z[feature] <= threshold else right, in float32, until a
               leaf; the mean of the leaves' class shares. A tree is a forest with one root
    boosted    from each root as in a forest, in float64, but a gap goes where missing_left says;
               r_m = baseline_m + sum of the leaves of the trees of m; p = softmax(r), of two
               classes the sigmoid of their one r
    knn        the classes' shares among the `neighbours` rows nearest to z; of rows equally near
               the first
    nystroem   e_i = exp(-gamma |z - landmark_i|^2); p = softmax(weight (map e) + bias)

Compiled prediction is measured against these functions. Each takes (n, f) feature rows and the
arrays of `layouts.LAYOUTS` and gives (n, k) float64 probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LEAF = -1
LARGEST = 1e100  # of a decision: what follows stays finite
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)

Arrays = Mapping[str, Any]


def standardise(values: Any, mean: Any, scale: Any) -> Any:
    """z = (x - mean) / scale in float64 of rows (n, f); 0, the mean, for a gap."""
    values = values.astype(np.float64)
    return (np.where(known(values), values, mean) - mean) / scale


def known(values: Any) -> Any:
    """Where values are no gaps: neither NaN nor infinite nor beyond float32."""
    return np.abs(values) <= LARGEST_FLOAT32


def logistic(values: Any, a: Arrays) -> Any:
    """The softmax of linear functions."""
    return softmax(standardise(values, a["mean"], a["scale"]) @ a["weight"].T + a["bias"])


def linear(values: Any, a: Arrays) -> Any:
    """Linear support vector machines."""
    return platt(standardise(values, a["mean"], a["scale"]) @ a["weight"].T + a["bias"], a)


def svm(values: Any, a: Arrays) -> Any:
    """Support vector machines with the Gaussian (RBF) kernel."""
    z = standardise(values, a["mean"], a["scale"])
    kernel = np.exp(-a["gamma"][a["machine"]] * squares(z, a["vectors"])) * a["dual"]
    owner = a["machine"][:, None] == np.arange(len(a["bias"]))
    return platt(kernel @ owner.astype(np.float64) + a["bias"], a)


def forest(values: Any, a: Arrays) -> Any:
    """Trees that vote with the class shares of their leaves."""
    z = standardise(values, a["mean"], a["scale"])
    # float32 is the precision in which scikit-learn compares
    z = z.clip(-LARGEST_FLOAT32, LARGEST_FLOAT32).astype(np.float32)
    return a["value"][_leaves(z, a, np.zeros_like(a["left"]))].mean(axis=1)


def boosted(values: Any, a: Arrays) -> Any:
    """Trees whose leaves add up."""
    z = np.where(known(values), standardise(values, a["mean"], a["scale"]), np.nan)
    leaf = a["leaf"][_leaves(z, a, a["missing_left"])]
    owner = a["tree_class"][:, None] == np.arange(len(a["baseline"]))
    return shares(leaf @ owner.astype(np.float64) + a["baseline"])


def _leaves(z: np.ndarray, a: Arrays, missing_left: np.ndarray) -> np.ndarray:
    """The leaf (n, t) in which each row ends in each tree."""
    row = np.arange(len(z))[:, None]
    node = np.tile(a["roots"], (len(z), 1))
    while (inner := a["left"][node] != LEAF).any():
        x = z[row, a["feature"][node] * inner]  # a leaf's feature means nothing
        low = (x <= a["threshold"][node]) | (np.isnan(x) & (missing_left[node] == 1))
        node = np.where(inner, np.where(low, a["left"][node], a["right"][node]), node)
    return node


def knn(values: Any, a: Arrays) -> Any:
    """The nearest training rows vote."""
    square = squares(standardise(values, a["mean"], a["scale"]), a["rows"])
    nearest = square.argsort(axis=1, kind="stable")[:, : int(a["neighbours"][0])]
    return (a["truth"][nearest][:, :, None] == np.arange(int(a["truth"].max()) + 1)).mean(axis=1)


def nystroem(values: Any, a: Arrays) -> Any:
    """The softmax of linear functions of nearness to landmarks."""
    square = squares(standardise(values, a["mean"], a["scale"]), a["landmarks"])
    embedded = np.exp(-a["gamma"] * square) @ a["map"].T
    return softmax(embedded @ a["weight"].T + a["bias"])


def squares(z: Any, points: Any) -> Any:
    """|z - point|^2 (n, s) of rows (n, f) and points (s, f); not below 0."""
    mixed = (z**2).sum(axis=1)[:, None] - 2 * z @ points.T + (points**2).sum(axis=1)
    return np.maximum(mixed, 0)


def softmax(score: Any) -> Any:
    """e^score over its sum (n, k); the greatest score is taken off first, so none overflows."""
    odds = np.exp(score - score.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def shares(score: Any) -> Any:
    """The softmax of raw scores (n, m); of one score r that of (0, r)."""
    if score.shape[1] == 1:
        score = np.concatenate([0 * score, score], axis=1)
    return softmax(score)


def platt(decision: Any, a: Arrays) -> Any:
    """Probabilities (n, k) of decisions (n, m): a sigmoid each; of several machines their shares.

    Where every machine says no with probability 1, all classes are equal.
    """
    decision = decision.clip(-LARGEST, LARGEST)
    # exp cannot overflow below 700, where the probability is 0 to double precision anyway
    p = 1 / (1 + np.exp(np.minimum(a["slope"] * decision + a["offset"], 700)))
    machines = decision.shape[1]
    if machines == 1:
        return np.concatenate([1 - p, p], axis=1)
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / machines)


REFERENCE: dict[str, Callable[[Any, Arrays], Any]] = {
    "logistic": logistic,
    "linear": linear,
    "svm": svm,
    "forest": forest,
    "boosted": boosted,
    "knn": knn,
    "nystroem": nystroem,
}
