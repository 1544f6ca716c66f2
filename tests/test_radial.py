"""Radial distribution: CellProfiler's values, ways within objects, degenerate objects."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.radial import radial, ways

images_of = arrays.arrays(np.uint16, (2, 11, 9))
masks_of = arrays.arrays(np.bool_, (2, 11, 9))


def disk(radius: int, side: int) -> np.ndarray:
    y, x = np.indices((side, side)) - side // 2
    return (y**2 + x**2 <= radius**2)[None].astype(np.uint8)


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 4096, shape).astype(np.uint16)


# ---- peers


def test_values_are_cellprofiler_s():
    """Its definition, with scikit-image's shortest ways, of an object with a bite."""
    graph = pytest.importorskip("skimage.graph")
    image, mask = noise(1, (1, 41, 41)), disk(17, 41)
    mask[0, 20:, 17:24] = 0
    inside = mask[0] != 0
    to_edge: Any = ndimage.distance_transform_edt(inside)
    centre: Any = np.unravel_index(np.argmax(to_edge), inside.shape)
    costs = np.where(inside, 1.0, np.inf)
    from_centre, _ = graph.MCP_Geometric(costs).find_costs([centre])
    t = from_centre[inside] / (from_centre[inside] + to_edge[inside] + 0.001)
    ring, v = (4 * t).astype(int), image[0][inside].astype(float)
    y, x = (np.argwhere(inside) - centre).T
    wedge = (y > 0) + 2 * (x > 0) + 4 * (abs(y) > abs(x))
    values, names = radial(image, mask)
    found = dict(zip(names, values[0], strict=True))
    for k in range(4):
        of_ring = ring == k
        fraction = v[of_ring].sum() / v.sum()
        means = [
            v[of_ring & (wedge == w)].mean() for w in range(8) if (of_ring & (wedge == w)).any()
        ]
        want = fraction, fraction / of_ring.mean(), np.std(means) / np.mean(means)
        keys = (f"radial.{name}.{k + 1}of4" for name in ("frac_at_d", "mean_frac", "radial_cv"))
        np.testing.assert_allclose([found[key] for key in keys], want, rtol=1e-5)


def test_ways_go_around_holes():
    inside = np.ones((5, 7), bool)
    inside[:4, 3] = False
    found = ways(inside, (0, 0))
    assert found[0, 2] == 2
    assert found[0, 4] == pytest.approx(3 * np.sqrt(2) + 1 + np.sqrt(2) + 3, abs=1e-12)
    assert np.isinf(found[0, 3])


# ---- what values mean


def test_a_flat_object_has_equal_means_and_no_variation():
    values, _ = radial(np.full((1, 61, 61), 900, np.uint16), disk(25, 61), rings=5)
    fraction, mean, variation = values.reshape(3, 5)
    assert fraction.sum() == pytest.approx(1, rel=1e-6)
    assert (np.diff(fraction) > 0).all()  # outer rings are larger
    np.testing.assert_allclose(mean, 1, rtol=1e-6)
    np.testing.assert_allclose(variation, 0, atol=1e-7)


def test_light_in_the_centre_is_in_the_first_ring_and_at_one_side_varies():
    mask = disk(20, 51)
    y, x = np.indices((51, 51)) - 25
    spot = np.where(y**2 + x**2 < 9, 1000, 1)[None].astype(np.uint16)
    side = np.where(x > 0, 1000, 10)[None].astype(np.uint16)
    values = radial(np.concatenate([spot, side]), np.repeat(mask, 2, axis=0))[0].reshape(2, 3, 4)
    assert values[0, 0, 0] > 0.9
    assert (values[0, 1, 1:] < 0.2).all()
    assert (values[1, 2] > 0.8).all()


@given(images_of, masks_of)
@settings(max_examples=25, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks):
    values, _ = radial(images, masks)
    want = radial.reference(images, radial.place(images, masks), rings=4)
    np.testing.assert_allclose(values, want, rtol=1e-5, atol=1e-7)


def test_objects_are_measured_alone():
    image, mask = noise(2, (1, 30, 30)), disk(12, 30)
    wide, labels = np.full((2, 70, 80), 9999, np.uint16), np.zeros((2, 70, 80), np.int32)
    for (n, y, x), label in (((0, 3, 5), 4), ((0, 33, 40), 1), ((1, 40, 0), 2)):
        box = (n, slice(y, y + 30), slice(x, x + 30))
        wide[box] = np.where(mask[0], image[0], wide[box])
        labels[box][mask[0] != 0] = label
    values, _ = radial(wide, mk.regions(labels))
    np.testing.assert_array_equal(values, np.repeat(radial(image, mask)[0], 3, axis=0))


def test_the_gpu_code_gives_the_bits_of_the_cpu_code():
    image = noise(3, (1, 21, 33))
    labels = np.zeros(image.shape, np.int32)
    labels[0, 2:19, 1:14], labels[0, 1:9, 16:33], labels[0, 3:17, 6] = 1, 3, 0
    for where in (mk.regions(labels), mk.windows(image.shape, 9, 12)):
        values, _ = radial(image, where)
        found = np.empty_like(values)
        with _cuda.running(Interpreter()):
            radial.gpu(image, where, found, rings=4)
        np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- degenerate objects


def test_objects_of_few_pixels():
    image, masks = np.full((4, 5, 6), 7, np.int16), np.zeros((4, 5, 6), np.uint8)
    masks[1, 2, 3] = masks[2, 0, 0] = masks[2, 4, 5] = 1
    masks[3], image[3] = 1, 0
    values = radial(image, masks)[0].reshape(4, 3, 4)
    assert np.isnan(values[0]).all()
    for one in values[1:3]:  # of two pixels apart, no way leads to the second
        np.testing.assert_array_equal(one, [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    assert np.isnan(values[3, :2]).all()


def test_pixels_that_are_not_numbers_leave_the_object():
    image, mask = noise(4, (1, 31, 31)).astype(np.float32), disk(13, 31)
    spoilt, less = image.copy(), mask.copy()
    spoilt[0, 8, 9], spoilt[0, 20, 15] = np.nan, np.inf
    less[0, 8, 9] = less[0, 20, 15] = 0
    np.testing.assert_array_equal(radial(spoilt, mask)[0], radial(image, less)[0])
