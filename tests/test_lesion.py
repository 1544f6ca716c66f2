"""ABCD measures of lesions: known shapes and colours, invariances, rims, degenerate regions."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda, lesion, regions, shape2d
from medkern.kernels.texture._lesion_sums import PROTOTYPES
from medkern.kernels.texture.lesion import FEATURES

NAMES = [feature.name for feature in FEATURES]
COLOURS = [name for name in NAMES if name.startswith("share_")]
SKIN, BROWN = (220, 180, 160), (135, 44, 5)


def measured(image: np.ndarray, mask: np.ndarray, **given: float) -> dict[str, float]:
    """The features of one image (h, w, 3)."""
    values, _ = lesion(image[None], mask[None], **given)
    return dict(zip(NAMES, values[0].tolist(), strict=True))


def ellipse(tilt: float, long: float = 30, short: float = 18, side: int = 90) -> np.ndarray:
    y, x = np.indices((side, side)) - (side - 1) / 2
    u, v = y * np.cos(tilt) + x * np.sin(tilt), x * np.cos(tilt) - y * np.sin(tilt)
    return (u / long) ** 2 + (v / short) ** 2 <= 1


def painted(mask: np.ndarray, inside=BROWN, outside=SKIN) -> np.ndarray:
    return np.where(mask[..., None], np.array(inside, np.uint8), np.array(outside, np.uint8))


def blob(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A ragged lesion of uneven colour, and its mask (70, 80)."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((70, 80))
    ragged = ndimage.gaussian_filter(rng.normal(size=y.shape), 4)
    mask = ((y - 33) / 22) ** 2 + ((x - 41) / 27) ** 2 + 6 * ragged < 1
    shade = ndimage.gaussian_filter(rng.normal(0, 200, (*y.shape, 3)), (3, 3, 0))
    return (painted(mask) + shade).clip(0, 255).astype(np.uint8), mask


# ---- asymmetry


@pytest.mark.parametrize("tilt", [0, np.pi / 2, np.pi / 4])
def test_an_ellipse_along_the_axes_of_the_grid_is_symmetric(tilt):
    mask = ellipse(tilt)
    found = measured(painted(mask), mask)
    assert found["asymmetry"] == found["colour_asymmetry"] == 0


@pytest.mark.parametrize("tilt", [0.2, 0.7, 2.0])
def test_a_tilted_ellipse_is_so_but_for_its_outermost_pixels(tilt):
    mask = ellipse(tilt)
    found = measured(painted(mask), mask)
    assert found["asymmetry"] < 0.02
    assert found["colour_asymmetry"] == 0


def test_a_right_triangle_by_hand():
    """An isosceles one: its minor axis is one of symmetry, or its major one; the other is not."""
    y, x = np.indices((61, 61))
    mask = abs(x - 30) <= y / 2
    found = measured(painted(mask), mask)
    assert found["asymmetry_major"] == 0
    assert found["asymmetry_minor"] > 0.2
    assert found["asymmetry"] == pytest.approx(found["asymmetry_minor"] / 2)


def test_two_halves_of_two_colours():
    mask = ellipse(0)
    image = painted(mask)
    image[:45] = np.where(mask[:45, :, None], np.array((135, 144, 5), np.uint8), image[:45])
    found = measured(image, mask)
    assert found["colour_asymmetry_minor"] == pytest.approx(100)  # the minor axis parts them
    assert found["colour_asymmetry_major"] == 0
    assert found["colour_asymmetry"] == pytest.approx(50)


# ---- border


def test_a_circle_is_less_irregular_than_a_star():
    y, x = np.indices((91, 91)) - 45
    angle, far = np.arctan2(y, x), np.hypot(y, x)
    circle, star = (measured(painted(m), m) for m in (far < 30, far < 30 + 8 * np.cos(7 * angle)))
    assert circle["radial_irregularity"] < 0.015 < 0.1 < star["radial_irregularity"]
    assert circle["form_factor"] > 1.3 * star["form_factor"]
    assert circle["solidity"] > 0.97 > 0.9 > star["solidity"]


def test_the_step_at_the_border_is_that_of_the_rims():
    mask = ellipse(0.4)
    found = measured(painted(mask), mask, rim=5)
    assert found["border_step"] == pytest.approx(np.mean(SKIN) - np.mean(BROWN))
    assert found["border_step_sd"] == pytest.approx(0, abs=1e-5)
    inside: Any = ndimage.distance_transform_edt(mask)
    outside: Any = ndimage.distance_transform_edt(~mask)
    far = inside - outside
    faded = painted(mask) * 0.0 + (100 - far * 2)[..., None]  # 2 a pixel
    soft = measured(faded.clip(0, 255).astype(np.uint8), mask, rim=5)
    assert 0 < soft["border_step"] < 20 < found["border_step"]


def test_a_rim_ends_at_the_image_s_border():
    image, mask = blob(3)
    y, x = np.nonzero(mask)
    cut = slice(y.min(), y.max() - 8), slice(x.min() + 3, 80)
    found = measured(np.ascontiguousarray(image[cut]), np.ascontiguousarray(mask[cut]))
    want = lesion.reference(image[cut][None], lesion.place(image[cut][None], mask[cut][None]),
                            rim=8, least_share=0.05)  # fmt: skip
    np.testing.assert_allclose(list(found.values()), want[0], rtol=1e-6, atol=1e-6)
    assert np.isfinite(found["border_step"])


def test_another_lesion_is_no_skin():
    labels = np.zeros((1, 30, 50), np.int32)
    labels[0, 8:20, 5:20], labels[0, 8:20, 22:40] = 1, 2
    grey = np.where(labels == 1, 50, np.where(labels == 2, 0, 200)).astype(np.uint8)
    image = np.repeat(grey[..., None], 3, axis=3)
    values, _ = lesion(image, regions(labels))
    assert values[0, NAMES.index("relative_red")] == -150
    assert values[1, NAMES.index("relative_red")] == -200
    assert values[0, NAMES.index("border_step_sd")] == 0


# ---- colour and diameter


def test_each_prototype_has_its_own_colour_in_8_and_16_bits():
    image = np.repeat(PROTOTYPES, [10, 20, 30, 40, 50, 1], axis=0)[None].astype(np.uint8)
    mask = np.ones(image.shape[:2], bool)
    for scaled in (image, image.astype(np.uint16) * 256 + 255):
        found = measured(scaled, mask)
        np.testing.assert_allclose([found[name] for name in COLOURS],
                                   np.array([10, 20, 30, 40, 50, 1]) / 151, rtol=1e-6)  # fmt: skip
        assert found["colours"] == 5
    assert measured(image, mask, least_share=0.3)["colours"] == 1


def test_colours_equal_those_of_numpy():
    image, mask = blob(1)
    found, inside = measured(image, mask), image[mask].astype(float)
    for c, name in enumerate(("red", "green", "blue")):
        assert found[f"mean_{name}"] == pytest.approx(inside[:, c].mean())
        assert found[f"sd_{name}"] == pytest.approx(inside[:, c].std())
        want = inside[:, c].std() / inside[:, c].max()
        assert found[f"variegation_{name}"] == pytest.approx(want)


def test_diameters_are_those_of_shape2d():
    image, mask = blob(2)
    values, names = shape2d(image[None, ..., 0].copy(), mask[None])
    shape, found = dict(zip(names, values[0], strict=True)), measured(image, mask)
    for name in ("max_feret_diameter", "equivalent_diameter", "form_factor", "solidity"):
        assert found[name] == shape[f"shape2d.{name}"]


# ---- properties


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turning_and_mirroring_changes_nothing(seed, turns, mirrored):
    before = blob(seed)
    after = (np.ascontiguousarray(np.rot90(a[:, ::-1] if mirrored else a, turns)) for a in before)
    assert measured(*after) == pytest.approx(measured(*before), rel=1e-5, abs=1e-6)


def test_labelled_lesions_are_measured_as_alone_on_cpu_and_gpu():
    image, _ = blob(4)
    images, labels = image[None, :40, :44].copy(), np.zeros((1, 40, 44), np.int32)
    labels[0, 4:12, 5:15], labels[0, 30:40, 30:44], labels[0, 25, 3] = 1, 3, 7
    where = regions(labels)
    together, _ = lesion(images, where, rim=2)
    for row, label in zip(together, where.label, strict=True):
        alone, _ = lesion(images, labels == label, rim=2)
        np.testing.assert_array_equal(alone[0], row)
    found = np.empty_like(together)
    with _cuda.running(Interpreter()):
        lesion.gpu(images, where, found, rim=2, least_share=0.05)
    np.testing.assert_array_equal(found, together)


# ---- degenerate regions


def test_an_empty_region_is_nan():
    image, _ = blob(1)
    found = measured(image, np.zeros(image.shape[:2], bool))
    assert all(np.isnan(value) for value in found.values())


def test_a_whole_image_has_no_skin():
    image, _ = blob(1)
    found = measured(image, np.ones(image.shape[:2], bool))
    missing = {name for name, value in found.items() if np.isnan(value)}
    relative = {f"relative_{name}" for name in ("red", "green", "blue")}
    assert missing == relative | {"border_step", "border_step_sd"}


def test_one_pixel():
    image, mask = blob(1)
    mask = np.zeros_like(mask)
    mask[0, 5] = True
    found = measured(image, mask)
    halves = {f"colour_asymmetry{end}" for end in ("", "_major", "_minor")}
    missing = {name for name, value in found.items() if np.isnan(value)}
    assert missing == halves | {"form_factor", "radial_irregularity"}
    assert found["asymmetry"] == found["sd_red"] == 0
