"""Comparisons of two models: DeLong's and McNemar's figures, and the level they promise."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from medkern.engine.learn.errors import LearnError
from medkern.engine.learn.judge.metrics import metrics
from medkern.engine.learn.judge.paired import delong, delong_difference, holm, mcnemar


def by_pairs(truth: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """AUCs and their covariance as DeLong et al. write them: positives against negatives."""
    x, y = ([score[truth == c] for score in scores] for c in (1, 0))
    wins = [
        (a[:, None] > b[None]).astype(float) + 0.5 * (a[:, None] == b[None])
        for a, b in zip(x, y, strict=True)
    ]
    v10, v01 = np.stack([w.mean(axis=1) for w in wins]), np.stack([w.mean(axis=0) for w in wins])
    return v10.mean(axis=1), np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def two_models(generator: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    truth, shared = generator.integers(0, 2, n), generator.normal(size=n)
    truth[:4] = 0, 0, 1, 1
    a, b = (norm.cdf(shared + generator.normal(size=n) + truth) for _ in range(2))
    return truth, np.asarray(a), np.asarray(b)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(6, 50), st.integers(1, 2))
def test_auc_and_difference_are_delong_s(seed, n, digits):
    truth, a, b = two_models(np.random.default_rng(seed), n)
    a, b = a.round(digits), b.round(digits)
    areas, covariance = by_pairs(truth, [a, b])
    assert delong(truth, a) == pytest.approx((areas[0], covariance[0, 0]), abs=1e-12)
    assert delong(truth, a)[0] == pytest.approx(roc_auc_score(truth, a), abs=1e-12)
    found = delong_difference(truth, a, b)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance < 1e-12:
        return
    z = (areas[0] - areas[1]) / np.sqrt(variance)
    assert found["difference"] == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert found["p"] == pytest.approx(2 * norm.sf(abs(z)), abs=1e-8)
    reach = norm.ppf(0.975) * np.sqrt(variance)
    assert found["high"] == pytest.approx(min(areas[0] - areas[1] + reach, 1))


def test_two_equal_models_are_told_apart_once_in_twenty():
    generator = np.random.default_rng(0)
    p: list[Any] = []
    for _ in range(400):
        truth, a, b = two_models(generator, 150)
        p.append(delong_difference(truth, a, b)["p"])
    assert 8 <= (np.array(p) < 0.05).sum() <= 34  # 20 +- 4.4


def test_a_model_equals_itself_and_one_class_has_no_auc():
    truth, a, b = two_models(np.random.default_rng(1), 60)
    same = delong_difference(truth, a, a * 0.5)
    assert same == pytest.approx({"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0})
    alone = delong_difference(np.ones(60, int), a, b)
    assert set(alone.values()) == {None}
    assert np.isnan(delong(np.ones(60, int), a)[0])


def test_the_variance_of_a_mean_over_classes_is_the_bootstrap_s():
    generator = np.random.default_rng(2)
    truth = np.arange(300) % 3
    raw = generator.random((300, 3)) + 0.4 * np.eye(3)[truth]
    p = raw / raw.sum(axis=1, keepdims=True)
    area, variance = delong(truth, p)
    row: Any = metrics(truth, p, resamples=1000)["auc"]
    assert area == pytest.approx(row["value"], abs=1e-12)
    assert 2 * 1.96 * np.sqrt(variance) == pytest.approx(row["high"] - row["low"], rel=0.1)


def test_images_of_one_patient_widen_the_error():
    truth, a, b = (v.repeat(6) for v in two_models(np.random.default_rng(3), 80))
    patients = [f"p{row // 6}" for row in range(480)]
    alone, together = delong(truth, a)[1], delong(truth, a, patients)[1]
    assert together == pytest.approx(6 * alone, rel=0.05)
    p, q = (delong_difference(truth, a, b, groups)["p"] for groups in (None, patients))
    assert p is not None and q is not None and p < q
    one_each = [f"p{row}" for row in range(480)]
    assert delong(truth, a, one_each)[1] == pytest.approx(alone)


def test_a_hundred_thousand_rows_take_a_second():
    truth, a, b = two_models(np.random.default_rng(4), 100_000)
    begun = time.process_time()
    delong_difference(truth, a, b)
    assert time.process_time() - begun < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(only_a, only_b, both):
    n = only_a + only_b + both
    truth = np.ones(n, int)
    a = np.r_[np.ones(only_a), np.zeros(only_b), np.ones(both)].astype(int)
    b = np.r_[np.zeros(only_a), np.ones(only_b), np.ones(both)].astype(int)
    found = mcnemar(truth, a, b)
    assert (found["only_a"], found["only_b"]) == (only_a, only_b)
    apart = only_a + only_b
    assert found["p"] == pytest.approx(binomtest(only_a, apart).pvalue if apart else 1.0)


def test_mcnemar_of_a_textbook_table():
    """Agresti, Categorical Data Analysis, table 10.1: 794, 150, 86, 570; z = 4.17."""
    truth = np.ones(1600, int)
    a = np.repeat([1, 1, 0, 0], [794, 150, 86, 570])
    b = np.repeat([1, 0, 1, 0], [794, 150, 86, 570])
    assert mcnemar(truth, a, b)["p"] == pytest.approx(2 * norm.sf(4.17), rel=0.25)


def test_a_patient_is_one_coin_however_many_images():
    truth = np.ones(40, int)
    a, b = np.ones(40, int), np.zeros(40, int)
    patients = [f"p{row // 10}" for row in range(40)]
    assert mcnemar(truth, a, b, patients)["p"] == pytest.approx(2 / 2**4)
    assert mcnemar(truth, a, b)["p"] == pytest.approx(2 / 2**40)
    uneven = ["p0"] * 25 + ["p1"] * 10 + ["p2"] * 5  # +-25 +-10 +-5: 40 in 1 of 4
    assert mcnemar(truth, a, b, uneven)["p"] == pytest.approx(2 / 2**3)


def test_several_comparisons_are_paid_for():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])


def test_scores_of_other_rows_are_refused():
    with pytest.raises(LearnError, match="for \\(3,\\) true classes"):
        delong(np.array([0, 1, 1]), np.zeros(2))
    with pytest.raises(LearnError, match="differ in shape"):
        mcnemar(np.zeros(3), np.zeros(2), np.zeros(3))
