"""Size zones and distance zones: hand-made matrices, peers, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import binary_erosion

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels._regions import regions
from medkern.kernels.texture._emphasis import TABLED, formulas, sort
from medkern.kernels.texture._zones import links
from medkern.kernels.texture.gldzm import border_distances, gldzm, zone_distances
from medkern.kernels.texture.glszm import glszm, zone_sizes

KERNELS = (glszm, gldzm)
every_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
every_slices = pytest.mark.parametrize("slices", ["volume", "averaged", "merged"])
greys = arrays.arrays(np.uint8, (2, 4, 7, 9), elements=st.integers(0, 3))
areas = arrays.arrays(np.bool_, (2, 4, 7, 9))
pictures = arrays.arrays(np.uint8, (2, 9, 11), elements=st.integers(0, 3))
LEVELS = {"levels": 4, "binning": "width", "width": 1.0, "low": 0.0}


def measured(kernel, images, masks=None, **parameters):
    return kernel(images, masks, **LEVELS, **parameters)[0]


def on_the_gpu(kernel, images, masks=None, **parameters):
    chosen, where = kernel.resolve(parameters), kernel.place(images, masks)
    values = np.empty((len(where), 16), np.float32)
    with _cuda.running(Interpreter()):
        kernel.gpu(images, where, values, **chosen)
    return values


# ---- matrices made by hand

PICTURE = np.array(
    [
        [1, 2, 2, 3],
        [1, 2, 3, 3],
        [4, 2, 4, 1],
        [4, 1, 2, 3],
    ]
)


def test_sizes_of_a_picture():
    """Corners touch: the five 2s are one zone."""
    want = [
        [2, 1, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [1, 0, 1, 0, 0],
        [1, 1, 0, 0, 0],
    ]
    np.testing.assert_array_equal(zone_sizes(PICTURE, 4, 5), want)


def test_distances_of_a_picture():
    """A zone is as near to the border as its nearest pixel: only the 3 x 3 inside is 2 away."""
    grey = np.ones((5, 5), int)
    grey[2, 2] = 2
    grey[1, 2] = 3
    want = np.zeros((3, 3), int)
    want[0, 0] = want[1, 2] = want[2, 1] = 1
    np.testing.assert_array_equal(zone_distances(grey, grey > 0, 3, 3), want)


def test_distances_are_those_of_repeated_erosion():
    """As the manual has it: an erosion by the cross leaves the pixels that are a step deeper."""
    rng = np.random.default_rng(1)
    for shape in ((23, 31), (9, 11, 13)):
        mask = rng.random(shape) < 0.93
        steps, rest = np.zeros(shape, int), mask
        while rest.any():
            steps += rest
            rest = binary_erosion(rest)
        np.testing.assert_array_equal(border_distances(mask), steps)


def test_slices_are_averaged_or_merged():
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 4, (1, 3, 8, 9)).astype(np.uint8)
    for kernel in KERNELS:
        one_by_one = measured(kernel, grey[0])
        averaged = measured(kernel, grey, slices="averaged")
        np.testing.assert_allclose(averaged[0], one_by_one.mean(axis=0), rtol=1e-6)
        merged = measured(kernel, np.concatenate([grey, grey], axis=1), slices="merged")
        np.testing.assert_allclose(  # twice the zones change only what counts them
            np.delete(merged, [8, 10]),
            np.delete(measured(kernel, grey, slices="merged"), [8, 10]),
            rtol=1e-6,
            atol=1e-7,
        )


# ---- peers


def test_zones_are_those_of_scikit_image():
    measure = pytest.importorskip("skimage.measure")
    rng = np.random.default_rng(3)
    for shape in ((1, 40, 50), (1, 9, 20, 21)):
        grey = rng.integers(1, 4, shape).astype(np.uint8)
        labels = measure.label(grey[0], connectivity=len(shape) - 1, background=0)
        sizes = np.bincount(labels.ravel())[1:]
        counts = np.zeros((3, grey.size), int)
        level = np.zeros(len(sizes) + 1, int)
        level[labels] = grey[0]
        np.add.at(counts, (level[1:] - 1, sizes - 1), 1)
        want = formulas(counts, grey.size)
        np.testing.assert_allclose(
            glszm(grey, binning="none", levels=3)[0][0], want, rtol=1e-6, atol=1e-6
        )


# ---- properties


@every_kernel
@every_slices
def test_the_compiled_code_equals_the_definition(kernel, slices):
    @given(greys, areas)
    @settings(max_examples=25, deadline=None)
    def equal(images, masks):
        chosen = kernel.resolve({**LEVELS, "slices": slices})
        want = kernel.reference(images, kernel.place(images, masks), **chosen)
        got = measured(kernel, images, masks, slices=slices)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)

    equal()


@every_kernel
def test_turning_and_mirroring_change_nothing(kernel):
    @given(greys, areas, st.permutations([1, 2, 3]))
    @settings(max_examples=25, deadline=None)
    def same(images, masks, axes):
        turned = [np.ascontiguousarray(a.transpose(0, *axes)[:, ::-1]) for a in (images, masks)]
        got = measured(kernel, *turned)
        np.testing.assert_array_equal(got, measured(kernel, images, masks))

    same()


@every_kernel
def test_turning_a_picture_changes_nothing(kernel):
    @given(pictures)
    @settings(max_examples=25, deadline=None)
    def same(images):
        turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2)))
        np.testing.assert_array_equal(measured(kernel, turned), measured(kernel, images))

    same()


@every_kernel
def test_a_region_may_lie_anywhere_and_what_surrounds_it_does_not_count(kernel):
    rng = np.random.default_rng(4)
    grey = rng.integers(0, 4, (2, 3, 9, 11)).astype(np.uint8)
    area = rng.random(grey.shape) < 0.8
    wide, mask = np.full((2, 6, 14, 17), 3, np.uint8), np.zeros((2, 6, 14, 17), bool)
    inner = (slice(None), slice(2, 5), slice(4, 13), slice(5, 16))
    wide[inner], mask[inner] = grey, area
    np.testing.assert_array_equal(measured(kernel, wide, mask), measured(kernel, grey, area))


@every_kernel
def test_regions_are_measured_one_by_one(kernel):
    """Objects of one image, in any order, as each alone."""
    rng = np.random.default_rng(5)
    grey = rng.integers(0, 4, (1, 40, 50)).astype(np.uint8)
    labels = np.zeros(grey.shape, np.int32)
    for number, (y, x) in enumerate([(0, 0), (3, 30), (20, 7), (25, 33)], start=1):
        labels[0, y : y + 9 + number, x : x + 12] = number
    where = regions(labels)
    values = measured(kernel, grey, where)
    for number, row in enumerate(values, start=1):
        np.testing.assert_array_equal(row, measured(kernel, grey, labels == number)[0])
    backwards = np.arange(len(where))[::-1]
    np.testing.assert_array_equal(measured(kernel, grey, where.some(backwards)), values[::-1])


# ---- what removes pixels


def test_distances_are_those_before_resegmentation():
    """A hole of removed pixels ends zones, but is no border; a hole of the mask is one."""
    grey = np.ones((1, 9, 9), np.uint8)
    grey[0, 4, 4], grey[0, 4, 5] = 3, 2
    parameters = {"binning": "width", "width": 1.0, "low": 1.0, "levels": 2}
    removed = gldzm(grey, **parameters)[0][0]
    cut = gldzm(grey, grey < 3, **parameters)[0][0]
    assert removed[1] == (1 + 4**2) / 2  # mean of j^2: the 1s reach the border, the 2 is 4 deep
    assert cut[1] == 1
    np.testing.assert_array_equal(np.delete(removed, [0, 1, 4, 5, 6, 7, 10, 11, 14, 15]),
                                  np.delete(cut, [0, 1, 4, 5, 6, 7, 10, 11, 14, 15]))  # fmt: skip


@every_kernel
def test_pixels_that_are_no_numbers_leave_the_region(kernel):
    rng = np.random.default_rng(6)
    grey = rng.integers(0, 4, (1, 8, 9)).astype(np.float32)
    spoilt = grey.copy()
    spoilt[0, 0, 1], spoilt[0, 0, 2], spoilt[0, 7, 8] = np.nan, np.inf, -np.inf
    values = measured(kernel, spoilt)
    assert np.isfinite(values).all()
    chosen = kernel.resolve(LEVELS)
    want = kernel.reference(spoilt, kernel.place(spoilt), **chosen)
    np.testing.assert_allclose(values, want, rtol=1e-6)


# ---- regions that are hardly any


@every_kernel
@every_slices
def test_a_region_without_pixels_has_no_values(kernel, slices):
    images = np.ones((2, 3, 5, 6), np.uint8)
    masks = np.zeros(images.shape, bool)
    masks[1, 1, 2, 3] = True
    values = measured(kernel, images, masks, slices=slices)
    assert np.isnan(values[0]).all()
    one = [1, 1, 0.25, 4, 0.25, 4, 0.25, 4, 1, 1, 1, 1, 1, 0, 0, 0]  # one zone: level 2, size 1
    np.testing.assert_array_equal(values[1], np.array(one, np.float32))
    np.testing.assert_array_equal(
        on_the_gpu(kernel, images, masks, **LEVELS, slices=slices), values
    )


def test_a_flat_region_is_one_zone():
    flat = np.full((1, 30, 50), 7, np.uint8)
    sizes, distances = glszm(flat)[0][0], gldzm(flat)[0][0]
    assert sizes[1] == 1500**2
    assert sizes[0] == np.float32(1500.0**-2)
    assert distances[1] == 1
    assert sizes[12] == distances[12] == np.float32(1 / 1500)


def test_zones_without_a_row_of_the_table():
    """Many sizes above the table's: the list of them is sorted, and counts alike."""
    rng = np.random.default_rng(7)
    bands = np.repeat(rng.integers(0, 3, (1, 1, 40)), 200, axis=1).astype(np.uint8)
    bands[0, rng.integers(0, 200, 2), :] = 3
    for levels in (4, 200):
        chosen = {"levels": levels, "binning": "width", "width": 1.0}
        settled = glszm.resolve(chosen)
        want = glszm.reference(bands, glszm.place(bands), **settled)
        assert want[0, 1] > TABLED**2
        np.testing.assert_allclose(glszm(bands, **chosen)[0], want, rtol=1e-6)
        np.testing.assert_array_equal(on_the_gpu(glszm, bands, **chosen), glszm(bands, **chosen)[0])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 50, 1000])
