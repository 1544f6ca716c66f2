"""Colours: the conversions of others, moments, angles and histograms, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from medkern import kernels as mk
from medkern.kernels._colour import (
    choose,
    cube_root,
    density,
    linear_light,
    stain,
    stain_names,
    stain_weights,
    to_hsv,
    to_lab,
)
from medkern.kernels._cpu import compiled
from medkern.kernels.texture.colour import CHANNELS, colour, point_at

pictures = arrays.arrays(np.uint8, (1, 6, 7, 3))
areas = arrays.arrays(np.bool_, (1, 6, 7))


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """(3, pixels) uint8: dark, grey and pure ones among them."""
    rng = np.random.default_rng(3)
    found = rng.integers(0, 256, (20_000, 3), dtype=np.uint8)
    found[:4000] //= 32
    found[4000:4256] = np.arange(256)[:, None]
    found[5000:9000] = rng.choice([0, 128, 255], (4000, 3))
    return found.T


def found(images, masks=None, **parameters) -> list[dict[str, float]]:
    values, names = colour(images, masks, **parameters)
    short = [name.removeprefix("colour.") for name in names]
    return [dict(zip(short, row.tolist(), strict=True)) for row in values]


# ---- conversions


def test_lab_is_that_of_scikit_image(colours):
    color = pytest.importorskip("skimage.color")
    want = color.rgb2lab(colours.T).T
    got = to_lab(*linear_light()[colours])
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-4)


def test_hsv_is_that_of_scikit_image(colours):
    color = pytest.importorskip("skimage.color")
    hue, saturation, value = to_hsv(*colours.astype(np.float32))
    np.testing.assert_allclose(
        [hue, saturation, value / 255], color.rgb2hsv(colours.T).T, rtol=0, atol=2e-7
    )


@pytest.mark.parametrize(
    ("stains", "theirs"),
    [
        ("H-E-DAB", "hed"),
        ("H-DAB", "hdx"),
        ("H-AEC", "hax"),
        ("H-PAS", "hpx"),
        ("Giemsa", "bex"),
        ("Masson", "bpx"),
    ],
)
def test_stains_are_those_of_scikit_image(colours, stains, theirs):
    color = pytest.importorskip("skimage.color")
    want = 6 * color.separate_stains(colours.T, getattr(color, f"{theirs}_from_rgb")).T
    red, green, blue = density()[colours]
    got = [stain(red, green, blue, weights) for weights in stain_weights(stains)]
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=3e-6)


def test_a_stain_alone_is_one_of_itself_and_none_of_the_others():
    for stains in ("H-E", "H-E-DAB"):
        vectors = np.linalg.inv(stain_weights(stains).T.astype(np.float64)).astype(np.float32)
        for k, (red, green, blue) in enumerate(vectors):
            amounts = [stain(red, green, blue, weights) for weights in stain_weights(stains)]
            np.testing.assert_allclose(amounts, np.eye(3)[k], atol=1e-6)
    assert stain_names("H-E") == ("haematoxylin", "eosin", "residual")


def test_white_and_black_are_grey_in_every_space():
    light = linear_light()[np.array([[0, 255]] * 3)]
    lightness, a, b = to_lab(*light)
    np.testing.assert_allclose(lightness, [0, 100], atol=1e-5)
    assert abs(np.array([a, b])).max() < 2e-2  # six digits of the matrix: not a perfect white


@given(st.floats(2.0**-90, 2.0**90, width=32))
def test_cube_roots_are_within_two_roundings(x):
    assert float(cube_root(np.float32(x))) == pytest.approx(np.cbrt(x), rel=2.5e-7)


@compiled
def convert_all(rgb, light, weights, out):
    for x in range(rgb.shape[1]):
        red, green, blue = rgb[0, x], rgb[1, x], rgb[2, x]
        out[0, x], out[1, x], out[2, x] = to_hsv(red, green, blue)
        out[3, x], out[4, x], out[5, x] = to_lab(light[0, x], light[1, x], light[2, x])
        out[6, x] = stain(red, green, blue, weights)
        out[7, x] = choose(red > green, red, green)


def test_compiled_code_gives_the_bits_of_numpy(colours):
    rgb, light, weights = colours.astype(np.float32), linear_light()[colours], stain_weights("H-E")
    out = np.empty((8, colours.shape[1]), np.float32)
    convert_all(rgb, light, weights[0], out)
    want = [*to_hsv(*rgb), *to_lab(*light), stain(rgb[0], rgb[1], rgb[2], weights[0])]
    np.testing.assert_array_equal(out, [*want, np.maximum(rgb[0], rgb[1])])


@compiled
def points(parts, out):
    for k in range(parts.size):
        out[0, k], out[1, k] = point_at(parts[k])


def test_points_of_the_circle_are_those_of_the_library():
    parts = np.linspace(0, 1, 4001)
    out = np.empty((2, parts.size))
    points(parts, out)
    angle = 2 * np.pi * parts
    np.testing.assert_allclose(out, [np.cos(angle), np.sin(angle)], rtol=0, atol=1e-15)


# ---- features


def test_moments_equal_scipy():
    image = np.random.default_rng(1).integers(0, 256, (1, 40, 50, 3), dtype=np.uint8)
    got = found(image)[0]
    rgb = image.reshape(-1, 3).T.astype(np.float64)
    for v, channel in zip(rgb, ("red", "green", "blue"), strict=True):
        assert got[f"mean.{channel}"] == pytest.approx(v.mean(), rel=1e-6)
        assert got[f"standard_deviation.{channel}"] == pytest.approx(v.std(), rel=1e-6)
        assert got[f"skewness.{channel}"] == pytest.approx(stats.skew(v), rel=1e-5)
        assert got[f"minimum.{channel}"] == v.min()
        assert got[f"maximum.{channel}"] == v.max()


def test_the_hue_is_measured_on_the_circle():
    """Hues about red, on both sides of 0: their mean is red, not cyan."""
    image = np.array([[[[200, 20, 0], [200, 0, 20], [200, 0, 20], [90, 90, 90]]]], np.uint8)
    got = found(image)[0]
    angle = 2 * np.pi * np.array([0.1, -0.1, -0.1]) / 6
    mean = stats.circmean(angle)
    assert got["hue_mean"] == pytest.approx(mean / (2 * np.pi) - 1, rel=1e-5)
    assert got["hue_deviation"] == pytest.approx(np.sqrt(2 * stats.circvar(angle)), rel=1e-5)
    assert got["hue_skewness"] == pytest.approx(np.sin(2 * (angle - mean)).mean(), rel=1e-5)
    assert got["share.hue.0"] == pytest.approx(1 / 3)  # the grey pixel has no hue
    assert got["share.hue.7"] == pytest.approx(2 / 3)


def test_opposite_hues_have_no_mean():
    got = found(np.array([[[[255, 0, 0], [0, 255, 255]]]], np.uint8))[0]
    assert np.isnan([got["hue_mean"], got["hue_skewness"]]).all()
    assert got["hue_deviation"] == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("bins", [2, 8, 64])
def test_shares_of_red_green_and_blue_are_counts_of_whole_numbers(bins):
    image = np.random.default_rng(5).integers(0, 256, (1, 30, 30, 3), dtype=np.uint8)
    got = found(image, bins=bins)[0]
    for k, channel in enumerate(CHANNELS[:3]):
        want = np.bincount(image[..., k].ravel() * np.int64(bins) // 256, minlength=bins) / 900
        assert [got[f"share.{channel}.{i}"] for i in range(bins)] == pytest.approx(want.tolist())


@given(pictures, areas)
@settings(max_examples=25, deadline=None)
def test_shares_are_whole_and_turns_change_nothing(images, masks):
    got = found(images, masks)[0]
    turned = found(images.transpose(0, 2, 1, 3), masks.transpose(0, 2, 1))[0]
    assert turned == pytest.approx(got, rel=1e-4, abs=1e-4, nan_ok=True)
    for channel in CHANNELS:
        total = sum(got[f"share.{channel}.{i}"] for i in range(8))
        assert np.isnan(total) or total == pytest.approx(1)


def test_masks_labels_and_crops_say_the_same():
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (1, 20, 24, 3), dtype=np.uint8)
    labels = np.zeros((1, 20, 24), np.int32)
    labels[0, 2:9, 3:15], labels[0, 10:19, 5:23] = 1, 2
    of_labels, _ = colour(images, mk.regions(labels))
    for k, row in enumerate(of_labels):
        of_mask, _ = colour(images, labels == k + 1)
        np.testing.assert_array_equal(row, of_mask[0])
    of_crop, _ = colour(images[:, 2:9, 3:15])
    np.testing.assert_array_equal(of_labels[0], of_crop[0])


def test_flat_grey_and_empty_regions_are_defined():
    images = np.full((3, 9, 300, 3), 77, np.uint8)
    images[1] = (180, 60, 90)
    masks = np.ones((3, 9, 300), np.uint8)
    masks[2] = 0
    grey, flat, empty = found(images, masks)
    assert np.isnan(list(empty.values())).all()
    for row in (grey, flat):
        spreads = [row[n] for n in row if n.startswith(("standard_deviation", "skewness"))]
        assert not any(spreads)
    hues = [v for n, v in grey.items() if n.startswith(("hue_", "share.hue"))]
    assert np.isnan(hues).all()
    assert not np.isnan(list(flat.values())).any()
    assert flat["hue_mean"] == pytest.approx(-0.25 / 6)
    assert flat["hue_deviation"] == pytest.approx(0, abs=1e-7)
    assert flat["mean.red"] == 180
