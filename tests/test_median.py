"""The median: against OpenCV, SciPy and ITK, its order of floats, its networks and its ranks."""

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.bench.ptx import Interpreter, report
from medkern.kernels._cuda import running
from medkern.kernels.denoise._median_network import program
from medkern.kernels.denoise.median import median

INTEGERS = ("uint8", "uint16", "int16")
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4e38]


def random_images(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.normal(0, 100, shape).astype(np.float32)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def on_gpu_code(images: np.ndarray, radius: int) -> tuple[np.ndarray, Any]:
    """The compiled GPU code in the interpreter: the result and what it counted."""
    out = np.empty_like(images)
    with running(Interpreter()) as interpreter:
        median.gpu(images, out, radius=radius)
    (stats,) = interpreter.stats.values()
    return out, stats


def bits(images: np.ndarray) -> np.ndarray:
    return images.view(np.int32) if images.dtype == np.float32 else images


# ---- the same definition as the peers


@pytest.mark.parametrize("dtype", median.dtypes)
@pytest.mark.parametrize("radius", [1, 2])
def test_equals_opencv(dtype, radius):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    images = random_images((2, 65, 131), dtype)
    want = [cv2.medianBlur(image, 2 * radius + 1) for image in images]
    np.testing.assert_array_equal(median(images, radius=radius), want)


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 5, 6, 7, 15, 16, 33, 50])
def test_equals_scipy_whatever_the_radius(radius):
    images = random_images((1, 50, 61), "uint16", radius)
    want = scipy.ndimage.median_filter(images[0], 2 * radius + 1, mode="nearest")
    np.testing.assert_array_equal(median(images, radius=radius)[0], want)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_equals_itk_in_volumes(dtype, radius):
    itk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    volumes = random_images((2, 6, 17, 40), dtype, radius)
    want = [
        itk.GetArrayFromImage(itk.Median(itk.GetImageFromArray(v), (radius,) * 3)) for v in volumes
    ]
    np.testing.assert_array_equal(median(volumes, radius=radius), want)


# ---- properties


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 70)))
    dtype = draw(st.sampled_from(median.dtypes))
    if dtype == "float32":
        pixels = st.sampled_from(SPECIAL) | st.floats(width=32)
        return draw(arrays.arrays(np.float32, shape, elements=pixels)), draw(
            st.sampled_from([1, 3, 6])
        )
    return draw(arrays.arrays(dtype, shape)), draw(st.sampled_from([1, 2, 4, 7]))


@given(batches())
@settings(max_examples=60, deadline=None)
def test_equals_the_reference_bit_for_bit(batch):
    images, radius = batch
    want = median.reference(images, radius=radius)
    np.testing.assert_array_equal(bits(median(images, radius=radius)), bits(want))


@given(st.integers(0, 1000), st.sampled_from([1, 2, 6]))
@settings(max_examples=20, deadline=None)
def test_commutes_with_every_increasing_map_of_grey_levels(seed, radius):
    images = random_images((2, 17, 40), "uint8", seed)
    increasing = np.sort(random_images((256,), "uint16", seed + 1))
    np.testing.assert_array_equal(
        increasing[median(images, radius=radius)], median(increasing[images], radius=radius)
    )


@pytest.mark.parametrize("radius", [1, 2, 5, 15, 40])
def test_impulses_rarer_than_half_a_window_vanish(radius):
    images = np.full((3, 70, 90), 1000, np.uint16)
    images[:, :: radius + 1, :: 2 * radius + 1] = 65535
    assert (median(images, radius=radius) == 1000).all()


@pytest.mark.parametrize("radius", [1, 2, 7])
def test_an_edge_stays_where_it_is(radius):
    images = np.zeros((1, 40, 60), np.int16)
    images[:, :, 23:] = -1000
    np.testing.assert_array_equal(median(images, radius=radius), images)


@pytest.mark.parametrize("width", [1, 5, 31, 257, 2049, 4400])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_images_wider_and_narrower_than_a_line_of_memory(width, radius):
    images = random_images((4, 9, width), "uint16")
    np.testing.assert_array_equal(
        median(images, radius=radius), median.reference(images, radius=radius)
    )


