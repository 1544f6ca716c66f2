"""Haralick's features: equal to mahotas', greys as CellProfiler makes them, degenerate objects."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.kernels.texture.haralick import FEATURES, grey_images

NAMES = [feature.name for feature in FEATURES]
small = arrays.arrays(np.uint8, (2, 9, 11), elements=st.integers(0, 255))
areas = arrays.arrays(np.bool_, (2, 9, 11))


def smooth(seed: int, shape: tuple[int, int], top: int) -> np.ndarray:
    """Noise summed over neighbours: greys 0 .. top with texture."""
    noise = np.random.default_rng(seed).random((shape[0] + 2, shape[1] + 2))
    h, w = shape
    blurred = np.sum([noise[y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)
    return np.floor((blurred - blurred.min()) / np.ptp(blurred) * top)


def cells(side: int) -> np.ndarray:
    """Four round objects and a thin one, of labels that are not in a row."""
    y, x = np.indices((side, side)) / side
    labels = np.zeros((side, side), np.int32)
    for label, (cy, cx, r) in enumerate(
        [(0.25, 0.25, 0.2), (0.3, 0.75, 0.15), (0.75, 0.3, 0.22), (0.7, 0.8, 0.1)], start=2
    ):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= r**2] = 3 * label
    labels[side // 2, 1:-1] = 1
    return labels


def table(images, where, **parameters) -> np.ndarray:
    """Features (regions, 4, 13), as mahotas has them for each region."""
    values, _ = mk.haralick(images, where, **parameters)
    return values.reshape(len(values), 13, 4).swapaxes(1, 2)


def by_mahotas(greys: np.ndarray, where: mk.Regions, distance: int) -> np.ndarray:
    features = pytest.importorskip("mahotas.features")
    rows = np.full((len(where), 4, 13), np.nan)
    for (crop, inside), out in zip(where.crops(greys), rows, strict=True):
        try:
            cut = np.where(inside, crop, 0)[0]
            out[:] = features.haralick(cut, distance=distance, ignore_zeros=True)
        except ValueError:  # a direction has no pair
            continue
    return rows


# ---- peers


@pytest.mark.parametrize("distance", [1, 3, 7])
@pytest.mark.parametrize(("top", "dark"), [(255, 0), (60, 12), (255, 170)])
def test_the_features_equal_mahotas(distance, top, dark):
    image = np.maximum(smooth(1, (90, 90), top) - dark, 0).astype(np.uint8)[None]
    where = mk.regions(cells(90)[None])
    got, want = table(image, where, distance=distance), by_mahotas(image, where, distance)
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)
    assert np.isnan(got[0]).all(), "the thin one has pairs in one direction only"
    assert np.isfinite(got[1]).all()


def test_a_plate_s_nuclei_equal_mahotas(data):
    imagecodecs = pytest.importorskip("imagecodecs")
    from scipy import ndimage

    path = sorted((data("bbbc013_plate") / "images").rglob("*.*"))[0]
    image = np.asarray(imagecodecs.imread(path))[:256, :256]
    bright = ndimage.gaussian_filter(image.astype(float), 2) > image.mean()
    labels: Any = ndimage.label(bright)
    where = mk.regions(labels[0][None].astype(np.int32))
    assert len(where) > 5
    white = np.iinfo(image.dtype).max
    greys = grey_images(image[None], 256, np.array([white], np.float32))
    got, want = table(image[None], where, distance=3), by_mahotas(greys, where, 3)
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("levels", [2, 8, 52, 100, 255, 256])
def test_greys_are_those_of_cell_profiler(levels):
    """It scales to 0 .. 1, rounds to bytes, and spreads these over the levels."""
    exposure, util = pytest.importorskip("skimage.exposure"), pytest.importorskip("skimage.util")
    deep = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    share = np.random.default_rng(0).random((1, 64, 64), np.float32)
    for image, white in ((deep, 65535.0), (share, 1.0), (deep[:, :16, :16].astype(np.uint8), 255)):
        byte = util.img_as_ubyte((image / np.float32(white)).astype(np.float32))
        if levels != 256:
            spread = {"in_range": (0, 255), "out_range": (0, levels - 1)}
            byte = exposure.rescale_intensity(byte, **spread).astype(np.uint8)
        np.testing.assert_array_equal(
            grey_images(image, levels, np.array([white], np.float32)), byte
        )


def test_white_is_the_intensity_of_the_brightest_grey():
    image = smooth(2, (1, 40 * 40), 4095).reshape(1, 40, 40)
    want = mk.haralick((image / 4095).astype(np.float32))[0]
    np.testing.assert_array_equal(mk.haralick(image.astype(np.uint16), white=4095.0)[0], want)
    brighter = np.where(image > 4000, 60000, image).astype(np.uint16)
    clipped = np.where(image > 4000, 4095, image).astype(np.uint16)
    got, want = (mk.haralick(i, white=4095.0)[0] for i in (brighter, clipped))
    np.testing.assert_array_equal(got, want)


# ---- properties


@given(small, areas, st.sampled_from([{}, {"levels": 9}, {"distance": 2, "white": 100.0}]))
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks, parameters):
    chosen = mk.haralick.settle(images, mk.haralick.resolve(parameters))
    want = mk.haralick.reference(images, mk.haralick.place(images, masks), **chosen)
    got, _ = mk.haralick(images, masks, **parameters)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


@given(small, areas)
@settings(max_examples=25, deadline=None)
def test_a_mirror_exchanges_the_diagonals(images, masks):
    got, _ = mk.haralick(images, masks)
    mirrored, _ = mk.haralick(images[..., ::-1], masks[..., ::-1])
    swapped = mirrored.reshape(-1, 13, 4)[..., [0, 3, 2, 1]]
    np.testing.assert_array_equal(got.reshape(-1, 13, 4), swapped)


@pytest.mark.parametrize("top", [3, 40, 255])  # few cells, many, and so many that pairs are visited
def test_a_table_of_any_size_gives_the_same(top):
    """The range of an object's greys decides how its matrix is read, not what is found."""
    image = smooth(5, (30, 30), top).astype(np.uint8)[None]
    chosen = mk.haralick.settle(image, mk.haralick.resolve({}))
    want = mk.haralick.reference(image, mk.haralick.place(image), **chosen)
    np.testing.assert_allclose(mk.haralick(image)[0], want, rtol=1e-6, atol=1e-7)


