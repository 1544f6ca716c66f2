"""Moments: scikit-image's values, invariances, degenerate objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.moments import FEATURES, moments

NAMES = [feature.name for feature in FEATURES]
images_of = arrays.arrays(np.int16, (2, 7, 9))
masks_of = arrays.arrays(np.bool_, (2, 7, 9))


def found(images, where=None) -> list[dict[str, float]]:
    values, names = moments(images, where)
    assert names == tuple(f"moments.{name}" for name in NAMES)
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in values]


def objects() -> tuple[np.ndarray, np.ndarray]:
    """An ellipse, an L and a line; and an image."""
    labels = np.zeros((1, 50, 70), np.int32)
    y, x = np.indices((50, 70))
    labels[0][((y - 15) / 12) ** 2 + ((x - 18 - y / 4) / 9) ** 2 <= 1] = 3
    labels[0, 20:45, 40:48], labels[0, 38:45, 40:66], labels[0, 4, 50:60] = 5, 5, 8
    return labels, np.random.default_rng(1).integers(1, 4096, labels.shape).astype(np.uint16)


def test_values_equal_scikit_image_s():
    measure = pytest.importorskip("skimage.measure")
    labels, image = objects()
    regions = measure.regionprops(labels[0], image[0])
    for row, region in zip(found(image, mk.regions(labels)), regions, strict=True):
        want = {}
        for prefix, weight in (("", ""), ("weighted_", "_weighted")):
            for kind, suffix in (("spatial", ""), ("central", "_central"),
                                 ("normalized", "_normalized")):  # fmt: skip
                for (p, q), value in np.ndenumerate(getattr(region, f"moments{weight}{suffix}")):
                    want[f"{prefix}{kind}_moment_{p}_{q}"] = value
            for k, value in enumerate(getattr(region, f"moments{weight}_hu")):
                want[f"{prefix}hu_moment_{k}"] = value
        for (p, q), value in np.ndenumerate(region.inertia_tensor):
            want[f"inertia_tensor_{p}_{q}"] = value
        for k, value in enumerate(region.inertia_tensor_eigvals):
            want[f"inertia_tensor_eigenvalues_{k}"] = value
        for name, value in row.items():
            rounding = 1e-12 * abs(want[name.replace("central", "spatial")])  # it cancels there
            about = rounding if "central" in name else 1e-9
            assert value == pytest.approx(want[name], rel=1e-5, abs=about), name


# ---- properties


def test_all_but_nothing_moves_with_the_object():
    """Moments are taken from the object's own corner: where it lies in the image is no matter."""
    labels, image = objects()
    wide, moved = np.full((1, 90, 111), 999, np.uint16), np.zeros((1, 90, 111), np.int32)
    wide[0, 33:83, 17:87], moved[0, 33:83, 17:87] = image[0], labels[0]
    before, after = found(image, mk.regions(labels)), found(wide, mk.regions(moved))
    for old, new in zip(before, after, strict=True):
        assert new == pytest.approx(old, rel=1e-5, abs=1e-3)


def test_hu_s_moments_do_not_turn():
    labels, image = objects()
    here = found(image, mk.regions(labels))
    turned, where = (a[:, ::-1].transpose(0, 2, 1).copy() for a in (image, labels))
    there = found(turned, mk.regions(where))
    for old, new in zip(here, there, strict=True):
        for name in NAMES:
            if "hu_moment" in name:
                assert new[name] == pytest.approx(old[name], rel=1e-5, abs=1e-12), name
        assert new["inertia_tensor_0_0"] == pytest.approx(old["inertia_tensor_1_1"])


@given(images_of, masks_of)
@settings(max_examples=25, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks):
    values, _ = moments(images, masks)
    want = moments.reference(images, moments.place(images, masks))
    shape = [k for k, name in enumerate(NAMES) if not name.startswith("weighted")]
    spatial = [k for k, name in enumerate(NAMES) if "spatial" in name]
    for columns in (shape, spatial):  # a mean of intensities near 0 leaves no digit to the others
        most = np.nanmax(np.abs(want[:, columns]), initial=1.0)
        np.testing.assert_allclose(
            values[:, columns], want[:, columns], rtol=1e-5, atol=1e-9 * most
        )


def test_the_gpu_code_gives_the_bits_of_the_cpu_code():
    labels, image = objects()
    for where in (mk.regions(labels), mk.windows(image.shape, 33, 30)):
        values, _ = moments(image, where)
        got = np.empty_like(values)
        with _cuda.running(Interpreter()):
            moments.gpu(image, where, got)
        np.testing.assert_array_equal(got.view(np.uint32), values.view(np.uint32))


# ---- degenerate objects


def test_objects_of_one_pixel_of_none_and_without_mass():
    image, masks = np.full((3, 6, 7), 5, np.int16), np.zeros((3, 6, 7), np.uint8)
    masks[1, 3, 4] = masks[2, 1, 1:3] = 1
    image[2, 1, 1] = -5
    values, _ = moments(image, masks)
    assert np.isnan(values[0]).all()
    one, none = (dict(zip(NAMES, row, strict=True)) for row in values[1:])
    assert (one["spatial_moment_0_0"], one["weighted_spatial_moment_0_0"]) == (1, 5)
    assert all(one[f"central_moment_{p}_{q}"] == 0 for p in range(3) for q in range(4) if p + q)
    assert one["inertia_tensor_eigenvalues_0"] == one["hu_moment_0"] == 0
    assert none["weighted_spatial_moment_0_1"] == 5
    assert np.isnan(none["weighted_central_moment_0_0"])
    assert none["inertia_tensor_0_0"] == 0.25


def test_pixels_that_are_not_numbers_leave_the_object():
    labels, image = objects()
    image, less = image.astype(np.float32), labels.copy()
    image[0, 15, 20], image[0, 4, 50] = np.nan, np.inf  # the latter is the line's first pixel
    less[0, 15, 20] = less[0, 4, 50] = 0
    np.testing.assert_array_equal(
        moments(image, mk.regions(labels))[0], moments(image, mk.regions(less))[0]
    )
