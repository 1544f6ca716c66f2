"""Compiled prediction gives what its definition gives: on the CPU, and on the GPU, interpreted."""

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from medkern.bench.ptx import Interpreter, report
from medkern.engine.learn import ModelError
from medkern.engine.learn.classical import compiled
from medkern.engine.learn.classical.heads import Head, check
from medkern.engine.learn.classical.reference import REFERENCE
from medkern.kernels import _cuda
from medkern.kernels.predict import rbf, trees
from medkern.kernels.predict.rbf import _source as rbf_source, gpu as rbf_gpu
from medkern.kernels.predict.trees import _source as tree_source, gpu as trees_gpu

CODES = {"forest": trees_gpu, "boosted": trees_gpu, "svm": rbf_gpu}


# ---- random models


def scaler(rng: np.random.Generator, features: int) -> dict[str, np.ndarray]:
    return {"mean": rng.normal(size=features), "scale": rng.uniform(0.5, 2, features)}


def nodes(rng: np.random.Generator, features: int, count: int, splits: int) -> dict[str, Any]:
    """`count` trees, each grown by splitting random leaves; parents stand before children."""
    left, right, roots = [], [], []
    for _ in range(count):
        leaves = [len(left)]
        roots.append(len(left))
        left.append(-1)
        right.append(-1)
        for _ in range(rng.integers(0, splits + 1)):
            at = leaves.pop(rng.integers(len(leaves)))
            left[at], right[at] = len(left), len(left) + 1
            leaves += [left[at], right[at]]
            left += [-1, -1]
            right += [-1, -1]
    n = len(left)
    feature = np.where(np.array(left) < 0, -2, rng.integers(0, features, n))
    thresholds = np.array([0.0, 0.25, -0.5, 1e100, -1e100, 0.1, 1e-40])
    return {
        "roots": np.array(roots, np.int32),
        "left": np.array(left, np.int32),
        "right": np.array(right, np.int32),
        "feature": feature.astype(np.int32),
        "threshold": np.where(rng.random(n) < 0.5, rng.choice(thresholds, n), rng.normal(size=n)),
    }


def forest(rng: np.random.Generator, features: int, classes: int, size: int) -> dict[str, Any]:
    arrays = scaler(rng, features) | nodes(rng, features, int(rng.integers(1, 6)), size)
    value = rng.random((len(arrays["left"]), classes))
    return arrays | {"value": value / value.sum(axis=1, keepdims=True)}


def boosted(rng: np.random.Generator, features: int, classes: int, size: int) -> dict[str, Any]:
    scores = 1 if classes == 2 else classes
    arrays = scaler(rng, features) | nodes(rng, features, int(rng.integers(1, 8)), size)
    n = len(arrays["left"])
    return arrays | {
        "missing_left": rng.integers(0, 2, n).astype(np.int32),
        "leaf": rng.normal(size=n),
        "tree_class": rng.integers(0, scores, len(arrays["roots"])).astype(np.int32),
        "baseline": rng.normal(size=scores),
    }


def svm(rng: np.random.Generator, features: int, classes: int, size: int) -> dict[str, Any]:
    machines = 1 if classes == 2 else classes
    return scaler(rng, features) | {
        "bias": rng.normal(size=machines),
        "gamma": rng.uniform(0.1, 1, machines) / features,
        "slope": -rng.uniform(0.5, 2, machines),
        "offset": rng.normal(size=machines),
        "vectors": rng.normal(size=(size, features)),
        "dual": rng.normal(size=size),
        "machine": rng.integers(0, machines, size).astype(np.int32),
    }


MODELS = {"forest": forest, "boosted": boosted, "svm": svm}


def table(rng: np.random.Generator, n: int, features: int, dtype: str) -> np.ndarray:
    """Rows with gaps of every sort, values on thresholds, and values out of all proportion."""
    values = rng.normal(size=(n, features)).astype(dtype)
    odd = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 0.25, -0.5, 3e38, -3e38], dtype)
    return np.where(rng.random(values.shape) < 0.2, rng.choice(odd, values.shape), values)


def made(kind: str, seed: int, features: int, classes: int, size: int, n: int, dtype: str):
    rng = np.random.default_rng(seed)
    arrays = MODELS[kind](rng, features, classes, size)
    return check("a", kind, arrays, features, classes), table(rng, n, features, dtype)


case = given(
    seed=st.integers(0, 1 << 30),
    features=st.integers(1, 40),
    classes=st.integers(2, 12),
    size=st.integers(0, 40),
    n=st.integers(0, 150),
    dtype=st.sampled_from(["float32", "float64"]),
)


