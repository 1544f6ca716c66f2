"""The collaborative filter: its transforms, what it leaves alone, how much noise it takes."""

from typing import Any

import numpy as np
import pytest
from scipy.fft import dct, idct

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.denoise._collaborative_groups import dct8, inverse_dct8


def psnr(got: np.ndarray, clean: np.ndarray) -> float:
    error = np.mean((got.astype(np.float64) - clean) ** 2)
    return float(10 * np.log10(np.ptp(clean).astype(np.float64) ** 2 / error))


def test_the_transforms_are_the_orthonormal_cosine_transform():
    x = np.random.default_rng(0).normal(size=(8, 100)).astype(np.float32)
    for ours, theirs in ((dct8, dct), (inverse_dct8, idct)):
        want: Any = theirs(x, axis=0, norm="ortho")
        np.testing.assert_allclose(np.stack(ours.py_func(*x)), want, atol=2e-6)


@pytest.mark.parametrize("sigma", [10, 25])
def test_it_beats_non_local_means_by_half_a_decibel(data, sigma):
    """White noise on a real T1 slice, 0 to 255, both told the sigma; h as good as it gets."""
    restoration = pytest.importorskip("skimage.restoration")
    clean = 255 * np.load(data("denoise_truth") / "mr_rician_sim.npz")["clean"]
    rng = np.random.default_rng(sigma)
    noisy = (clean + rng.normal(0, sigma, clean.shape)).astype(np.float32)
    means = max(
        psnr(restoration.denoise_nl_means(noisy, 7, 10, h=h * sigma, fast_mode=True), clean)
        for h in (0.7, 0.9, 1.1)
    )
    ours = psnr(mk.collaborative(noisy[None], sigma=sigma)[0], clean)
    assert ours >= means + 0.5
    assert psnr(mk.collaborative(noisy[None])[0], clean) >= ours - 0.3
    assert psnr(mk.collaborative(noisy[None], sigma=sigma, stages=1)[0], clean) < ours


def test_patches_that_lie_apart_help_where_the_noise_of_neighbours_is_alike(data):
    truth = np.load(data("denoise_truth") / "ct_lowdose_sim.npz")
    clean, noisy = truth["reference"][:1], truth["dose_5000"][:1]
    sigma = 4 * float(np.std(noisy - clean.astype(np.float32)))
    apart = mk.collaborative(noisy, sigma=sigma, spacing=2)
    assert psnr(apart, clean) > psnr(mk.collaborative(noisy, sigma=sigma), clean) + 0.5


def test_what_repeats_without_noise_comes_back():
    flat = np.full((1, 40, 50), 7.25, np.float32)
    np.testing.assert_array_equal(mk.collaborative(flat, sigma=3.0), flat)
    edge = np.where(np.arange(64) < 30, 100.0, 900.0) * np.ones((1, 64, 1))
    np.testing.assert_allclose(mk.collaborative(edge.astype(np.float32), sigma=5.0), edge, atol=1.0)
    np.testing.assert_array_equal(mk.collaborative(flat), flat)  # an estimate of 0


def test_it_follows_the_unit_of_the_images():
    """Powers of two change no digit."""
    rng = np.random.default_rng(1)
    images = rng.normal(100, 20, (1, 48, 40)).astype(np.float32)
    got = mk.collaborative(images, sigma=20.0)
    np.testing.assert_array_equal(mk.collaborative(images / 1024, sigma=20 / 1024), got / 1024)
    turned = mk.collaborative(np.ascontiguousarray(images[:, ::-1]), sigma=20.0)[:, ::-1]
    np.testing.assert_allclose(turned, got, atol=8)  # other references, the same filter


def test_an_odd_pixel_stays_and_spoils_none_of_the_others():
    rng = np.random.default_rng(2)
    images = rng.normal(100, 20, (1, 40, 40)).astype(np.float32)
    images[0, 20, 20] = np.inf
    got = mk.collaborative(images, sigma=20.0)[0]
    assert got[20, 20] == np.inf
    got[20, 20] = 100
    assert np.isfinite(got).all()
    assert np.std(got) < 6


def test_the_usual_parameters_give_the_same_bits_on_both_sides():
    rng = np.random.default_rng(3)
    images = (rng.normal(100, 20, (1, 21, 25)) + 10 * np.arange(25)).astype(np.float32)
    chosen = mk.collaborative.settle(images, mk.collaborative.resolve({"sigma": 20.0}))
    out = np.empty_like(images)
    with _cuda.running(Interpreter()):
        mk.collaborative.gpu(images, out, **chosen)
    np.testing.assert_array_equal(out, mk.collaborative(images, sigma=20.0))