def test_the_list_is_sorted(size):
    elements = np.random.default_rng(size).integers(0, 99, size)
    want = np.sort(elements)
    sort(elements)
    np.testing.assert_array_equal(elements, want)


def test_neighbours_that_touch_one_another_are_asked_once():
    plane = links(np.array([(0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 1, -1)]))
    assert plane.steps[0].tolist() == [0, 1, 0]  # the one above touches the other three
    assert plane.rest[0] == 0
    apart = {tuple(plane.steps[m]) for m in range(4) if plane.rest[m]}
    assert apart == {(0, 1, -1), (0, 0, 1), (0, 1, 1)}
    assert plane.lowest[1:].tolist() == [0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0]


# ---- words


def test_column_names():
    _, names = glszm(np.zeros((1, 2, 4, 4), np.uint8), slices="averaged")
    assert names[0] == "glszm.small_zone_emphasis.2d"
    _, names = gldzm(np.zeros((1, 2, 4, 4), np.uint8))
    assert names[-1] == "gldzm.zone_distance_entropy"
    assert len(set(names)) == 16


@every_kernel
def test_a_region_that_is_too_large_is_refused(kernel):
    with pytest.raises(ValueError, match=r"2\^26 voxels"):
        kernel(np.broadcast_to(np.uint8(0), (1, 2**9, 2**9, 2**9)))