@pytest.mark.parametrize("dtype", median.dtypes)
@pytest.mark.parametrize("radius", [1, 2])
def test_rows_about_as_long_as_a_vector(dtype, radius):
    lanes = 32 // np.dtype(dtype).itemsize
    for width in range(lanes - 1, lanes + 6):
        images = random_images((2, 5, width), dtype)
        np.testing.assert_array_equal(
            median(images, radius=radius), median.reference(images, radius=radius), str(width)
        )


def test_a_volume_is_not_a_batch_of_images():
    volumes = random_images((1, 5, 12, 20), "uint8")
    want = scipy.ndimage.median_filter(volumes[0], 3, mode="nearest")
    np.testing.assert_array_equal(median(volumes)[0], want)
    assert (median(volumes)[0] != median(volumes[0])).any()


def test_a_batch_is_filtered_image_by_image():
    images = random_images((70, 28, 28), "uint8")
    one_by_one = [median(image[None], radius=2)[0] for image in images]
    np.testing.assert_array_equal(median(images, radius=2), one_by_one)


# ---- the order of floats


def test_not_a_number_sorts_last_whatever_its_sign():
    row = np.array([-np.nan, np.nan, -np.inf, 5.0, -np.nan], np.float32)
    images = np.repeat(row[None, None], 3, axis=1)
    got = median(images, radius=1)
    np.testing.assert_array_equal(got[0, 1], [np.nan, np.nan, 5.0, 5.0, np.nan])
    assert not np.signbit(got[np.isnan(got)]).any()


def test_minus_zero_sorts_below_zero():
    images = np.zeros((1, 3, 3), np.float32)
    images[0, :, :2] = -0.0
    assert np.signbit(median(images)[0, 1, 1])
    images[0, 0, 0] = images[0, 1, 0] = 0.0
    assert not np.signbit(median(images)[0, 1, 1])


@pytest.mark.parametrize("radius", [1, 3, 6])
def test_gpu_code_orders_floats_in_the_same_way(radius):
    images = np.random.default_rng(3).choice(np.array(SPECIAL, np.float32), (1, 18, 20))
    got, _ = on_gpu_code(images, radius)
    np.testing.assert_array_equal(bits(got), bits(median(images, radius=radius)))


# ---- the networks


@pytest.mark.parametrize(
    ("radius", "rows", "deep"),
    [(r, rows, 1) for r in range(1, 6) for rows in (1, 2, 4, 8) if rows <= r + 1]
    + [(r, rows, 2 * r + 1) for r in (1, 2, 3) for rows in (1, 2, 4) if rows <= r + 1],
)
def test_every_network_finds_the_median(radius, rows, deep):
    """The program, run by NumPy over 0 and 1: by the 0-1 principle right for all values."""
    steps, outputs, slots = program(radius, rows, deep)
    height, lanes = 2 * radius + rows, 64
    share = np.random.default_rng(radius).random(lanes)  # of ones, different along the row
    pixels = np.random.default_rng(rows).random((height, deep, lanes)) < share
    memory = np.zeros(slots * lanes + height, bool)
    memory[: pixels.size] = pixels.ravel()
    for a, a_shift, b, b_shift, low, high in steps:
        one = memory[a * lanes + a_shift :][:lanes].copy()
        two = memory[b * lanes + b_shift :][:lanes].copy()
        if low >= 0:
            memory[low * lanes :][:lanes] = one & two
        if high >= 0:
            memory[high * lanes :][:lanes] = one | two
    side = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, deep, side))[:, 0]
    want = windows.sum(axis=(2, 3, 4)) > side * side * deep // 2
    got = [memory[slot * lanes :][: want.shape[1]] for slot in outputs]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("radius", "limit"), [(1, 12), (2, 45), (3, 90), (5, 240)])
def test_sharing_keeps_the_networks_small(radius, limit):
    """Exchanges a pixel; the best known network for one 5 x 5 window by itself has 99."""
    assert median.cost(2, radius=radius).operations / 2 <= limit