@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=40, deadline=None)
@case
def test_compiled_code_gives_what_the_definition_gives(
    kind: str, seed: int, features: int, classes: int, size: int, n: int, dtype: str
):
    head, values = made(kind, seed, features, classes, size, n, dtype)
    p = head.predict(values)
    assert p.shape == (n, classes) and p.dtype == np.float64
    np.testing.assert_allclose(p, REFERENCE[kind](values, head.arrays), atol=1e-9, rtol=0)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


# ---- the same on the GPU


def on_gpu(head: Head, values: np.ndarray, **options: Any) -> tuple[np.ndarray, Interpreter]:
    packed = compiled.pack(head.kind, head.arrays, values).packed
    with _cuda.running(Interpreter(**options)) as run:
        return CODES[head.kind](values, packed), run


def on_cpu(head: Head, values: np.ndarray) -> np.ndarray:
    packed = compiled.pack(head.kind, head.arrays, values).packed
    return (rbf if head.kind == "svm" else trees)(values, packed)


@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=6, deadline=None)
@case
def test_the_gpu_gives_what_the_cpu_gives(
    kind: str, seed: int, features: int, classes: int, size: int, n: int, dtype: str
):
    head, values = made(kind, seed, features, classes, size, n, dtype)
    found, _ = on_gpu(head, values)
    wanted = on_cpu(head, values)
    if kind == "svm":
        near = 1e-6 * max(1.0, np.abs(head.arrays["dual"]).sum())
        np.testing.assert_allclose(found, wanted, atol=near, rtol=0)
    else:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kind", MODELS)
def test_the_gpu_code_keeps_the_rules_of_the_house(kind: str):
    head, values = made(kind, 1, 64, 3, 200, 256, "float32")
    _, run = on_gpu(head, values, checks=False)
    # a walk reads whatever node and feature a row leads to: no two rows of a warp need be near
    least = {"add_trees": 0.05, "fill": 0.9, "decide": 0.9}
    for name, stats in run.stats.items():
        assert stats.sector_efficiency >= least[name], (name, stats.worst(3))
        assert stats.bank_conflict_factor <= 1.1, (name, stats.worst(3))
    source = rbf_source if kind == "svm" else tree_source
    macros: dict[str, Any] = {"VALUE": np.float32}
    if kind != "svm":
        macros["REAL"] = np.float32 if kind == "forest" else np.float64
    for name in run.stats:
        for row in report(source.function(name, **macros)):
            assert row.spills == 0, row
            assert row.registers <= 128, row  # exponentials in float64
            assert row.largest_block > 0, row


# ---- the ends of what there is


def test_a_tree_of_one_leaf_gives_its_shares():
    arrays = scaler(np.random.default_rng(0), 2) | nodes(np.random.default_rng(0), 2, 1, 0)
    head = Head("forest", arrays | {"value": np.array([[0.2, 0.3, 0.5]])})
    np.testing.assert_array_equal(head.predict(np.full((9, 2), np.nan)), [[0.2, 0.3, 0.5]] * 9)


def deep(levels: int) -> Head:
    """One tree in which each inner node leads to a leaf and to the next inner node."""
    n = 2 * levels + 1
    left, right = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    left[0 : 2 * levels : 2], right[0 : 2 * levels : 2] = np.arange(1, n, 2), np.arange(2, n, 2)
    value = np.arange(n) / n
    arrays = {
        "mean": np.zeros(1), "scale": np.ones(1), "roots": np.zeros(1, np.int32),
        "left": left, "right": right, "feature": np.zeros(n, np.int32),
        "threshold": np.arange(n) / 2.0, "value": np.stack([1 - value, value], axis=1),
    }  # fmt: skip
    return check("deep", "forest", arrays, 1, 2)


def test_a_tree_as_deep_as_allowed_is_walked_to_its_end():
    head = deep(63)
    values = np.arange(-1, 70, 0.5)[:, None]
    level = np.ceil(values[:, 0].clip(0, 63)).astype(int)  # the first whose threshold is not below
    node = np.where(level < 63, 2 * level + 1, 126)
    np.testing.assert_allclose(head.predict(values)[:, 1], node / 127, atol=1e-15)


