"""Grey level run lengths: hand-made matrices, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels._regions import regions
from medkern.kernels.texture._aggregation import PLANE
from medkern.kernels.texture._emphasis import TABLED, formulas
from medkern.kernels.texture.glrlm import glrlm, run_lengths

HOW = [(s, d) for s in ("volume", "averaged", "merged") for d in ("averaged", "merged")]
every_way = pytest.mark.parametrize(("slices", "directions"), HOW)
greys = arrays.arrays(np.uint8, (2, 4, 7, 9), elements=st.integers(0, 3))
areas = arrays.arrays(np.bool_, (2, 4, 7, 9))
pictures = arrays.arrays(np.uint8, (2, 9, 11), elements=st.integers(0, 3))
LEVELS = {"levels": 4, "binning": "width", "width": 1.0, "low": 0.0}


def measured(images, masks=None, **parameters):
    return glrlm(images, masks, **LEVELS, **parameters)[0]


def on_the_gpu(images, masks=None, **parameters):
    chosen, where = glrlm.resolve(parameters), glrlm.place(images, masks)
    values = np.empty((len(where), 16), np.float32)
    with _cuda.running(Interpreter()):
        glrlm.gpu(images, where, values, **chosen)
    return values


# ---- made by hand


def test_runs_of_a_picture():
    grey = np.array([[[1, 2, 2, 0, 2], [1, 1, 2, 2, 2], [3, 1, 1, 2, 2]]])
    along, falling, down, rising = (run_lengths(grey, m, 3)[:, :3].tolist() for m in PLANE)
    assert along == [[1, 2, 0], [1, 2, 1], [1, 0, 0]]
    assert falling == [[0, 1, 1], [2, 0, 2], [1, 0, 0]]
    assert down == [[1, 2, 0], [1, 2, 1], [1, 0, 0]]
    assert rising == [[5, 0, 0], [4, 2, 0], [1, 0, 0]]


def test_features_of_two_runs():
    """Level 1 twice in line, then level 2: by hand."""
    values = glrlm(np.array([[[1, 1, 2]]], np.uint8), binning="none", levels=2)[0][0]
    # along x runs (1, 2) and (2, 1); in the other three directions every pixel is a run
    along = [5 / 8, 5 / 2, 5 / 8, 5 / 2, 1 / 4, 17 / 8, 17 / 8, 4, 1, 1 / 2, 1, 1 / 2, 2 / 3,
             1 / 4, 1 / 4, 1]  # fmt: skip
    across = formulas(np.array([[2], [1]]), 3)
    want = (np.array(along) + 3 * np.array(across)) / 4
    np.testing.assert_allclose(values, want, rtol=1e-6)
    assert across[:4] == [1, 1, 0.75, 2]


def test_all_directions_merged_add_runs_and_voxels():
    grey = np.random.default_rng(1).integers(0, 4, (1, 9, 8)).astype(np.uint8)
    counts = np.sum([run_lengths(grey.astype(int) + 1, m, 4) for m in PLANE], axis=0)
    values = measured(grey, directions="merged")[0]
    np.testing.assert_allclose(values, formulas(counts, 4 * grey.size), rtol=1e-6)


# ---- properties


@every_way
def test_the_compiled_code_equals_the_definition(slices, directions):
    how = {"slices": slices, "directions": directions}

    @given(greys, areas)
    @settings(max_examples=20, deadline=None)
    def equal(images, masks):
        chosen = glrlm.resolve({**LEVELS, **how})
        want = glrlm.reference(images, glrlm.place(images, masks), **chosen)
        np.testing.assert_allclose(measured(images, masks, **how), want, rtol=1e-6, atol=1e-6)

    equal()


@given(greys, areas, st.permutations([1, 2, 3]))
@settings(max_examples=25, deadline=None)
def test_turning_and_mirroring_change_nothing(images, masks, axes):
    """The 13 directions change places; merged, the matrix is the same."""
    turned = [np.ascontiguousarray(a.transpose(0, *axes)[:, ::-1]) for a in (images, masks)]
    got = measured(*turned, directions="merged")
    np.testing.assert_array_equal(got, measured(images, masks, directions="merged"))


@given(pictures)
@settings(max_examples=25, deadline=None)
def test_turning_a_picture_changes_nothing(images):
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2)))
    np.testing.assert_allclose(measured(turned), measured(images), rtol=1e-6, atol=1e-7)


@given(pictures)
@settings(max_examples=25, deadline=None)
def test_every_pixel_is_in_one_run_of_each_direction(images):
    for direction in PLANE:
        counts = run_lengths(images[:1].astype(int), direction, 4)
        lengths = np.arange(1, counts.shape[1] + 1)
        assert (counts * lengths).sum() == np.count_nonzero(images[0])


def test_regions_are_measured_one_by_one():
    """Objects of one image, in any order, as each alone; what surrounds them does not count."""
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 4, (1, 40, 50)).astype(np.uint8)
    labels = np.zeros(grey.shape, np.int32)
    for number, (y, x) in enumerate([(0, 0), (3, 30), (20, 7), (25, 33)], start=1):
        labels[0, y : y + 9 + number, x : x + 12] = number
    where = regions(labels)
    values = measured(grey, where)
    for number, row in enumerate(values, start=1):
        np.testing.assert_array_equal(row, measured(grey, labels == number)[0])
        y0, y1, x0, x1 = where.table[number - 1, 4:]
        alone = np.ascontiguousarray(grey[:, y0:y1, x0:x1])
        np.testing.assert_array_equal(row, measured(alone)[0])
    backwards = np.arange(len(where))[::-1]
    np.testing.assert_array_equal(measured(grey, where.some(backwards)), values[::-1])


# ---- long runs


@pytest.mark.parametrize("directions", ["averaged", "merged"])
@pytest.mark.parametrize("levels", [4, 200])
def test_runs_without_a_row_of_the_table(levels, directions):
    """Many lengths above the table's: the list of them is sorted, and counts alike."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, 2 * TABLED, 60)
    assert (lengths > TABLED).sum() > 20
    rows = np.repeat(rng.integers(0, 4, 60), lengths)[: 5 * 600].reshape(1, 5, 600)
    for images in (rows.astype(np.uint8), rows.astype(np.uint8).transpose(0, 2, 1).copy()):
        chosen = {"levels": levels, "binning": "width", "width": 1.0, "directions": directions}
        want = glrlm.reference(images, glrlm.place(images), **glrlm.resolve(chosen))
        got = glrlm(images, **chosen)[0]
        np.testing.assert_allclose(got, want, rtol=1e-6)
        np.testing.assert_array_equal(on_the_gpu(images, **chosen), got)


