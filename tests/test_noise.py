"""The noise estimate: right on made noise, blind to padding, the same for any scale."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.denoise import noise as file
from medkern.kernels.denoise.noise import noise_sigma


def white(shape, sigma, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, shape).astype(np.float32)


def structure(h, w):
    y, x = np.indices((h, w))
    return (100 * np.sin(y / 15) * np.cos(x / 19) + 200 * (x > y)).astype(np.float32)


@pytest.mark.parametrize("sigma", [2.0, 10.0, 50.0])
def test_white_noise_on_structure_is_found_within_five_percent(sigma):
    images = structure(256, 256) + white((4, 256, 256), sigma)
    np.testing.assert_allclose(noise_sigma(images), sigma, rtol=0.05)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
def test_noise_below_the_step_of_integers_is_found(sigma):
    images = np.rint(100 + white((2, 256, 256), sigma)).astype(np.uint8)
    rounded = np.sqrt(sigma**2 + 1 / 12)
    np.testing.assert_allclose(noise_sigma(images), rounded, rtol=0.1)


def test_padding_and_clipped_areas_are_left_out():
    images = 1000 + white((2, 256, 256), 20)
    images[:, :180] = -1024
    np.testing.assert_allclose(noise_sigma(images), 20, rtol=0.05)


def test_a_constant_or_tiny_image_has_no_noise():
    assert noise_sigma(np.full((2, 64, 64), 7, np.uint16)).tolist() == [0, 0]
    assert noise_sigma(np.zeros((3, 2, 2), np.float32)).tolist() == [0, 0, 0]
    values, names = mk.noise(np.full((1, 64, 64), 7, np.uint16))
    assert names == ("noise.sigma",) and np.isnan(values).all()


def test_smoothed_noise_is_found_at_the_next_scale():
    from scipy.ndimage import gaussian_filter

    rough = white((256, 256), 100)
    smooth = gaussian_filter(rough, 1.2)
    fine = np.median(abs(np.diff(np.diff(smooth, axis=0)[::2], axis=1)[:, ::2])) / 2 / 0.6745
    found = noise_sigma(smooth[None])[0]
    assert fine < 0.5 * smooth.std()
    assert 0.7 * smooth.std() < found < 1.5 * smooth.std()


def test_edges_in_a_third_of_the_image_are_no_noise():
    edges = np.random.default_rng(3).choice([0, 200], (256, 256)).astype(np.float32)
    edges[:, 85:] = 0
    images = edges[None] + white((1, 256, 256), 5)
    plain = np.median(np.abs(np.diff(np.diff(images[0], axis=0)[::2])[:, ::2])) / 2 / 0.6745
    assert plain > 6.5
    np.testing.assert_allclose(noise_sigma(images), 5, rtol=0.05)


def test_structure_lowers_the_estimate_of_smoothed_noise():
    """A hundred small discs fill the wide differences' tails."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(white((256, 256), 100), 1.2)
    discs = np.zeros((256, 256), np.float32)
    places = np.random.default_rng(4).integers(0, 256, (100, 2))
    discs[*places.T] = 3e5
    structured = smooth + gaussian_filter(discs, 4.0)
    assert noise_sigma(structured[None])[0] < 0.9 * noise_sigma(smooth[None])[0]


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_the_background_of_a_magnitude_gives_the_sigma_of_its_parts(sigma):
    y, x = np.indices((256, 256))
    signal = np.where((y - 128) ** 2 + (x - 128) ** 2 < 60**2, 300.0, 0.0)
    rng = np.random.default_rng(0)
    parts = signal + rng.normal(0, sigma, signal.shape), rng.normal(0, sigma, signal.shape)
    magnitude = np.hypot(*parts)[None].astype(np.float32)
    np.testing.assert_allclose(noise_sigma(magnitude), sigma, rtol=0.08)
    np.testing.assert_allclose(mk.noise(magnitude, model="rician")[0], sigma, rtol=0.08)
    inside = (signal[None] > 0).astype(np.uint8)
    np.testing.assert_allclose(mk.noise(magnitude, inside, model="rician")[0], sigma, rtol=0.05)


@pytest.mark.parametrize(("gain", "read"), [(0.5, 2.0), (4.0, 10.0), (2.0, 0.0)])
def test_gain_and_read_noise_are_found(gain, read):
    rng = np.random.default_rng(1)
    y, x = np.indices((512, 512))
    counts = rng.poisson(60 + 50 * np.sin(y / 40) * np.cos(x / 30))
    images = (gain * counts + rng.normal(0, read, counts.shape)).astype(np.float32)[None]
    values, names = mk.noise(images, model="poisson")
    assert names == ("noise.gain", "noise.read")
    np.testing.assert_allclose(values[0, 0], gain, rtol=0.1)
    expected = gain * gain * 60 + read**2
    np.testing.assert_allclose(values[0, 0] * gain * 60 + values[0, 1] ** 2, expected, rtol=0.1)


@settings(max_examples=20, deadline=None)
@given(st.integers(-20, 20), st.integers(0, 3))
def test_sigma_scales_with_the_image_and_ignores_a_shift(power, seed):
    images = white((1, 64, 64), 1, seed)
    want = noise_sigma(images)
    np.testing.assert_array_equal(noise_sigma(images * np.float32(2.0**power)), want * 2.0**power)
    np.testing.assert_allclose(noise_sigma(images + np.float32(64)), want, rtol=1e-4)


def test_masks_limit_where_noise_is_looked_for():
    images = white((1, 128, 128), 5)
    images[:, :, 64:] *= 8
    left = np.zeros(images.shape, np.uint8)
    left[:, :, :64] = 1
    np.testing.assert_allclose(mk.noise(images, left)[0], 5, rtol=0.1)
    np.testing.assert_allclose(mk.noise(images, 1 - left)[0], 40, rtol=0.1)


def test_the_estimate_behind_auto_is_the_same_on_the_gpu():
    for dtype in (np.uint8, np.float32):
        images = (100 + white((2, 3, 21, 34), 9)).astype(dtype)
        got = np.empty(2, np.float32)
        with _cuda.running(Interpreter()):
            file.gpu_sigma(images, None, got, file.BACKGROUND, 0.0)
        np.testing.assert_array_equal(got, noise_sigma(images))


def test_it_agrees_with_scikit_image_on_white_noise():
    restoration = pytest.importorskip("skimage.restoration")
    image = structure(512, 512) + white((512, 512), 10)
    want = restoration.estimate_sigma(image)
    np.testing.assert_allclose(noise_sigma(image[None])[0], want, rtol=0.03)
