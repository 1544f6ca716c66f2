"""Anisotropic diffusion: conservation, known solutions, edges."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from medkern import kernels as mk

CONDUCTANCES = ("exp", "rational", "curvature")


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


@pytest.mark.parametrize("conductance", ["exp", "rational"])
@pytest.mark.parametrize("shape", [(1, 40, 50), (1, 9, 20, 21)])
def test_a_kappa_beyond_all_edges_is_the_heat_equation(conductance, shape):
    images = noise(shape)
    got = mk.diffusion(images, sigma=1e6, conductance=conductance, iterations=1, step=0.1)
    want = images[0] + 0.1 * ndimage.laplace(images[0].astype(np.float64), mode="nearest")
    np.testing.assert_allclose(got[0], want, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 81, 81), (1, 61, 61, 61)])
def test_curvature_lowers_a_cone_as_its_level_lines_shrink(shape):
    axes = len(shape) - 1
    from_middle = np.indices(shape[1:]) - np.array(shape[1:]).reshape(-1, *[1] * axes) // 2
    cone = np.sqrt((from_middle**2).sum(0))
    got = mk.diffusion(
        cone[None].astype(np.float32),
        sigma=1.0,
        strength=3.0,
        conductance="curvature",
        iterations=1,
        step=0.1,
    )
    ring = (cone > 12) & (cone < 25)
    slope = 1 / 3**2  # squared, in kappa
    slower = np.exp(-slope) * slope / (slope + 0.05**2)
    want = 0.1 * slower * (axes - 1) / cone[ring]
    np.testing.assert_allclose((got[0] - cone)[ring], want, rtol=0.03)


@given(
    st.sampled_from(["exp", "rational"]),
    st.integers(1, 30),
    st.integers(1, 30),
    st.floats(0.3, 30),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_and_no_new_extremes_appear(conductance, h, w, kappa, seed):
    image = noise((1, h, w), seed)
    got = mk.diffusion(
        image, sigma=kappa, strength=1.0, conductance=conductance, iterations=12, step=0.25
    )
    assert got.mean(dtype=np.float64) == pytest.approx(image.mean(dtype=np.float64), rel=1e-6)
    assert got.min() >= image.min() - 1e-3
    assert got.max() <= image.max() + 1e-3


@pytest.mark.parametrize("conductance", CONDUCTANCES)
@pytest.mark.parametrize("power", [-5, 3])
def test_scaling_by_a_power_of_two_is_exact(conductance, power):
    image, factor = noise((1, 30, 31)), np.float32(2.0**power)
    plain = mk.diffusion(image, sigma=20.0, conductance=conductance)
    scaled = mk.diffusion(image * factor, sigma=20.0 * 2.0**power, conductance=conductance)
    np.testing.assert_array_equal(scaled, plain * factor)


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_noise_goes_and_a_high_edge_stays(conductance):
    edge = np.where(np.arange(64) < 32, 0, 200)
    image = (edge + np.random.default_rng(1).normal(0, 5, (1, 64, 64))).astype(np.float32)
    got = mk.diffusion(image, conductance=conductance, iterations=20)[0]
    assert got[:, :24].std() < 2.5
    share = (got.mean(0) - got[:, :28].mean()) / (got[:, 36:].mean() - got[:, :28].mean())
    assert np.count_nonzero((share > 0.1) & (share < 0.9)) <= 1


def test_an_edge_far_below_kappa_is_spread():
    edge = np.where(np.arange(64) < 32, 0, 10) + np.zeros((1, 8, 1))
    got = mk.diffusion(edge.astype(np.float32), sigma=50.0, iterations=40)[0, 4]
    assert np.count_nonzero((got > 1) & (got < 9)) >= 6


@pytest.mark.parametrize("conductance", CONDUCTANCES)
@pytest.mark.parametrize("shape", [(1, 150, 33), (1, 70, 7, 9)])
def test_bands_give_the_bits_of_the_whole(conductance, shape):
    images, threads = noise(shape), numba.get_num_threads()
    try:
        got = []
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):  # pyright: ignore
            numba.set_num_threads(count)
            got.append(mk.diffusion(images, sigma=20.0, conductance=conductance, iterations=19))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(*got)


@pytest.mark.parametrize("conductance", ["exp", "rational"])
def test_missing_pixels_stay_and_part_the_image(conductance):
    image = noise((1, 40, 41))
    image[0, :, 20] = np.nan
    got = mk.diffusion(image, sigma=20.0, conductance=conductance)[0]
    assert np.isnan(got[:, 20]).all()
    for side in (slice(0, 20), slice(21, None)):
        alone = mk.diffusion(image[:, :, side], sigma=20.0, conductance=conductance)[0]
        np.testing.assert_array_equal(got[:, side], alone)


def test_steps_that_are_not_stable_are_refused():
    with pytest.raises(ValueError, match=r"at most 0\.1667 for volumes"):
        mk.diffusion(noise((1, 4, 8, 8)), step=0.2)
    with pytest.raises(ValueError, match="step must be"):
        mk.diffusion(noise((1, 8, 8)), step=0.3)
    assert mk.diffusion(noise((1, 8, 8)), step=0.25).shape == (1, 8, 8)


def test_a_constant_image_is_unchanged():
    flat = np.full((2, 30, 30), 7, np.uint16)
    for conductance in CONDUCTANCES:
        np.testing.assert_array_equal(mk.diffusion(flat, conductance=conductance), flat)
        np.testing.assert_array_equal(mk.diffusion(flat, sigma=2.0, conductance=conductance), flat)


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_the_defaults_gain_on_simulated_low_dose_ct(data, conductance):
    truth = np.load(data("denoise_truth") / "ct_lowdose_sim.npz")
    images, clean = truth["dose_20000"][4:6], truth["reference"][4:6].astype(np.float64)
    before = np.mean((images - clean) ** 2)
    after = np.mean((mk.diffusion(images, conductance=conductance) - clean) ** 2)
    assert 10 * np.log10(before / after) >= 2.5
