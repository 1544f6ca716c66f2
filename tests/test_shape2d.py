"""Shape of 2D regions: equal to regionprops, known shapes, invariances, degenerate regions."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda, regions
from medkern.kernels.texture.shape2d import FEATURES, shape2d

NAMES = [feature.name for feature in FEATURES]
areas = arrays.arrays(np.bool_, (9, 11))
PLACE = {"bounding_box_top", "bounding_box_left", "bounding_box_bottom", "bounding_box_right"}
OF_REGIONPROPS = {
    "area": "area", "perimeter": "perimeter", "extent": "extent", "solidity": "solidity",
    "equivalent_diameter_area": "equivalent_diameter", "eccentricity": "eccentricity",
    "axis_major_length": "major_axis_length", "axis_minor_length": "minor_axis_length",
    "area_convex": "convex_area", "feret_diameter_max": "max_feret_diameter",
    "bbox-0": "bounding_box_top", "bbox-1": "bounding_box_left",
    "bbox-2": "bounding_box_bottom", "bbox-3": "bounding_box_right",
    "euler_number": "euler_number",
} | {f"moments_hu-{k}": f"hu_{k + 1}" for k in range(7)}  # fmt: skip


def measured(masks: np.ndarray) -> list[dict[str, float]]:
    values, _ = shape2d(np.zeros(masks.shape, np.uint8), masks)
    return [dict(zip(NAMES, row, strict=True)) for row in values.tolist()]


def objects(seed: int, smooth: float) -> np.ndarray:
    """(1, 150, 160) int32 labels of blobs: many shapes, some with holes."""
    noise = np.random.default_rng(seed).normal(size=(150, 160))
    blurred = ndimage.gaussian_filter(noise, smooth) if smooth else noise
    found: Any = ndimage.label(blurred > 0.3 * blurred.std(), np.ones((3, 3)))
    return found[0][None].astype(np.int32)


# ---- the peer


@pytest.mark.parametrize("smooth", [0, 1, 3])
def test_equals_regionprops(smooth):
    measure = pytest.importorskip("skimage.measure")
    labels = objects(7, smooth)
    values, _ = shape2d(np.zeros(labels.shape, np.uint8), regions(labels))
    properties = {name.partition("-")[0] for name in OF_REGIONPROPS} | {"orientation"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hulls that are lines
        table = measure.regionprops_table(labels[0], properties=sorted(properties))
    assert len(values) == len(table["area"]) > 10
    for theirs, ours in OF_REGIONPROPS.items():
        got = values[:, NAMES.index(ours)]
        # its float64 moments cancel where ours are integers
        np.testing.assert_allclose(got, table[theirs], rtol=2e-6, atol=1e-9, err_msg=ours)
    oblong = values[:, NAMES.index("eccentricity")] > 0  # a round object has no orientation
    turned = values[oblong, NAMES.index("orientation")] - table["orientation"][oblong]
    np.testing.assert_allclose(np.sin(turned), 0, atol=1e-6)


# ---- known shapes


def test_a_rectangle():
    mask = np.zeros((1, 20, 30), bool)
    mask[0, 5:11, 7:25] = True
    found = measured(mask)[0]
    assert found["area"] == found["convex_area"] == 108
    assert found["extent"] == found["solidity"] == found["euler_number"] == 1
    assert found["perimeter"] == 2 * (5 + 17)
    assert found["form_factor"] == pytest.approx(4 * np.pi * 108 / 44**2)
    assert found["orientation"] == pytest.approx(np.pi / 2)
    assert found["major_axis_length"] == pytest.approx(4 * np.sqrt((18**2 - 1) / 12))
    assert found["max_feret_diameter"] == pytest.approx(np.hypot(18, 5))
    assert found["min_feret_diameter"] == pytest.approx(6)
    assert [found[name] for name in NAMES if name in PLACE] == [5, 7, 11, 25]


def test_a_ring_has_one_hole_and_a_chessboard_many():
    y, x = np.indices((31, 31)) - 15
    ring = (y**2 + x**2 <= 14**2) & (y**2 + x**2 >= 6**2)
    chess = (y + x) % 2 == 0
    both = measured(np.stack([ring, chess]))
    assert [found["euler_number"] for found in both] == [0, 1 - (31 * 31 // 2 - 2 * 30)]


# ---- properties


@given(areas)
@settings(max_examples=60, deadline=None)
def test_the_compiled_code_equals_the_definition(mask):
    images = np.zeros((1, *mask.shape), np.uint8)
    values, _ = shape2d(images, mask[None])
    want = shape2d.reference(images, shape2d.place(images, mask[None]))
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-7)


@given(areas, st.integers(0, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_turning_and_mirroring_changes_only_place_and_orientation(mask, turns, mirrored):
    mask[4, 5] = True
    turned = np.rot90(mask[:, ::-1] if mirrored else mask, turns)
    before, after = measured(mask[None])[0], measured(np.ascontiguousarray(turned[None]))[0]
    for name in set(NAMES) - PLACE - {"orientation"}:
        sense = -1 if name == "hu_7" and mirrored else 1
        want = pytest.approx(sense * before[name], rel=1e-5, abs=1e-7, nan_ok=True)
        assert after[name] == want, name


@given(areas, st.integers(0, 5), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_a_region_may_lie_anywhere(mask, y, x):
    mask[4, 5] = True
    wide = np.zeros((14, 17), bool)
    wide[y : y + 9, x : x + 11] = mask
    before, after = measured(mask[None])[0], measured(wide[None])[0]
    for name in NAMES:
        shift = (y if name.endswith(("top", "bottom")) else x) if name in PLACE else 0
        assert after[name] == before[name] + shift or np.isnan(before[name]), name


def test_labelled_objects_are_measured_as_alone():
    labels = objects(3, 2)
    together, _ = shape2d(np.zeros(labels.shape, np.uint8), regions(labels))
    for row, label in zip(together[:12], range(1, 13), strict=True):
        alone, _ = shape2d(np.zeros(labels.shape, np.uint8), labels == label)
        np.testing.assert_array_equal(alone[0], row)


def test_the_gpu_code_measures_labelled_objects_too():
    labels = np.ascontiguousarray(objects(5, 2)[:, :40, :44])
    images, where = np.zeros(labels.shape, np.uint8), regions(labels)
    values, _ = shape2d(images, where)
    found = np.empty_like(values)
    with _cuda.running(Interpreter()):
        shape2d.gpu(images, where, found)
    np.testing.assert_array_equal(found, values)


# ---- degenerate regions


def test_an_empty_region_is_nan():
    assert all(np.isnan(value) for value in measured(np.zeros((1, 4, 5), bool))[0].values())


def test_one_pixel():
    mask = np.zeros((1, 4, 5), bool)
    mask[0, 3, 0] = True  # in a corner of the image
    found = measured(mask)[0]
    ones = {"area", "extent", "convex_area", "solidity", "euler_number", "max_feret_diameter"}
    assert all(found[name] == 1 for name in ones)
    zeros = {"perimeter", "major_axis_length", "minor_axis_length", "eccentricity", "orientation"}
    assert all(found[name] == 0 for name in zeros | {f"hu_{k}" for k in range(1, 8)})
    assert found["min_feret_diameter"] == pytest.approx(np.sqrt(0.5))
    assert [name for name, value in found.items() if np.isnan(value)] == ["form_factor"]


def test_one_row():
    mask = np.zeros((1, 5, 12), bool)
    mask[0, 2, 1:11] = True
    found = measured(mask)[0]
    assert found["minor_axis_length"] == 0
    assert found["eccentricity"] == 1
    assert found["max_feret_diameter"] == 10
    assert found["orientation"] == pytest.approx(np.pi / 2)
