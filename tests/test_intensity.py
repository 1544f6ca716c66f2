"""Intensity and location: the definitions of others, edges, ties, objects of one label image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from scipy import ndimage, stats

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.intensity import FEATURES, intensity

NAMES = [feature.name for feature in FEATURES]
images_of = arrays.arrays(np.uint16, (2, 7, 9))
masks_of = arrays.arrays(np.bool_, (2, 7, 9))


def found(images, where=None, **parameters) -> list[dict[str, float]]:
    values, _ = intensity(images, where, **parameters)
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in values]


def objects() -> tuple[np.ndarray, np.ndarray]:
    """Two objects that touch, one at the image's end, one of one pixel; and an image."""
    labels = np.zeros((1, 30, 40), np.int32)
    labels[0, 3:15, 4:20], labels[0, 5:18, 20:31], labels[0, 20:, 30:] = 1, 2, 5
    labels[0, 8, 9], labels[0, 25, 3] = 0, 7
    return labels, np.random.default_rng(1).integers(0, 999, labels.shape).astype(np.uint16)


# ---- the definitions of others


def test_values_equal_scipy_s_and_scikit_image_s():
    segmentation = pytest.importorskip("skimage.segmentation")
    labels, image = objects()
    rims = segmentation.find_boundaries(labels[0], mode="inner")
    for row, label in zip(found(image, mk.regions(labels)), (1, 2, 5, 7), strict=True):
        inside = labels[0] == label
        want = {}
        for suffix, area in (("", inside), ("_edge", inside & rims)):
            v = image[0][area].astype(float)
            want |= {
                f"integrated_intensity{suffix}": v.sum(), f"mean_intensity{suffix}": v.mean(),
                f"std_intensity{suffix}": v.std(), f"min_intensity{suffix}": v.min(),
                f"max_intensity{suffix}": v.max(),
            }  # fmt: skip
        v = image[0][inside].astype(float)
        lower, median, upper = np.percentile(v, [25, 50, 75])
        mass, centre = (ndimage.center_of_mass(w * inside) for w in (image[0].astype(float), 1.0))
        want |= {
            "lower_quartile_intensity": lower, "median_intensity": median,
            "upper_quartile_intensity": upper, "mad_intensity": stats.median_abs_deviation(v),
            "center_mass_intensity_x": mass[1], "center_mass_intensity_y": mass[0],
            "center_mass_intensity_z": 0, "center_x": centre[1], "center_y": centre[0],
            "center_z": 0, "mass_displacement": np.hypot(*np.subtract(mass, centre)),
            "max_intensity_z": 0,
        }  # fmt: skip
        y, x = row["max_intensity_y"], row["max_intensity_x"]
        assert image[0, int(y), int(x)] == v.max()
        assert inside[int(y), int(x)]
        want |= {"max_intensity_x": x, "max_intensity_y": y}
        assert row == pytest.approx(want, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 97])
def test_cellprofiler_s_quartiles_lie_at_a_quarter_of_the_number(count):
    v = np.random.default_rng(count).permutation(5000)[:count]
    row = found(v.astype(np.uint16)[None, None], quartiles="cellprofiler")[0]
    ordered, names = np.sort(v), ("lower_quartile", "median", "upper_quartile")
    for name, at in zip(names, (count / 4, count / 2, 3 * count / 4), strict=True):
        below, above = ordered[int(at)], ordered[min(int(at) + 1, count - 1)]
        want = below + (at - int(at)) * (above - below)
        assert row[f"{name}_intensity"] == pytest.approx(want, rel=1e-6)


# ---- what an edge is


def test_the_ends_of_the_image_are_no_edge_and_those_of_a_window_are():
    image = np.random.default_rng(2).integers(1, 99, (1, 12, 18)).astype(np.uint8)
    whole = found(image)[0]
    assert all(np.isnan(whole[f"{name}_intensity_edge"]) for name in ("integrated", "mean", "std"))
    left, right = found(image, mk.windows(image.shape, 12, 6))
    assert left["integrated_intensity_edge"] == image[0, :, 11].sum()
    assert right["integrated_intensity_edge"] == image[0, :, 6].sum()


