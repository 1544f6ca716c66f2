"""Local intensity: the sphere, by hand, invariances, degenerate regions, large ones in pieces."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.local import local, pieces, rows_of, sphere

FINE, COARSE = (1.0, 1.0, 1.0), (4.0, 4.0, 4.0)
regions = arrays.arrays(np.float32, (2, 3, 6, 7), elements=st.floats(-1000, 1000, width=32))
areas = arrays.arrays(np.bool_, (2, 3, 6, 7))


def on_the_gpu(images, where, spacing) -> np.ndarray:
    values = np.empty((len(where), 2), np.float32)
    with _cuda.running(Interpreter()):
        local.gpu(images, where, values, spacing=spacing)
    return values


def test_the_sphere():
    """A cubic centimetre: 1000 voxels of 1 mm, up to its surface; 19 of 4 mm; a disc in images."""
    ball = sphere(FINE, (99, 99, 99))
    assert ball.shape == (13, 13, 13)
    assert abs(ball.sum() - 1000) < 40
    assert sphere(COARSE, (9, 9, 9)).sum() == 19
    assert sphere((3.0, 1.0, 1.0), (1, 99, 99)).sum() == sphere(FINE, (1, 99, 99)).sum() == 121
    assert sphere((50.0, 50.0, 50.0), (9, 9, 9)).sum() == 1
    assert sphere((1e-3, 1e-3, 1e-3), (2, 3, 4)).shape == (3, 5, 7)  # no larger than the image
    rows = rows_of(ball)
    assert (2 * rows[:, 2] + 1).sum() == ball.sum()
    assert (np.lexsort(rows.T[1::-1]) == np.arange(len(rows))).all()


def test_peaks_by_hand():
    """Spheres of a pixel and its 4 neighbours, in images of 5 mm."""
    image = np.zeros((1, 5, 7), np.uint8)
    image[0, 2, 1] = 100  # the maximum, alone
    image[0, 1:4, 4:7] = 60  # a plateau
    values, names = local(image, spacing=(5.0, 5.0, 5.0))
    assert names == ("local.local_peak", "local.global_peak")
    assert values.tolist() == [[20.0, 60.0]]


def test_of_several_maxima_the_highest_peak_counts():
    image = np.zeros((1, 5, 9), np.uint8)
    image[0, 2, 1] = image[0, 2, 6] = 100
    image[0, 2, 7] = 50
    values, _ = local(image, spacing=(5.0, 5.0, 5.0))
    assert values.tolist() == [[30.0, 30.0]]


def test_neighbours_come_from_the_whole_image_and_end_at_its_border():
    image = np.full((1, 4, 4), 8, np.float32)
    mask = np.zeros((1, 4, 4), np.uint8)
    mask[0, 0, 0] = 1  # two neighbours, outside the region
    image[0, 0, 0], image[0, 0, 1] = 10, 3
    assert local(image, mask, spacing=(5.0, 5.0, 5.0))[0].tolist() == [[7.0, 7.0]]
    image[0, 1, 0] = np.nan  # counts nowhere
    assert local(image, mask, spacing=(5.0, 5.0, 5.0))[0].tolist() == [[6.5, 6.5]]
    image[0, 0, 0] = np.inf  # leaves the region, which is empty then
    assert np.isnan(local(image, mask, spacing=(5.0, 5.0, 5.0))[0]).all()


@given(regions, areas, st.sampled_from([COARSE, (5.0, 2.0, 1.5), (2.5, 3.0, 40.0)]))
@settings(max_examples=30, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks, spacing):
    for grey, area in ((images, masks), (images[:, 0], masks[:, 0])):
        want = local.reference(grey, local.place(grey, area), spacing=spacing)
        values, _ = local(grey, area, spacing=spacing)
        np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-4)


def test_cpu_and_gpu_give_the_same_bits_of_a_fine_sphere():
    rng = np.random.default_rng(1)
    image = rng.normal(100, 30, (1, 3, 9, 16)).astype(np.float32)
    mask = (rng.random(image.shape) < 0.3).astype(np.uint8)
    values, _ = local(image, mask, spacing=(3.0, 1.0, 1.0))
    got = on_the_gpu(image, local.place(image, mask), (3.0, 1.0, 1.0))
    np.testing.assert_array_equal(got.view(np.uint32), values.view(np.uint32))


def test_flips_change_only_the_order_of_sums():
    image = np.random.default_rng(2).normal(100, 30, (1, 6, 11, 14)).astype(np.float32)
    want, _ = local(image, spacing=(4.0, 2.0, 3.0))
    for axis in (1, 2, 3):
        turned = np.flip(image, axis)
        np.testing.assert_allclose(local(turned, spacing=(4.0, 2.0, 3.0))[0], want, rtol=1e-6)


def test_many_regions_of_one_image_are_those_regions_alone():
    rng = np.random.default_rng(3)
    image = rng.integers(0, 4000, (1, 40, 60)).astype(np.uint16)
    tiles = rng.permutation(24).reshape(1, 4, 6).astype(np.int32)
    labels = np.kron(tiles, np.ones((1, 10, 10), np.int32))
    where = mk.regions(labels)
    values, _ = local(image, where)
    for row in (0, 11, len(where) - 1):
        np.testing.assert_array_equal(local(image, labels == where.label[row])[0][0], values[row])
    some = where.some(np.arange(0, len(where), 9))
    np.testing.assert_array_equal(on_the_gpu(image, some, FINE), values[::9])


def test_a_large_region_is_cut_in_pieces_that_give_the_same():
    image = np.random.default_rng(4).normal(0, 1, (1, 3, 200, 20)).astype(np.float32)
    boxes, starts = pieces(local.place(image).table)
    assert boxes[:, 4].tolist()[1:] == boxes[:, 5].tolist()[:-1]
    assert (boxes[0, 4], boxes[-1, 5], starts.tolist()) == (0, 200, [0])
    values, _ = local(image, spacing=COARSE)
    want = local.reference(image, local.place(image), spacing=COARSE)
    np.testing.assert_allclose(values, want, rtol=1e-6)
    default = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(local(image, spacing=COARSE)[0], values)
    finally:
        numba.set_num_threads(default)


def test_a_flat_image_peaks_at_its_value():
    image = np.full((2, 9, 9), 7, np.int16)
    assert local(image)[0].tolist() == [[7, 7], [7, 7]]


@pytest.mark.parametrize("spacing", [(1.0, 0.0, 1.0), (1.0, 1.0, -2.0), (1.0, 2000.0, 1.0)])
def test_spacing_is_a_distance(spacing):
    with pytest.raises(ValueError, match="local: spacing must be"):
        local(np.zeros((1, 2, 2), np.uint8), spacing=spacing)
