"""Gabor filters: what is special to waves, and to filters in the frequency domain."""

from typing import Any

import numpy as np
import pytest
from cases import on_gpu
from hypothesis import given, settings, strategies as st

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels.enhance._tiles import WIDEST, gains, reversed_order, tiles
from medkern.kernels.enhance.gabor import kernels


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def wave(direction: float, wavelength: float, side: int = 96) -> np.ndarray:
    """cos of a wave whose direction is in degrees from x to y."""
    y, x = np.indices((1, side, side))[1:]
    a = np.deg2rad(direction)
    return np.cos(2 * np.pi * (x * np.cos(a) + y * np.sin(a)) / wavelength).astype(np.float32)


def close(found: np.ndarray, want: Any, tolerance: float) -> None:
    np.testing.assert_allclose(found, want, rtol=0, atol=tolerance)


def given_all(**some: Any) -> dict[str, Any]:
    return {name: p.default for name, p in mk.gabor.parameters.items()} | some


# ---- waves


@pytest.mark.parametrize("direction", [0.0, 30.0, 135.0])
def test_a_wave_answers_to_its_length_and_direction(direction):
    sigma, gamma, inside = 4.0, 2.0, (0, slice(32, 64), slice(32, 64))
    image = wave(direction, 6.0)

    def answer(theta: float, wavelength: float) -> np.ndarray:
        one = {"sigma": sigma, "gamma": gamma, "theta": theta, "wavelength": wavelength}
        return mk.gabor(image, steps=1, truncate=5, **one)[inside]

    gain = 2 * np.pi * sigma**2 / gamma
    close(answer(direction, 6.0), gain / 2, 1e-3 * gain)
    assert answer((direction + 90) % 180, 6.0).max() < 0.02 * gain
    assert answer(direction, 3.0).max() < 0.02 * gain


def test_directions_are_even_steps_over_half_a_turn():
    image, one = noise(1, 40, 50), {"sigma": 1.5, "gamma": 0.7}
    each = [mk.gabor(image, steps=1, theta=theta, **one) for theta in (10.0, 70.0, 130.0)]
    for pooling, pool in (("average", np.mean), ("max", np.max)):
        found = mk.gabor(image, steps=3, theta=10.0, pooling=pooling, **one)
        close(found, pool(each, axis=0), 1e-5)


def test_a_wave_and_its_opposite_are_one():
    image = noise(1, 40, 50)
    there, back = (mk.gabor(image, steps=1, theta=theta) for theta in (0.0, 180.0))
    close(there, back, 3e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(5, 40), st.integers(5, 40), st.sampled_from(["max", "average"]))
def test_many_directions_turn_with_the_image(h, w, pooling):
    image = noise(1, h, w)
    turned = np.ascontiguousarray(np.rot90(image, 1, (1, 2)))
    chosen = {"sigma": 1.2, "gamma": 0.6, "steps": 4, "pooling": pooling}
    straight = mk.gabor(image, **chosen)
    close(mk.gabor(turned, **chosen), np.rot90(straight, 1, (1, 2)), 3e-5)


def test_three_planes_are_the_slices_along_every_axis():
    volume, one = noise(1, 14, 20, 17), {"sigma": 0.8, "theta": 25.0, "steps": 2}
    found = []
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        slices = np.ascontiguousarray(volume[0].transpose(order))
        found.append(mk.gabor(slices, **one).transpose(np.argsort(order)))
    close(mk.gabor(volume, slices="three", **one)[0], np.mean(found, axis=0), 1e-5)


def test_scikit_image_has_the_same_filter_along_the_axes():
    filters = pytest.importorskip("skimage.filters")
    image, sigma = noise(1, 50, 60), 2.0
    for theta in (0.0, 90.0):
        one = {"frequency": 1 / 5, "theta": np.deg2rad(theta), "n_stds": 4}
        parts = filters.gabor(image[0].astype(float), sigma_x=sigma, sigma_y=sigma, **one)
        want = np.hypot(*parts) * 2 * np.pi * sigma**2
        close(mk.gabor(image, sigma=sigma, wavelength=5.0, theta=theta, steps=1)[0], want, 3e-5)


# ---- tiles


@pytest.mark.parametrize(("shape", "sigma"), [((1, 20, 600), 1.5), ((1, 70, 90), 9.0)])
def test_tiles_of_every_size_are_joined_without_a_seam(shape, sigma):
    images, chosen = noise(*shape), given_all(sigma=sigma, gamma=0.9, steps=1, theta=40.0)
    want = mk.gabor.reference(images, **chosen)
    close(mk.gabor(images, **chosen), want, 1e-6 * 2 * np.pi * sigma**2)


def test_the_largest_tiles_are_the_same_on_the_gpu():
    images, chosen = noise(1, 150, 160), {"sigma": 6.0, "steps": 1}
    assert tiles((150, 160), 24).sides == (256, 256)
    on_card = on_gpu(mk.gabor, images, Interpreter(), **chosen)
    np.testing.assert_array_equal(on_card, mk.gabor(images, **chosen))


@pytest.mark.parametrize("radius", [1, 8, 40, WIDEST])
def test_tiles_cover_an_image(radius):
    for size in ((1, 1), (30, 200), (1024, 1024), (33, 4000)):
        cut = tiles(size, radius)
        for n, kept, number in zip(size, cut.kept, cut.number, strict=True):
            assert kept > 0 and (number - 1) * kept < n <= number * kept


@pytest.mark.parametrize("side", [16, 64, 256])
def test_the_reversed_order_is_its_own_inverse(side):
    order = reversed_order(side)
    np.testing.assert_array_equal(order[order], np.arange(side))
    np.testing.assert_array_equal(order[:4], np.arange(4) * side // 4)


def test_gains_are_the_real_spectrum_of_a_kernel():
    (kernel,) = kernels(2.0, 4.0, 0.7, 30.0, 1, 12)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1].conj(), atol=1e-15)
    total = float(np.sum(kernel).real)
    np.testing.assert_allclose(gains(kernel, (64, 256))[0, 0], total / (64 * 256), rtol=1e-5)


# ---- what is missing


def test_a_missing_pixel_makes_its_window_missing():
    for odd in (np.nan, np.inf):
        images = noise(2, 60, 70)
        images[0, 20, 30] = odd
        missing = np.isnan(mk.gabor(images, sigma=1.5, steps=2))
        want = np.zeros(images.shape, bool)
        want[0, 14:27, 24:37] = True
        np.testing.assert_array_equal(missing, want)


def test_in_three_planes_its_window_is_three_squares():
    volume = noise(1, 11, 12, 13)
    volume[0, 5, 6, 7] = np.nan
    missing = np.isnan(mk.gabor(volume, sigma=0.5, steps=1, slices="three"))
    near = [abs(i - c) <= 2 for i, c in zip(np.indices(volume.shape[1:]), (5, 6, 7), strict=True)]
    here = [i == c for i, c in zip(np.indices(volume.shape[1:]), (5, 6, 7), strict=True)]
    planes = [here[a] & near[b] & near[c] for a, b, c in ((0, 1, 2), (1, 0, 2), (2, 0, 1))]
    np.testing.assert_array_equal(missing[0], np.any(planes, axis=0))


# ---- what is refused


def test_a_window_wider_than_a_tile_is_refused():
    with pytest.raises(ValueError, match="must be at most 96 pixels, got 100"):
        mk.gabor(noise(1, 9, 9), sigma=5.0, gamma=0.2)


def test_images_have_no_three_planes():
    with pytest.raises(ValueError, match="three planes need volumes"):
        mk.gabor(noise(1, 9, 9), slices="three")
