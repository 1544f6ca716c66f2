"""Mean, Laplacian, Laws' kernels and sub-bands: what is special to separable filters."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import ndimage

from medkern import kernels as mk
from medkern.kernels._wavelets import bank
from medkern.kernels.enhance._separable import pooled, rotations
from medkern.kernels.enhance.subband import WAVELETS


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


# ---- rotations and pooling


@pytest.mark.parametrize(("axes", "number"), [(2, 4), (3, 24)])
def test_a_product_of_different_kernels_has_all_its_rotations(axes, number):
    kernels = tuple(noise(axes, 3).astype(np.float64))
    found = {b"|".join(g.tobytes() for g in rotated) for rotated in rotations(kernels)}
    assert len(found) == number


@pytest.mark.parametrize(
    ("pooling", "band", "terms"),
    [("max", "LLH", 24), ("max", "HHH", 8), ("average", "LLH", 3), ("average", "HHH", 1)],
)
def test_pooling_needs_few_products(pooling, band, terms):
    filters = tuple(np.append(bank("db3").analysis[int(letter == "H")], 0) for letter in band)
    assert len(pooled(filters, pooling).terms) == terms


def test_kernels_that_only_change_their_sign_are_compared_by_their_absolute_value():
    level, edge = np.array([1.0, 2, 1]), np.array([-1.0, 0, 1])
    bank = pooled((level, edge, edge), "max")
    assert len(bank.terms) == 3 and all(bank.both)
    bank = pooled((level, level, level), "max")
    assert bank.both == (False,)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(4, 12), st.integers(4, 12), st.sampled_from(["max", "average"]), st.integers(0, 99)
)
def test_a_pooled_response_turns_with_the_image(h, w, pooling, seed):
    images = np.random.default_rng(seed).normal(size=(1, h, w)).astype(np.float32)
    turned = np.ascontiguousarray(np.rot90(images, 1, (1, 2)))
    for settings_ in ({"x": "E3", "y": "S3"}, {"x": "W5", "y": "L5"}):
        ours = mk.laws(images, pooling=pooling, energy=0, **settings_)
        got = mk.laws(turned, pooling=pooling, energy=0, **settings_)
        np.testing.assert_allclose(got, np.rot90(ours, 1, (1, 2)), atol=2e-6 * 8)


def test_the_mean_over_all_rotations_of_an_edge_is_nothing():
    assert not mk.laws(noise(1, 9, 9), x="E5", y="L5", pooling="average", energy=0).any()


# ---- peers and invariants


@pytest.mark.parametrize("name", WAVELETS)
def test_filters_are_those_of_pywavelets(name):
    wavelet = pytest.importorskip("pywt").Wavelet(name)
    low, high = bank(name).analysis
    np.testing.assert_allclose(low, wavelet.dec_lo, atol=1e-12)
    np.testing.assert_allclose(high, wavelet.dec_hi, atol=1e-12)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("wavelet", ["haar", "db3", "coif1"])
def test_sub_bands_are_those_of_the_stationary_transform(wavelet, level):
    pywt = pytest.importorskip("pywt")
    image = noise(32, 32)
    approximation, (horizontal, vertical, diagonal) = pywt.swt2(image, wavelet, level)[0]
    bands = {"LL": approximation, "LH": horizontal, "HL": vertical, "HH": diagonal}
    for band, want in bands.items():
        given: Any = {"wavelet": wavelet, "band": band, "level": level}
        ours = mk.subband(image[None], pooling="none", borders="periodic", **given)[0]
        np.testing.assert_allclose(ours, want, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 40, 37), (1, 12, 20, 17)])
def test_the_mean_is_that_of_scipy(shape):
    images = noise(*shape)
    want = [ndimage.uniform_filter(i.astype(float), 5, mode="reflect") for i in images]
    np.testing.assert_allclose(mk.mean_filter(images, radius=2), want, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 40, 37), (1, 12, 20, 17)])
def test_the_laplacian_is_close_to_that_of_scipy(shape):
    """Whose kernel does not add up to 0, but nearly."""
    images = noise(*shape)
    want = [ndimage.gaussian_laplace(i.astype(float), 1.5, mode="nearest") for i in images]
    found = mk.laplacian(images, sigma=1.5, borders="nearest")
    np.testing.assert_allclose(found, want, atol=2e-3 * float(np.std(want)))


def test_the_laplacian_sees_no_shading():
    y, x = np.indices((40, 40))
    slope = (3 * x - 2 * y + 500).astype(np.float32)[None]
    inside = mk.laplacian(slope, sigma=1.5)[:, 8:-8, 8:-8]
    assert np.abs(inside).max() < 3e-6 * slope.max()
    bowl = ((x - 20) ** 2 + (y - 20) ** 2).astype(np.float32)[None]
    # of x^2 + y^2 it is 4, up to what the window cuts off
    np.testing.assert_allclose(mk.laplacian(bowl, sigma=1.5)[0, 15:25, 15:25], 4, rtol=0.01)


def test_a_bright_blob_has_the_lowest_value_at_its_centre():
    y, x = np.indices((41, 41)) - 20
    blob = np.exp(-(x**2 + y**2) / (2 * 2.0**2)).astype(np.float32)[None]
    response = mk.laplacian(blob, sigma=2.0)[0]
    assert np.unravel_index(response.argmin(), response.shape) == (20, 20)


def test_energy_is_the_mean_of_absolute_values():
    images = noise(1, 30, 33)
    response = mk.laws(images, energy=0)
    want = mk.mean_filter(np.abs(response), radius=4)
    np.testing.assert_array_equal(mk.laws(images, energy=4), want)


def test_a_window_may_be_wider_than_the_image():
    images = noise(1, 3, 2)
    for borders in ("mirror", "nearest", "periodic", "zero"):
        want = mk.mean_filter.reference(images, radius=15, borders=borders)
        np.testing.assert_allclose(
            mk.mean_filter(images, radius=15, borders=borders), want, atol=1e-6
        )


# ---- what is refused


def test_kernels_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="x, y, z must be kernels of one length, got L3, E5"):
        mk.laws(noise(1, 9, 9), x="L3", y="E5")
    mk.laws(noise(1, 9, 9), x="L3", y="E3")  # images have no z


def test_a_band_has_a_letter_an_axis():
    with pytest.raises(ValueError, match="two for images"):
        mk.subband(noise(1, 9, 9), band="LLH")
    with pytest.raises(ValueError, match="three for volumes"):
        mk.subband(noise(1, 9, 9, 9), band="LH")
