"""Layout: resize, padding, display range, rounding."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from medkern.engine.ingest.frame import Frame
from medkern.engine.ingest.layout import Layout
from medkern.engine.ingest.reason import Unreadable
from medkern.engine.ingest.resample import resize, weights

SIDES = st.integers(1, 40)
IMAGES = st.tuples(SIDES, SIDES).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32))
)


# resize


@given(image=IMAGES, rows=st.integers(1, 6), columns=st.integers(1, 6))
def test_whole_factors_average_blocks_and_keep_the_mean(image, rows, columns):
    big = np.kron(image, np.ones((rows, columns), np.float32))
    big += np.linspace(-1, 1, big.size, dtype=np.float32).reshape(big.shape)
    h, w = image.shape
    blocks = big.reshape(h, rows, w, columns).mean(axis=(1, 3), dtype=np.float64)
    small = resize(big, (h, w))
    np.testing.assert_allclose(small, blocks, atol=2e-3)
    np.testing.assert_allclose(small.mean(dtype=float), big.mean(dtype=float), atol=1e-3)


@given(image=IMAGES)
def test_same_size_is_the_image_itself(image):
    assert resize(image, image.shape) is image


@given(image=IMAGES, rows=SIDES, columns=SIDES)
def test_values_stay_in_range_and_order(image, rows, columns):
    """Weights are never negative: no overshoot, and a brighter image gives a brighter result."""
    size = (rows, columns)
    out = resize(image, size)
    assert out.shape == size
    assert image.min() - 1e-3 <= out.min() and out.max() <= image.max() + 1e-3
    assert (resize(image + 1, size) >= out - 1e-3).all()


@given(old=st.integers(1, 300), new=st.integers(1, 300))
def test_weights_share_out_one_and_use_every_pixel_alike(old, new):
    matrix = weights(old, new).toarray().astype(float)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    if new < old:  # exact area averaging: every input pixel weighs new / old
        np.testing.assert_allclose(matrix.sum(axis=0), new / old, atol=1e-6)


def test_shrinking_by_a_half_pixel_weighs_by_overlap():
    row = np.array([[0.0, 6.0, 12.0]], np.float32)
    np.testing.assert_allclose(resize(row, (1, 2)), [[2, 10]])  # (0 + 6/2) / 1.5, (6/2 + 12) / 1.5


def test_growing_is_linear_between_pixel_centres():
    row = np.array([[0.0, 4.0]], np.float32)
    np.testing.assert_allclose(resize(row, (1, 4)), [[0, 1, 3, 4]])


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i2", ">i2", "<i4", "<f4", ">f4", "<f8"])
def test_every_stored_dtype_resizes_alike(dtype):
    image = np.arange(120).reshape(10, 12)
    frame = Frame(image.astype(dtype))
    expected = Layout((5, 6), bits=16, window=(60, 120)).fit(Frame(image.astype("f8")))
    grey = Layout((5, 6), bits=16, window=(60, 120)).fit(frame)
    assert np.abs(grey.pixels.astype(int) - expected.pixels).max() <= 1


# layout


def test_aspect_ratio_is_kept_by_padding_with_zero():
    grey = Layout((8, 8), window=(0.5, 1.0)).fit(
        Frame(np.ones((4, 16), np.float32), function="LINEAR_EXACT", spacing=(0.5, 0.25))
    )
    assert (grey.pixels[3:5] == 255).all()
    assert (grey.pixels[:3] == 0).all() and (grey.pixels[5:] == 0).all()
    assert grey.spacing == (1.0, 0.5)  # twice as coarse: 4 x 16 became 2 x 8


def test_padding_of_an_inverted_image_is_zero_too():
    grey = Layout((4, 8)).fit(Frame(np.zeros((4, 4), np.uint8), shown=(0, 255), inverted=True))
    assert (grey.pixels[:, 2:6] == 255).all()
    assert (grey.pixels[:, :2] == 0).all() and (grey.pixels[:, 6:] == 0).all()


@settings(deadline=None)
@given(bits=st.integers(1, 16), values=arrays(np.int16, (6, 7)))
def test_full_range_uses_every_depth_to_its_ends(bits, values):
    grey = Layout((6, 7), bits=bits, window="full").fit(Frame(values)).pixels
    assert grey.dtype == (np.uint8 if bits <= 8 else np.uint16)
    if values.min() == values.max():
        assert (grey == 0).all()
        return
    assert (grey.min(), grey.max()) == (0, 2**bits - 1)
    exact = (values - float(values.min())) / (float(values.max()) - values.min()) * (2**bits - 1)
    assert np.abs(grey - exact).max() <= 0.51
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_eight_bit_pictures_scale_by_their_whole_range(bits):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = Layout((16, 16), bits=bits).fit(Frame(values, shown=(0, 255))).pixels
    np.testing.assert_array_equal(grey, np.rint(values / 255 * (2**bits - 1)))
    if bits == 8:
        np.testing.assert_array_equal(grey, values)


def test_an_explicit_window_wins_over_the_files():
    frame = Frame(np.array([[0, 50, 100]], np.int16), window=(500, 1000))
    grey = Layout((1, 3), window=(50, 101)).fit(frame)
    assert grey.window == (50, 101)
    assert grey.pixels.tolist() == [[1, 129, 255]]  # linear from -0.5 to 99.5


def test_rescale_with_a_negative_slope_turns_the_order():
    frame = Frame(np.array([[0, 100]], np.int16), slope=-1.0)
    assert Layout((1, 2), window="full").fit(frame).pixels.tolist() == [[255, 0]]


def test_values_that_are_not_finite():
    values = np.array([[np.nan, -np.inf, 0, 10, np.inf]], np.float32)
    assert Layout((1, 5)).fit(Frame(values)).pixels.tolist() == [[0, 0, 0, 255, 255]]
    with pytest.raises(Unreadable, match="no finite value"):
        Layout((1, 2)).fit(Frame(np.full((1, 2), np.nan)))


def test_32_bit_values_keep_their_precision():
    values = np.array([[2**31 - 3, 2**31 - 2, 2**31 - 1]], np.uint32)
    assert Layout((1, 3), window="full").fit(Frame(values)).pixels.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (0, 8)},
        {"size": (8,)},
        {"size": (8.0, 8)},
        {"bits": 0},
        {"bits": 17},
        {"bits": True},
        {"batch": 0},
        {"window": "auto"},
        {"window": (40, 0)},
        {"window": (float("nan"), 1)},
        {"window": (1, 2, 3)},
    ],
)
def test_what_is_not_allowed(changes):
    with pytest.raises(ValueError, match=r"it must be|allowed"):
        Layout(**({"size": (8, 8)} | changes))
