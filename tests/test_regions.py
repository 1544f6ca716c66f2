"""Regions: labels, windows and masks are the same regions, however they are given."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels._regions import of_masks, table_of, volumes, whole
from medkern.kernels.texture._levels import SECTOR, START, cpu_crops, layout, scale

label_images = arrays.arrays(
    np.int32, st.tuples(*(st.integers(1, n) for n in (3, 7, 9))), elements=st.integers(-1, 4)
)


def grey(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


# ---- labels


@given(label_images)
@settings(max_examples=60, deadline=None)
def test_every_label_of_every_image_is_a_region_with_its_box(labels):
    where = mk.regions(labels)
    present = [(n, k) for n, image in enumerate(labels) for k in np.unique(image) if k > 0]
    assert list(zip(where.image.tolist(), where.label.tolist(), strict=True)) == present
    for (n, k), (_, inside) in zip(present, where.crops(labels), strict=True):
        assert inside.sum() == (labels[n] == k).sum()
        for axis in range(3):  # the box is tight
            others = tuple(other for other in range(3) if other != axis)
            along = np.asarray(inside.any(axis=others))
            assert along[0] and along[-1]


@pytest.mark.parametrize("shape", [(3, 20, 23), (2, 4, 9, 11)])
def test_a_label_measures_what_its_mask_measures(shape):
    images, labels = grey(shape), np.random.default_rng(1).integers(0, 4, shape)
    where = mk.regions(labels.astype(np.uint8))
    values, _ = mk.glcm(images, where, levels=8)
    for row, image, label in zip(values, where.image, where.label, strict=True):
        mask = labels[image : image + 1] == label
        np.testing.assert_array_equal(row, mk.glcm(images[image : image + 1], mask, levels=8)[0][0])


def test_the_gpu_finds_the_same_boxes():
    labels = np.random.default_rng(2).integers(-2, 5, (3, 4, 6, 7)).astype(np.int32)
    labels[1] = 0
    boxes = np.empty((3, 5, 6), np.int32)
    boxes[..., 0::2], boxes[..., 1::2] = 7, 0
    with _cuda.running(Interpreter()):
        function = _cuda.Cuda(mk._regions.__file__).function("boxes")
        function(2, 256, labels, boxes, *labels.shape, 5)
    np.testing.assert_array_equal(table_of(boxes), mk.regions(labels).table)


def test_labels_are_checked():
    with pytest.raises(TypeError, match="labels must be uint8, uint16, int32, got float64"):
        mk.regions(np.zeros((1, 2, 3)))
    with pytest.raises(TypeError, match="got list"):
        mk.regions([[1]])
    with pytest.raises(ValueError, match=r"labels are \(n, h, w\) or \(n, d, h, w\)"):
        mk.regions(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"glcm: the regions are of images \(1, 5, 5\), these"):
        mk.glcm(grey((1, 5, 6)), mk.regions(np.ones((1, 5, 5), np.uint8)))
    assert len(mk.regions(np.zeros((2, 5, 5), np.uint8))) == 0
    values, names = mk.glcm(grey((2, 5, 5)), mk.regions(np.zeros((2, 5, 5), np.uint8)))
    assert values.shape == (0, len(names))


# ---- masks and whole images


@given(arrays.arrays(np.bool_, st.tuples(*(st.integers(1, n) for n in (3, 7, 9)))))
@settings(max_examples=60, deadline=None)
def test_a_mask_is_a_label_of_its_own(masks):
    where, labelled = of_masks(masks.view(np.uint8)), mk.regions(masks.astype(np.uint8))
    assert len(where) == len(masks)
    full = where.table[masks.any(axis=(1, 2))]
    np.testing.assert_array_equal(full[:, 2:], labelled.table[:, 2:])
    assert (where.table[~masks.any(axis=(1, 2)), 2:] == 0).all()


def test_no_mask_is_the_whole_image():
    images = grey((3, 9, 8))
    ones = np.full(images.shape, 7, np.uint8)
    np.testing.assert_array_equal(mk.glcm(images)[0], mk.glcm(images, ones)[0])
    np.testing.assert_array_equal(whole(images.shape).sizes, [[1, 9, 8]] * 3)


# ---- windows


@pytest.mark.parametrize(("shape", "size", "step"), [((2, 9, 11), 4, 3), ((2, 4, 7, 6), 3, 2)])
def test_windows_make_a_map(shape, size, step):
    images = grey(shape)
    where = mk.windows(shape, size, step)
    counts = [(side - size) // step + 1 for side in shape[1:]]
    values, names = mk.glcm(images, where, levels=4)
    maps = values.reshape(shape[0], *counts, len(names))
    corner = tuple(slice(step * (n - 1), step * (n - 1) + size) for n in counts)
    last = np.ascontiguousarray(images[(slice(1, 2), *corner)])
    np.testing.assert_array_equal(maps[(1, *(-1 for _ in counts))], mk.glcm(last, levels=4)[0][0])


@pytest.mark.parametrize(("size", "step"), [(0, 1), (6, 1), (3, 0)])
def test_windows_are_checked(size, step):
    with pytest.raises(
        ValueError, match=rf"size must be 1 to 5 .* got size {size} and step {step}"
    ):
        mk.windows((1, 5, 8), size, step)
    with pytest.raises(ValueError, match="3 or 4 numbers"):
        mk.windows((5, 8), 3)


# ---- crops


def test_every_neighbour_of_a_crop_exists_and_is_zero_outside():
    images = grey((2, 3, 6, 7))
    where = mk.regions(np.random.default_rng(3).integers(0, 3, images.shape).astype(np.uint8))
    border = 2
    levels, crops = cpu_crops(images, where, scale(8, "count", 1.0, 0.0), border)
    assert (crops[:, START] % SECTOR == 0).all()
    for (pixels, inside), crop in zip(where.crops(images), crops, strict=True):
        start, depth, height, width, row, slab, top, voxels = crop
        assert voxels == inside.sum() and top == 8
        for z, y, x in np.ndindex(*(s + 2 * border for s in pixels.shape)):
            z, y, x = z - border, y - border, x - border
            found = levels[start + z * slab + y * row + x]
            within = 0 <= z < depth and 0 <= y < height and 0 <= x < width
            assert (found > 0) == (within and bool(inside[z, y, x]))


def test_a_thousand_regions_need_the_memory_of_a_block():
    """Crops are made block by block: their cells are not those of all regions."""
    where = mk.windows((1, 300, 300), 32, 4)
    _, cells = layout(where, 1)
    assert cells > 20 * where.shape[1] * where.shape[2]
    tracemalloc.start()
    mk.glcm(grey((1, 300, 300)), where, levels=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * cells / 4  # bytes; all levels would be 2 bytes a cell


def test_volumes_gives_images_a_slice():
    assert volumes(np.zeros((2, 3, 4))).shape == (2, 1, 3, 4)
    assert volumes(np.zeros((2, 5, 3, 4))).shape == (2, 5, 3, 4)