def test_float32_thresholds_are_rounded_so_that_no_row_changes_sides():
    threshold = np.float64(np.float32(0.1)) + 1e-12  # lies between two float32 numbers
    below, above = np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1))
    arrays = nodes(np.random.default_rng(0), 1, 1, 0) | {
        "mean": np.zeros(1), "scale": np.ones(1),
        "left": np.array([1, -1, -1], np.int32), "right": np.array([2, -1, -1], np.int32),
        "feature": np.array([0, -2, -2], np.int32), "threshold": np.array([threshold, -2, -2]),
        "value": np.array([[0.5, 0.5], [1, 0], [0, 1.0]]),
    }  # fmt: skip
    p = Head("forest", arrays).predict(np.array([[below], [above]]))
    np.testing.assert_array_equal(p, [[1, 0], [0, 1]])


@pytest.mark.parametrize("kind", MODELS)
def test_every_number_of_threads_and_every_cut_gives_the_same_bits(kind: str):
    head, values = made(kind, 3, 17, 4, 60, 1500, "float32")
    whole, most = head.predict(values), numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(head.predict(values), whole)
    finally:
        numba.set_num_threads(most)
    one_by_one = np.concatenate([head.predict(values[i : i + 1]) for i in range(40)])
    np.testing.assert_allclose(one_by_one, whole[:40], atol=1e-12, rtol=0)


def test_rows_in_any_order_of_memory_are_read_and_left_alone():
    head, values = made("forest", 5, 6, 3, 30, 50, "float32")
    wanted, turned = head.predict(values), np.asfortranarray(values)
    turned.flags.writeable = False
    np.testing.assert_array_equal(head.predict(turned), wanted)
    with pytest.raises(ValueError, match=r"rows are \(50, 5\), the model takes \(n, 6\)"):
        head.predict(values[:, :5])


# ---- against scikit-learn


