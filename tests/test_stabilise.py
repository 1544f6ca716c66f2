"""Variance stabilisation: noise of sd 1 after it, no bias after the way back, by simulation."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from medkern import kernels as mk

DRAWS = 200_000


@cache
def poisson(counts: float, gain: float, sigma: float, offset: float) -> np.ndarray:
    """Pixels of one level: gain * counts + offset + read noise."""
    rng = np.random.default_rng(int(counts * 100))
    values = gain * rng.poisson(counts, DRAWS) + offset + rng.normal(0, sigma, DRAWS)
    return values.astype(np.float32).reshape(1, 500, -1)


@cache
def magnitudes(level: float, sigma: float) -> np.ndarray:
    """Pixels of one level with Rician noise."""
    rng = np.random.default_rng(int(level * 100))
    channels = level + sigma * (rng.normal(size=DRAWS) + 1j * rng.normal(size=DRAWS))
    return np.abs(channels).astype(np.float32).reshape(1, 500, -1)


def averaged(z: np.ndarray) -> tuple[np.ndarray, float]:
    """One pixel with the mean: the perfect denoiser; and the standard error of that mean."""
    mean = z.mean(dtype=np.float64)
    return np.full((1, 1, 1), mean, np.float32), float(z.std(dtype=np.float64) / z.size**0.5)


# ---- counts


def exact_sd(counts: float, s: float) -> float:
    """sd of 2 sqrt(max(k + s g + 3/8 + s^2, 0)) for Poisson k and standard normal g, summed up."""
    g, likely_g = np.polynomial.hermite_e.hermegauss(60)
    k = np.arange(int(counts + 10 * counts**0.5 + 20))
    likely = np.outer(stats.poisson.pmf(k, counts), likely_g / likely_g.sum())
    z = 2 * np.sqrt(np.maximum(k[:, None] + s * g + 3 / 8 + s**2, 0))
    return float(np.sqrt((likely * z**2).sum() - (likely * z).sum() ** 2))


@pytest.mark.parametrize("counts", [4.0, 10.0, 50.0, 1000.0])
@pytest.mark.parametrize(("gain", "sigma", "offset"), [(1.0, 0.0, 0.0), (2.5, 4.0, 100.0)])
def test_counts_get_an_sd_of_one(counts, gain, sigma, offset):
    images = poisson(counts, gain, sigma, offset)
    z = mk.anscombe(images, gain=gain, sigma=sigma, offset=offset)
    assert z.dtype == np.float32
    want = exact_sd(counts, sigma / gain)
    assert want == pytest.approx(1, abs=0.03)
    assert z.std(dtype=np.float64) == pytest.approx(want, abs=4 * want / (2 * DRAWS) ** 0.5)


@pytest.mark.parametrize("counts", [0.2, 0.5, 1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_averaged_and_inverted_counts_have_no_bias(counts, sigma, gain):
    given = {"gain": gain, "sigma": sigma * gain, "offset": 20.0}
    mean, error = averaged(mk.anscombe(poisson(counts, *given.values()), **given))
    got = (mk.anscombe_inverse(mean, **given)[0, 0, 0] - 20) / gain
    slope = max(float(mean[0, 0, 0]) / 2, 0.6)  # counts a unit of z
    assert got == pytest.approx(counts, abs=4 * slope * error + 0.001)


def test_the_algebraic_inverse_would_be_biased():
    mean, _ = averaged(mk.anscombe(poisson(3.0, 1.0, 0.0, 0.0), gain=1.0, sigma=0.0))
    assert float(mean[0, 0, 0]) ** 2 / 4 - 3 / 8 == pytest.approx(2.75, abs=0.05)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_there_and_back_in_integers_is_close(dtype):
    counts = np.arange(30, 250, dtype=dtype).reshape(1, 11, 20)
    given = {"gain": 1.0, "sigma": 2.0}
    back = mk.anscombe_inverse(mk.anscombe(counts, **given), to=dtype, **given)
    assert back.dtype == dtype
    assert np.abs(back.astype(int) - counts).max() <= 1


def test_numbers_may_differ_from_image_to_image():
    images = np.random.default_rng(0).poisson(9, (3, 20, 20)).astype(np.uint16)
    gain, sigma = np.array([1, 2, 3], np.float32), np.array([0, 1, 5], np.float32)
    together = mk.anscombe(images, gain=gain, sigma=sigma)
    back = mk.anscombe_inverse(together, gain=gain, sigma=sigma)
    for i in range(3):
        given = {"gain": float(gain[i]), "sigma": float(sigma[i])}
        alone = mk.anscombe(images[i : i + 1], **given)
        np.testing.assert_array_equal(together[i], alone[0])
        np.testing.assert_array_equal(back[i], mk.anscombe_inverse(alone, **given)[0])


def test_gain_and_read_noise_are_found():
    rng = np.random.default_rng(0)
    level = np.broadcast_to(np.linspace(5, 200, 256), (1, 256, 256))
    images = (3 * rng.poisson(level) + rng.normal(0, 6, level.shape)).astype(np.float32)
    z = mk.anscombe(images) - mk.anscombe((3 * level).astype(np.float32), gain=3.0, sigma=6.0)
    assert np.diff(z, axis=1).std() / 2**0.5 == pytest.approx(1, abs=0.1)


# ---- magnitudes


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 6.0, 20.0])
def test_magnitudes_get_an_sd_of_one(ratio):
    z = mk.rician(magnitudes(25 * ratio, 25.0), sigma=25.0)
    assert z.dtype == np.float32
    assert z.std(dtype=np.float64) == pytest.approx(1, abs=0.01 if ratio > 4 else 0.045)


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.5, 2.0, 4.0, 10.0, 30.0])
def test_averaged_and_inverted_magnitudes_have_no_bias(ratio):
    mean, error = averaged(mk.rician(magnitudes(25 * ratio, 25.0), sigma=25.0))
    got = mk.rician_inverse(mean, sigma=25.0)[0, 0, 0] / 25
    slope = max(1.0, 1.6 / ratio)  # levels a unit of z
    assert got == pytest.approx(ratio, abs=4 * slope * error + 0.001)


def test_the_noise_floor_goes_back_to_nothing():
    mean, _ = averaged(mk.rician(magnitudes(0.0, 10.0), sigma=10.0))
    assert mk.rician_inverse(mean, sigma=10.0)[0, 0, 0] < 1.0
    assert mk.rician_inverse(mean - 0.01, sigma=10.0)[0, 0, 0] == 0


def test_the_transform_rises_everywhere():
    z = mk.rician(np.linspace(0, 40, 4001, dtype=np.float32)[None, None], sigma=1.0)
    assert (np.diff(z) > 0).all()
    back = mk.rician_inverse(z, sigma=1.0)
    assert (np.diff(back) >= 0).all()


@pytest.mark.parametrize("percent", [3, 9])
def test_mr_with_known_truth_loses_its_bias(percent, data):
    with np.load(data("denoise_truth") / "mr_rician_sim.npz") as file:
        clean, noisy = file["clean"].astype(np.float32), file[f"pct_{percent}"]
    sigma = percent / 100 * float(np.percentile(clean, 99.9))
    smooth = mk.gaussian(mk.rician(noisy[None].astype(np.float32), sigma=sigma), sigma=1.5)
    back = mk.rician_inverse(smooth, sigma=sigma)[0]
    plain = mk.gaussian(noisy[None].astype(np.float32), sigma=1.5)[0]
    empty = clean < 0.2 * sigma
    assert back[empty].mean() < 0.5 * plain[empty].mean()
