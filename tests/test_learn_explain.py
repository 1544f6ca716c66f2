"""Importance that finds what matters, trees read true, neighbours that are the nearest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.engine.learn import LearnError
from medkern.engine.learn.classical import fit as classical
from medkern.engine.learn.classical.heads import Head
from medkern.engine.learn.explain import tree
from medkern.engine.learn.explain.importance import families, importance
from medkern.engine.learn.explain.nearest import even, nearest

# ---- importance


NAMES = ("glcm.a", "glcm.b", "lbp.a", "lbp.b", "deep.0")


def planted(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows in which the two lbp columns tell the class, both the same, and nothing else does."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    values = rng.normal(size=(n, 5))
    values[:, 2] = truth * 2 + rng.normal(size=n)
    values[:, 3] = values[:, 2]
    return values, truth


def sigmoid(weights: list[float]) -> Any:
    def predict(values: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-(values @ np.array(weights))))
        return np.stack([1 - p, p], axis=1)

    return predict


def test_the_family_that_tells_the_class_comes_first_and_the_others_lose_nothing():
    values, truth = planted()
    predict = sigmoid([0.3, 0.3, 1, 1, 0])
    rows = importance(predict, values, truth, families(NAMES))
    assert {row.name for row in rows} == set(families(NAMES))
    best, *others = rows
    assert (
        best.name == "lbp"
        and best.columns == 2
        and best.low > 0.1
        and best.low < best.drop < best.high
    )
    for row in others:
        assert row.low <= 0 <= row.high
    assert rows == importance(predict, values, truth, families(NAMES))
    (deep,) = (row for row in rows if row.name == "deep")
    assert (deep.drop, deep.low, deep.high) == (0, 0, 0)  # the model does not look at it


def test_columns_that_say_the_same_matter_together_more_than_one_alone():
    values, truth = planted()
    predict = sigmoid([0, 0, 1, 1, 0])
    together, alone = importance(
        predict, values, truth, {"lbp": np.array([2, 3]), "lbp.a": np.array([2])}
    )
    assert together.name == "lbp" and together.drop > 2 * alone.drop > 0


def test_a_group_s_rows_all_go_to_another_group():
    seen: list[np.ndarray] = []

    def predict(values: np.ndarray) -> np.ndarray:
        seen.append(values[:, 0].astype(int))
        return np.tile([0.5, 0.5], (len(values), 1))

    group = np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    values, truth = group[:, None].astype(float), (group % 2).astype(int)
    names = [f"patient {number}" for number in group]
    importance(predict, values, truth, {"all": np.array([0])}, names, repeats=4)
    assert len(seen) == 5 and (seen[0] == group).all()
    for source in seen[1:]:
        assert (source != group).all()
        assert all(len(set(source[group == g])) == 1 for g in range(6))


def test_more_classes_and_independent_labels_are_ranked_too():
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    values = np.column_stack([np.eye(3)[truth], np.zeros(90)]) + rng.normal(0, 0.3, (90, 4))
    columns = {"told": np.arange(3), "noise": np.array([3])}

    def predict(rows: np.ndarray) -> np.ndarray:
        odds = np.exp(rows[:, :3] * 3)
        return odds / odds.sum(axis=1, keepdims=True)

    for labels in (truth, np.eye(3, dtype=bool)[truth]):
        best, none = importance(predict, values, labels, columns)
        assert best.name == "told" and best.low > 0.2 and none.drop == 0
    with pytest.raises(LearnError, match="two classes"):
        importance(predict, values[:3], np.zeros(3, int), columns)


# ---- the tree


@pytest.fixture(scope="module")
def grown() -> tuple[Head, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(100, 20, (400, 3)).astype(np.float32)
    truth = ((values[:, 1] > 110) ^ (values[:, 0] > 90)).astype(int)
    return classical.fit("tree", values, truth, None, 0)[1], values, truth


def walked(node: tree.Node, row: dict[str, float]) -> tree.Node:
    while node.question and node.low and node.high:
        column, threshold = node.question
        node = node.low if row[column] <= threshold else node.high
    return node


COLUMNS = ("first", "second", "third")


def test_the_drawn_tree_answers_as_the_model_does_in_the_features_own_units(grown):
    head, values, _ = grown
    root = tree.read(head, COLUMNS, depth=64)
    p = head.predict(values)
    for row, expected in zip(values, p, strict=True):
        found = walked(root, dict(zip(COLUMNS, row.tolist(), strict=True)))
        np.testing.assert_allclose(found.shares, expected, atol=1e-9)
    thresholds = []
    stack = [root]
    while stack:
        node = stack.pop()
        if node.question and node.low and node.high:
            thresholds.append(node.question)
            stack += [node.low, node.high]
    for column, near in (("first", 90), ("second", 110)):
        assert any(name == column and abs(value - near) < 3 for name, value in thresholds)


def test_below_the_depth_shown_answers_are_counted_and_not_dropped(grown):
    head, *_ = grown
    whole, short = tree.read(head, COLUMNS, depth=64), tree.read(head, COLUMNS, depth=1)

    def answers(node: tree.Node) -> int:
        if node.low and node.high:
            return answers(node.low) + answers(node.high)
        return node.collapsed or 1

    assert answers(short) == answers(whole) == int((head.arrays["left"] == -1).sum())
    assert short.low and short.low.low is None
    text = tree.rules(short, ("no", "yes"))
    assert text[0].startswith("if ") and text[2] == "else:" and len(text) == 4
    assert any("answers below" in line for line in text)


def test_counts_are_those_of_the_rows_that_come_by(grown):
    head, values, truth = grown
    counts = tree.counts(head, values, truth)
    assert counts[0].tolist() == np.bincount(truth).tolist()
    a = head.arrays
    inner = np.flatnonzero(a["left"] != -1)
    np.testing.assert_array_equal(
        counts[inner], counts[a["left"][inner]] + counts[a["right"][inner]]
    )
    gaps = np.full((2, 3), np.nan)
    assert tree.counts(head, gaps, np.array([0, 1]))[0].tolist() == [1, 1]


def test_only_a_single_tree_of_these_columns_is_read(grown):
    head, values, truth = grown
    with pytest.raises(LearnError, match="2 names for the tree's 3 columns"):
        tree.read(head, COLUMNS[:2])
    logistic = classical.fit("logistic", values, truth, None, 0)[1]
    with pytest.raises(LearnError, match="kind logistic"):
        tree.read(logistic, COLUMNS)
    twice = Head("forest", head.arrays | {"roots": np.array([0, 0], np.int32)})
    with pytest.raises(LearnError, match="forest of 2 trees"):
        tree.read(twice, COLUMNS)


# ---- nearest training cases


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 6), m=st.integers(4, 30), f=st.integers(1, 5))
def test_neighbours_are_those_of_plain_distances(seed: int, n: int, m: int, f: int):
    rng = np.random.default_rng(seed)
    train, rows = rng.normal(3, 5, (m, f)), rng.normal(3, 5, (n, f))
    index, distance = nearest(train, rows, 3)
    z = (rows - train.mean(axis=0)) / train.std(axis=0)
    known = (train - train.mean(axis=0)) / train.std(axis=0)
    plain = np.sqrt(((z[:, None] - known) ** 2).mean(axis=2))
    np.testing.assert_allclose(distance, np.sort(plain, axis=1)[:, :3], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(plain, index, 1), distance, rtol=1e-6, atol=1e-9)


def test_an_image_is_never_its_own_neighbour_and_gaps_and_constants_say_nothing():
    train = np.array([[1.0, 7, 5], [2, 7, np.nan], [9, 7, 5], [4, 7, 5]])
    index, distance = nearest(train, train[:2], 2, same=np.array([0, -1]))
    assert index[0].tolist() == [1, 3] and index[1].tolist() == [1, 0]
    assert distance[1, 0] == 0 and np.isfinite(distance).all()
    with pytest.raises(LearnError, match=r"allowed: 1 \.\. 3"):
        nearest(train, train, 4, same=np.arange(4))
    with pytest.raises(LearnError, match="differ"):
        nearest(train, train[:, :2])


def test_in_the_fused_space_both_parts_weigh_the_same():
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.normal(size=(50, 100)), rng.normal(size=(50, 2))], axis=1)
    weights = even((100, 2))
    assert weights.sum() == pytest.approx(1) and weights[:100].sum() == pytest.approx(0.5)
    assert even((0, 4)).tolist() == [0.25] * 4
    index, distance = nearest(train, train[:1], 50, weights)
    z = train / train.std(axis=0)
    square = (z[0] - z) ** 2
    halves = (square[:, :100].mean(axis=1) + square[:, 100:].mean(axis=1)) / 2
    np.testing.assert_allclose(distance[0] ** 2, halves[index[0]], atol=1e-9)
