"""Local binary patterns: scikit-image's codes, invariances, regions, degenerate images."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture._patterns import METHODS, NRI_UNIFORM, UNIFORM, necklaces, to_values
from medkern.kernels.texture.lbp import lbp, pattern_image, patterns

CIRCLES = [(8, 1), (8, 1.5), (16, 2), (24, 3)]
images_of = arrays.arrays(np.uint8, (2, 9, 13), elements=st.integers(0, 5))


def noise(seed: int, shape: tuple[int, ...], top: int = 4096) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint16)


# ---- peers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("points", "radius"), CIRCLES)
def test_codes_equal_scikit_image(points, radius, method):
    """Noise has no ties of interpolated values, which rounding decides there."""
    feature = pytest.importorskip("skimage.feature")
    image = noise(1, (33, 40))
    want = feature.local_binary_pattern(image, points, radius, method)
    found = patterns(image[None], points=points, radius=radius, method=method)[0]
    np.testing.assert_array_equal(found, want)


def test_float_images_give_scikit_image_s_codes():
    feature = pytest.importorskip("skimage.feature")
    image = np.random.default_rng(2).random((40, 31)).astype(np.float32)
    with pytest.warns(UserWarning, match="floating-point"):
        want = feature.local_binary_pattern(image, 8, 1, "uniform")
    np.testing.assert_array_equal(patterns(image[None])[0], want)


def test_the_histogram_is_that_of_the_codes():
    image = noise(3, (3, 64, 64))
    values, names = lbp(image, method="ror")
    codes = patterns(image, method="ror")
    assert names[3] == "lbp.ror.5.p8.r1"
    for value, of_image in zip(values, codes, strict=True):
        want = [(of_image == code).mean(dtype=np.float64) for code in necklaces(8)]
        np.testing.assert_array_equal(value, np.array(want, np.float32))


# ---- what codes mean


def test_equal_pixels_are_equal_however_a_point_lies():
    for level in (0, 1, 7, 100, 65535):
        image = np.full((1, 12, 12), level, np.uint16)
        for points, radius in CIRCLES:
            codes = patterns(image, points=points, radius=radius, method="default")
            assert (codes[0, 4:-4, 4:-4] == 2**points - 1).all()


@pytest.mark.parametrize("points", [8, 16])
def test_uniform_numbers_are_those_of_the_definition(points):
    """Every pattern of at most one run has a number of its own, all others share the last."""
    codes = np.arange(2**points, dtype=np.uint32)
    bits = codes[:, None] >> np.arange(points, dtype=np.uint32) & 1
    runs = (bits > np.roll(bits, 1, axis=1)).sum(axis=1)
    by_length, by_place = codes.copy(), codes.copy()
    to_values(by_length, points, UNIFORM)
    to_values(by_place, points, NRI_UNIFORM)
    np.testing.assert_array_equal(by_length, np.where(runs < 2, bits.sum(axis=1), points + 1))
    assert sorted(by_place[runs < 2]) == list(range(points * (points - 1) + 2))
    assert (by_place[runs > 1] == points * (points - 1) + 2).all()


@given(images_of, st.sampled_from(METHODS), st.sampled_from([1.0, 1.5, 2.25]))
@settings(max_examples=30, deadline=None)
def test_the_compiled_codes_are_the_definition_s(images, method, radius):
    found = patterns(images, method=method, radius=radius)
    for image, codes in zip(images, found, strict=True):
        np.testing.assert_array_equal(codes, pattern_image(image, 8, radius, method))


@given(images_of)
@settings(max_examples=30, deadline=None)
def test_a_quarter_turn_leaves_what_does_not_name_a_direction(images):
    """Exact for 8 points: the weights of diagonals are the same for all four."""
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2)))
    for method in ("ror", "uniform"):
        np.testing.assert_array_equal(lbp(turned, method=method)[0], lbp(images, method=method)[0])


@given(images_of, st.integers(1, 40), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_brightness_and_contrast_do_not_matter_inside(images, gain, offset):
    brighter = images.astype(np.uint16) * np.uint16(gain) + np.uint16(offset)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_array_equal(patterns(brighter)[inside], patterns(images)[inside])


# ---- regions


def test_objects_windows_and_masks_count_the_same_pixels():
    image, labels = noise(4, (2, 60, 70)), np.zeros((2, 60, 70), np.int32)
    labels[0, 3:20, 5:31], labels[0, 30:60, 0:9], labels[1, 10:50, 40:70] = 1, 7, 2
    where = mk.regions(labels)
    values, _ = lbp(image, where)
    codes = patterns(image)
    for (found, inside), value in zip(where.crops(codes), values, strict=True):
        want = np.bincount(found[inside], minlength=10) / inside.sum()
        np.testing.assert_array_equal(value, np.float32(want))
    by_mask, _ = lbp(image, (labels == 2).astype(np.uint8))
    np.testing.assert_array_equal(by_mask[1], values[2])
    assert np.isnan(by_mask[0]).all()
    by_window, _ = lbp(image, mk.windows(image.shape, 20, 10))
    want = np.bincount(codes[0, 10:30, 20:40].ravel(), minlength=10) / 400
    np.testing.assert_array_equal(by_window[7 - 1 + 2], np.float32(want))


def test_a_large_region_is_counted_in_strips():
    image = noise(5, (1, 700, 301))
    codes = patterns(image)
    want = np.bincount(codes.ravel(), minlength=10) / codes.size
    np.testing.assert_array_equal(lbp(image)[0][0], np.float32(want))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_the_dtype_does_not_matter(dtype):
    image = noise(6, (2, 30, 31), 256)
    np.testing.assert_array_equal(lbp(image.astype(dtype))[0], lbp(image)[0])


@pytest.mark.parametrize("parameters", [{"method": "nri_uniform"}, {"points": 16, "radius": 2.5}])
def test_the_gpu_code_gives_the_bits_of_the_cpu_code(parameters):
    image = noise(7, (2, 21, 33))
    labels = np.random.default_rng(7).integers(0, 4, image.shape).astype(np.int32)
    for where in (mk.regions(labels), mk.windows(image.shape, 9, 5)):
        values, _ = lbp(image, where, **parameters)
        found = np.empty_like(values)
        with _cuda.running(Interpreter()):
            lbp.gpu(image, where, found, **lbp.resolve(parameters))
        np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


def test_pixels_that_are_not_numbers_are_never_brighter():
    image = noise(8, (1, 9, 9)).astype(np.float32)
    image[0, 4, 4] = np.nan
    codes = patterns(image, method="default")[0]
    assert codes[4, 4] == 0
    assert codes[4, 3] & 1 == 0  # to its left: the first point
    np.testing.assert_array_equal(codes, pattern_image(image[0], 8, 1.0, "default"))


# ---- words and errors


def test_columns_and_refusals():
    image = np.zeros((1, 4, 4), np.uint8)
    assert len(lbp(image, method="default")[1]) == 256
    assert len(lbp(image, method="nri_uniform")[1]) == 59
    _, names = lbp(image, points=24, radius=2.5)
    assert names[25] == "lbp.uniform.25.p24.r2_5"
    with pytest.raises(ValueError, match="method 'ror' takes at most 16 points"):
        lbp(image, points=24, method="ror")
    with pytest.raises(ValueError, match="method 'default' takes at most 8 points"):
        lbp(image, points=16, method="default")