def test_a_run_over_more_than_one_stretch():
    image = np.zeros((1, 2, 5000), np.uint8)
    image[0, 1, 3000:] = 3
    counts = np.sum([run_lengths(image.astype(int) + 1, m, 4) for m in PLANE], axis=0)
    got = measured(image, directions="merged")[0]
    np.testing.assert_allclose(got, formulas(counts, 4 * image.size), rtol=1e-6)


# ---- regions that are hardly any


@every_way
def test_a_region_without_pixels_has_no_values(slices, directions):
    images = np.ones((2, 3, 5, 6), np.uint8)
    masks = np.zeros(images.shape, bool)
    masks[1, 1, 2, 3] = True
    how = {"slices": slices, "directions": directions}
    values = measured(images, masks, **how)
    assert np.isnan(values[0]).all()
    one = [1, 1, 0.25, 4, 0.25, 4, 0.25, 4, 1, 1, 1, 1, 1, 0, 0, 0]  # runs of level 2, length 1
    if directions == "merged":
        one[8] = one[10] = 13 if slices == "volume" else 4
    np.testing.assert_array_equal(values[1], np.array(one, np.float32))
    np.testing.assert_array_equal(on_the_gpu(images, masks, **LEVELS, **how), values)


def test_a_slice_without_pixels_takes_no_part():
    rng = np.random.default_rng(8)
    images = rng.integers(0, 4, (1, 3, 6, 7)).astype(np.uint8)
    masks = np.ones(images.shape, bool)
    masks[0, 1] = False
    without = np.ascontiguousarray(images[:, ::2])
    got = measured(images, masks, slices="averaged")
    np.testing.assert_allclose(got, measured(without, slices="averaged"), rtol=1e-6)


def test_pixels_that_are_no_numbers_leave_the_region():
    image = np.random.default_rng(9).integers(0, 4, (1, 8, 9)).astype(np.float32)
    spoilt, mask = image.copy(), np.ones(image.shape, bool)
    spoilt[0, 2, 3], spoilt[0, 4, 5], spoilt[0, 6, 7] = np.nan, np.inf, -np.inf
    mask[0, 2, 3] = mask[0, 4, 5] = mask[0, 6, 7] = False
    np.testing.assert_array_equal(measured(spoilt), measured(image, mask))


# ---- words


def test_column_names():
    _, names = glrlm(np.zeros((1, 2, 4, 4), np.uint8), slices="merged", directions="merged")
    assert names[0] == "glrlm.short_runs_emphasis.merged.2.5d"
    assert len(set(names)) == 16


def test_what_is_too_large_is_refused():
    with pytest.raises(ValueError, match=r"2\^26 voxels"):
        glrlm(np.broadcast_to(np.uint8(0), (1, 2**9, 2**9, 2**9)))
    with pytest.raises(ValueError, match="a run may have 65535 pixels"):
        glrlm(np.broadcast_to(np.uint8(0), (1, 2, 70_000)))
