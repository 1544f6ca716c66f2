"""What a network's outputs mean: probabilities and losses of the three tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import expit, log_softmax

from medkern.engine.learn import LearnError
from medkern.engine.learn.cnn.loss import loss, outputs, probabilities
from medkern.engine.learn.settings import TASKS

ONES = jnp.ones(3)


def draw(seed: int, task: str, n: int = 5, k: int = 3, spread: float = 3.0):
    """Logits and truth."""
    generator = np.random.default_rng(seed)
    logits = (spread * generator.normal(size=(n, outputs(task, k)))).astype(np.float32)
    truth = generator.integers(0, 2, (n, k)) == 1 if task == "labels" else np.arange(n) % k
    return logits, truth


@pytest.mark.parametrize(
    ("task", "k", "n"), [("classes", 4, 4), ("labels", 4, 4), ("ordinal", 4, 3)]
)
def test_how_many_logits_a_task_needs(task, k, n):
    assert outputs(task, k) == n


@given(seed=st.integers(0, 999), spread=st.sampled_from([0.0, 1.0, 100.0]))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("task", TASKS)
def test_probabilities_are_probabilities_and_losses_finite_whatever_the_logits(task, seed, spread):
    logits, truth = draw(seed, task, spread=spread)
    p = np.asarray(probabilities(task, logits))
    assert p.shape == (5, 3)
    assert p.dtype == np.float32
    assert (p >= 0).all()
    assert (p <= 1).all()
    if task != "labels":
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    value, slope = jax.value_and_grad(lambda z: loss(task, z, truth, ONES))(logits)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_classes_are_weighted_cross_entropy():
    logits, truth = draw(0, "classes")
    weights = np.array([1.0, 2.0, 5.0], np.float32)
    each, w = -log_softmax(logits, axis=1)[np.arange(5), truth], weights[truth]
    got = loss("classes", logits, truth, weights)
    assert float(got) == pytest.approx((w * each).sum() / w.sum(), rel=1e-5)


def test_labels_are_answered_one_by_one():
    logits, truth = draw(1, "labels")
    weights = np.array([1.0, 2.0, 5.0], np.float32)
    each, w = -np.log(expit(np.where(truth, logits, -logits))), np.where(truth, weights, 1)
    got = loss("labels", logits, truth, weights)
    assert float(got) == pytest.approx((w * each).sum() / w.sum(), rel=1e-5)
    np.testing.assert_allclose(probabilities("labels", logits), expit(logits), rtol=1e-5)


def test_ordinal_probabilities_are_differences_of_proportional_odds():
    score, cuts = np.array([[-2.0], [0.0], [3.0]]), np.array([1.0, -1.0])
    logits = (score + cuts).astype(np.float32)
    above = expit(logits)
    expected = np.stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]], axis=1)
    np.testing.assert_allclose(probabilities("ordinal", logits), expected, atol=1e-6)
    np.testing.assert_array_equal(expected.argmax(axis=1), [0, 1, 2])
    crossed = logits[:, ::-1]  # cut points that training has not put in order yet
    np.testing.assert_array_equal(
        probabilities("ordinal", crossed), probabilities("ordinal", logits)
    )


def test_an_ordinal_miss_by_two_costs_more_than_by_one():
    logits = np.array([[4.0, 3.0]], np.float32)  # surely the highest of three
    costs = [float(loss("ordinal", logits, np.array([t]), ONES)) for t in range(3)]
    assert costs[0] > costs[1] + 1 > costs[2] + 2


@pytest.mark.parametrize("task", TASKS)
def test_smoothing_pulls_towards_cannot_tell(task):
    logits, truth = draw(2, task)
    slope = jax.grad(lambda z: loss(task, z, truth, ONES, 1.0))(jnp.zeros_like(logits))
    np.testing.assert_allclose(slope, 0, atol=1e-7)


@pytest.mark.parametrize("task", TASKS)
def test_the_scale_of_the_weights_does_not_count(task):
    logits, truth = draw(3, task)
    if task == "labels":
        truth = np.ones_like(truth)
    one, ten = (float(loss(task, logits, truth, f * ONES)) for f in (1, 10))
    assert one == pytest.approx(ten, rel=1e-5)


def test_an_unknown_task_is_refused():
    with pytest.raises(LearnError, match="task is 'rank'; allowed: classes, ordinal, labels"):
        outputs("rank", 3)
