"""Colour co-occurrence: equal to `glcm` within a channel, to counting by hand between two."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.kernels.texture.colour_glcm import FEATURES, co_occurrence, colour_glcm, formulas
from medkern.kernels.texture.glcm import glcm

NAMES = [feature.name for feature in FEATURES]
regions = arrays.arrays(np.uint8, (2, 7, 9, 3), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (2, 7, 9))


def smooth(seed: int, shape: tuple[int, int, int], dtype: str) -> np.ndarray:
    """Colour images with texture, whose channels resemble one another."""
    n, h, w = shape
    noise = np.random.default_rng(seed).random((n, h + 2, w + 2, 3))
    noise += noise.mean(axis=3, keepdims=True)
    blurred = np.sum([noise[:, y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)
    return ((blurred - blurred.min()) / np.ptp(blurred) * 255).astype(dtype)


def of_pair(values: np.ndarray, names: tuple[str, ...], pair: str) -> np.ndarray:
    return values[:, [k for k, name in enumerate(names) if f".{pair}." in name]]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    "chosen",
    [
        {"levels": 16},
        {"levels": 8, "directions": "merged", "distance": 3},
        {"levels": 9, "binning": "width", "width": 20.5, "low": 30.0},
        {"levels": 7, "binning": "aligned", "width": 30.0},
    ],
    ids=str,
)
def test_within_a_channel_it_is_glcm(chosen, dtype):
    images = smooth(1, (2, 21, 26), dtype)
    masks = (np.random.default_rng(2).random((2, 21, 26)) < 0.9).astype(np.uint8)
    values, names = colour_glcm(images, masks, **chosen)
    for channel, pair in enumerate(("rr", "gg", "bb")):
        want, columns = glcm(np.ascontiguousarray(images[..., channel]), masks, **chosen)
        order = [[column.split(".")[1] for column in columns].index(name) for name in NAMES]
        np.testing.assert_allclose(
            of_pair(values, names, pair), want[:, order], rtol=2e-6, atol=1e-6, err_msg=pair
        )


def test_between_channels_it_is_counting_by_hand():
    image = smooth(3, (1, 12, 13), "uint8") // 32 + np.uint8(1)
    values, names = colour_glcm(image, binning="none", levels=8, directions="merged")
    for a, b, pair in ((0, 1, "rg"), (0, 2, "rb"), (1, 2, "gb")):
        counts = np.zeros((8, 8))
        for y, x in np.ndindex(12, 13):
            for dy, dx in np.ndindex(3, 3):
                v, u = y + dy - 1, x + dx - 1
                if (dy, dx) != (1, 1) and 0 <= v < 12 and 0 <= u < 13:
                    counts[image[0, y, x, a] - 1, image[0, v, u, b] - 1] += 1
        want = formulas(counts / counts.sum())
        np.testing.assert_allclose(of_pair(values, names, pair)[0], want, rtol=1e-6, err_msg=pair)


@pytest.mark.parametrize("offset", [(0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 1, -1)])
def test_counts_within_a_channel_equal_scikit_image(offset):
    feature = pytest.importorskip("skimage.feature")
    grey = smooth(4, (1, 15, 17), "uint8")[..., 0] // 32
    _, dy, dx = offset
    length, angle = np.hypot(dy, dx), np.arctan2(dy, dx)
    want = feature.graycomatrix(grey[0], [length], [angle], levels=8, symmetric=True)
    grey = grey.astype(np.int64) + 1
    np.testing.assert_array_equal(co_occurrence(grey, grey, offset, 8), want[:, :, 0, 0])


@given(regions, areas, st.sampled_from(["averaged", "merged"]), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks, directions, distance):
    chosen = colour_glcm.resolve({"levels": 6, "directions": directions, "distance": distance})
    values, _ = colour_glcm(images, masks, **chosen)
    want = colour_glcm.reference(images, colour_glcm.place(images, masks), **chosen)
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-6)


@given(regions, areas)
@settings(max_examples=20, deadline=None)
def test_exchanged_channels_exchange_their_pairs(images, masks):
    """Red and green exchanged: p(G, R) is p(R, G) turned over, which no feature sees."""
    values, names = colour_glcm(images, masks, levels=6)
    other, _ = colour_glcm(images[..., [1, 0, 2]], masks, levels=6)
    for pair, exchanged in (("rr", "gg"), ("bb", "bb"), ("rb", "gb"), ("rg", "rg")):
        np.testing.assert_allclose(
            of_pair(values, names, pair), of_pair(other, names, exchanged), rtol=1e-5, atol=1e-5
        )


def test_equal_channels_are_all_alike():
    grey = smooth(7, (2, 14, 15), "uint8")[..., :1]
    values, names = colour_glcm(np.repeat(grey, 3, axis=3))
    for pair in ("gg", "bb", "rg", "rb", "gb"):
        np.testing.assert_array_equal(
            of_pair(values, names, pair), of_pair(values, names, "rr"), err_msg=pair
        )


def test_a_flat_channel_tells_nothing_of_the_others():
    images = smooth(8, (1, 10, 11), "uint8")
    images[..., 1] = 77
    values, names = colour_glcm(images)
    found = dict(zip(names, values[0].tolist(), strict=True))
    for pair in ("gg", "rg", "gb"):
        assert found[f"colour_glcm.correlation.{pair}.d1.averaged"] == 1
        assert found[f"colour_glcm.information_correlation_1.{pair}.d1.averaged"] == 0
        assert found[f"colour_glcm.information_correlation_2.{pair}.d1.averaged"] == 0


def test_regions_without_a_pair_are_nan_and_nan_leaves_its_channel_only():
    images = smooth(9, (3, 8, 9), "float32")
    masks = np.zeros((3, 8, 9), np.uint8)
    masks[1, 2, 3], masks[2] = 1, 1
    images[2, ..., 0] = np.nan
    values, names = colour_glcm(images, masks)
    assert np.isnan(values[:2]).all()
    for pair, none in (("rr", True), ("rg", True), ("rb", True), ("gg", False), ("gb", False)):
        assert np.isnan(of_pair(values, names, pair)[2]).all() == none
        assert np.isnan(of_pair(values, names, pair)[2]).any() == none


def test_labelled_objects_are_measured_alone():
    images = smooth(10, (2, 24, 26), "uint8")
    labels = np.zeros((2, 24, 26), np.int32)
    labels[0, 2:9, 3:20], labels[0, 11:22, 1:8], labels[1, 4:20, 5:25] = 1, 2, 5
    where = mk.regions(labels)
    values, _ = colour_glcm(images, where)
    for row, image, label in zip(values, where.image, where.label, strict=True):
        alone, _ = colour_glcm(images[[image]], labels[[image]] == label)
        np.testing.assert_array_equal(row, alone[0])
