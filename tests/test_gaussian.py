"""The Gaussian: the peers' definition, accuracy at every sigma, what smoothing must keep."""

import math

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings, strategies as st

from medkern.bench.ptx import Interpreter
from medkern.kernels._cuda import running
from medkern.kernels.denoise._gaussian_plan import WIDE, Pyramid, reach, weights
from medkern.kernels.denoise.gaussian import gaussian

NARROW = (0.3, 1.0, 2.2, 3.9)
BROAD = (4.0, 7.9, 8.0, 15.9, 16.0, 33.0, 80.0, 200.0)  # both ends of every factor, and beyond
EXACT = {"uint8": 1, "uint16": 1, "int16": 1, "float32": 1e-6}


def random_images(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.random(shape, np.float32)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def apart(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got.astype(np.float64) - want).max())


# ---- the same definition as the peers


@pytest.mark.parametrize("dtype", gaussian.dtypes)
@pytest.mark.parametrize("sigma", [0.8, 3.0])
def test_equals_opencv(dtype, sigma):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    images = random_images((2, 65, 131), dtype)
    side = 2 * reach(sigma, 4.0) + 1
    want = [
        cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
        for image in images
    ]
    assert apart(gaussian(images, sigma=sigma), np.stack(want)) <= EXACT[dtype]


