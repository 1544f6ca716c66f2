"""Histograms of oriented gradients: scikit-image's values, regions, what an edge must give."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.hog import hog

images_of = arrays.arrays(np.uint8, (2, 24, 24), elements=st.integers(0, 255))


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# ---- peers


@pytest.mark.parametrize("norm", ["L1", "L2", "L2-Hys"])
@pytest.mark.parametrize(("orientations", "block"), [(9, (3, 3)), (8, (2, 2)), (12, (1, 3))])
def test_values_equal_scikit_image(norm, orientations, block):
    """12 bins have edges at 45 degrees, where integer gradients fall in great number."""
    feature = pytest.importorskip("skimage.feature")
    images = noise(1, (3, 40, 56))
    images[0] //= 64
    chosen = {"orientations": orientations, "cells_per_block": block, "block_norm": norm}
    values, names = hog(images, cells=(5, 7), **chosen)
    want = [feature.hog(i, pixels_per_cell=(8, 8), **chosen) for i in images]
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-9)
    assert len(names) == len(set(names)) == values.shape[1]


def test_what_a_grid_leaves_over_is_left_out_as_there():
    feature = pytest.importorskip("skimage.feature")
    images = np.random.default_rng(2).random((2, 43, 50)).astype(np.float32)
    values, _ = hog(images, cells=(6, 5), pixels_per_cell=(7, 9))
    want = [feature.hog(image.astype(np.float64), pixels_per_cell=(7, 9)) for image in images]
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-9)


# ---- what values mean


def test_an_edge_votes_for_the_direction_of_its_gradient():
    y, x = np.indices((32, 32))
    for turn in range(12):
        angle = np.deg2rad(15 * turn + 7)
        ramp = 1000 + 20 * (x * np.cos(angle) + y * np.sin(angle))
        values, _ = hog(
            ramp[None].astype(np.float32), orientations=12, cells=(2, 2), cells_per_block=(1, 1)
        )
        assert (values.reshape(4, 12).argmax(axis=1) == turn).all()


@given(images_of, st.integers(-40, 40))
@settings(max_examples=25, deadline=None)
def test_brightness_does_not_matter(images, offset):
    brighter = images.astype(np.int16) + np.int16(offset)
    chosen = {"cells": (3, 3), "cells_per_block": (2, 2)}
    np.testing.assert_array_equal(hog(brighter, **chosen)[0], hog(images, **chosen)[0])


@given(images_of)
@settings(max_examples=25, deadline=None)
def test_upside_down_half_turned_images_have_the_blocks_of_the_other_end(images):
    """Half a turn keeps every orientation and reverses cells and blocks."""
    shape, chosen = (2, 3, 3, 2, 2, 9), {"cells": (4, 4), "cells_per_block": (2, 2)}
    here = hog(images, **chosen)[0].reshape(shape)
    there = hog(np.ascontiguousarray(images[:, ::-1, ::-1]), **chosen)[0].reshape(shape)
    np.testing.assert_allclose(there[:, ::-1, ::-1, ::-1, ::-1], here, rtol=1e-5, atol=1e-7)


@given(images_of, st.sampled_from(["L1", "L2", "L2-Hys"]))
@settings(max_examples=25, deadline=None)
def test_the_compiled_code_equals_the_definition(images, norm):
    chosen = hog.resolve({"cells": (3, 4), "cells_per_block": (2, 3), "block_norm": norm})
    want = hog.reference(images, hog.place(images), **chosen)
    np.testing.assert_allclose(hog(images, **chosen)[0], want, rtol=1e-6, atol=1e-9)


# ---- regions


def test_windows_are_images_of_their_own():
    image = noise(3, (2, 50, 60))
    where = mk.windows(image.shape, 32, 9)
    values, _ = hog(image, where, cells=(4, 4))
    crops = np.array([crop[0] for crop, _ in where.crops(image)])
    np.testing.assert_array_equal(values, hog(crops, cells=(4, 4))[0])


def test_objects_have_one_table_and_pixels_outside_do_not_vote():
    image, labels = noise(4, (1, 60, 70)), np.zeros((1, 60, 70), np.int32)
    labels[0, 3:40, 5:31], labels[0, 30:60, 33:70] = 1, 7
    labels[0, 3:40, 20:31] = 0
    labels[0, 39, 30] = 1
    where = mk.regions(labels)
    values, _ = hog(image, where, cells=(4, 4), cells_per_block=(1, 1))
    alone, _ = hog(image[:, 30:60, 33:70], cells=(4, 4), cells_per_block=(1, 1))
    np.testing.assert_array_equal(values[1], alone[0])
    columns = values[0].reshape(4, 4, 9)
    assert (columns[:3, 3] == 0).all()
    assert (columns[:, :2] > 0).any(axis=-1).all()


def test_a_mask_silences_pixels_and_keeps_the_grid():
    image = noise(5, (2, 40, 40))
    mask = np.zeros(image.shape, np.uint8)
    mask[0, 8:16, 16:24] = 1
    values, _ = hog(image, mask, cells=(5, 5), cells_per_block=(1, 1))
    full, _ = hog(image, cells=(5, 5), cells_per_block=(1, 1))
    by_cell = values.reshape(2, 5, 5, 9)
    np.testing.assert_array_equal(by_cell[0, 1, 2], full.reshape(2, 5, 5, 9)[0, 1, 2])
    assert np.count_nonzero(by_cell.any(axis=-1)) == 1


@pytest.mark.parametrize("norm", ["L1", "L2-Hys"])
def test_the_gpu_code_gives_the_bits_of_the_cpu_code(norm):
    image = noise(6, (2, 21, 33))
    labels = np.random.default_rng(6).integers(0, 4, image.shape).astype(np.int32)
    chosen = hog.resolve({"cells": (4, 3), "cells_per_block": (2, 2), "block_norm": norm})
    for where in (mk.regions(labels), mk.windows(image.shape, 9, 6)):
        values, _ = hog(image, where, **chosen)
        found = np.empty_like(values)
        with _cuda.running(Interpreter()):
            hog.gpu(image, where, found, **chosen)
        np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- degenerate images, words and errors


def test_flat_images_are_zero_and_small_ones_nan():
    assert (hog(np.full((1, 32, 32), 9, np.uint8))[0] == 0).all()
    for shape in ((1, 7, 32), (1, 32, 7), (1, 1, 1)):
        assert np.isnan(hog(np.zeros(shape, np.uint8))[0]).all()
    assert np.isnan(hog(noise(7, (1, 20, 20)), cells=(3, 3), pixels_per_cell=(7, 6))[0]).all()


def test_gradients_that_are_not_finite_do_not_vote():
    image = noise(8, (1, 32, 32)).astype(np.float32)
    image[0, 12, 12], image[0, 20, 4] = np.nan, np.inf
    values, _ = hog(image, cells=(4, 4))
    want = hog.reference(image, hog.place(image), **hog.resolve({"cells": (4, 4)}))
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-9)


def test_columns_and_refusals():
    image = np.zeros((1, 32, 32), np.uint8)
    _, names = hog(image, cells=(4, 4), cells_per_block=(2, 2))
    assert len(names) == 3 * 3 * 2 * 2 * 9
    assert names[9 * 4 * 3 + 9 + 2] == "hog.histogram.1.0.0.1.2"
    with pytest.raises(ValueError, match=r"a block of \(3, 3\) cells in a grid of \(2, 4\)"):
        hog(image, cells=(2, 4))
    with pytest.raises(ValueError, match="at most 4096 sums describe a region"):
        hog(image, cells=(40, 40))
