"""The wavelet kernel: PyWavelets' transform, thresholds as the papers have them."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk
from medkern.kernels._wavelets import NAMES, bank

pywt = pytest.importorskip("pywt")


def noisy(shape, sigma=10.0, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape[-2:])
    clean = 100 + 50 * np.sin(y / 9) * np.cos(x / 11) + 80 * (x > y)
    clean = np.broadcast_to(clean, shape).astype(np.float32)
    return clean, clean + rng.normal(0, sigma, shape).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_the_computed_filters_are_the_published_ones(name):
    theirs = pywt.Wavelet(name)
    analysis, synthesis = [theirs.dec_lo, theirs.dec_hi], [theirs.rec_lo, theirs.rec_hi]
    np.testing.assert_allclose(bank(name).analysis, analysis, atol=1e-10)
    np.testing.assert_allclose(bank(name).synthesis, synthesis, atol=1e-10)


def shrunk(image, wavelet, levels, sigma, rule, mode):
    bands = pywt.wavedecn(image.astype(float), wavelet, "symmetric", levels)
    for level in bands[1:]:
        for key, band in level.items():
            bayes = sigma**2 / np.sqrt(max((band**2).mean() - sigma**2, 1e-30))
            visu = sigma * np.sqrt(2 * np.log(image.size))
            level[key] = pywt.threshold(band, bayes if rule == "bayes" else visu, mode)
    return pywt.waverecn(bands, wavelet, "symmetric")[tuple(map(slice, image.shape))]


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 61, 83), (1, 32, 40, 33)])
@pytest.mark.parametrize(
    ("wavelet", "rule", "mode"),
    [("sym8", "bayes", "soft"), ("db3", "visu", "hard"), ("haar", "bayes", "hard")],
)
def test_it_equals_pywavelets(shape, wavelet, rule, mode):
    _, images = noisy(shape)
    levels = 5 - len(shape) if wavelet == "haar" else 1
    got = mk.wavelet(images, wavelet=wavelet, levels=levels, threshold=rule, mode=mode, sigma=10.0)
    for image, result in zip(images, got, strict=True):
        want = shrunk(image, wavelet, levels, 10.0, rule, mode)
        np.testing.assert_allclose(result, want, atol=2e-5 * abs(want).max())


def test_it_equals_scikit_image():
    restoration = pytest.importorskip("skimage.restoration")
    _, images = noisy((1, 96, 120))
    for method, rule in (("BayesShrink", "bayes"), ("VisuShrink", "visu")):
        want = restoration.denoise_wavelet(
            images[0], 10, "db2", "soft", 3, method=method, rescale_sigma=False
        )
        got = mk.wavelet(images, wavelet="db2", levels=3, threshold=rule, sigma=10.0)[0]
        np.testing.assert_allclose(got, want, atol=1e-5 * abs(want).max())


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(NAMES), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4),
    st.integers(1, 2),
)  # fmt: skip
def test_without_noise_any_size_comes_back(wavelet, h, w, levels, spin):
    images = np.random.default_rng(h * 41 + w).integers(0, 255, (1, h, w)).astype(np.uint8)
    got = mk.wavelet(images, wavelet=wavelet, levels=levels, sigma=1e-6, cycle_spin=spin)
    np.testing.assert_array_equal(got, images)


def test_a_constant_image_stays():
    images = np.full((2, 33, 50), 1000, np.uint16)
    np.testing.assert_array_equal(mk.wavelet(images), images)
    np.testing.assert_array_equal(mk.wavelet(images, sigma=50.0, cycle_spin=2), images)


def test_a_scaled_image_gives_a_scaled_result():
    _, images = noisy((1, 50, 61))
    want = mk.wavelet(images)
    np.testing.assert_array_equal(mk.wavelet(images * 4), want * 4)


def test_noise_falls_and_cycle_spinning_lowers_it_further():
    clean, images = noisy((2, 128, 128))
    errors = [
        np.sqrt(((mk.wavelet(images, cycle_spin=spin) - clean) ** 2).mean()) for spin in (1, 3)
    ]
    assert errors[0] < 5 and errors[1] < 0.9 * errors[0]


def test_biorthogonal_thresholds_know_the_noise_of_each_band():
    images = np.random.default_rng(0).normal(0, 10, (1, 256, 256)).astype(np.float32)
    left = mk.wavelet(images, wavelet="bior4.4", sigma=10.0, levels=3, mode="soft")
    assert left.std() < 3


def test_pixels_that_are_missing_pass_through_and_spoil_nothing():
    _, images = noisy((1, 64, 64))
    images[0, 30, 30] = np.nan
    got = mk.wavelet(images, sigma=10.0)
    assert np.isnan(got[0, 30, 30]) and np.isfinite(got).sum() == got.size - 1


def test_sigma_auto_is_near_the_best(data):
    from medkern.bench.quality.truth import truths

    folder = data("denoise_truth")
    for truth in truths(folder):
        if truth.name in ("white 10", "white 25", "CT 20000", "MR repeats"):
            some = truth.first(2)
            auto = _psnr(mk.wavelet(some.noisy), some)
            rms = float(np.sqrt(((some.noisy - some.clean) ** 2).mean()))
            by_hand = [
                _psnr(mk.wavelet(some.noisy, sigma=rms * f), some) for f in (0.5, 0.8, 1, 1.2)
            ]
            assert auto > max(by_hand) - 0.3, truth.name


def _psnr(image, truth):
    return 10 * np.log10(truth.top**2 / ((image - truth.clean) ** 2).mean())
