"""Intensity histogram and intensity-volume histogram: by hand, invariances, degenerate regions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.histogram import FEATURES, histogram
from medkern.kernels.texture.ivh import BOUNDS, UNITS, ivh

regions = arrays.arrays(np.uint8, (2, 6, 7), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (2, 6, 7))


def found(kernel, images, masks=None, **parameters) -> list[dict[str, float]]:
    values, names = kernel(images, masks, **parameters)
    short = [name.split(".")[1] for name in names]
    return [dict(zip(short, row.tolist(), strict=True)) for row in values]


def on_the_gpu(kernel, images, masks=None, **parameters) -> np.ndarray:
    chosen = kernel.resolve(parameters)
    values = np.empty((len(images), len(kernel.features)), np.float32)
    with _cuda.running(Interpreter()):
        kernel.gpu(images, kernel.place(images, masks), values, **chosen)
    return values


# ---- the histogram


def test_a_histogram_by_hand():
    """Levels 1 to 5 are met 2, 0, 3, 3 and 2 times: mean 3.3, two modes at distance 0.3 and 0.7."""
    image = np.repeat(np.arange(1, 6, dtype=np.uint8), [2, 0, 3, 3, 2]).reshape(1, 2, 5)
    got = found(histogram, image, levels=8, binning="none")[0]
    want = {
        "mean": 3.3, "variance": 1.81, "mode": 3, "minimum": 1, "maximum": 5, "range": 4,
        "median": 3.5, "percentile_10": 1, "percentile_90": 5, "interquartile_range": 1,
        "mean_absolute_deviation": (2 * 2.3 + 3 * 0.3 + 3 * 0.7 + 2 * 1.7) / 10,
        "median_absolute_deviation": (2 * 2.5 + 3 * 0.5 + 3 * 0.5 + 2 * 1.5) / 10,
        "entropy": stats.entropy([2, 3, 3, 2], base=2), "uniformity": 0.26,
        "maximum_gradient": 1.5, "maximum_gradient_level": 3,  # -2, 0.5, 1.5, -0.5, -1
        "minimum_gradient": -2, "minimum_gradient_level": 1,
    }  # fmt: skip
    assert {name: got[name] for name in want} == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "mode"),
    [([3, 0, 3], 1), ([3, 1, 3, 0], 1), ([3, 0, 1, 3], 4), ([1, 4, 0, 4, 1], 2), ([0, 2, 2, 1], 3)],
)
def test_of_several_modes_the_nearest_to_the_mean_then_the_lower(counts, mode):
    image = np.repeat(np.arange(1, len(counts) + 1, dtype=np.uint8), counts)[None, None]
    assert found(histogram, image, binning="none", levels=8)[0]["mode"] == mode
    assert on_the_gpu(histogram, image, binning="none", levels=8)[0, 9] == mode


def test_shape_equals_scipy():
    image = np.random.default_rng(1).integers(1, 33, (1, 40, 50)).astype(np.uint8)
    got, v = found(histogram, image, binning="none", levels=32)[0], image.ravel().astype(float)
    assert got["skewness"] == pytest.approx(stats.skew(v), rel=1e-4)
    assert got["kurtosis"] == pytest.approx(stats.kurtosis(v), rel=1e-6)
    assert got["coefficient_of_variation"] == pytest.approx(stats.variation(v), rel=1e-6)


@given(regions, areas, st.sampled_from(histogram.examples))
@settings(max_examples=40, deadline=None)
def test_the_compiled_histogram_equals_the_definition(images, masks, example):
    for grey, area in ((images, masks), (images[None], masks[None])):
        chosen = histogram.resolve(example)
        want = histogram.reference(grey, histogram.place(grey, area), **chosen)
        np.testing.assert_allclose(histogram(grey, area, **chosen)[0], want, rtol=1e-6, atol=1e-6)


@given(regions, areas)
@settings(max_examples=30, deadline=None)
def test_inverting_the_greys_mirrors_the_histogram(images, masks):
    grey = images % 8 + 1
    masks[:, 0, 0] = masks[:, 0, 1] = True
    grey[:, 0, 0], grey[:, 0, 1] = 1, 8  # so that Ng is 8 in both
    rows = zip(
        found(histogram, grey, masks, binning="none", levels=8),
        found(histogram, 9 - grey, masks, binning="none", levels=8),
        strict=True,
    )
    for row, mirrored in rows:
        assert mirrored["mean"] == pytest.approx(9 - row["mean"], rel=1e-6)
        assert mirrored["skewness"] == pytest.approx(-row["skewness"], abs=1e-5)
        assert mirrored["percentile_10"] == pytest.approx(9 - row["percentile_90"], rel=1e-6)
        assert mirrored["maximum_gradient"] == -row["minimum_gradient"]
        for name in ("variance", "entropy", "uniformity", "interquartile_range", "kurtosis"):
            assert mirrored[name] == pytest.approx(row[name], rel=1e-5, abs=1e-5), name


def test_a_flat_region_is_one_level():
    image = np.full((1, 5, 6), 400, np.uint16)
    got = found(histogram, image)[0]
    one = {"mean", "median", "minimum", "percentile_10", "percentile_90", "maximum", "mode",
           "uniformity", "maximum_gradient_level", "minimum_gradient_level"}  # fmt: skip
    assert got == {feature.name: float(feature.name in one) for feature in FEATURES}
    np.testing.assert_array_equal(on_the_gpu(histogram, image), histogram(image)[0])


def test_the_outside_is_no_level():
    image = np.random.default_rng(2).normal(size=(3, 9, 11)).astype(np.float32)
    masks = np.ones(image.shape, np.uint8)
    masks[1], masks[2] = 0, 1
    image[2] = np.nan
    values, _ = histogram(image, masks)
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1:]).all()


# ---- the intensity-volume histogram


def test_a_curve_by_hand():
    """0 to 100 in steps of 10, each once: nu falls by 1/11 after each."""
    image = np.arange(0, 101, 10, dtype=np.uint8)[None, None]
    got = found(ivh, image)[0]
    assert got["volume_at_intensity_fraction_10"] == pytest.approx(10 / 11)
    assert got["volume_at_intensity_fraction_90"] == pytest.approx(2 / 11)
    assert got["intensity_at_volume_fraction_10"] == 91  # 1 of 11 pixels is more: 9 %
    assert got["intensity_at_volume_fraction_90"] == 11
    # 11 pixels have v >= 0, .., 1 has v >= 100: together 561 at the 101 intensities
    assert got["area_under_curve"] == pytest.approx((561 - (11 + 1) / 2) / 11 / 100)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("units", UNITS)
def test_against_the_curve_drawn_point_by_point(units, bounds):
    """The manual's definition, with every volume fraction counted anew."""
    v = np.random.default_rng(3).gamma(2, 3, 500).astype(np.float32).astype(np.float64)
    low, high, width = 0.5, 14.5, 0.25
    if units != "arbitrary" and bounds != "region":
        v = v[(v >= low) & (v <= (high if bounds == "both" else np.inf))]
    x, y = (v.min(), v.max()) if bounds == "region" else (low, v.max())
    y = high if bounds == "both" else y
    if units == "discrete":
        levels, first, last, step = v, x, y, 1.0
    elif units == "continuous":
        levels = x + (np.floor((v - x) / width) + 0.5) * width
        first, last, step = x + width / 2, y - width / 2, width
    else:
        levels = np.minimum(np.floor(1000 * (v - v.min()) / np.ptp(v)) + 1, 1000)
        first, last, step = 1.0, 1000.0, 1.0
    grid = first + np.arange(int((last - first) / step + 1e-9) + 1) * step
    nu = np.array([(levels >= i - 1e-9).mean() for i in grid])
    gamma = (grid - first) / (last - first)
    v10, v90 = (nu[gamma >= part - 1e-9].max() for part in (0.1, 0.9))
    i10, i90 = (grid[nu <= part + 1e-12].min() for part in (0.1, 0.9))
    area = sum((a + b) / 2 for a, b in pairwise(nu)) * step / (last - first)
    image = v.astype(np.float32)[None, None]
    settings = {"units": units, "width": width, "bounds": bounds, "low": low, "high": high}
    want = [v10, v90, i10, i90, v10 - v90, i10 - i90, area]
    np.testing.assert_allclose(ivh(image, **settings)[0][0], want, rtol=1e-5)
    np.testing.assert_array_equal(on_the_gpu(ivh, image, **settings), ivh(image, **settings)[0])


