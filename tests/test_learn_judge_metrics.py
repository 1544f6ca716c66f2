"""Metrics equal scikit-learn's, intervals hold what they promise, thresholds see no test row."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from medkern.engine.learn.errors import LearnError
from medkern.engine.learn.judge import metrics as judge
from medkern.engine.learn.judge.metrics import (
    auc,
    choose_threshold,
    decide,
    is_constant,
    metrics,
    result,
)


def two(score: np.ndarray) -> np.ndarray:
    return np.stack([1 - score, score], axis=1)


def drawn(generator: np.random.Generator, n: int, distance: float):
    truth = generator.integers(0, 2, n)
    return truth, two(norm.cdf(generator.normal(size=n) + distance * truth))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 60), st.integers(1, 8))
def test_auc_equals_scikit_learn_with_ties(seed, n, levels):
    generator = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1], generator.integers(0, 2, n)])
    score = generator.integers(0, levels, n + 2) / levels
    assert auc(truth, two(score)) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


def test_many_classes_equal_scikit_learn():
    generator = np.random.default_rng(0)
    truth = np.concatenate([np.arange(4), generator.integers(0, 4, 200)])
    p = generator.dirichlet(np.ones(4), 204)
    found = metrics(truth, p, resamples=20)
    values = {name: row["value"] for name, row in found.items()}
    assert values["auc"] == pytest.approx(roc_auc_score(truth, p, multi_class="ovr"), abs=1e-12)
    called = p.argmax(axis=1)
    assert values["accuracy"] == pytest.approx(accuracy_score(truth, called))
    assert values["sensitivity"] == pytest.approx(recall_score(truth, called, average="macro"))
    rest = [((called != k) & (truth != k)).sum() / (truth != k).sum() for k in range(4)]
    assert values["specificity"] == pytest.approx(np.mean(rest))


@pytest.mark.parametrize("classes", [2, 4])
def test_every_other_metric_equals_scikit_learn(classes):
    generator = np.random.default_rng(1)
    truth = np.concatenate([np.arange(classes), generator.integers(0, classes, 150)])
    p = generator.dirichlet(np.ones(classes), len(truth)).round(2)  # with ties
    p /= p.sum(axis=1, keepdims=True)
    found = metrics(truth, p, resamples=2, task="ordinal")
    called, hot = p.argmax(axis=1), np.eye(classes, dtype=int)[truth]
    positives = slice(1, 2) if classes == 2 else slice(None)
    wanted = {
        "balanced_accuracy": balanced_accuracy_score(truth, called),
        "f1": f1_score(truth, called, average="macro"),
        "kappa": cohen_kappa_score(truth, called),
        "quadratic_kappa": cohen_kappa_score(truth, called, weights="quadratic"),
        "average_precision": average_precision_score(hot[:, positives], p[:, positives]),
        "brier": brier_score_loss(truth, p[:, 1] if classes == 2 else p),
    }
    values = {name: found[name]["value"] for name in wanted}
    assert values == pytest.approx(wanted, abs=1e-12)


def test_labels_are_judged_one_by_one_and_together():
    generator = np.random.default_rng(2)
    truth = generator.random((300, 3)) < [0.2, 0.5, 0.7]
    p = np.clip(0.5 * truth + generator.random((300, 3)) * 0.6, 0, 1)
    threshold = [0.4, 0.5, 0.6]
    found = metrics(truth, p, threshold, resamples=20, task="labels")
    called = p >= threshold
    wanted = {
        "auc": roc_auc_score(truth, p),
        "average_precision": average_precision_score(truth, p),
        "f1": f1_score(truth, called, average="macro"),
        "accuracy": (called == truth).mean(),
        "brier": ((p - truth) ** 2).mean(),
        "kappa": np.mean([cohen_kappa_score(truth[:, c], called[:, c]) for c in range(3)]),
    }
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted)
    row = result("cnn", "", truth, p, threshold, None, 20, "labels", ("a", "b", "c"))
    assert list(row["each"]) == ["a", "b", "c"]
    for c, label in enumerate("abc"):
        alone = row["each"][label]
        assert alone["auc"]["value"] == pytest.approx(roc_auc_score(truth[:, c], p[:, c]))
        assert alone["f1"]["value"] == pytest.approx(f1_score(truth[:, c], called[:, c]))
        assert alone["auc"]["low"] < alone["auc"]["value"] < alone["auc"]["high"]


def test_each_class_against_the_rest_stands_beside_the_mean():
    generator = np.random.default_rng(3)
    truth, p = np.arange(90) % 3, generator.dirichlet(np.ones(3), 90)
    row = result("cnn", "", truth, p, None, None, 10, labels=("a", "b", "c"))
    assert np.mean([row["each"][c]["auc"]["value"] for c in "abc"]) == pytest.approx(
        row["metrics"]["auc"]["value"]
    )
    recalls = [row["each"][c]["sensitivity"]["value"] for c in "abc"]
    np.testing.assert_allclose(recalls, np.diag(confusion_matrix(truth, p.argmax(axis=1))) / 30)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 4))
def test_a_row_of_weight_three_is_a_row_three_times(seed, classes):
    generator = np.random.default_rng(seed)
    n = 25
    truth = generator.integers(0, classes, n)
    p = generator.dirichlet(np.ones(classes), n).round(1) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    weights = generator.integers(0, 4, n)
    weights[0] = 1
    problems = judge._problems(truth, p, decide(p, None), "ordinal")
    weighted, _ = judge._values(problems, weights[None].astype(float))
    rows = np.repeat(np.arange(n), weights)
    repeated = metrics(truth[rows], p[rows], resamples=1, task="ordinal")
    for name, row in repeated.items():
        value = np.nan if row["value"] is None else row["value"]
        np.testing.assert_allclose(weighted[name][0], value, atol=1e-12, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_only_the_order_of_the_scores_matters_to_auc_and_average_precision(seed):
    generator = np.random.default_rng(seed)
    truth, score = np.arange(40) % 2, generator.random(40).round(1)
    bent = (np.exp(3 * score) - 1) / (np.exp(3) - 1)
    a, b = (metrics(truth, two(s), resamples=5, seed=seed) for s in (score, bent))
    for name in ("auc", "average_precision"):
        assert a[name] == pytest.approx(b[name], abs=1e-12)


def test_what_is_no_probability_or_no_class_is_refused():
    p = two(np.array([0.2, 0.9]))
    for truth, given_p, word in (
        (np.array([0, 2]), p, "outside 0 .. 1"),
        (np.array([0, 1, 1]), p, "for \\(3,\\) true classes"),
        (np.array([0, 1]), p * np.nan, "not finite"),
        (np.array([0, 1]), p * 3, "outside 0 .. 1"),
        (np.array([0, 1]), p[:, :1], "at least 2"),
    ):
        with pytest.raises(LearnError, match=word):
            metrics(truth, given_p)
    with pytest.raises(LearnError, match="3 groups for 2 rows"):
        metrics(np.array([0, 1]), p, groups=["a", "b", "c"])
    with pytest.raises(LearnError, match="allowed: classes, ordinal, labels"):
        metrics(np.array([0, 1]), p, task="boxes")


def test_the_interval_of_a_calibration_error_holds_that_of_a_calibrated_model():
    generator = np.random.default_rng(4)
    held = 0
    for trial in range(60):
        score = generator.random(300)
        truth = (generator.random(300) < score).astype(int)
        row: Any = metrics(truth, two(score), resamples=100, seed=trial)["ece"]
        assert row["low"] <= row["value"] <= row["high"]
        held += row["low"] <= 0.005  # the error is 0
    assert held >= 52  # 97.5 % of 60 is 58


def test_sensitivity_and_specificity_use_the_threshold():
    truth = np.array([0, 0, 0, 0, 1, 1])
    p = two(np.array([0.1, 0.2, 0.3, 0.9, 0.3, 0.8]))
    found = metrics(truth, p, threshold=0.3, resamples=10)
    assert found["sensitivity"]["value"] == 1.0
    assert found["specificity"]["value"] == 0.5
    assert found["accuracy"]["value"] == pytest.approx(4 / 6)


def test_the_interval_covers_the_true_auc_as_often_as_it_says():
    generator = np.random.default_rng(1)
    true = norm.cdf(1.2 / np.sqrt(2))
    held = 0
    for trial in range(120):
        row: Any = metrics(*drawn(generator, 200, 1.2), resamples=200, seed=trial)["auc"]
        assert row["low"] <= row["value"] <= row["high"]
        held += row["low"] <= true <= row["high"]
    assert held >= 105  # 95 % of 120 is 114; below 105 has a chance of about 1e-4


def test_images_of_one_patient_widen_the_interval():
    generator = np.random.default_rng(2)
    truth, p = drawn(generator, 60, 1.0)
    groups = [f"p{row}" for row in range(60) for _ in range(10)]
    truth, p = truth.repeat(10), p.repeat(10, axis=0)

    def width(row: dict) -> float:
        return row["auc"]["high"] - row["auc"]["low"]

    assert width(metrics(truth, p, groups=groups)) > 2 * width(metrics(truth, p))


def test_a_thousand_resamples_of_all_metrics_take_half_a_second():
    truth, p = drawn(np.random.default_rng(3), 624, 1.0)
    begun = time.process_time()
    metrics(truth, p, threshold=0.5, resamples=1000)
    assert time.process_time() - begun < 0.5


def test_the_same_rows_give_the_same_interval():
    truth, p = drawn(np.random.default_rng(4), 50, 1.0)
    assert metrics(truth, p) == metrics(truth, p)


def test_the_threshold_balances_both_errors():
    truth = np.array([0, 0, 0, 1, 1, 1])
    assert choose_threshold(truth, np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])) == pytest.approx(0.5)
    score = np.array([0.1, 0.2, 0.6, 0.5, 0.8, 0.9])
    chosen = decide(two(score), choose_threshold(truth, score))
    assert (chosen == truth).sum() == 5
    assert choose_threshold(truth, np.full(6, 0.3)) == 0.5


def test_one_class_alone_has_an_accuracy_but_no_auc():
    row = result("cnn", "test", np.ones(5, int), two(np.linspace(0, 1, 5)), 0.5, None)
    assert row["metrics"]["auc"] == {"value": None, "low": None, "high": None}
    assert row["metrics"]["accuracy"]["value"] == pytest.approx(0.6)
    assert any("1 of 2 classes have no image" in note for note in row["notes"])


def test_the_row_says_whether_groups_were_known_and_whether_anything_was_learned():
    truth, p = drawn(np.random.default_rng(5), 40, 1.0)
    groups = [f"p{row // 2}" for row in range(40)]
    assert result("svm", "test", truth, p, 0.5, groups, 10)["groups"] == 20
    assert result("svm", "test", truth, p, 0.5, groups, 10)["notes"] == []
    unknown = result("svm", "test", truth, 0 * p + 0.5, 0.5, None, 10)
    assert unknown["groups"] is None
    assert "not known" in unknown["notes"][0]
    assert "constant prediction" in unknown["notes"][1]
    assert unknown["metrics"]["auc"]["value"] == 0.5


def test_a_constant_prediction_is_seen():
    assert is_constant(np.full((5, 2), 0.5))
    assert not is_constant(two(np.linspace(0, 1, 5)))
