"""Intensity statistics: SciPy's definitions, order statistics, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture._values import LANES, cpu_values, fold, order_statistics
from medkern.kernels.texture.statistics import FEATURES, statistics

NAMES = [feature.name for feature in FEATURES]
UNITS = {feature.name: feature.unit for feature in FEATURES}
QUOTIENTS = {name for name, unit in UNITS.items() if not unit}
floats = st.floats(-1e6, 1e6, width=32)
wide = st.floats(-(2.0**99), 2.0**99, width=32)
regions = arrays.arrays(np.float32, (2, 7, 9), elements=floats)
areas = arrays.arrays(np.bool_, (2, 7, 9))


def found(images, masks=None) -> list[dict[str, float]]:
    values, _ = statistics(images, masks)
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in values]


def on_the_gpu(images, where) -> np.ndarray:
    values = np.empty((len(where), len(NAMES)), np.float32)
    with _cuda.running(Interpreter()):
        statistics.gpu(images, where, values)
    return values


# ---- the definition of others


def test_values_equal_numpy_and_scipy():
    image = np.random.default_rng(1).gamma(3, 40, (1, 60, 70)).astype(np.float32)
    v = image.ravel().astype(np.float64)
    p10, p25, p75, p90 = np.percentile(v, [10, 25, 75, 90])
    middle = v[(v >= p10) & (v <= p90)]
    want = {
        "mean": v.mean(), "variance": v.var(), "skewness": stats.skew(v),
        "kurtosis": stats.kurtosis(v), "median": np.median(v), "minimum": v.min(),
        "percentile_10": p10, "percentile_90": p90, "maximum": v.max(),
        "interquartile_range": stats.iqr(v), "range": np.ptp(v),
        "mean_absolute_deviation": abs(v - v.mean()).mean(),
        "robust_mean_absolute_deviation": abs(middle - middle.mean()).mean(),
        "median_absolute_deviation": abs(v - np.median(v)).mean(),
        "coefficient_of_variation": stats.variation(v),
        "quartile_coefficient_of_dispersion": (p75 - p25) / (p75 + p25),
        "energy": (v**2).sum(), "root_mean_square": np.sqrt((v**2).mean()),
    }  # fmt: skip
    assert found(image)[0] == pytest.approx(want, rel=1e-6)


def test_a_far_origin_costs_no_digits():
    """Sums are taken about the least intensity: a variance of 2 is found at 10^7 as at 0."""
    image = np.resize(np.array([0, 1, 2, 3, 4], np.float32), (1, 50, 50))
    near, far = found(image)[0], found(image + np.float32(2**23))[0]
    for name in ("variance", "kurtosis", "mean_absolute_deviation", "range"):
        assert far[name] == near[name], name


# ---- order statistics


@given(arrays.arrays(np.float32, st.integers(1, 700), elements=wide), st.data())
@settings(max_examples=60, deadline=None)
def test_order_statistics_are_those_of_sorting(values, data):
    values = values + np.float32(0)
    ranks = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), min_size=4, max_size=4)))
    out = np.empty(len(ranks), np.float32)
    order_statistics(values, float(values.min()), float(values.max()), ranks, out)
    np.testing.assert_array_equal(out, np.sort(values)[ranks])


@pytest.mark.parametrize(
    "values",
    [
        10.0 ** np.arange(-30, 30, 0.01),  # nearly all in one bucket
        np.r_[np.zeros(3000), 1e30],
        np.r_[1.0, np.nextafter(np.float32(1), 2) * np.ones(999)],
        np.arange(5000) % 7,
    ],
    ids=["logarithmic", "outlier", "neighbours", "ties"],
)
def test_awkward_distributions(values):
    values = np.random.default_rng(0).permutation(values.astype(np.float32))
    ranks = np.arange(len(values))[:: max(len(values) // 10, 1)].copy()
    out = np.empty(len(ranks), np.float32)
    order_statistics(values, float(values.min()), float(values.max()), ranks, out)
    np.testing.assert_array_equal(out, np.sort(values)[ranks])
    image = values[None, None]
    np.testing.assert_array_equal(on_the_gpu(image, statistics.place(image)), statistics(image)[0])


def test_a_sum_is_a_tree_over_256_lanes():
    lanes = np.random.default_rng(2).normal(size=LANES)
    tree = lanes.reshape(-1, 32)
    while tree.shape[1] > 1:
        half = tree.shape[1] // 2
        tree = tree[:, :half] + tree[:, half:]
    want = 0.0
    for warp in tree[:, 0].tolist():
        want += warp
    assert fold(lanes) == want


# ---- properties


@given(regions, areas)
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks):
    for grey, area in ((images, masks), (images[None], masks[None])):
        values, _ = statistics(grey, area)
        want = statistics.reference(grey, statistics.place(grey, area))
        scale = float(np.abs(grey).max())
        for name, got, right in zip(NAMES, values.T, want.T, strict=True):
            if name not in QUOTIENTS:  # where 0 is divided by nearly 0, rounding shows
                size = scale**2 * grey[0].size if UNITS[name] == "intensity^2" else scale
                np.testing.assert_allclose(got, right, rtol=2e-6, atol=1e-7 * size, err_msg=name)


@given(regions, areas, st.integers(0, 4), st.integers(0, 5), floats)
@settings(max_examples=30, deadline=None)
def test_what_surrounds_a_region_does_not_count(images, masks, y, x, paint):
    wide, area = np.full((2, 11, 14), paint, np.float32), np.zeros((2, 11, 14), bool)
    wide[:, y : y + 7, x : x + 9] = np.where(masks, images, paint)
    area[:, y : y + 7, x : x + 9] = masks
    np.testing.assert_array_equal(statistics(wide, area)[0], statistics(images, masks)[0])


def test_flips_and_rotations_change_only_the_order_of_sums():
    image = np.random.default_rng(3).normal(100, 30, (1, 31, 40)).astype(np.float32)
    want, _ = statistics(image)
    for turned in (image[:, ::-1], image[..., ::-1], image.swapaxes(1, 2)):
        np.testing.assert_allclose(statistics(turned)[0], want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_the_dtype_does_not_matter(dtype):
    image = np.random.default_rng(4).integers(0, 200, (3, 30, 31)).astype(np.uint8)
    np.testing.assert_array_equal(statistics(image.astype(dtype))[0], statistics(image)[0])


def test_many_regions_in_one_image_are_those_regions_alone():
    rng = np.random.default_rng(5)
    image = rng.integers(0, 4000, (2, 64, 80)).astype(np.uint16)
    labels = np.kron(rng.permutation(80).reshape(8, 10), np.ones((8, 8), int)).astype(np.int32)
    labels = np.stack([labels, labels.T.reshape(64, 80)])
    where = mk.regions(labels)
    values, _ = statistics(image, where)
    assert len(values) == len(where) > 100
    for row in (0, 40, len(where) - 1):
        alone = labels[where.image[row]] == where.label[row]
        np.testing.assert_array_equal(
            statistics(image[where.image[row]][None], alone[None])[0][0], values[row]
        )
    some = where.some(np.arange(0, len(where), 13))
    np.testing.assert_array_equal(on_the_gpu(image, some), values[::13])


def test_values_are_gathered_row_after_row():
    image = np.arange(24, dtype=np.int16).reshape(1, 4, 6) - 10
    mask = np.zeros((1, 4, 6), np.uint8)
    mask[0, 1, 2:5] = mask[0, 3, 0] = 1
    values, spans = cpu_values(image, mk.statistics.place(image, mask))
    start, count = spans[0]
    assert values[start : start + count].tolist() == [-2, -1, 0, 8]


# ---- degenerate regions


@pytest.mark.parametrize("value", [0.0, 7.0, -0.1, 1e30])
@pytest.mark.parametrize("size", [1, 2, 5, 300])
def test_a_flat_region_has_no_spread(value, size):
    image = np.full((1, 1, size), value, np.float32)
    got = found(image)[0]
    v = float(np.float32(value))
    level = {"mean", "median", "minimum", "percentile_10", "percentile_90", "maximum"}
    for name in NAMES:
        if name in level:
            assert got[name] == v, name
        elif name == "root_mean_square":
            assert got[name] == pytest.approx(abs(v), rel=1e-6)
        elif name == "energy":
            assert got[name] == pytest.approx(min(v * v * size, np.inf), rel=1e-6) or v > 1e19
        elif v == 0 and name in ("coefficient_of_variation", "quartile_coefficient_of_dispersion"):
            assert np.isnan(got[name])
        else:
            assert got[name] == 0, name
    np.testing.assert_array_equal(on_the_gpu(image, statistics.place(image)), statistics(image)[0])


def test_of_two_pixels_none_lies_in_the_middle():
    got = found(np.array([[[1, 3]]], np.uint8))[0]
    assert np.isnan(got.pop("robust_mean_absolute_deviation"))
    assert got["percentile_10"] == pytest.approx(1.2)
    assert np.isfinite(list(got.values())).all()


def test_empty_regions_and_pixels_that_are_not_numbers():
    image = np.random.default_rng(6).normal(size=(3, 12, 13)).astype(np.float32)
    masks = np.ones(image.shape, np.uint8)
    masks[1] = 0
    masks[0, 2, 3] = masks[0, 5, 5] = masks[0, 0, 0] = 0
    spoilt = image.copy()
    spoilt[0, 2, 3], spoilt[0, 5, 5], spoilt[0, 0, 0] = np.nan, np.inf, -np.inf
    spoilt[2] = np.nan
    values, _ = statistics(spoilt)
    want, _ = statistics(image, masks)
    np.testing.assert_array_equal(values[0], want[0])
    assert np.isnan(values[2]).all()
    assert np.isnan(want[1]).all()
