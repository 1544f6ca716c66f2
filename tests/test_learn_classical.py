"""The arrays of a classical model predict what scikit-learn predicts, and nothing else gets in."""

import numpy as np
import pytest

from medkern.engine.learn import LearnError, ModelError
from medkern.engine.learn.classical.fit import Standardise, fit, inner_folds
from medkern.engine.learn.classical.heads import check

KINDS = ("svm", "tree", "forest", "logistic")


def rows(classes: int, n: int = 150, seed: int = 0):
    """Two informative columns, one constant, one of large numbers, one with gaps."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    values = generator.normal(size=(n, 6)).astype(np.float32)
    values[:, 0] += truth
    values[:, 1] -= 0.7 * truth
    values[:, 2] = 5
    values[:, 3] *= 1e6
    values[generator.random(n) < 0.2, 4] = np.nan
    return values, truth


@pytest.fixture(scope="module", params=[2, 4], ids=["two classes", "four classes"])
def fitted(request):
    values, truth = rows(request.param)
    return request.param, {kind: fit(kind, values, truth, None, seed=1) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_arrays_predict_what_scikit_learn_predicts(fitted, kind):
    classes, models = fitted
    estimator, head = models[kind]
    unseen, _ = rows(classes, n=1500, seed=7)  # more than one block of rows
    p = head.predict(unseen)
    np.testing.assert_allclose(p, estimator.predict_proba(unseen), atol=1e-6, rtol=0)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert p.shape == (1500, classes)
    assert head.predict(unseen[:0]).shape == (0, classes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_models_learn(fitted, kind):
    classes, models = fitted
    unseen, truth = rows(classes, seed=8)
    found = (models[kind][1].predict(unseen).argmax(axis=1) == truth).mean()
    assert found > 1.25 / classes


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_infinities_and_absurd_values_still_get_a_probability(fitted, kind):
    head = fitted[1][kind][1]
    values, _ = rows(fitted[0], n=4)
    values[0], values[1], values[2], values[3] = np.nan, np.inf, 3e38, -3e38
    p = head.predict(values)
    assert np.isfinite(p).all()
    np.testing.assert_array_equal(p[0], p[1])  # both stand for the mean


def test_scaling_is_fitted_on_the_training_rows_of_each_fold():
    values, truth = rows(2)
    far = values.copy()
    far[75:] += 1000
    scaler = Standardise().fit(far[:75])
    np.testing.assert_allclose(scaler.mean_[0], far[:75, 0].mean(dtype=np.float64))
    estimator, head = fit("svm", values, truth, None, seed=0)
    assert estimator.estimator.steps[0][0] == "standardise"  # inside what each inner fold fits
    np.testing.assert_allclose(head.arrays["mean"][0], values[:, 0].mean(dtype=np.float64))


def test_a_column_without_a_value_or_without_spread_is_harmless():
    values = np.array([[np.nan, 3.0], [np.nan, 3.0]])
    np.testing.assert_array_equal(Standardise().fit(values).transform(values), np.zeros((2, 2)))


def test_inner_folds_separate_no_group_and_need_two_of_each_class():
    truth, groups = np.arange(60) % 2, np.arange(60) // 6
    for train, held in inner_folds(truth, groups, seed=0):
        assert not set(groups[train]) & set(groups[held])
    with pytest.raises(LearnError, match="at least two groups"):
        inner_folds(truth, truth, seed=0)


def test_a_checked_head_is_the_same_head(fitted):
    classes, models = fitted
    unseen, _ = rows(classes, seed=9)
    for kind in KINDS:
        head = models[kind][1]
        again = check(kind, head.kind, head.arrays, 6, classes)
        np.testing.assert_array_equal(again.predict(unseen), head.predict(unseen))


def spoil(name: str, value: float, index: int | None = None):
    def change(arrays: dict[str, np.ndarray]) -> None:
        array = arrays[name].copy()
        where = np.flatnonzero(arrays["left"] >= 0)[0] if index is None else index
        array.flat[where] = value
        arrays[name] = array

    return change


def chain(arrays: dict[str, np.ndarray]) -> None:
    """One tree in which each inner node leads to a leaf and to the next inner node."""
    inner = 65
    nodes = 2 * inner + 1
    left, right = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    left[0 : 2 * inner : 2] = np.arange(1, nodes, 2)
    right[0 : 2 * inner : 2] = np.arange(2, nodes, 2)
    arrays |= {
        "roots": np.zeros(1, np.int32), "left": left, "right": right,
        "feature": np.zeros(nodes, np.int32), "threshold": np.zeros(nodes),
        "value": np.full((nodes, 2), 0.5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("tree", spoil("feature", 2_000_000_000), "a feature is out of range"),
        ("tree", spoil("feature", -5), "a feature is out of range"),
        ("tree", spoil("left", 50_000_000), "out of range or stands before its parent"),
        ("tree", spoil("right", 0), "out of range or stands before its parent"),
        ("tree", spoil("left", -2), "out of range or stands before its parent"),
        ("tree", spoil("left", -1), "one child only"),
        ("tree", lambda a: a.update(left=a["right"]), "more than one place"),
        ("tree", spoil("roots", 1, 0), "to no tree or to more than one place"),
        ("tree", chain, "deeper than 64 levels"),
        ("tree", spoil("value", 3, 0), "do not sum to 1"),
        ("tree", spoil("threshold", np.nan, 0), "'threshold' holds NaN"),
        ("tree", lambda a: a.update(left=a["left"].astype(float)), "'left' is float64"),
        ("tree", lambda a: a.update(mean=a["mean"][:-1]), r"'mean' is float64 \(5,\), not"),
        ("tree", lambda a: a.pop("value"), "'value' is missing"),
        ("tree", lambda a: a.update(code=a["mean"]), "'code' is unknown"),
        ("svm", spoil("scale", 0, 0), "a scale is not above 0"),
        ("svm", spoil("gamma", -1, 0), "a gamma is not above 0"),
        ("svm", spoil("machine", 7, 0), "a machine is out of range"),
        ("svm", lambda a: a.update(dual=a["dual"][:-1]), "'dual' is float64"),
        ("logistic", spoil("weight", np.inf, 0), "'weight' holds NaN or infinity"),
        ("logistic", spoil("weight", 1e200, 0), "'weight' holds values above"),
        ("logistic", lambda a: a.update(weight=a["weight"][:1]), "'weight' is float64"),
    ],
)
def test_hostile_arrays_are_refused_before_anything_reads_them(kind, change, sentence):
    values, truth = rows(2, n=80)
    _, head = fit(kind, values, truth, None, seed=0)
    arrays = dict(head.arrays)
    change(arrays)
    with pytest.raises(ModelError, match=sentence):
        check(kind, head.kind, arrays, 6, 2)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ModelError, match="kind 'pickle' is unknown; allowed: logistic, svm"):
        check("svm", "pickle", {}, 6, 2)