# ---- degenerate objects


def test_a_flat_object_has_the_limits():
    values = table(np.full((1, 6, 7), 100, np.uint8), None)[0]
    want = dict.fromkeys(NAMES, 0.0) | {
        "angular_second_moment": 1.0, "correlation": 1.0, "inverse_difference_moment": 1.0,
        "sum_average": 200.0, "difference_variance": 1 / 101 - 1 / 101**2,
    }  # fmt: skip
    for row in values:
        np.testing.assert_allclose(row, [want[name] for name in NAMES], rtol=1e-6)


def test_an_object_without_a_pair_in_some_direction_has_no_value():
    images = np.full((4, 5, 5), 9, np.uint8)
    masks = np.zeros((4, 5, 5), np.uint8)
    masks[1, 2, 2] = 1  # one pixel
    masks[2, 3] = 1  # a row
    images[3, ::2] = 0  # black is no part of an object
    masks[3] = 1
    assert np.isnan(mk.haralick(images, masks)[0]).all()


def test_pixels_that_are_not_numbers_leave_the_object():
    image = (smooth(6, (20, 20), 99) / 99).astype(np.float32)[None]
    mask = np.ones(image.shape, np.uint8)
    mask[0, 3:5, 4] = 0
    spoilt = image.copy()
    spoilt[0, 3, 4], spoilt[0, 4, 4] = np.nan, np.inf
    np.testing.assert_array_equal(mk.haralick(spoilt)[0], mk.haralick(image, mask)[0])


# ---- words


def test_each_direction_has_its_columns():
    _, names = mk.haralick(np.zeros((1, 4, 4), np.uint8), distance=5)
    assert names[:5] == (
        *(f"haralick.angular_second_moment.d5.0{m}" for m in range(4)), "haralick.contrast.d5.00",
    )  # fmt: skip
    assert len(set(names)) == 52