@given(regions, areas, st.sampled_from(ivh.examples))
@settings(max_examples=40, deadline=None)
def test_the_compiled_curve_equals_the_definition(images, masks, example):
    for grey, area in ((images, masks), (images[None], masks[None])):
        chosen = ivh.resolve(example)
        want = ivh.reference(grey, ivh.place(grey, area), **chosen)
        np.testing.assert_allclose(ivh(grey, area, **chosen)[0], want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("units", UNITS)
def test_one_intensity_only(units):
    """The manual: no area. All the volume is at and above the one intensity there is."""
    image = np.full((1, 4, 4), 3, np.int16)
    got = found(ivh, image, units=units, width=0.5)[0]
    volume = 0.0 if units == "arbitrary" else 1.0  # bin 1 of 1000
    next_one = {"discrete": 4.0, "continuous": 3.75, "arbitrary": 2.0}[units]
    area = 0.0
    assert list(got.values()) == [volume, volume, next_one, next_one, 0.0, 0.0, area]


def test_pixels_outside_the_bounds_leave_the_region():
    image = np.array([[[-5, 0, 1, 2, 8, 9, 10, 40]]], np.int16)
    some = np.array([[[0, 0, 1, 1, 1, 1, 1, 0]]], np.uint8)
    limits = {"bounds": "both", "low": 1.0, "high": 10.0}
    np.testing.assert_array_equal(ivh(image, **limits)[0], ivh(image, some, **limits)[0])
    assert np.isnan(ivh(image, bounds="both", low=50.0, high=60.0)[0]).all()


def test_bounds_have_an_order():
    with pytest.raises(ValueError, match=r"ivh: low must be below high, got 3\.0 and 1\.0"):
        ivh(np.zeros((1, 2, 2), np.uint8), bounds="both", low=3.0, high=1.0)
