"""The difference of Gaussians: scikit-image's definition, and what a band-pass filter must do."""

import math

import numpy as np
import pytest

from medkern.kernels.denoise.dog import dog
from medkern.kernels.denoise.gaussian import gaussian


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def disc(radius: float, size: int = 65) -> np.ndarray:
    y, x = np.indices((size, size)) - size // 2
    return (y**2 + x**2 <= radius**2).astype(np.float32)[None]


@pytest.mark.parametrize("shape", [(2, 50, 61), (1, 7, 20, 31)])
def test_equals_scikit_image(shape):
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    images = noise(shape)
    want = np.stack([filters.difference_of_gaussians(i.astype(float), 1.2, 2.0) for i in images])
    np.testing.assert_allclose(dog(images, low_sigma=1.2, high_sigma=2.0), want, atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.6), (2.0, 9.0), (5.0, 40.0)])
def test_is_the_difference_of_two_gaussians_bit_for_bit(low, high):
    images = noise((2, 40, 70))
    want = gaussian(images, sigma=low) - gaussian(images, sigma=high)
    np.testing.assert_array_equal(dog(images, low_sigma=low, high_sigma=high), want)


@pytest.mark.parametrize("dtype", dog.dtypes)
def test_a_constant_image_gives_nothing(dtype):
    images = np.full((1, 20, 30), 100, dtype)
    got = dog(images)
    assert got.dtype == np.float32
    assert np.abs(got).max() < 1e-4


def test_integers_keep_their_fractions_and_both_signs():
    images = np.zeros((1, 31, 31), np.uint8)
    images[0, 15, 15] = 10
    got = dog(images)
    assert got.max() > 0 > got.min()
    np.testing.assert_array_equal(got, dog(images.astype(np.float32)))


def test_the_sum_over_the_plane_is_zero():
    images = np.zeros((1, 80, 80), np.float32)
    images[0, 30:50, 35:45] = noise((20, 10))
    assert abs(dog(images).sum(dtype=np.float64)) < 1e-3


def test_a_bright_disc_answers_at_its_centre_and_best_at_its_size():
    low, high = 3.0, 4.8
    best = 1.4 * math.sqrt(low * high)
    answers = {}
    for radius in (0.4 * best, best, 2.2 * best):
        got = dog(disc(radius), low_sigma=low, high_sigma=high)[0]
        answers[radius] = got[32, 32]
    assert max(answers, key=lambda radius: answers[radius]) == best
    got = dog(disc(best), low_sigma=low, high_sigma=high)[0]
    assert np.unravel_index(got.argmax(), got.shape) == (32, 32)
    dark = dog(1 - disc(best), low_sigma=low, high_sigma=high)[0]
    np.testing.assert_allclose(dark, -got, atol=1e-6)


def test_shading_vanishes_and_detail_stays():
    y, x = np.indices((128, 128))
    shading = (0.01 * x + 0.02 * y).astype(np.float32)[None]
    assert np.abs(dog(shading)[:, 10:-10, 10:-10]).max() < 1e-5
    wave = np.sin(2 * np.pi * x / 6.5).astype(np.float32)[None]
    assert np.abs(dog(wave)[:, 20:-20, 20:-20]).max() > 0.2


def test_the_two_sigmas_have_an_order():
    images = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(ValueError, match="high_sigma, 1, must be above low_sigma, 2"):
        dog(images, low_sigma=2.0, high_sigma=1.0)
    with pytest.raises(ValueError, match="must be above low_sigma"):
        dog(images, low_sigma=1.5, high_sigma=1.5)
