"""Fractal dimension: known sets, the definition, boxes counted by hand, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda, fractal, regions
from medkern.kernels.texture.fractal import FEATURES

NAMES = [feature.name for feature in FEATURES]


def measured(images: np.ndarray, masks: np.ndarray | None = None, **given: float) -> dict:
    """The features of one image (h, w)."""
    values, _ = fractal(images[None], None if masks is None else masks[None], **given)
    return dict(zip(NAMES, values[0].tolist(), strict=True))


def of_mask(mask: np.ndarray) -> dict:
    return measured(np.zeros(mask.shape, np.uint8), mask)


def triangle(order: int) -> np.ndarray:
    """Sierpinski's: Pascal's triangle modulo 2."""
    y, x = np.indices((1 << order, 1 << order))
    return (y & x) == 0


def carpet(order: int) -> np.ndarray:
    """Sierpinski's carpet of 3^order pixels a side."""
    mask = np.ones((1, 1), bool)
    for _ in range(order):
        mask = np.kron([[1, 1, 1], [1, 0, 1], [1, 1, 1]], mask).astype(bool)
    return mask


# ---- known sets


@pytest.mark.parametrize("turn", [False, True])
def test_a_line_has_dimension_one(turn):
    mask = np.zeros((70, 70), bool)
    mask[33, 3:67] = True
    found = of_mask(mask.T if turn else mask)
    for kind in ("outline", "region"):
        assert found[f"{kind}_dimension"] == pytest.approx(1, abs=1e-6)
        assert found[f"{kind}_residual"] == pytest.approx(0, abs=1e-6)


def test_a_diagonal_line_has_dimension_one():
    assert of_mask(np.eye(64, dtype=bool))["outline_dimension"] == pytest.approx(1, abs=1e-6)


def test_a_filled_square_has_dimension_two_and_no_lacunarity():
    found = of_mask(np.pad(np.ones((64, 64), bool), 5))
    assert found["region_dimension"] == pytest.approx(2, abs=1e-6)
    boxes = [4 * (64 / 2**k - 1) for k in range(6)]
    slope = np.polyfit(-np.arange(6), np.log2(boxes), 1)[0]
    assert found["outline_dimension"] == pytest.approx(slope, abs=1e-6)
    assert found["surface_dimension"] == pytest.approx(2, abs=1e-6)
    assert [found[f"lacunarity_{s}"] for s in (2, 4, 8, 16)] == [1, 1, 1, 1]


def test_sierpinski_s_triangle():
    found = of_mask(triangle(8))
    assert found["region_dimension"] == pytest.approx(np.log2(3), abs=1e-6)
    assert found["region_residual"] == pytest.approx(0, abs=1e-6)


def test_sierpinski_s_carpet():
    """Its boxes are thirds, ours halves: log 8 / log 3 = 1.893 is the limit."""
    errors = [np.log(8) / np.log(3) - of_mask(carpet(k))["region_dimension"] for k in (3, 4, 5, 6)]
    assert errors == sorted(errors, reverse=True)
    assert 0 < errors[-1] < 0.04


def test_rough_surfaces_have_higher_dimensions():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (256, 256)).astype(np.uint8)
    smooth = ndimage.gaussian_filter(noise.astype(np.float32), 4)
    rough, soft = (measured(image)["surface_dimension"] for image in (noise, smooth))
    assert 2.8 < rough < 3
    assert 2 < soft < 2.3


def test_fractional_brownian_surfaces_are_told_apart():
    """Spectra |f|^-(2 H + 2) have dimension 3 - H; counts of boxes stay below it, as is known."""
    rng, found = np.random.default_rng(1), []
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    radius[0, 0] = 1
    white = np.fft.fft2(rng.normal(size=radius.shape))
    for hurst in (0.2, 0.5, 0.8):
        surface = np.fft.ifft2(white * radius ** -(hurst + 1)).real
        found.append(measured(surface.astype(np.float32))["surface_dimension"])
    assert 2.8 > found[0] > found[1] + 0.1 > found[2] + 0.2 > 2.2


# ---- by hand


