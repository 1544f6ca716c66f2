"""Granularity: CellProfiler's values, sizes of structures, regions that share an image."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.granularity import granularity

images_of = arrays.arrays(np.uint8, (2, 13, 17), elements=st.integers(0, 60))
EXACT = {"step": 1, "background_step": 1}


def texture(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), (0, 2, 2))
    grey = 2000 + 3000 * smooth + 400 * rng.normal(size=shape)
    return grey.clip(0, 65535).astype(np.uint16)


def settled(**parameters: int) -> dict[str, int]:
    return granularity.resolve(parameters)


# ---- peers


def background_of(small: Any) -> np.ndarray:
    """CellProfiler's: an opening of a quarter of the samples, enlarged."""
    morphology = pytest.importorskip("skimage.morphology")
    back: Any = small[::4, ::4]
    disk = morphology.disk(10)
    back = ndimage.grey_erosion(back, footprint=disk, mode="constant", cval=np.inf)
    back = ndimage.grey_dilation(back, footprint=disk, mode="constant", cval=-np.inf)
    (h, w), (rows, columns) = small.shape, back.shape
    i, j = np.mgrid[:h, :w].astype(float)
    i, j = i * ((rows - 1) / (h - 1)), j * ((columns - 1) / (w - 1))
    return ndimage.map_coordinates(back, (i, j), order=1, mode="nearest")


def test_values_are_cellprofiler_s():
    """Its steps with scikit-image's reconstruction; 16 divides the sides, so that samples fit."""
    morphology = pytest.importorskip("skimage.morphology")
    image = texture(1, (1, 128, 96))
    labels = np.zeros(image.shape, np.int32)
    labels[0, 5:60, 10:50], labels[0, 64:128, 30:96] = 3, 5
    grey = image[0].astype(float)
    small = grey[::4, ::4]
    p = np.maximum(small - background_of(small), 0)
    i, j = np.mgrid[:128, :96].astype(float)
    i, j = i * 31 / 127, j * 23 / 95
    cross, eroded = morphology.disk(1), p
    mean, start = p.mean(), p.mean()
    means = starts = ndimage.mean(grey, labels[0], [3, 5])
    of_image, of_objects = [], []
    for _ in range(16):
        eroded = ndimage.grey_erosion(eroded, footprint=cross, mode="constant", cval=np.inf)
        rec = morphology.reconstruction(eroded, p, footprint=cross)
        large = ndimage.map_coordinates(rec, (i, j), order=1, mode="nearest")
        now = ndimage.mean(large, labels[0], [3, 5])
        of_objects.append(100 * (means - now) / starts)
        of_image.append(100 * (mean - rec.mean()) / start)
        mean, means = rec.mean(), now
    values, names = granularity(image, mk.regions(labels))
    np.testing.assert_allclose(values, np.transpose(of_objects), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(granularity(image)[0], [of_image], rtol=1e-5, atol=1e-9)
    assert names[15] == "granularity.spectrum.16"


# ---- what values mean


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_squares_vanish_at_their_size(size):
    """A square of 2 k - 1 pixels survives k - 1 erosions by a cross, not k."""
    image = np.zeros((1, 40, 40), np.uint8)
    side = 2 * size - 1
    for y, x in ((4, 5), (20, 8), (10, 26)):
        image[0, y : y + side, x : x + side] = 100
    values, _ = granularity(image, radius=6, length=8, **EXACT)
    want = np.zeros(8)
    want[size - 1] = 100
    np.testing.assert_allclose(values[0], want, atol=1e-5)


@given(images_of)
@settings(max_examples=8, deadline=None)
def test_the_compiled_code_equals_the_definition(images):
    for chosen in (settled(length=4), settled(step=2, background_step=2, radius=1, length=4)):
        masks = (images > 20).astype(np.uint8)
        for where in (granularity.place(images), granularity.place(images, masks)):
            values, _ = granularity(images, where, **chosen)
            want = granularity.reference(images, where, **chosen)
            np.testing.assert_allclose(values, want, rtol=1e-5, atol=1e-5)


@given(images_of, st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_flips_and_contrast_do_not_matter(images, gain):
    chosen = {**EXACT, "radius": 2, "length": 5}
    values, _ = granularity(images, **chosen)
    turned = np.ascontiguousarray(images[:, ::-1, ::-1]).astype(np.uint16) * np.uint16(gain)
    np.testing.assert_allclose(granularity(turned, **chosen)[0], values, rtol=1e-5, atol=1e-4)
    assert not (values < -1e-4).any()  # reconstructions only lose


# ---- regions


def test_regions_of_an_image_do_not_depend_on_each_other_or_on_their_order():
    image, rng = texture(2, (3, 90, 80)), np.random.default_rng(2)
    labels = np.kron(rng.integers(0, 5, (3, 9, 8)), np.ones((10, 10))).astype(np.int32)
    where = mk.regions(labels)
    values, _ = granularity(image, where)
    order = rng.permutation(len(where))
    np.testing.assert_array_equal(granularity(image, where.some(order))[0], values[order])
    for row in order[:4]:
        alone, _ = granularity(image, where.some(np.array([row])))
        np.testing.assert_array_equal(alone[0], values[row])
        number, label = where.image[row], where.label[row]
        by_mask, _ = granularity(image, labels == label)
        np.testing.assert_array_equal(by_mask[number], values[row])


def test_the_gpu_code_gives_the_bits_of_the_cpu_code():
    image, rng = texture(3, (2, 37, 46)), np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 3, (2, 8, 10)), np.ones((5, 5)))[:, :37, :46].astype(np.int32)
    for chosen in (settled(length=2), settled(step=1, radius=2, length=2)):
        for where in (mk.regions(labels), mk.windows(image.shape, 13, 17)):
            values, _ = granularity(image, where, **chosen)
            found = np.empty_like(values)
            with _cuda.running(Interpreter()):
                granularity.gpu(image, where, found, **chosen)
            np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- degenerate images


def test_what_has_no_brightness_has_no_spectrum():
    image, masks = np.full((3, 20, 20), 7, np.int16), np.ones((3, 20, 20), np.uint8)
    image[0], image[1], masks[2] = 0, -5, 0
    assert np.isnan(granularity(image, masks)[0]).all()
    for shape in ((1, 1, 1), (1, 1, 9), (1, 6, 2)):
        values, _ = granularity(np.full(shape, 9, np.uint8), np.ones(shape, np.uint8))
        np.testing.assert_allclose(values[0], [100, *[0] * 15])  # all of it is background


def test_pixels_that_are_not_numbers_count_as_nothing():
    image = texture(4, (1, 40, 40)).astype(np.float32)
    spoilt, image[0, 4, 8], image[0, 9, 9] = image.copy(), 0, 0
    spoilt[0, 4, 8], spoilt[0, 9, 9] = np.nan, np.inf
    mask = np.ones(image.shape, np.uint8)
    np.testing.assert_array_equal(granularity(spoilt, mask)[0], granularity(image, mask)[0])