@pytest.mark.parametrize("classes", [2, 10])
def test_a_forest_of_scikit_learn_gives_its_probabilities_and_labels(classes: int):
    rng = np.random.default_rng(classes)
    values, truth = rng.normal(size=(400, 9)).astype(np.float32), np.arange(400) % classes
    values[:, 0] += truth
    model = RandomForestClassifier(30, random_state=0).fit(values, truth)
    found = [tree.tree_ for tree in model.estimators_]
    start = np.cumsum([0, *(tree.node_count for tree in found[:-1])])
    child = {
        side: np.concatenate([
            np.where(getattr(t, f"children_{side}") < 0, -1, getattr(t, f"children_{side}") + s)
            for t, s in zip(found, start, strict=True)
        ]).astype(np.int32)
        for side in ("left", "right")
    }  # fmt: skip
    arrays = child | {
        "mean": np.zeros(9), "scale": np.ones(9), "roots": start.astype(np.int32),
        "feature": np.concatenate([t.feature for t in found]).astype(np.int32),
        "threshold": np.concatenate([t.threshold for t in found]),
        "value": np.concatenate([t.value[:, 0] for t in found]),
    }  # fmt: skip
    head = check("forest", "forest", arrays, 9, classes)
    unseen = rng.normal(size=(3000, 9)).astype(np.float32)
    p, wanted = head.predict(unseen), model.predict_proba(unseen)
    np.testing.assert_allclose(p, wanted, atol=1e-12)
    ordered = np.sort(wanted, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-12  # no tie, whose winner rounding would choose
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(p.argmax(axis=1)[clear], model.predict(unseen)[clear])


def test_a_gap_goes_where_the_boosted_trees_of_scikit_learn_send_it():
    rng = np.random.default_rng(0)
    values, truth = rng.normal(size=(500, 5)), np.arange(500) % 2
    values[:, 0] += truth
    values[(rng.random(500) < 0.4) & (truth == 1), 1] = np.nan  # a gap tells something
    model = HistGradientBoostingClassifier(max_iter=15).fit(values, truth)
    found = [trees[0].nodes for trees in model._predictors]
    start = np.cumsum([0, *(len(n) for n in found[:-1])])
    joined = np.concatenate(found)
    shift, leaf = np.repeat(start, [len(n) for n in found]), joined["is_leaf"] == 1
    arrays = {
        "mean": np.zeros(5), "scale": np.ones(5), "roots": start.astype(np.int32),
        "left": np.where(leaf, -1, joined["left"] + shift).astype(np.int32),
        "right": np.where(leaf, -1, joined["right"] + shift).astype(np.int32),
        "feature": joined["feature_idx"].astype(np.int32),
        "threshold": joined["num_threshold"].clip(-1e100, 1e100),
        "missing_left": joined["missing_go_to_left"].astype(np.int32),
        "leaf": joined["value"], "tree_class": np.zeros(len(found), np.int32),
        "baseline": model._baseline_prediction.ravel(),
    }  # fmt: skip
    unseen = np.where(rng.random((2000, 5)) < 0.3, np.nan, rng.normal(size=(2000, 5)))
    p = check("boosted", "boosted", arrays, 5, 2).predict(unseen)
    np.testing.assert_allclose(p, model.predict_proba(unseen), atol=1e-12)


# ---- what a head from a file may not say


def hostile(kind: str, **changed: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "boosted": lambda: boosted(rng, 4, 3, 9) | {"baseline": np.zeros(3)},
        "svm": lambda: svm(rng, 4, 3, 9),
        "knn": lambda: scaler(rng, 4) | {
            "rows": rng.normal(size=(6, 4)), "truth": np.arange(6, dtype=np.int32) % 3,
            "neighbours": np.array([3], np.int32),
        },
        "linear": lambda: scaler(rng, 4) | {
            "weight": np.ones((3, 4)), "bias": np.ones(3), "slope": np.ones(3),
            "offset": np.ones(3),
        },
        "nystroem": lambda: scaler(rng, 4) | {
            "landmarks": np.ones((5, 4)), "gamma": np.ones(1), "map": np.ones((5, 5)),
            "weight": np.ones((3, 5)), "bias": np.ones(3),
        },
    }[kind]()  # fmt: skip
    p = check("a", kind, arrays, 4, 3).predict(table(rng, 30, 4, "float32"))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    check("a", kind, arrays | changed, 4, 3)


@pytest.mark.parametrize(
    ("kind", "changed", "sentence"),
    [
        ("boosted", {"tree_class": np.full(6, 3, np.int32)}, "'tree_class' is|class is out of"),
        ("boosted", {"baseline": np.zeros(2)}, "'baseline' is float64"),
        (
            "boosted",
            {"roots": np.zeros(0, np.int32), "tree_class": np.zeros(0, np.int32)},
            "no tree",
        ),
        ("svm", {"gamma": np.full(3, 1e40)}, "a gamma is above 1e"),
        ("knn", {"truth": np.zeros(6, np.int32)}, "not all those there are"),
        ("knn", {"truth": np.full(6, 1 << 30, np.int32)}, "not all those there are"),
        ("knn", {"neighbours": np.zeros(1, np.int32)}, "neighbours is 0, not 1 to 6"),
        ("knn", {"neighbours": np.full(1, 7, np.int32)}, "neighbours is 7, not 1 to 6"),
        ("linear", {"slope": np.ones(1)}, "'slope' is float64"),
        ("linear", {"weight": np.ones((3, 5))}, "'weight' is float64"),
        ("nystroem", {"gamma": np.zeros(1)}, "a gamma is not above 0"),
        ("nystroem", {"map": np.ones((5, 4))}, "'map' is float64"),
        ("nystroem", {"weight": np.ones((2, 5))}, "'weight' is float64"),
    ],
)
def test_arrays_that_could_mislead_prediction_are_refused(kind, changed, sentence):
    with pytest.raises(ModelError, match=sentence):
        hostile(kind, **changed)


@pytest.mark.parametrize("kind", ["linear", "svm", "boosted", "nystroem"])
def test_the_largest_numbers_that_are_allowed_still_give_probabilities(kind: str):
    huge = np.float64(1e100)
    rng = np.random.default_rng(0)
    arrays = scaler(rng, 2) | {"mean": np.full(2, -huge), "scale": np.full(2, 1.1e-30)}
    arrays |= {
        "linear": lambda: {n: np.full(s, huge) for n, s in
                           (("weight", (3, 2)), ("bias", 3), ("slope", 3), ("offset", 3))},
        "svm": lambda: svm(rng, 2, 3, 4) | arrays | {
            "vectors": np.full((4, 2), huge), "gamma": np.full(3, 1e30), "dual": np.full(4, huge),
            "bias": np.full(3, huge), "slope": np.full(3, huge), "offset": np.full(3, -huge)},
        "boosted": lambda: boosted(rng, 2, 3, 9) | arrays | {"baseline": np.full(3, huge)},
        "nystroem": lambda: {
            "landmarks": np.full((4, 2), huge), "gamma": np.full(1, 1e30),
            "map": np.full((4, 4), huge), "weight": np.full((3, 4), -huge),
            "bias": np.full(3, huge)},
    }[kind]()  # fmt: skip
    values = np.array([[3.4e38, -3.4e38], [1e300, 1.0], [np.nan, -1e-300]])
    p = check("a", kind, arrays, 2, 3).predict(values)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
