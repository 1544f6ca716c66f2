"""Speckle filters: what they must do to speckle, edges and constant images, and its estimate."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import Kernel
from medkern.kernels._cuda import running
from medkern.kernels.denoise._speckle_level import BLOCK, MARGIN, MOST, gpu_level, speckle_level

FILTERS = (mk.lee, mk.kuan, mk.frost, mk.srad)
BY_DOMAIN = (mk.lee, mk.frost, mk.srad)
every_filter = pytest.mark.parametrize("kernel", FILTERS, ids=lambda k: k.name)


def speckled(clean: np.ndarray, looks: float, seed: int = 0) -> np.ndarray:
    """Multiplicative noise of mean 1 and cv 1 / sqrt(looks)."""
    noise = np.random.default_rng(seed).gamma(looks, 1 / looks, clean.shape)
    return (clean * noise).astype(np.float32)


def linear(kernel: Kernel, **more: Any) -> dict[str, Any]:
    """Parameters for linear images."""
    return {"domain": "linear"} | more if "domain" in kernel.parameters else more


def box_mean(images: np.ndarray, radius: int) -> np.ndarray:
    """The mean of every window."""
    size: Any = (1, 2 * radius + 1, 2 * radius + 1)
    return scipy.ndimage.uniform_filter(images.astype(np.float64), size, mode="nearest")


def on_gpu_code(images: np.ndarray, domain: str) -> np.ndarray:
    """`speckle_level` by the GPU code, in the interpreter."""
    _, h, w = images.shape
    rows, columns = min(BLOCK, h), min(BLOCK, w)
    down, across = h // rows, w // columns
    step = max(1, -(-down * across // MOST))
    bands = -(-down // step)
    values = np.empty((len(images), bands * across), np.float32)
    levels = np.empty(len(images), np.float32)
    with running(Interpreter()):
        gpu_level(images, values, levels, rows, columns, step, bands, int(domain == "log"))
    return levels


# ---- the estimate


@pytest.mark.parametrize("looks", [2, 10, 50])
def test_the_estimate_is_the_cv_and_a_margin(looks):
    images = speckled(np.full((2, 128, 128), 40.0), looks)
    np.testing.assert_allclose(speckle_level(images) / MARGIN, looks**-0.5, rtol=0.06)


def test_the_estimate_of_log_compressed_images_is_in_grey_levels():
    images = np.random.default_rng(0).normal(120, 9, (1, 128, 128)).astype(np.float32)
    np.testing.assert_allclose(speckle_level(images, "log") / MARGIN, 9, rtol=0.03)


def test_black_surroundings_do_not_enter_the_estimate():
    images = speckled(np.full((1, 128, 128), 40.0), 10)
    alone = speckle_level(images)
    padded = np.pad(images, ((0, 0), (64, 64), (64, 64)))
    np.testing.assert_allclose(speckle_level(padded), alone, rtol=1e-6)


@pytest.mark.parametrize("domain", ["linear", "log"])
@pytest.mark.parametrize("shape", [(2, 37, 41), (3, 5, 300), (2, 70, 3), (1, 9, 9), (1, 1, 1)])
def test_the_estimate_on_the_gpu_has_the_same_bits(shape, domain):
    images = speckled(np.full(shape, 90.0), 8)
    images[0, 0, 0] = np.nan
    np.testing.assert_array_equal(on_gpu_code(images, domain), speckle_level(images, domain))


# ---- the filters


@every_filter
def test_speckle_is_reduced_and_the_mean_kept(kernel):
    images = speckled(np.full((1, 96, 96), 50.0), 10)
    got = kernel(images, **linear(kernel))
    assert got.std() < 0.5 * images.std()
    assert got.mean() == pytest.approx(images.mean(), rel=0.01)


@every_filter
@pytest.mark.parametrize("value", [0.0, 77.0, 1e-3])
def test_a_constant_image_stays(kernel, value):
    images = np.full((1, 20, 21), value, np.float32)
    for speckle in ("auto", 0.3):
        np.testing.assert_allclose(kernel(images, speckle=speckle), images, rtol=1e-6)


@every_filter
def test_a_sixteen_bit_offset_does_not_drown_the_variance(kernel):
    small = np.random.default_rng(0).normal(0, 8, (1, 40, 40)).round()
    low, high = (small + 200).astype(np.float32), (small + 60000).astype(np.float32)
    if "domain" not in kernel.parameters:
        pytest.skip("multiplicative only")
    got = [kernel(x, speckle=5.0, domain="log").astype(np.float64) for x in (low, high)]
    np.testing.assert_allclose(got[0] - 200, got[1] - 60000, atol=0.05)


@every_filter
@settings(max_examples=15, deadline=None)
@given(scale=st.sampled_from([0.25, 0.5, 4.0, 1024.0]), seed=st.integers(0, 1000))
def test_linear_images_may_be_scaled(kernel, scale, seed):
    images = speckled(np.full((1, 19, 23), 50.0), 6, seed)
    given_level = linear(kernel, speckle=0.3)
    got = kernel(images * np.float32(scale), **given_level)
    np.testing.assert_allclose(got, kernel(images, **given_level) * scale, rtol=1e-5)


@pytest.mark.parametrize("kernel", BY_DOMAIN, ids=lambda k: k.name)
def test_log_compressed_images_may_be_shifted(kernel):
    images = np.random.default_rng(0).normal(100, 15, (1, 30, 30)).astype(np.float32)
    got = kernel(images + 64, speckle=15.0)
    np.testing.assert_allclose(got, kernel(images, speckle=15.0) + 64, atol=1e-3)


@every_filter
def test_a_step_far_above_the_speckle_keeps_its_width(kernel):
    step = np.where(np.arange(64) < 32, 20.0, 200.0)
    images = speckled(np.broadcast_to(step, (1, 64, 64)), 400)
    profile = kernel(images, **linear(kernel, speckle=0.07))[0].mean(axis=0)
    between = (profile > 38) & (profile < 182)  # 10 % to 90 %
    assert between.sum() <= 1


def test_lee_is_the_usual_composition_of_box_filters():
    images = speckled(np.full((1, 50, 60), 80.0), 5).astype(np.float64)
    mean = scipy.ndimage.uniform_filter(images[0], 7, mode="nearest")
    variance = scipy.ndimage.uniform_filter(images[0] ** 2, 7, mode="nearest") - mean**2
    gain = np.maximum(1 - 0.2 * mean**2 / variance, 0)
    got = mk.lee(images.astype(np.float32), radius=3, speckle=0.2**0.5, domain="linear")
    np.testing.assert_allclose(got[0], mean + gain * (images[0] - mean), atol=1e-2)


def test_kuan_is_lee_with_a_smaller_gain():
    images = speckled(np.full((1, 50, 60), 80.0), 3)
    lee = mk.lee(images, speckle=0.4, domain="linear")
    kuan = mk.kuan(images, speckle=0.4)
    mean = box_mean(images, 3)
    np.testing.assert_allclose(kuan - mean, (lee - mean) / 1.16, atol=1e-3)


def test_frost_without_damping_is_the_mean():
    images = speckled(np.full((1, 30, 40), 80.0), 3)
    mean = box_mean(images, 2)
    np.testing.assert_allclose(mk.frost(images, radius=2, damping=0.0), mean, rtol=1e-5)


def test_srad_keeps_the_sum_and_the_range():
    images = speckled(np.full((1, 40, 30), 80.0), 3)
    got = mk.srad(images, iterations=40, speckle=0.6, domain="linear")
    assert got.sum(dtype=float) == pytest.approx(images.sum(dtype=float), rel=1e-5)
    assert images.min() <= got.min() <= got.max() <= images.max()


def test_srad_in_bands_has_the_same_bits():
    images = speckled(np.full((1, 400, 37), 80.0), 3)
    alone = mk.srad(images, iterations=21)
    twice = mk.srad(np.concatenate([images] * 2), iterations=21)
    np.testing.assert_array_equal(alone[0], twice[1])


# ---- ultrasound with known truth


def contrast_to_noise(images: np.ndarray, regions: np.ndarray) -> float:
    """Mean over the lesions of |difference to the background| / sqrt(both variances)."""
    ratios = []
    for image, region in zip(images.astype(np.float64), regions, strict=True):
        ground = image[region == 0]
        for label in range(1, region.max() + 1):
            lesion = image[region == label]
            if lesion.size > 300:
                apart = abs(lesion.mean() - ground.mean())
                ratios.append(apart / np.sqrt(lesion.var() + ground.var()))
    return float(np.mean(ratios))


@every_filter
def test_lesions_in_ultrasound_stand_out(kernel, data):
    with np.load(data("denoise_truth") / "us_speckle_sim.npz") as file:
        noisy, regions, clean = (file[key][:3] for key in ("noisy", "regions", "clean_echo"))
    got = kernel(noisy)
    assert contrast_to_noise(got, regions) > 1.5 * contrast_to_noise(noisy, regions)
    edges = np.abs(np.diff(clean.astype(float), axis=2)) > 15  # of the lesions

    def slope(images: np.ndarray) -> float:
        along = np.sign(np.diff(clean.astype(float), axis=2))
        return float((along * np.diff(images.astype(float), axis=2))[edges].mean())

    mean = box_mean(noisy, 3)
    assert slope(got) > 1.25 * slope(mean)