@pytest.mark.parametrize("truncate", [1.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("shape", [(2, 40, 57), (1, 9, 20, 33)])
def test_equals_scipy_with_every_window(truncate, shape):
    images = random_images(shape, "float32")
    want = [
        scipy.ndimage.gaussian_filter(image, 2.0, mode="nearest", truncate=truncate)
        for image in images.astype(np.float64)
    ]
    assert apart(gaussian(images, sigma=2.0, truncate=truncate), np.stack(want)) < 1e-6


# ---- accuracy of the wide Gaussians


@pytest.mark.parametrize("sigma", BROAD)
def test_the_step_response_is_the_error_function(sigma):
    size = min(int(12 * sigma), 1500)
    images = np.zeros((1, 3, size), np.float32)
    images[:, :, size // 2 :] = 1
    inside = np.arange(size) - size // 2 + 0.5
    want = [0.5 + 0.5 * math.erf(x / (sigma * math.sqrt(2))) for x in inside]
    got = gaussian(images, sigma=sigma)[0, 1]
    assert apart(got, np.array(want)) < 1.5 / (24 * sigma**2 * 4.1) + 2e-6  # sums, not integrals
    assert np.diff(got).min() > -3e-7 and got.min() >= -1e-7 and got.max() <= 1 + 3e-7


@pytest.mark.parametrize("sigma", BROAD[:6])
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_the_impulse_response_is_a_gaussian_wherever_the_impulse_lies(sigma, shift):
    size = 2 * int(7 * sigma) + 1
    images = np.zeros((1, 1, size), np.float32)
    images[0, 0, size // 2 + shift] = 1
    got = gaussian(np.repeat(images, 2, axis=1), sigma=sigma)[0, 0]
    x = np.arange(size) - size // 2 - shift
    want = np.exp(-0.5 * (x / sigma) ** 2)
    assert apart(got, want / want.sum()) < 6e-6 * got.max()


@pytest.mark.parametrize("sigma", BROAD[:5])
def test_wide_gaussians_equal_their_sum_over_all_pixels(sigma):
    for shape in ((1, 150, 170), (1, 11, 34, 40)):
        images = random_images(shape, "float32", 3)
        want = gaussian.reference(images, sigma=sigma).astype(np.float64)
        assert apart(gaussian(images, sigma=sigma), want) < 6e-7


@pytest.mark.parametrize("sigma", [4.0, 8.0, 16.0])
@pytest.mark.parametrize("shift", [0, 1])
def test_the_worst_of_all_images_is_within_4e_6(sigma, shift):
    """A signal of -1 and 1 that turns with the sign of the impulse response's error adds it all."""
    size = 2 * int(8 * sigma) + 1
    images = np.zeros((1, 1, size), np.float32)
    images[0, 0, size // 2 + shift] = 1
    x = np.arange(size) - size // 2 - shift
    want = np.exp(-0.5 * (x / sigma) ** 2)
    error = gaussian(images, sigma=sigma)[0, 0] - want / want.sum()
    assert np.abs(error).sum() < 2.5e-6  # of one axis; rows are constant here


@pytest.mark.parametrize("sigma", np.linspace(WIDE, 200, 80))
def test_the_variances_add_up_and_what_is_kept_is_sampled_finely(sigma):
    step = Pyramid.of(sigma)
    first = 0.95 * step.factor
    assert 2 * first**2 + (step.factor * step.inner) ** 2 == pytest.approx(sigma**2)
    assert step.inner > 1.4
    for taps in (step.shrink_weights, weights(step.inner, reach(step.inner, 5.2))):
        assert 2 * taps.sum(dtype=np.float64) - taps[0] == pytest.approx(1, abs=2e-7)
    np.testing.assert_allclose(step.grow_weights.sum(axis=1), 1, atol=2e-7)


def test_two_gaussians_are_one_of_the_summed_variance():
    images = random_images((1, 90, 120), "float32")
    twice = gaussian(gaussian(images, sigma=3.0, truncate=6.0), sigma=4.0)
    assert apart(gaussian(images, sigma=5.0)[:, 30:60, 40:80], twice[:, 30:60, 40:80]) < 2e-6


# ---- what smoothing keeps


@pytest.mark.parametrize("dtype", gaussian.dtypes)
@pytest.mark.parametrize("sigma", [*NARROW, 4.0, 16.0, 200.0])
def test_a_constant_image_is_unchanged(dtype, sigma):
    top = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    images = np.full((2, 13, 37), top, dtype)
    np.testing.assert_allclose(gaussian(images, sigma=sigma), images, rtol=5e-7)


@given(st.integers(0, 1000), st.sampled_from([0.7, 2.0, 5.0, 20.0]))
@settings(max_examples=12, deadline=None)
def test_turns_and_mirrors_with_the_image(seed, sigma):
    images = random_images((1, 40, 40), "float32", seed)
    smooth = gaussian(images, sigma=sigma)
    assert apart(gaussian(images.swapaxes(1, 2), sigma=sigma).swapaxes(1, 2), smooth) < 2e-6
    assert apart(gaussian(images[:, ::-1], sigma=sigma)[:, ::-1], smooth) < 2e-6


@given(st.integers(0, 1000), st.sampled_from([1.0, 3.0, 4.0, 9.0, 40.0]))
@settings(max_examples=15, deadline=None)
def test_the_result_stays_within_the_range_of_the_image(seed, sigma):
    images = random_images((2, 17, 50), "uint16", seed)
    smooth = gaussian(images, sigma=sigma)
    assert images.min() <= smooth.min() and smooth.max() <= images.max()


@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0])
def test_white_noise_falls_by_the_theory(sigma):
    """A sum of independent pixels has 1 / (4 pi sigma^2) of their variance, in two dimensions."""
    noise = np.random.default_rng(5).normal(0, 1, (4, 400, 400)).astype(np.float32)
    left = gaussian(noise, sigma=sigma)[:, 50:-50, 50:-50].std()
    assert left == pytest.approx(1 / (2 * math.sqrt(math.pi) * sigma), rel=0.05)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_an_edge_grows_to_2_56_sigma(sigma):
    """The 10-90 % width of a step is 2.563 sigma, no more (here between pixels, by lines)."""
    images = np.zeros((1, 4, 120), np.float32)
    images[:, :, 60:] = 1
    row = gaussian(images, sigma=sigma)[0, 2].astype(np.float64)
    width = np.interp(0.9, row, np.arange(120)) - np.interp(0.1, row, np.arange(120))
    assert width == pytest.approx(2.563 * sigma, rel=0.03)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 129, 2049, 4100])
@pytest.mark.parametrize("sigma", [1.0, 4.0, 17.0])
def test_images_of_every_width_and_height(width, sigma):
    for shape in ((2, 5, width), (1, width, 3)):
        images = random_images(shape, "float32", width)
        want = gaussian.reference(images, sigma=sigma).astype(np.float64)
        assert apart(gaussian(images, sigma=sigma), want) < 2e-6


# ---- not a number


def test_not_a_number_spreads_over_the_window_of_a_narrow_gaussian_only():
    images = random_images((1, 40, 50), "float32")
    images[0, 20, 25] = np.nan
    lost = np.isnan(gaussian(images, sigma=1.0))[0]
    want = np.zeros((40, 50), bool)
    want[16:25, 21:30] = True
    np.testing.assert_array_equal(lost, want)
    assert np.isnan(gaussian(images, sigma=4.0)).all()


# ---- GPU code


@pytest.mark.parametrize("sigma", [0.3, 3.9, 8.0, 40.0])
def test_gpu_code_has_the_bits_of_the_cpu_at_every_sigma(sigma):
    images = random_images((2, 35, 140), "float32")
    out = np.empty_like(images)
    with running(Interpreter(checks=False)):
        gaussian.gpu(images, out, sigma=sigma, truncate=4.0)
    np.testing.assert_array_equal(out, gaussian(images, sigma=sigma))
