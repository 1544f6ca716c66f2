"""The arrays of a classical model predict what scikit-learn predicts, and nothing else gets in."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from threadpoolctl import threadpool_limits

from medkern.engine.learn import LearnError, ModelError
from medkern.engine.learn.classical.fit import fit
from medkern.engine.learn.classical.folds import folds
from medkern.engine.learn.classical.heads import check
from medkern.engine.learn.classical.models import MACHINES, MODELS
from medkern.engine.learn.classical.steps import Standardise
from medkern.engine.learn.classical.warn import concerns, constant, unscaled

KINDS = tuple(MODELS)
FEW = {"boosted": {"rounds": 8}}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On small tables the threads of libraries would mostly wait for one another."""
    with threadpool_limits(1):
        yield


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
    return request.param, {
        kind: fit(kind, values, truth, None, seed=1, parameters=FEW.get(kind)) for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_arrays_predict_what_scikit_learn_predicts(fitted, kind):
    classes, models = fitted
    estimator, head = models[kind]
    unseen, _ = rows(classes, n=1500, seed=7)  # more than one block of rows
    p = head.predict(unseen)
    wanted = estimator.predict_proba(unseen)
    np.testing.assert_allclose(p, wanted, atol=1e-6, rtol=0)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    first, second = np.sort(wanted, axis=1)[:, :-3:-1].T
    clear = first - second > 1e-12  # a forest's threads add up in any order: it splits ties by luck
    np.testing.assert_array_equal(p.argmax(axis=1)[clear], wanted.argmax(axis=1)[clear])
    assert clear.mean() > (0.99 if kind != "knn" else 0.5)
    assert p.shape == (1500, classes)
    assert head.predict(unseen[:0]).shape == (0, classes)


@pytest.mark.parametrize("kind", KINDS)
def test_the_models_learn(fitted, kind):
    classes, models = fitted
    unseen, truth = rows(classes, seed=8)
    found = (models[kind][1].predict(unseen).argmax(axis=1) == truth).mean()
    assert found > 1.25 / classes


@st.composite
def tables(draw):
    """Small tables of every kind of trouble: rare classes, gaps, constants, copies, odd scales."""
    classes, n, f = draw(st.integers(2, 4)), draw(st.integers(24, 60)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = np.sort(np.concatenate([np.tile(np.arange(classes), 4), np.zeros(n, int)])[:n])
    values = rng.normal(size=(n, f)) * 10.0 ** rng.integers(-6, 7, f) + rng.integers(-2, 3, f)
    values[:, 0] += truth * np.std(values[:, 0])
    if draw(st.booleans()):
        values[rng.random((n, f)) < 0.3] = np.nan
        values[:2, 0] = 0, 1  # so that one column varies
    if f > 2 and draw(st.booleans()):
        values[:, 1], values[:, 2] = 7, values[:, 0]
    return values.astype(np.float32), truth


@pytest.mark.parametrize("kind", ["linear", "tree", "boosted", "logistic", "knn", "nystroem"])
@given(table=tables(), select=st.sampled_from(["none", "anova", "l1"]))
@settings(max_examples=8, deadline=None)
def test_any_table_gives_the_same_probabilities_both_ways(kind, table, select):
    values, truth = table
    own = {"boosted": {"rounds": 3}, "knn": {"neighbours": 5}}.get(kind, {})
    estimator, head = fit(kind, values, truth, select=select, parameters={"keep": 3, **own})
    classes = truth.max() + 1
    again = check(kind, head.kind, head.arrays, values.shape[1], classes)
    far = np.concatenate([values, 3 * values, np.full_like(values[:1], np.nan)])
    np.testing.assert_allclose(again.predict(far), estimator.predict_proba(far), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rare_class_is_not_given_up(kind):
    rng = np.random.default_rng(4)
    truth = (np.arange(600) % 12 == 0).astype(int)
    values = rng.normal(size=(600, 3))
    values[:, 0] += 3 * truth
    own = FEW.get(kind)
    estimator, head = fit(kind, values[:400], truth[:400], seed=1, parameters=own)
    if kind in MACHINES:  # Platt's sigmoid restores the shares; the machine itself stays even
        steps = estimator.calibrated_classifiers_[0].estimator
        found = steps.predict(values[400:]) == 1
    else:
        found = head.predict(values[400:])[:, 1] > (0.3 if kind in ("forest", "knn") else 0.5)
    assert found[truth[400:] == 1].mean() > 0.6
    assert found[truth[400:] == 0].mean() < 0.3


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


def test_columns_without_a_value_or_without_spread_take_no_part():
    values = np.array([[np.nan, 3.0, 1.0], [np.nan, 3.0, 3.0], [2, np.inf, np.nan]])
    scaler = Standardise().fit(values[:2])
    np.testing.assert_array_equal(scaler.transform(values), [[-1], [1], [0]])
    np.testing.assert_array_equal(
        Standardise(fill=False).fit(values[:2]).transform(values), [[-1], [1], [np.nan]]
    )
    with pytest.raises(LearnError, match="no feature varies"):
        Standardise().fit(values[:2, :2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_was_constant_in_training_changes_nothing(fitted, kind):
    head = fitted[1][kind][1]
    values, _ = rows(fitted[0], n=20)
    other = values.copy()
    other[:, 2] = 1000
    np.testing.assert_array_equal(head.predict(values), head.predict(other))


def test_boosted_trees_take_a_gap_for_a_value_of_its_own():
    """Here the gap itself tells the class, which filling in the mean would hide."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(300, 1))
    truth = np.arange(300) % 2
    values[truth == 1] = np.nan
    _, head = fit("boosted", values, truth, parameters=FEW["boosted"])
    np.testing.assert_array_equal(head.predict(values).argmax(axis=1), truth)


def test_inner_folds_separate_no_group_and_need_two_of_each_class():
    truth, groups = np.arange(60) % 2, np.arange(60) // 6
    pairs = folds("x", truth, groups, seed=0)
    assert len(pairs) == 5
    for train, held in pairs:
        assert not set(groups[train]) & set(groups[held])
    assert len(folds("x", truth, np.arange(60) // 20, seed=0)) == 3  # as many as there are groups
    with pytest.raises(LearnError, match="x needs every class in at least two groups"):
        folds("x", truth, truth, seed=0)


NOTHING = np.zeros((6, 2), np.float32)
TWO = np.array([0, 1] * 3)


@pytest.mark.parametrize(
    ("values", "truth", "sentence"),
    [
        (NOTHING, TWO * 0, "all rows are of one class"),
        (NOTHING, TWO * 2, "class number 1 has no row"),
        (NOTHING, TWO - 1, "must be class numbers"),
        (NOTHING, TWO * 1.0, "must be class numbers"),
        (NOTHING * np.nan, TWO, "no feature has a value"),
        (NOTHING, TWO, "no feature varies"),
        (NOTHING, TWO[:5], r"\(6, 2\) features for \(5,\)"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused_in_a_sentence(values, truth, sentence):
    for kind in ("tree", "logistic"):
        with pytest.raises(LearnError, match=sentence):
            fit(kind, values, truth)


def test_models_selections_and_parameters_that_there_are_not_are_refused():
    values, truth = rows(2)
    with pytest.raises(LearnError, match="model is 'bayes'; allowed: svm, linear"):
        fit("bayes", values, truth)
    with pytest.raises(LearnError, match="select is 'best'; allowed: none, anova, l1"):
        fit("svm", values, truth, select="best")
    with pytest.raises(LearnError, match="parameter 'gamma' is unknown; allowed: seed, C"):
        fit("linear", values, truth, parameters={"gamma": 1})
    with pytest.raises(LearnError, match="500 neighbours wanted of 150 rows"):
        fit("knn", values, truth, parameters={"neighbours": 500})


def test_doubts_about_a_table_are_said():
    rng = np.random.default_rng(6)
    values, truth = rng.normal(size=(40, 60)), np.arange(40) % 2
    values[:, 1], values[1:, 2], values[:, 3] = 4, 4, np.nan
    said = concerns(values, truth, np.arange(40) // 8, ("svm",), [f"c{i}" for i in range(60)])
    assert [sentence.split(":")[0] for sentence in said] == [
        "There are more features (60) than rows (40)",
        "These columns hardly vary",
        "These columns have no value at all",
        "Class number 0 has 5 groups only",
    ]
    assert said[1].endswith(": c1, c2.") and said[2].endswith(": c3.")
    good = np.random.default_rng(7).normal(size=(40, 3))
    assert concerns(good, truth, None, ("svm", "knn")) == []


def test_many_rows_for_a_machine_of_quadratic_cost_are_said():
    values = np.random.default_rng(8).normal(size=(20_001, 1))
    (said,) = concerns(values, np.arange(20_001) % 2, None, ("svm", "forest"))
    assert said.startswith("svm: fitting it is slow for 20001 rows") and "nystroem" in said


def test_missing_scaling_is_said_and_no_pipeline_lacks_it(fitted):
    values, _ = rows(2)
    assert "not scaled" in str(unscaled("mine", values))
    for kind in ("linear", "logistic", "knn", "nystroem", "svm"):
        estimator = fitted[1][kind][0]
        if kind in MACHINES:
            estimator = estimator.calibrated_classifiers_[0].estimator
        assert unscaled(kind, estimator[:-1].transform(values)) is None


def test_constant_predictions_are_said():
    p = np.tile([0.7, 0.3], (50, 1))
    assert "the same probabilities" in str(constant("svm", p, ("ill", "well")))
    p[:, 0] -= np.linspace(0, 0.1, 50)
    p[:, 1] = 1 - p[:, 0]
    assert constant("svm", p, ("ill", "well")) == "svm: it calls every row 'ill'."
    p[0] = 0.1, 0.9
    assert constant("svm", p, ("ill", "well")) is None


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
