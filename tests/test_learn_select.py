"""Selection of columns: what stays, in which order, and that a model never sees held-out rows."""

import numpy as np
import pytest

from medkern.engine.learn.classical.fit import Standardise, fit
from medkern.engine.learn.classical.select import select


def table(n: int = 400) -> np.ndarray:
    """Two free columns, a constant, a copy, a scaled copy, a noisy copy, one with gaps."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, n))
    gaps = b.copy()
    gaps[::7] = np.nan
    return np.column_stack([a, np.full(n, 3.0), b, a, -1e6 * b + 5, a + 0.3 * b, gaps])


@pytest.mark.parametrize(
    ("correlation", "kept"), [(1.0, [0, 2, 5, 6]), (0.99, [0, 2, 5, 6]), (0.9, [0, 2])]
)
def test_what_repeats_an_earlier_column_goes(correlation, kept):
    assert np.flatnonzero(select(table(), correlation)).tolist() == kept


def test_every_two_columns_that_stay_differ_and_every_one_that_goes_repeats_one():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 60))
    kept = select(values, 0.6)
    r = np.abs(np.corrcoef(values.T))
    inner = r[np.ix_(kept, kept)] - np.eye(kept.sum())
    assert 1 < kept.sum() < 60
    assert inner.max() <= 0.6
    assert (r[np.ix_(~kept, kept)].max(axis=1) > 0.6).all()


def test_columns_without_a_value_go():
    values = table()
    values[:, 2] = np.nan
    assert not select(values, 0.9)[2]
    assert select(np.empty((0, 3)), 0.9).tolist() == [False] * 3


@pytest.mark.parametrize("kind", ["svm", "tree", "forest", "logistic"])
def test_a_column_that_is_left_out_has_no_influence(kind):
    values = table()
    truth = (values[:, 0] + 0.5 * values[:, 2] > 0).astype(int)
    estimator, head = fit(kind, values, truth, None, seed=0, correlation=0.9)
    other = values.copy()
    other[:, [1, 3, 4, 5, 6]] = np.random.default_rng(2).normal(0, 1e6, (len(values), 5))
    np.testing.assert_array_equal(head.predict(values), head.predict(other))
    np.testing.assert_allclose(head.predict(values), estimator.predict_proba(values), atol=1e-6)
    assert (head.predict(values).argmax(axis=1) == truth).mean() > 0.9


def test_a_fold_chooses_by_its_own_rows():
    """Two columns that agree in the first half only: each half keeps what it must."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(200, 2))
    values[:100, 1] = values[:100, 0]
    first, second = (Standardise(0.9).fit(part) for part in (values[:100], values[100:]))
    assert np.abs(first.transform(values)[:, 1]).max() < 1e-90
    assert np.std(second.transform(values)[:, 1]) > 0.5