def test_edges_of_volumes_are_faces():
    volume, labels = np.ones((1, 5, 5, 5), np.uint8), np.zeros((1, 5, 5, 5), np.int32)
    labels[0, 1:4, 1:4, 1:4] = 3
    row = found(volume, mk.regions(labels))[0]
    assert row["integrated_intensity"] == 27
    assert row["integrated_intensity_edge"] == 26  # all but the one in the middle
    assert (row["center_z"], row["center_y"], row["center_x"]) == (2, 2, 2)


# ---- properties


def test_of_several_greatest_pixels_the_first_counts_and_a_flat_object_is_not_displaced():
    image = np.full((1, 9, 8), 0.1, np.float32)
    row = found(image)[0]
    assert (row["max_intensity_y"], row["max_intensity_x"]) == (0, 0)
    assert row["std_intensity"] == row["mad_intensity"] == 0
    assert row["mass_displacement"] == pytest.approx(0, abs=1e-12)
    image[0, 3, 6] = image[0, 5, 1] = 7
    row = found(image)[0]
    assert (row["max_intensity_y"], row["max_intensity_x"]) == (3, 6)


def test_objects_are_measured_alone_and_their_places_move_with_them():
    labels, image = objects()
    wide, moved = np.full((1, 50, 70), 999, np.uint16), np.zeros((1, 50, 70), np.int32)
    wide[0, 11:41, 20:60], moved[0, 11:41, 20:60] = image[0], labels[0]
    before, after = found(image, mk.regions(labels)), found(wide, mk.regions(moved))
    for old, new in zip(before[:2], after[:2], strict=True):  # the others gain or lose an edge
        for name, value in old.items():
            step = {"x": 20, "y": 11}.get(name[-1], 0) if name[-2] == "_" else 0
            assert new[name] == pytest.approx(value + step, rel=1e-6), name


@given(images_of, masks_of)
@settings(max_examples=25, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks):
    want = intensity.reference(images, intensity.place(images, masks), quartiles="linear")
    np.testing.assert_allclose(intensity(images, masks)[0], want, rtol=1e-6, atol=1e-6)


def test_the_gpu_code_gives_the_bits_of_the_cpu_code():
    labels, image = objects()
    cells, grid = mk.regions(labels), mk.windows(image.shape, 9, 13)
    for where, quartiles in ((cells, "linear"), (cells, "cellprofiler"), (grid, "linear")):
        values, _ = intensity(image, where, quartiles=quartiles)
        got = np.empty_like(values)
        with _cuda.running(Interpreter()):
            intensity.gpu(image, where, got, quartiles=quartiles)
        np.testing.assert_array_equal(got.view(np.uint32), values.view(np.uint32))


# ---- degenerate objects


def test_pixels_that_are_not_numbers_leave_the_object_but_make_no_edge():
    image, labels = np.ones((1, 7, 7), np.float32), np.zeros((1, 7, 7), np.int32)
    labels[0, 1:6, 1:6] = 1
    image[0, 3, 3], image[0, 1, 1] = np.nan, np.inf
    row = found(image, mk.regions(labels))[0]
    assert row["integrated_intensity"] == 23
    assert row["integrated_intensity_edge"] == 15


def test_objects_without_pixels_or_without_mass():
    image, masks = np.zeros((2, 4, 5), np.int16), np.zeros((2, 4, 5), np.uint8)
    image[1, 1, :2], masks[1, 1, :2] = (5, -5), 1
    values, _ = intensity(image, masks)
    assert np.isnan(values[0]).all()
    row = dict(zip(NAMES, values[1], strict=True))
    assert np.isnan(row["center_mass_intensity_x"])
    assert np.isnan(row["mass_displacement"])
    assert (row["center_x"], row["center_y"]) == (0.5, 1)