# ---- ranks


@pytest.mark.parametrize("dtype", median.dtypes)
@pytest.mark.parametrize(("shape", "radius"), [((2, 300, 270), 6), ((1, 170, 330), 50)])
def test_tiles_of_a_large_image_fit_together(dtype, shape, radius):
    images = random_images(shape, dtype, radius)
    got = median(images, radius=radius)
    for y in (0, 100, shape[1] - 40):
        for x in (0, 120, 230):  # a part, with what its windows reach, is a tile of its own
            top, left = max(y - radius, 0), max(x - radius, 0)
            part = images[:, top : y + 40 + radius, left : x + 30 + radius]
            here = slice(y - top, y - top + 40), slice(x - left, x - left + 30)
            np.testing.assert_array_equal(
                got[:, y : y + 40, x : x + 30], median(part, radius=radius)[:, *here]
            )


@pytest.mark.parametrize("levels", [1, 2, 1024, 1025, 4096, 65536])
def test_any_range_of_grey_levels(levels):
    images = np.random.default_rng(levels).integers(0, levels, (1, 60, 71)).astype(np.uint16)
    images += np.uint16(65536 - levels)
    want = scipy.ndimage.median_filter(images[0], 15, mode="nearest")
    np.testing.assert_array_equal(median(images, radius=7)[0], want)


@pytest.mark.parametrize("radius", [6, 20])
def test_ranks_keep_the_order_of_floats(radius):
    images = np.random.default_rng(radius).choice(np.array(SPECIAL, np.float32), (2, 40, 50))
    want = median.reference(images, radius=radius)
    np.testing.assert_array_equal(bits(median(images, radius=radius)), bits(want))


# ---- GPU code


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("radius", [1, 2, 5, 6, 50])
def test_gpu_code_needs_no_local_memory_and_few_registers(dtype, radius):
    launches = []
    images = np.zeros((1, 1, 1), dtype)
    with running(launches.append):
        median.gpu(images, np.empty_like(images), radius=radius)
    for row in report(launches[0].function):
        assert row.spills == 0 and row.stack == 0 and not row.float64, str(row)
        assert row.registers <= median.quality.registers, str(row)
        assert row.shared <= median.quality.shared_bytes, str(row)


@pytest.mark.parametrize("dtype", median.dtypes)
def test_gpu_code_moves_few_bytes_in_vain(dtype):
    images = random_images((1, 32, 512), dtype)
    got, stats = on_gpu_code(images, 1)
    np.testing.assert_array_equal(got, median(images))
    assert stats.sector_efficiency >= 0.85
    assert stats.bank_conflict_factor == 1


@pytest.mark.parametrize(("shape", "radius"), [((1, 9, 20), 4), ((1, 3, 5, 6), 3)])
def test_gpu_code_bisects_pixel_by_pixel(shape, radius):
    images = random_images(shape, "uint16")
    got, _ = on_gpu_code(images, radius)
    np.testing.assert_array_equal(got, median(images, radius=radius))


@pytest.mark.parametrize(
    ("shape", "radius", "levels"),
    [((1, 66, 70), 6, 65536), ((1, 20, 70), 30, 300), ((1, 9, 9), 7, 1)],
)
def test_gpu_code_bisects_tiles_as_a_whole(shape, radius, levels):
    images = np.random.default_rng(radius).integers(0, levels, shape).astype(np.uint16)
    got, _ = on_gpu_code(images, radius)
    np.testing.assert_array_equal(got, median(images, radius=radius))


def test_the_radius_is_bounded():
    images = np.zeros((1, 4, 4), np.uint8)
    assert (median(images, radius=50) == 0).all()
    with pytest.raises(ValueError, match="radius must be 1 to 50"):
        median(images, radius=51)
    with pytest.raises(ValueError, match="radius must be 1 to 3 for volumes"):
        median(images[None], radius=4)
    with pytest.raises(TypeError, match="knows: radius"):
        median(images, size=3)
