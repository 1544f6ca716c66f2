"""The bilateral filter: against OpenCV, and what it does to noise, edges and other images."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.kernels.denoise.bilateral import _weight, bilateral

EDGE, SIGMA = 20.0, 1.0


def noisy(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (100 + 5 * rng.standard_normal(shape)).astype(np.float32)


def width(rows: np.ndarray) -> float:
    """Pixels from 10 to 90 % of a rising edge, after the mean over all rows."""
    profile = rows.reshape(-1, rows.shape[-1]).mean(axis=0, dtype=np.float64)
    low, high = profile[:8].mean(), profile[-8:].mean()
    share = np.maximum.accumulate((profile - low) / (high - low))
    at = np.interp([0.1, 0.9], share, np.arange(len(share)))
    return float(at[1] - at[0])


def edge(blur: float) -> np.ndarray:
    """Noisy rows across an edge of 20 sigma, 10-90 % width about 2.56 `blur`."""
    x = np.arange(64) - 31.5
    clean = EDGE / (1 + np.exp(-1.702 * x / blur))
    rng = np.random.default_rng(1)
    return (clean + SIGMA * rng.standard_normal((2, 300, 64))).astype(np.float32)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("radius", "spatial", "ranges"), [(1, 1.0, 8.0), (4, 2.0, 20), (9, 3, 60)])
def test_equals_opencv(dtype, radius, spatial, ranges):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    rng = np.random.default_rng(radius)
    images = (rng.random((2, 45, 67)) * 255).astype(dtype)
    got = bilateral(images, radius=radius, spatial=spatial, sigma=ranges, strength=1)
    settings = (2 * radius + 1, ranges, spatial)
    want = [cv2.bilateralFilter(i, *settings, borderType=cv2.BORDER_REPLICATE) for i in images]
    np.testing.assert_allclose(
        got.astype(float), want, rtol=0, atol=1 if dtype == "uint8" else 2e-3
    )


def test_weights_are_right_to_four_millionths():
    exponents = np.linspace(-100, 0, 20001, dtype=np.float32)
    got = np.array([_weight(x) for x in exponents])
    np.testing.assert_allclose(got, 2.0 ** exponents.astype(float), rtol=4e-6)


@pytest.mark.parametrize("dtype", bilateral.dtypes)
@pytest.mark.parametrize("shape", [(2, 30, 40), (2, 4, 9, 40)])
def test_a_constant_image_is_unchanged(dtype, shape):
    images = np.full(shape, 77, dtype)
    np.testing.assert_array_equal(bilateral(images), images)
    np.testing.assert_array_equal(bilateral(images, sigma=3.0), images)


def test_half_a_constant_image_with_sigma_zero_is_unchanged():
    images = noisy((2, 20, 30))
    sigma = np.zeros(2, np.float32)
    out = np.empty_like(images)
    chosen = bilateral.resolve({}) | {"sigma": sigma}
    bilateral.cpu(images, out, **chosen)
    np.testing.assert_array_equal(out, images)


@given(st.integers(0, 99), st.sampled_from([0.25, 4.0, 1024.0]), st.sampled_from([-64.0, 512.0]))
@settings(max_examples=15, deadline=None)
def test_scale_and_offset_pass_through(seed, scale, offset):
    images = noisy((1, 16, 20), seed)
    images = np.round(images * 64) / 64  # so that the offset is exact
    want = bilateral(images, radius=2, sigma=4.0) * scale + offset
    got = bilateral(images * scale + offset, radius=2, sigma=4.0 * scale)
    np.testing.assert_allclose(got, want, rtol=3e-6, atol=1e-4 * scale)


@given(st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_a_result_lies_within_its_window(seed):
    images = noisy((1, 12, 15), seed)
    got = bilateral(images, radius=1, sigma=5.0)
    assert got.min() >= images.min() - 1e-4
    assert got.max() <= images.max() + 1e-4


def test_turning_the_image_turns_the_result():
    images = noisy((1, 33, 33))
    turned = bilateral(np.ascontiguousarray(np.rot90(images, axes=(1, 2))), sigma=5.0)
    want = np.rot90(bilateral(images, sigma=5.0), axes=(1, 2))
    np.testing.assert_allclose(turned, want, rtol=2e-6)


def test_a_volume_is_filtered_as_a_volume():
    """The neighbours above and below take part: more of the noise goes."""
    slices = noisy((1, 5, 12, 14))
    alone = bilateral(slices[:, 2], radius=2, sigma=5.0)
    together = bilateral(slices, radius=2, sigma=5.0)[:, 2]
    assert np.std(together) < np.std(alone)
    with pytest.raises(ValueError, match="radius must be 1 to 4 in volumes"):
        bilateral(slices, radius=5)


@pytest.mark.parametrize("width_", [1, 15, 16, 17, 1023, 1025, 2100])
def test_blocks_do_not_show(width_):
    images = noisy((1, 70, width_))
    got = bilateral(images, radius=3, sigma=5.0)
    part = slice(max(0, width_ // 2 - 20), width_ // 2 + 20)
    near = slice(max(0, part.start - 3), part.stop + 3)
    alone = bilateral(np.ascontiguousarray(images[:, 10:50, near]), radius=3, sigma=5.0)
    first = part.start - near.start
    want = alone[:, 3:-3, first : first + min(part.stop, width_) - part.start]
    np.testing.assert_array_equal(got[:, 13:47, part], want)


def test_noise_of_a_flat_image_falls_to_a_third():
    images = noisy((1, 80, 80))
    assert np.std(bilateral(images)) < np.std(images) / 3


@pytest.mark.parametrize("blur", [0.2, 0.6, 1.0])
def test_an_edge_of_twenty_sigma_stays_narrow(blur):
    images = edge(blur)
    got = bilateral(images, sigma=SIGMA)
    assert width(got) <= width(images) + 0.02
    assert np.std(got[..., :20]) < 0.5 * SIGMA


def test_what_is_not_finite_is_left_out():
    images = noisy((1, 20, 20))
    want = bilateral(images, radius=2, sigma=5.0)
    images[0, 10, 10], images[0, 3, 4] = np.nan, -np.inf
    got = bilateral(images, radius=2, sigma=5.0)
    assert np.isnan(got[0, 10, 10])
    assert got[0, 3, 4] == -np.inf
    assert np.isfinite(got).sum() == got.size - 2
    np.testing.assert_array_equal(got[0, 14:], want[0, 14:])
