"""The guided filter: against OpenCV's box means, at 16 bits, on noise and edges."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from test_bilateral import EDGE, SIGMA, edge, noisy, width

from medkern.kernels.denoise.guided import guided


@pytest.mark.parametrize("radius", [1, 3, 8, 20])
@pytest.mark.parametrize("guided_by_another", [False, True])
def test_equals_opencv_s_box_means(radius, guided_by_another):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = noisy((1, 60, 75))
    guide = noisy((1, 60, 75), 3) if guided_by_another else image
    got = guided(image, radius=radius, sigma=4.0, strength=1.5, guide=guide)[0]

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REPLICATE)

    i, g = image[0].astype(np.float64), guide[0].astype(np.float64)
    a = (mean(i * g) - mean(i) * mean(g)) / (mean(g * g) - mean(g) ** 2 + 36.0)
    want = mean(a) * g + mean(mean(i) - a * mean(g))
    np.testing.assert_allclose(got, want, rtol=3e-6)


def test_small_noise_on_a_large_offset_is_measured_right():
    """Sums of squares in float32 would lose a variance of 4 below 60000^2 altogether."""
    images = np.full((1, 64, 300), 60000, np.float32)
    images[..., 150:] = 500
    images += np.random.default_rng(0).normal(0, 2, images.shape).astype(np.float32)
    want = guided.reference(images, radius=4, strength=1.0, sigma=np.array([2.0]))
    got = guided(images, radius=4, strength=1.0, sigma=2.0)
    assert np.abs(got - want).max() < 0.02


@pytest.mark.parametrize("dtype", guided.dtypes)
@pytest.mark.parametrize("shape", [(2, 30, 40), (2, 4, 9, 40)])
def test_a_constant_image_is_unchanged(dtype, shape):
    images = np.full(shape, 77, dtype)
    for chosen in ({}, {"sigma": 3.0}):
        np.testing.assert_allclose(guided(images, **chosen), images, rtol=1e-6)


def test_sigma_zero_leaves_the_image():
    images, out = noisy((2, 20, 30)), np.empty((2, 20, 30), np.float32)
    chosen = guided.resolve({}) | {"sigma": np.zeros(2, np.float32)}
    guided.cpu(images, out, guide=None, **chosen)
    np.testing.assert_allclose(out, images, rtol=1e-6)


def test_the_image_as_its_own_guide_is_no_guide():
    images = noisy((2, 40, 50))
    np.testing.assert_allclose(guided(images, guide=images), guided(images), rtol=2e-6)


def test_a_guide_hands_its_edges_on():
    clean = np.repeat(np.where(np.arange(64) < 32, 0.0, 200.0)[None, None], 50, axis=1)
    images = noisy((1, 50, 64)) + clean.astype(np.float32)
    guide = np.ascontiguousarray(np.broadcast_to(clean, images.shape), np.float32)
    got = guided(images, radius=6, sigma=5.0, guide=guide)
    assert np.std(got - clean) < 0.3 * np.std(images - clean)


@given(st.integers(0, 99), st.sampled_from([0.25, 4.0, 1024.0]), st.sampled_from([-64.0, 512.0]))
@settings(max_examples=15, deadline=None)
def test_scale_and_offset_pass_through(seed, scale, offset):
    images = noisy((1, 16, 20), seed)
    want = guided(images, sigma=4.0) * scale + offset
    got = guided(images * scale + offset, sigma=4.0 * scale)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4 * scale)


@pytest.mark.parametrize("shape", [(3, 300, 17), (40, 9, 30), (2, 70, 2100), (1, 70, 40, 140)])
@pytest.mark.parametrize("radius", [1, 3])
def test_blocks_do_not_show(shape, radius):
    """Bit for bit: an image inside a wide batch, and another first row of a block."""
    images = noisy(shape)
    got = guided(images, radius=radius, sigma=5.0)
    np.testing.assert_array_equal(got[-1:], guided(images[-1:], radius=radius, sigma=5.0))
    want = guided.reference(images, radius=radius, strength=2.6, sigma=np.full(len(images), 5.0))
    np.testing.assert_allclose(got, want, rtol=2e-6)


def test_noise_of_a_flat_image_falls_to_a_third():
    images = noisy((1, 80, 80))
    assert np.std(guided(images)) < np.std(images) / 3


@pytest.mark.parametrize("blur", [0.2, 0.6, 1.0])
def test_an_edge_of_twenty_sigma_stays_narrow(blur):
    images = edge(blur)
    assert np.ptp(images) > EDGE
    got = guided(images, sigma=SIGMA)
    assert width(got) <= width(images) + 0.25
    assert np.std(got[..., :20]) < 0.5 * SIGMA


def test_not_a_number_reaches_two_radii_and_no_further():
    images = noisy((1, 40, 40))
    want = guided(images, radius=2, sigma=5.0)
    images[0, 20, 20] = np.nan
    got = guided(images, radius=2, sigma=5.0)
    spoilt = np.zeros(got.shape, bool)
    spoilt[0, 16:25, 16:25] = True
    np.testing.assert_array_equal(np.isnan(got), spoilt)
    np.testing.assert_array_equal(got[~spoilt], want[~spoilt])


def test_the_radius_is_bounded():
    with pytest.raises(ValueError, match="radius must be 1 to 50"):
        guided(np.zeros((1, 4, 4), np.uint8), radius=51)
    with pytest.raises(ValueError, match="radius must be 1 to 8 in volumes"):
        guided(np.zeros((1, 4, 4, 4), np.uint8), radius=9)
