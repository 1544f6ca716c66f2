"""Metrics equal scikit-learn's, intervals hold what they promise, thresholds see no test row."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import norm
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

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


def test_a_thousand_resamples_take_well_under_two_seconds():
    truth, p = drawn(np.random.default_rng(3), 624, 1.0)
    begun = time.process_time()
    metrics(truth, p, threshold=0.5, resamples=1000)
    assert time.process_time() - begun < 2


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
