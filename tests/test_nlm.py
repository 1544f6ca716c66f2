"""Non-local means beyond the contract: what it keeps, what it removes, its peers' answers."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.kernels import nlm
from medkern.kernels.denoise.nlm import plan_of, radii

RNG = np.random.default_rng(5)


def phantom(side: int = 64) -> np.ndarray:
    """A disk and a bar on a ramp."""
    y, x = np.indices((side, side)) / side
    disk = ((y - 0.4) ** 2 + (x - 0.4) ** 2 < 0.06) * 80.0
    bar = ((x > 0.75) & (x < 0.85)) * 60.0
    return (disk + bar + 20 * y + 40).astype(np.float32)


def test_noise_goes_and_edges_stay():
    clean = phantom()
    noisy = (clean + RNG.normal(0, 5, clean.shape)).astype(np.float32)
    got = nlm(noisy[None])[0]
    assert np.std(got - clean) < 0.45 * np.std(noisy - clean)
    step = np.where(np.arange(64) < 32, 40.0, 120.0) * np.ones((64, 1))
    rows = nlm((step + RNG.normal(0, 5, step.shape))[None].astype(np.float32))[0].mean(0)
    assert rows[30] < 48 < 112 < rows[33]  # rises from 10 to 90 % within two pixels


def test_a_constant_image_and_one_without_noise_are_unchanged():
    flat = np.full((1, 40, 50), 0.1, np.float32)
    np.testing.assert_array_equal(nlm(flat), flat)
    np.testing.assert_array_equal(nlm(flat, noise="rician"), flat)
    np.testing.assert_allclose(nlm(flat, sigma=0.01), flat, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(shift=st.sampled_from([-64.0, 32.0, 256.0]), scale=st.sampled_from([0.25, 2.0, 64.0]))
def test_shifts_and_scales_pass_through(shift: float, scale: float):
    images = np.rint(RNG.normal(100, 20, (1, 24, 31))).astype(np.float32)
    want = nlm(images, sigma=8.0, search=3) * scale
    np.testing.assert_array_equal(nlm(images * scale, sigma=8.0 * scale, search=3), want)
    moved = nlm(images + shift, sigma=8.0, search=3) - shift
    np.testing.assert_allclose(moved * scale, want, rtol=0, atol=2e-3 * scale)


@pytest.mark.parametrize("turn", [(2, 1), (1,), (2,)])
def test_flips_and_turns_pass_through(turn: tuple[int, ...]):
    images = RNG.normal(100, 20, (1, 30, 30)).astype(np.float32)

    def turned(a: np.ndarray) -> np.ndarray:
        return a.transpose(0, 2, 1) if turn == (2, 1) else np.flip(a, turn)

    got = nlm(np.ascontiguousarray(turned(images)), sigma=20.0, search=4)
    np.testing.assert_allclose(got, turned(nlm(images, sigma=20.0, search=4)), atol=1e-3)


def test_results_do_not_depend_on_where_tiles_end():
    images = RNG.normal(100, 20, (1, 150, 300)).astype(np.float32)
    whole, search, patch = (1, 150, 300), *radii(3, 3, 1)
    assert plan_of(whole, search, patch).grid == (1, 2, 2)
    got = nlm(images, sigma=20.0, search=3, patch=1)
    part = nlm(np.ascontiguousarray(images[:, 60:100, 110:190]), sigma=20.0, search=3, patch=1)
    np.testing.assert_array_equal(got[:, 64:96, 114:186], part[:, 4:-4, 4:-4])


def test_rician_means_lose_the_bias_of_noise_in_the_dark():
    sigma = 10.0
    noisy = np.hypot(*RNG.normal(0, sigma, (2, 1, 64, 64))).astype(np.float32)
    assert nlm(noisy, sigma=sigma).mean() > 1.2 * sigma
    assert nlm(noisy, sigma=sigma, noise="rician").mean() < 0.4 * sigma


def test_a_volume_uses_its_third_dimension():
    clean = np.repeat(phantom(32)[None], 9, axis=0)
    noisy = (clean + RNG.normal(0, 8, clean.shape)).astype(np.float32)
    planes = nlm(noisy, sigma=8.0, search=2, patch=1)
    volume = nlm(noisy[None], sigma=8.0, search=2, patch=1)[0]
    assert np.std(volume - clean) < 0.8 * np.std(planes - clean)


def test_radii_beyond_reason_are_refused_for_volumes():
    volume = np.zeros((1, 4, 8, 8), np.float32)
    for parameters in ({"search": 8}, {"patch": 3}):
        with pytest.raises(ValueError, match="volumes take search up to 7 and patch up to 2"):
            nlm(volume, **parameters)


def test_opencv_gives_the_same_image():
    cv2 = pytest.importorskip("cv2")
    image = (phantom() + RNG.normal(0, 6, (64, 64))).clip(0, 255).astype(np.uint8)
    want = cv2.fastNlMeansDenoising(image, None, 10.0, 7, 15)
    got = nlm(image[None], sigma=0.1, strength=100.0, search=7, patch=3)[0]
    assert np.abs(got.astype(int) - want)[10:-10, 10:-10].max() <= 1


def test_scikit_image_gives_nearly_the_same_image():
    """Away from strong edges, that is: it drops weights below exp(-5), which add up there. It sums
    the 4 x 4 differences of a patch, and divides by 5 x 5."""
    restoration = pytest.importorskip("skimage.restoration")
    ramp = np.linspace(40, 60, 64) * np.ones((64, 1))
    image = (ramp + RNG.normal(0, 6, ramp.shape)).astype(np.float32)
    want = restoration.denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=4.8 * 4 / 5, sigma=6.0, fast_mode=True
    )
    got = nlm(image[None], sigma=6.0, strength=0.8, search=6, patch=2)[0]
    apart = (got - want)[8:-8, 8:-8]
    assert np.sqrt(np.mean(apart**2)) < 0.1 * 4.8


@pytest.mark.parametrize("noise", ["gaussian", "rician"])
def test_no_worse_than_scikit_image_on_known_truth(data, noise: str):
    restoration = pytest.importorskip("skimage.restoration")
    truth = np.load(data("denoise_truth") / "mr_rician_sim.npz")
    clean = truth["clean"].astype(np.float32)[60:188, 60:188]
    noisy = truth["pct_5"].astype(np.float32)[60:188, 60:188]
    sigma = 0.05 * float(np.percentile(truth["clean"], 99.9))
    theirs = restoration.denoise_nl_means(
        noisy, patch_size=5, patch_distance=7, h=0.64 * sigma, sigma=sigma, fast_mode=True
    )
    ours = nlm(noisy[None], sigma=sigma, strength=0.8, search=7, patch=2, noise=noise)[0]

    def psnr(image: np.ndarray) -> float:
        return -10 * np.log10(np.mean((image - clean) ** 2) / clean.max() ** 2)

    assert psnr(ours) > psnr(theirs) - 0.05
