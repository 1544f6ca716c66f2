"""Colocalisation: the definitions of others, Costes' search, ranks, degenerate objects."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture._pairs import dense_ranks
from medkern.kernels.texture.colocalisation import FEATURES, colocalisation

NAMES = [feature.name for feature in FEATURES]
few = arrays.arrays(np.uint8, (1, 5, 7), elements=st.integers(0, 9))


def found(one, two, where=None, **parameters) -> list[dict[str, float]]:
    values, _ = colocalisation(one, where, other=two, **parameters)
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in values]


def channels(seed: int, shape=(1, 24, 30), share=0.7) -> tuple[np.ndarray, np.ndarray]:
    """Two 12-bit channels that have `share` of their light in common."""
    rng = np.random.default_rng(seed)
    common, one, two = rng.gamma(2, 400, (3, *shape))
    mixed = (share * common + (1 - share) * v for v in (one, two))
    one, two = (np.clip(v, 0, 4095).astype(np.uint16) for v in mixed)
    return one, two


# ---- the definitions of others


def test_values_equal_numpy_s_and_scipy_s():
    one, two = channels(1)
    a, b = one.ravel().astype(float), two.ravel().astype(float)
    bright_a, bright_b = a >= 0.2 * a.max(), b >= 0.2 * b.max()
    both = bright_a & bright_b
    ranks = stats.rankdata(a, "dense"), stats.rankdata(b, "dense")
    weight = 1 - abs(ranks[0] - ranks[1]) / max(len(np.unique(a)), len(np.unique(b)))
    want = {
        "correlation": np.corrcoef(a, b)[0, 1], "slope": np.polyfit(a, b, 1)[0],
        "manders_1": a[both].sum() / a[bright_a].sum(),
        "manders_2": b[both].sum() / b[bright_b].sum(),
        "overlap": (a * b)[both].sum() / np.sqrt((a**2)[both].sum() * (b**2)[both].sum()),
        "k_1": (a * b)[both].sum() / (a**2)[both].sum(),
        "k_2": (a * b)[both].sum() / (b**2)[both].sum(),
        "rwc_1": (a * weight)[both].sum() / a[bright_a].sum(),
        "rwc_2": (b * weight)[both].sum() / b[bright_b].sum(),
    }  # fmt: skip
    row = found(one, two, threshold=20.0)[0]
    assert {name: row[name] for name in want} == pytest.approx(want, rel=1e-5)


def test_costes_threshold_is_where_correlation_ends():
    """A bright common part upon independent noise: below the threshold only noise is left."""
    rng = np.random.default_rng(2)
    one, two = rng.integers(80, 120, (2, 1, 80, 80))
    spots = rng.random((1, 80, 80)) < 0.2
    light = np.where(spots, rng.integers(500, 3000, spots.shape), 0)
    one, two = ((v + light).astype(np.uint16) for v in (one, two))
    row = found(one, two, full_scale=4095.0)[0]
    low, high = row["costes_threshold_1"], row["costes_threshold_2"]
    below = (one < low) | (two < high)
    above = (one < low + 2) | (two < high + 2)
    assert low == int(low)
    assert np.corrcoef(one[below], two[below])[0, 1] < 0.05
    assert np.corrcoef(one[above], two[above])[0, 1] > -0.05
    assert 80 < low < 600
    both = (one > low) & (two > high)
    assert row["costes_1"] == pytest.approx(one[both].sum() / one[one >= low].sum(), rel=1e-6)
    assert row["costes_2"] == pytest.approx(two[both].sum() / two[two >= high].sum(), rel=1e-6)


def test_levels_of_float_images_are_parts_of_the_full_scale():
    one, two = channels(3)
    whole = found(one, two, full_scale=65535.0)[0]
    parts = found(*(v.astype(np.float32) / np.float32(65536) for v in (one, two)),
                  full_scale=65535 / 65536)[0]  # fmt: skip
    for name, value in whole.items():
        unit = 65536 if "threshold" in name else 1
        assert parts[name] * unit == pytest.approx(value, rel=1e-5), name


# ---- ranks


@given(arrays.arrays(np.float32, st.integers(1, 300), elements=st.floats(-9, 9, width=32)))
@settings(max_examples=40, deadline=None)
def test_dense_ranks_are_scipy_s(values):
    values = values + np.float32(0)
    ranks = np.empty(len(values), np.int32)
    top = dense_ranks_of(values, ranks)
    np.testing.assert_array_equal(ranks, stats.rankdata(values, "dense") - 1)
    assert top == ranks.max()


def dense_ranks_of(values, ranks):
    return dense_ranks.py_func(values, np.empty((2, len(values)), np.uint64), ranks)


# ---- properties


@given(few, few)
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(one, two):
    where = colocalisation.place(one, None)
    chosen = {"other": two, "threshold": 15.0, "full_scale": 9.0}
    want = colocalisation.reference(one, where, **chosen)
    np.testing.assert_allclose(colocalisation(one, **chosen)[0], want, rtol=1e-5, atol=1e-6)


def test_channels_change_places():
    one, two = channels(4)
    here, there = found(one, two)[0], found(two, one)[0]
    for name in ("manders", "k", "rwc"):
        assert here[f"{name}_1"] == there[f"{name}_2"]
    assert here["correlation"] == pytest.approx(there["correlation"], rel=1e-6)


def test_a_channel_with_itself():
    row = found(*channels(5)[:1] * 2)[0]
    for name in ("correlation", "slope", "manders_1", "overlap", "k_1", "rwc_1", "rwc_2"):
        assert row[name] == pytest.approx(1, rel=1e-6), name


def test_objects_are_measured_alone():
    one, two = channels(6)
    labels = np.zeros(one.shape, np.int32)
    labels[0, 2:14, 3:20], labels[0, 12:23, 18:29] = 4, 9
    where, all_of = mk.regions(labels), found(one, two, mk.regions(labels))
    for k in range(2):
        masks = (labels == where.label[k]).astype(np.uint8)
        assert found(one, two, masks)[0] == pytest.approx(all_of[k], nan_ok=True)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_gpu_code_gives_the_bits_of_the_cpu_code(dtype):
    one, two = (v.astype(dtype) for v in channels(7))
    labels = np.zeros(one.shape, np.int32)
    labels[0, 2:22, 3:20], labels[0, 6:9, 20:30] = 1, 3
    chosen = {"other": two, "threshold": 15.0, "full_scale": 4095.0}
    for where in (mk.regions(labels), mk.windows(one.shape, 11, 13)):
        values, _ = colocalisation(one, where, **chosen)
        got = np.empty_like(values)
        with _cuda.running(Interpreter()):
            colocalisation.gpu(one, where, got, **chosen)
        np.testing.assert_array_equal(got.view(np.uint32), values.view(np.uint32))


# ---- degenerate objects


def test_flat_channels_few_pixels_and_none():
    one, two = channels(8, (4, 6, 7))
    masks = np.ones(one.shape, np.uint8)
    masks[0], masks[1], masks[1, 2, 3] = 0, 0, 1
    two = two.copy()
    two[2], two[3] = 77, 0
    values = colocalisation(one, masks, other=two)[0]
    assert np.isnan(values[0]).all()
    assert np.isnan(values[1, :2]).all()
    np.testing.assert_array_equal(values[1, 2:5], 1)
    assert np.isnan(values[2, 0])
    assert values[2, 1] == 0
    assert np.isnan(values[2:, 9:]).all()


def test_pixels_that_are_not_numbers_in_one_channel_leave_the_object():
    one, two = (v.astype(np.float32) for v in channels(9))
    masks = np.ones(one.shape, np.uint8)
    masks[0, 3, 4] = masks[0, 8, 9] = 0
    want = colocalisation(one, masks, other=two, full_scale=4095.0)[0]
    one, two = one.copy(), two.copy()
    one[0, 3, 4], two[0, 8, 9] = np.nan, np.inf
    got = colocalisation(one, np.ones_like(masks), other=two, full_scale=4095.0)[0]
    np.testing.assert_array_equal(got, want)
