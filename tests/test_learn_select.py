"""Selection of columns: what stays, in which order, and that a model never sees held-out rows."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from medkern.engine.learn.classical.fit import fit
from medkern.engine.learn.classical.models import MODELS
from medkern.engine.learn.classical.select import select
from medkern.engine.learn.classical.steps import Select, Standardise


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """On small tables the threads of libraries would mostly wait for one another."""
    with threadpool_limits(1):
        yield


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


@pytest.mark.parametrize("kind", list(MODELS))
def test_a_column_that_is_left_out_has_no_influence(kind):
    values = table()
    truth = (values[:, 0] + 0.5 * values[:, 2] > 0).astype(int)
    own = {"rounds": 5, "rate": 0.5} if kind == "boosted" else {}
    estimator, head = fit(kind, values, truth, None, 0, correlation=0.9, parameters=own)
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
    assert first.kept_.tolist() == [0]
    assert second.kept_.tolist() == [0, 1]


@pytest.fixture(scope="module")
def few_of_many():
    """Columns 3 and 17 of 40 make the classes; 5 copies 3 with noise."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(300, 40))
    values[:, 5] = values[:, 3] + 0.5 * rng.normal(size=300)
    return values, (values[:, 3] + values[:, 17] > 0).astype(int)


@pytest.mark.parametrize("how", ["anova", "l1"])
def test_a_selection_finds_the_columns_that_tell(few_of_many, how):
    values, truth = few_of_many
    assert set(Select(how, 3).fit(values, truth).kept_) >= {3, 17}
    assert len(Select(how, 10).fit(values, truth).kept_) <= 10


def test_all_columns_at_once_see_through_a_copy_that_each_alone_does_not(few_of_many):
    values, truth = few_of_many
    assert Select("anova", 3).fit(values, truth).kept_.tolist() == [3, 5, 17]
    assert Select("l1", 2).fit(values, truth).kept_.tolist() == [3, 17]


@pytest.mark.parametrize("how", ["anova", "l1"])
@pytest.mark.parametrize("kind", ["svm", "boosted", "knn", "nystroem"])
def test_what_a_selection_leaves_out_vanishes_from_the_arrays(few_of_many, how, kind):
    values, truth = few_of_many
    own = {"rounds": 5} if kind == "boosted" else {}
    estimator, head = fit(kind, values, truth, select=how, parameters={"keep": 4, **own})
    kept = Select(how, 4).fit(Standardise().fit(values).transform(values), truth).kept_
    other = values.copy()
    rest = np.setdiff1d(np.arange(40), kept)
    other[:, rest] = np.random.default_rng(5).normal(0, 1e6, (300, len(rest)))
    other[::3, rest] = np.nan
    np.testing.assert_array_equal(head.predict(values), head.predict(other))
    np.testing.assert_allclose(head.predict(values), estimator.predict_proba(values), atol=1e-6)
