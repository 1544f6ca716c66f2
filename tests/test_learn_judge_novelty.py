"""An alien row is flagged, a usual one is not, and a damaged file is refused."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score

from medkern.engine.learn.errors import LearnError, ModelError
from medkern.engine.learn.judge import novelty
from medkern.engine.learn.judge.novelty import Novelty


def rows(generator: np.random.Generator, n: int, f: int = 40, rank: int = 5) -> np.ndarray:
    """Rows near a plane of a few directions, the way features of images are."""
    plane = np.random.default_rng(99).normal(size=(rank, f))
    return generator.normal(size=(n, rank)) @ plane + 0.3 * generator.normal(size=(n, f)) + 7


@pytest.fixture(scope="module")
def fitted() -> Novelty:
    generator = np.random.default_rng(0)
    return novelty.fit(rows(generator, 400), rows(generator, 300))


def test_usual_rows_pass_as_often_as_the_limit_says_and_score_near_one(fitted):
    fresh = rows(np.random.default_rng(1), 4000)
    assert 0.001 < fitted.flagged(fresh).mean() < 0.03
    assert 0.5 < np.median(fitted.score(fresh)) < 1.5


def test_rows_off_the_plane_or_far_along_it_are_flagged(fitted):
    generator = np.random.default_rng(2)
    usual = rows(generator, 200)
    noise = generator.normal(size=usual.shape) * usual.std(axis=0) + usual.mean(axis=0)
    for alien in (noise, 4 * (usual - 7) + 7, usual + 20):
        assert fitted.flagged(alien).mean() > 0.9
        both = np.r_[fitted.score(usual), fitted.score(alien)]
        assert roc_auc_score(np.r_[np.zeros(200), np.ones(200)], both) > 0.95


def test_the_score_is_the_mahalanobis_distance_where_all_directions_are_kept():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(5000, 3)) @ (np.eye(3) + 0.2 * generator.normal(size=(3, 3))) + 2
    found = novelty.fit(x, x)
    centred = x - x.mean(axis=0)
    wanted = (centred @ np.linalg.inv(centred.T @ centred / 5000) * centred).sum(axis=1) / 3
    np.testing.assert_allclose(found.score(x), wanted, rtol=0.05)


@pytest.mark.parametrize("n", [30, 200])
def test_the_shrinkage_is_ledoit_and_wolf_s(n):
    z = np.random.default_rng(4).normal(size=(n, 50))
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    spectrum, directions = novelty._spectrum(z)
    np.testing.assert_allclose(directions.T @ directions, np.eye(len(spectrum)), atol=1e-9)
    shrunk, _ = novelty._shrink(z, spectrum, 50)
    d = ledoit_wolf_shrinkage(z, assume_centered=True)
    np.testing.assert_allclose(shrunk, (1 - d) * spectrum + d * spectrum.sum() / 50, rtol=1e-9)


def test_constant_and_missing_values_do_no_harm(fitted):
    generator = np.random.default_rng(5)
    x = rows(generator, 100)
    x[:, 3], x[4, 7] = 1.0, np.nan
    found = novelty.fit(x, x)
    changed = x.copy()
    changed[:, 3] = 1e9  # never varied: no part
    np.testing.assert_array_equal(found.score(changed), found.score(x))
    one, many = x[:1].copy(), x[:1].copy()
    one[0, 0], many[0, :5] = np.inf, np.nan
    assert np.isfinite(found.score(one)).all()
    assert np.isinf(found.score(many)).all() and found.flagged(many).all()
    assert np.isfinite(fitted.score(np.full((1, 40), 3e38, np.float32))).all()


def test_few_rows_of_many_columns_and_few_held_rows_are_enough():
    generator = np.random.default_rng(6)
    train, held = rows(generator, 12, 300), rows(generator, 8, 300)
    found = novelty.fit(train, held)
    assert found.limit == pytest.approx(found.score(held).max())
    assert found.flagged(rows(generator, 5, 300) + 50).all()


def test_it_travels_through_arrays(fitted):
    again = Novelty.from_arrays(fitted.arrays())
    x = rows(np.random.default_rng(7), 10)
    np.testing.assert_array_equal(again.score(x), fitted.score(x))
    assert again.limit == fitted.limit


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["mean", "scale", "directions", "variances", "numbers"]),
    st.sampled_from(["dtype", "shape", "nan", "huge", "negative", "lost", "more"]),
)
def test_a_damaged_one_is_refused_or_still_scores(key, damage):
    generator = np.random.default_rng(8)
    x = rows(generator, 60, 8, 2)
    arrays = {name: array.copy() for name, array in novelty.fit(x, x).arrays().items()}
    if damage == "dtype":
        arrays[key] = arrays[key].astype(np.float32)
    elif damage == "shape":
        arrays[key] = arrays[key][:-1]
    elif damage == "lost":
        del arrays[key]
    elif damage == "more":
        arrays["other"] = arrays[key]
    else:
        arrays[key].flat[0] = {"nan": np.nan, "huge": 1e300, "negative": -1.0}[damage]
    try:
        score = Novelty.from_arrays(arrays).score(x)
    except ModelError as error:
        assert str(error).startswith("novelty:")
    else:
        assert not np.isnan(score).any()


def test_what_nothing_can_be_learned_from_is_refused(fitted):
    with pytest.raises(LearnError, match="at least 2 rows"):
        novelty.fit(np.zeros((1, 4)))
    with pytest.raises(LearnError, match="no column varies"):
        novelty.fit(np.ones((9, 4)))
    with pytest.raises(LearnError, match="no held-out rows"):
        novelty.fit(np.eye(4), np.empty((0, 4)))
    with pytest.raises(LearnError, match="fitted on 40 columns"):
        fitted.score(np.zeros((2, 3)))
