"""Total variation: what only the minimiser does, and that it is reached."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk


def noisy_disk(h: int = 60, w: int = 70, noise: float = 8.0, seed: int = 0) -> np.ndarray:
    y, x = np.indices((h, w))
    clean = 100.0 * ((y - h / 2) ** 2 + (x - w / 2) ** 2 < (min(h, w) / 3) ** 2)
    rng = np.random.default_rng(seed)
    return (clean + rng.normal(0, noise, (h, w))).astype(np.float32)[None]


def objective(u: np.ndarray, f: np.ndarray, weight: float, isotropic: bool = True) -> float:
    u = u.astype(np.float64)
    g = np.stack([np.diff(u, axis=a, append=np.take(u, [-1], a)) for a in range(u.ndim)])
    lengths = np.sqrt((g**2).sum(0)) if isotropic else np.abs(g).sum(0)
    return float(((u - f) ** 2).sum() / 2 + weight * lengths.sum())


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("gap", [0.1, 0.01, 0.001])
def test_the_result_lies_as_close_to_the_minimiser_as_the_gap_says(gap, isotropic):
    image, sigma = noisy_disk(), np.full(1, 8, np.float32)
    chosen = {"sigma": sigma, "strength": 1.5, "isotropic": isotropic}
    minimiser = mk.tv.reference(image, gap=1e-7, iterations=4000, **chosen)
    apart = mk.tv(image, gap=gap, iterations=4000, **chosen) - minimiser
    assert np.sqrt((apart**2).mean()) <= np.sqrt(2 * gap) * 8


def test_a_thin_gap_takes_more_iterations_than_a_wide_one():
    image = noisy_disk()
    few = mk.tv(image, sigma=8.0, gap=10.0)
    np.testing.assert_array_equal(few, mk.tv(image, sigma=8.0, gap=1e-9, iterations=8))
    assert np.any(few != mk.tv(image, sigma=8.0, gap=0.001))


@pytest.mark.parametrize("shape", [(50, 60), (12, 20, 24)])
def test_it_finds_the_minimiser_of_scikit_image(shape):
    restoration = pytest.importorskip("skimage.restoration")
    rng = np.random.default_rng(1)
    image = (np.indices(shape).sum(0) // 9 % 3 * 40 + rng.normal(0, 6, shape)).astype(np.float32)
    theirs = restoration.denoise_tv_chambolle(image, weight=9.0, eps=0, max_num_iter=2000)
    ours = mk.tv(image[None], sigma=6.0, strength=1.5, gap=1e-5, iterations=4000)[0]
    np.testing.assert_allclose(ours, theirs, atol=0.25)
    least = objective(theirs, image, 9.0)
    assert objective(ours, image, 9.0) <= least * (1 + 1e-5)


@pytest.mark.parametrize("isotropic", [True, False])
def test_a_step_loses_contrast_by_the_exact_amount_and_stays_a_step(isotropic):
    image = np.zeros((1, 6, 50), np.float32)
    image[:, :, 20:] = 100
    got = mk.tv(image, sigma=6.0, strength=2.0, isotropic=isotropic, gap=1e-7, iterations=5000)
    want = np.where(np.arange(50) < 20, 12 / 20, 100 - 12 / 30)  # weight / width of each side
    np.testing.assert_allclose(got[0], np.broadcast_to(want, (6, 50)), atol=0.02)


def test_a_noisy_step_edge_stays_within_two_pixels():
    rng = np.random.default_rng(2)
    image = np.where(np.arange(64) < 32, 0, 100) + rng.normal(0, 5, (1, 64, 64))
    profile = mk.tv(image.astype(np.float32))[0].mean(0)
    low, high = profile[:28].mean(), profile[36:].mean()
    share = (profile - low) / (high - low)
    assert np.count_nonzero((share > 0.1) & (share < 0.9)) <= 2
    assert mk.tv(image.astype(np.float32))[0, :, :24].std() < 1.5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(-6, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_scaling_by_a_power_of_two_is_exact_and_the_mean_stays(h, w, power, seed):
    image = noisy_disk(h, w, seed=seed)
    plain = mk.tv(image, sigma=8.0, iterations=30)
    scaled = mk.tv(image * np.float32(2.0**power), sigma=8.0 * 2.0**power, iterations=30)
    np.testing.assert_array_equal(scaled, plain * np.float32(2.0**power))
    longer = mk.tv(image, sigma=8.0, gap=1e-4, iterations=300)
    assert longer.mean() == pytest.approx(image.mean(), abs=0.5)


@pytest.mark.parametrize("shape", [(1, 200, 33), (1, 90, 7, 9)])
def test_bands_give_the_bits_of_the_whole(shape):
    rng = np.random.default_rng(3)
    images = rng.normal(0, 10, shape).astype(np.float32).cumsum(1)
    threads = numba.get_num_threads()
    try:
        got = []
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):  # pyright: ignore
            numba.set_num_threads(count)
            got.append(mk.tv(images, sigma=9.0, gap=1e-4, iterations=60))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(*got)


def test_missing_pixels_stay_and_part_the_image():
    image = noisy_disk(40, 41)
    image[0, :, 20] = np.nan
    got = mk.tv(image, sigma=8.0, gap=1e-9, iterations=40)[0]
    assert np.isnan(got[:, 20]).all()
    for side in (slice(0, 20), slice(21, None)):
        alone = mk.tv(image[:, :, side], sigma=8.0, gap=1e-9, iterations=40)[0]
        np.testing.assert_array_equal(got[:, side], alone)


def test_a_constant_image_and_one_without_noise_are_unchanged():
    flat = np.full((2, 30, 30), 7, np.uint16)
    np.testing.assert_array_equal(mk.tv(flat), flat)
    np.testing.assert_array_equal(mk.tv(flat, sigma=2.0), flat)


@pytest.mark.parametrize("dose", ["dose_100000", "dose_20000", "dose_5000"])
def test_it_is_no_worse_than_scikit_image_on_simulated_low_dose_ct(data, dose):
    restoration = pytest.importorskip("skimage.restoration")
    truth = np.load(data("denoise_truth") / "ct_lowdose_sim.npz")
    images, clean = truth[dose][4:6], truth["reference"][4:6].astype(np.float64)
    sigma = float(np.std(images - clean))

    def psnr(result: np.ndarray) -> float:
        return 10 * np.log10(np.ptp(clean) ** 2 / np.mean((result - clean) ** 2))

    theirs = [
        restoration.denoise_tv_chambolle(i.astype(np.float32), sigma, eps=0, max_num_iter=300)
        for i in images
    ]
    assert psnr(mk.tv(images, sigma=sigma)) >= psnr(np.stack(theirs)) - 0.05
    assert psnr(mk.tv(images)) >= psnr(images) + 1.5
