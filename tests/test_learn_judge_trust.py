"""Probabilities, thresholds, curves and sets that keep what they promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from medkern.engine.learn.errors import LearnError
from medkern.engine.learn.judge import calibration, conformal, operating, selective
from medkern.engine.learn.judge.metrics import metrics
from medkern.engine.learn.judge.subgroups import by_subgroup


def too_sure(generator: np.random.Generator, n: int, classes: int, times: float):
    """True classes drawn from probabilities, and the same probabilities with logits `times` up."""
    logits = generator.normal(size=(n, classes))
    p = softmax(logits, axis=1)
    truth = (generator.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return truth, p, softmax(times * logits, axis=1)


# ---- calibration


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("times", [0.5, 3.0])
def test_the_temperature_undoes_what_made_a_model_too_sure(classes, times):
    truth, p, said = too_sure(np.random.default_rng(0), 6000, classes, times)
    found = calibration.temperature(truth, said)
    assert found == pytest.approx(times, rel=0.1)
    mended = calibration.soften(said, found)
    assert np.abs(mended - p).max() < 0.05
    assert calibration.ece(truth, mended) < calibration.ece(truth, said) / 2
    assert calibration.brier(truth, mended) < calibration.brier(truth, said)


def test_the_temperature_is_the_likeliest_and_softening_keeps_the_order():
    truth, _, said = too_sure(np.random.default_rng(1), 200, 3, 2.0)
    logits = np.log(said)

    def loss(t):
        return -np.take_along_axis(log_softmax(logits / t, axis=1), truth[:, None], 1).mean()

    wanted: Any = minimize_scalar(loss, bounds=(0.1, 10), method="bounded")
    assert calibration.temperature(truth, said) == pytest.approx(wanted.x, rel=1e-3)
    mended = calibration.soften(said, 2.5)
    np.testing.assert_array_equal(mended.argmax(axis=1), said.argmax(axis=1))
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    np.testing.assert_allclose(calibration.soften(said, 1.0), said, atol=1e-12)
    assert roc_auc_score(truth == 1, mended[:, 1] / (mended[:, 0] + mended[:, 1])) == pytest.approx(
        roc_auc_score(truth == 1, said[:, 1] / (said[:, 0] + said[:, 1]))
    )


def test_independent_labels_have_a_temperature_too():
    generator = np.random.default_rng(2)
    logits = generator.normal(size=(3000, 4))
    truth = generator.random((3000, 4)) < 1 / (1 + np.exp(-logits))
    said = 1 / (1 + np.exp(-2 * logits))
    found = calibration.temperature(truth, said)
    assert found == pytest.approx(2, rel=0.1)
    assert log_loss(truth.ravel(), calibration.soften(said, found, "labels").ravel()) < log_loss(
        truth.ravel(), said.ravel()
    )


def test_the_reliability_table_holds_every_row_and_gives_the_error():
    truth, _, said = too_sure(np.random.default_rng(3), 500, 2, 2.0)
    table = calibration.reliability(truth, said)
    assert sum(row["n"] for row in table) == 500
    gaps = [row["n"] / 500 * abs(row["observed"] - row["probability"]) for row in table]
    assert calibration.ece(truth, said) == pytest.approx(sum(gaps))
    for row in table:
        rows = (said[:, 1] >= row["low"]) & (said[:, 1] < row["high"])
        assert row["observed"] == pytest.approx(truth[rows].mean())
    assert calibration.brier(truth, said) == pytest.approx(brier_score_loss(truth, said[:, 1]))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_metrics_table_has_the_same_calibration_figures(classes):
    truth, _, said = too_sure(np.random.default_rng(4), 300, classes, 2.0)
    found = metrics(truth, said, resamples=5)
    assert found["ece"]["value"] == pytest.approx(calibration.ece(truth, said))
    assert found["brier"]["value"] == pytest.approx(calibration.brier(truth, said))


def test_certain_probabilities_do_not_break_the_temperature():
    truth, p = np.array([0, 1, 1, 0]), np.array([[1.0, 0], [0, 1], [1, 0], [1, 0]])
    assert np.isfinite(calibration.soften(p, calibration.temperature(truth, p))).all()
    with pytest.raises(LearnError, match="no validation rows"):
        calibration.temperature(truth[:0], p[:0])
    with pytest.raises(LearnError, match="above 0"):
        calibration.soften(p, 0.0)


# ---- operating points


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.integers(1, 3))
def test_a_wanted_specificity_is_reached_with_the_most_sensitivity_there_is(seed, wanted, digits):
    generator = np.random.default_rng(seed)
    truth = np.r_[0, 1, generator.integers(0, 2, 30)]
    score = generator.random(32).round(digits)
    false, true, _ = roc_curve(truth, score, drop_intermediate=False)
    found = operating.sensitivity_at(truth, score, wanted)
    assert found.sensitivity == pytest.approx(true[1 - false >= wanted - 1e-12].max())
    assert operating.at(truth, score, found.threshold) == pytest.approx(found)
    found = operating.specificity_at(truth, score, wanted)
    assert found.specificity == pytest.approx(1 - false[true >= wanted - 1e-12].min())
    assert operating.at(truth, score, found.threshold) == pytest.approx(found)


def test_operating_points_have_intervals_and_need_both_classes():
    generator = np.random.default_rng(5)
    truth = np.arange(200) % 2
    score = generator.random(200) + 0.3 * truth
    chosen = operating.choose(truth, score)
    assert set(chosen) == {
        "specificity 0.90", "specificity 0.95", "sensitivity 0.90", "sensitivity 0.95"
    }  # fmt: skip
    threshold = chosen["specificity 0.90"]
    found: Any = operating.at_with_intervals(truth, score, threshold, resamples=200)
    assert found["specificity"]["value"] >= 0.90
    assert (
        found["sensitivity"]["low"] < found["sensitivity"]["value"] < found["sensitivity"]["high"]
    )
    with pytest.raises(LearnError, match="both classes"):
        operating.sensitivity_at(np.ones(5), np.zeros(5), 0.9)
    with pytest.raises(LearnError, match=r"allowed: 0 \.\. 1"):
        operating.sensitivity_at(truth, score, 90)


def test_net_benefit_weighs_false_alarms_by_the_odds():
    truth, score = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.2, 0.6, 0.3, 0.1])
    found = operating.net_benefit(truth, score, np.array([0.0, 0.25, 0.5, 0.8]))
    np.testing.assert_allclose(found, [2 / 5, (1 - 2 / 3) / 5, (1 - 1) / 5, 1 / 5])
    every = operating.net_benefit(truth, np.ones(5), np.array([0.4]))
    np.testing.assert_allclose(every, (2 - 3 * 0.4 / 0.6) / 5)
    with pytest.raises(LearnError, match="below 1"):
        operating.net_benefit(truth, score, np.array([1.0]))


# ---- selection


def test_the_risk_falls_when_the_unsure_are_left_out():
    truth = np.array([0, 1, 0, 1])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    coverage, risk = selective.risk_coverage(truth, p)
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 4])
    assert selective.area(coverage, risk) == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_rows_of_equal_confidence_are_kept_together_and_the_end_is_the_error():
    truth, p = np.array([0, 0, 1, 1]), np.full((4, 2), 0.5)
    coverage, risk = selective.risk_coverage(truth, p)
    assert (coverage.tolist(), risk.tolist()) == ([1.0], [0.5])
    generator = np.random.default_rng(6)
    truth, p = generator.integers(0, 3, 100), generator.dirichlet(np.ones(3), 100)
    assert selective.risk_coverage(truth, p)[1][-1] == (p.argmax(axis=1) != truth).mean()
    two = np.stack([1 - p[:, 0], p[:, 0]], 1)
    coverage, risk = selective.risk_coverage(truth == 1, two, 0.3)
    assert risk[-1] == ((p[:, 0] >= 0.3) != (truth == 1)).mean()
    labels = generator.random((100, 3)) < 0.5
    coverage, risk = selective.risk_coverage(labels, p, None, "labels")
    assert risk[-1] == ((p >= 0.5) != labels).any(axis=1).mean()


# ---- conformal sets


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("times", [0.5, 4.0])
def test_sets_hold_the_true_class_as_often_as_promised(alpha, times):
    generator = np.random.default_rng(7)
    held = []
    for _ in range(200):
        truth, _, p = too_sure(generator, 200, 4, times)
        q = conformal.quantile(truth[:99], p[:99], alpha)
        held.append(conformal.coverage(truth[99:], conformal.sets(p[99:], q)))
    assert 1 - alpha - 0.01 < np.mean(held) < 1 - alpha + 0.02  # 1 - alpha to + 1 / 100


def test_sets_of_labels_hold_all_that_are_present():
    generator = np.random.default_rng(8)
    held = []
    for _ in range(100):
        p = generator.random((200, 3))
        truth = generator.random((200, 3)) < p
        q = conformal.quantile(truth[:99], p[:99], 0.1)
        held.append(conformal.coverage(truth[99:], conformal.sets(p[99:], q)))
    assert 0.88 < np.mean(held) < 0.93


def test_too_few_rows_for_a_promise_give_every_class():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    q = conformal.quantile(np.array([0, 1]), p, 0.1)
    assert q == 1.0
    assert conformal.sets(np.array([[1.0, 0.0]]), q).all()
    assert conformal.quantile(np.array([0, 1]), p, 0.5) == pytest.approx(0.2)
    with pytest.raises(LearnError, match="alpha is 0"):
        conformal.quantile(np.array([0, 1]), p, 0)


def test_sizes_of_sets_are_counted():
    found = conformal.sizes(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]], bool))
    assert found == {
        "mean": 1.25, "counts": [1, 2, 0, 1], "empty": 1, "single": 2, "several": 1
    }  # fmt: skip


# ---- subgroups


def test_subgroups_have_the_figures_of_their_rows():
    generator = np.random.default_rng(9)
    truth = np.arange(120) % 2
    p = np.stack([1 - (s := generator.random(120) * 0.7 + 0.3 * truth), s], 1)
    site = ["A"] * 70 + ["B"] * 40 + [None] * 10
    rows = by_subgroup(truth, p, 0.5, {"site": site}, resamples=20)
    assert [(row["value"], row["n"], row["few"]) for row in rows] == [
        ("A", 70, False), ("B", 40, False), ("not known", 10, True)
    ]  # fmt: skip
    assert rows[1]["metrics"]["auc"]["value"] == pytest.approx(
        roc_auc_score(truth[70:110], p[70:110, 1])
    )
    with pytest.raises(LearnError, match="120 values; allowed: 20"):
        by_subgroup(truth, p, 0.5, {"age": [str(i) for i in range(120)]})
    with pytest.raises(LearnError, match="3 values of 'sex' for 120 rows"):
        by_subgroup(truth, p, 0.5, {"sex": ["f", "m", "f"]})