def test_columns_of_boxes_by_hand():
    """8 x 8 pixels, 64 greys high: boxes of side 2 are 16 greys high, of side 4 they are 32."""
    image = np.zeros((8, 8), np.uint8)
    image[0, 0], image[5, 5], image[7, 7] = 47, 16, 15
    found = measured(image, height=64.0)
    two, four = 16 + 2 + 1, 4 + 1  # columns 0 .. 2 and 0 .. 1 instead of 1; 15 stays in the first
    assert found["surface_dimension"] == pytest.approx(np.log2(two / four))
    squares, mean = (14 + 9 + 4) / 16, two / 16
    assert found["surface_lacunarity_2"] == pytest.approx(squares / mean**2)


def test_lacunarity_by_hand():
    mask = np.zeros((5, 8), bool)
    mask[0, 0] = mask[1, 0] = mask[2, 6] = mask[4, 7] = True  # the last one in no whole box
    found = of_mask(mask)
    masses = np.array([2, 0, 0, 0, 0, 0, 0, 1])
    want = (masses**2).mean() / masses.mean() ** 2
    assert found["lacunarity_2"] == pytest.approx(want)
    assert np.isnan(found["lacunarity_8"])


# ---- properties


@given(arrays.arrays(np.uint8, (13, 18)), arrays.arrays(np.bool_, (13, 18)))
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(image, mask):
    for height in (0.0, 100.0):
        values, _ = fractal(image[None], mask[None], height=height)
        where = fractal.place(image[None], mask[None])
        want = fractal.reference(image[None], where, height=height)
        np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-6)


@given(arrays.arrays(np.int16, (16, 16)), st.integers(0, 3), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_square_may_be_turned_and_mirrored(image, turns, mirrored):
    turned = np.ascontiguousarray(np.rot90(image[:, ::-1] if mirrored else image, turns))
    before, after = measured(image), measured(turned)
    assert before == pytest.approx(after, nan_ok=True)


@given(arrays.arrays(np.uint8, (9, 9)), st.integers(1, 5), st.integers(-300, 300))
@settings(max_examples=25, deadline=None)
def test_by_default_brightness_and_a_contrast_of_two_change_nothing(image, power, shift):
    other = (image.astype(np.float32) * 2.0**power + shift).astype(np.float32)
    assert measured(image) == pytest.approx(measured(other), nan_ok=True)


def labelled() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    blurred = ndimage.gaussian_filter(rng.normal(size=(70, 80)), 3)
    found, _ = ndimage.label(blurred > 0.03)  # pyright: ignore[reportGeneralTypeIssues]
    return rng.integers(0, 4000, (1, 70, 80)).astype(np.uint16), found[None].astype(np.int32)


def test_labelled_objects_are_measured_as_alone_on_cpu_and_gpu():
    images, labels = labelled()
    where = regions(labels)
    together, _ = fractal(images, where)
    for row, label in zip(together, where.label, strict=True):
        alone, _ = fractal(images, labels == label)
        np.testing.assert_array_equal(alone[0], row)
    found = np.empty_like(together)
    with _cuda.running(Interpreter()):
        fractal.gpu(images, where, found, height=0.0)
    np.testing.assert_array_equal(found, together)


# ---- degenerate regions


def test_an_empty_region_is_nan():
    assert all(np.isnan(value) for value in of_mask(np.zeros((9, 9), bool)).values())


def test_a_small_region_has_no_slope():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 8] = True
    assert all(np.isnan(value) for value in of_mask(mask).values())


def test_nan_and_infinite_pixels_leave_the_region():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(20, 24)).astype(np.float32)
    mask = rng.random(image.shape) < 0.9
    want = measured(image, mask)
    for odd in (np.nan, np.inf, -np.inf):
        other = measured(np.where(mask, image, np.float32(odd)))
        assert other == pytest.approx(want, rel=0, abs=0, nan_ok=True)


def test_images_of_too_many_pixels_are_refused():
    with pytest.raises(ValueError, match=r"fractal: an image may have 2\^30 pixels"):
        fractal(np.broadcast_to(np.uint8(0), (1, 1 << 16, 1 << 15)))
