"""Neighbours: CellProfiler's counts by hand, distances, angles, objects that are alone."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter, report
from medkern.kernels import _cuda
from medkern.kernels._cuda import Function, Launch
from medkern.kernels.texture.neighbours import ALONE, FEATURES, disk, neighbours

NAMES = [feature.name for feature in FEATURES]
labels_of = arrays.arrays(np.int32, (2, 9, 11), elements=st.sampled_from([0, 0, 0, 1, 2, 5, 7]))


def found(labels: np.ndarray, **parameters) -> dict[int, dict[str, float]]:
    """The values of each object of one label image."""
    where = mk.regions(labels[None])
    values, _ = neighbours(np.zeros(labels[None].shape, np.uint8), where, **parameters)
    rows = (dict(zip(NAMES, row.tolist(), strict=True)) for row in values)
    return dict(zip(where.label.tolist(), rows, strict=True))


def plate(*boxes: tuple[int, int, int, int], shape=(30, 40)) -> np.ndarray:
    """Object k + 1 fills box k: y0 y1 x0 x1."""
    labels = np.zeros(shape, np.int32)
    for label, (y0, y1, x0, x1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = label
    return labels


# ---- what values mean


def test_neighbours_share_a_side_or_are_within_the_distance():
    labels = plate((5, 10, 5, 10), (5, 10, 10, 15), (10, 15, 15, 20), (5, 10, 18, 23))
    near, far = found(labels), found(labels, distance=3)
    assert [near[k]["number_of_neighbors"] for k in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert [far[k]["number_of_neighbors"] for k in (1, 2, 3, 4)] == [1, 2, 2, 1]
    # 3 is beside 4 on one side and at a corner of 2, which no disk of radius 1 reaches
    assert found(labels, distance=2)[2]["number_of_neighbors"] == 2


def test_the_part_of_the_outline_that_touches():
    labels = plate((5, 10, 5, 10), (5, 10, 10, 15))
    row = found(labels)[1]
    assert row["percent_touching"] == pytest.approx(100 * 5 / 16)
    wide = found(plate((5, 10, 5, 10), (5, 10, 13, 18)), distance=4)[1]
    assert wide["percent_touching"] == pytest.approx(100 * 5 / 16)
    assert found(plate((5, 10, 5, 10), (5, 10, 13, 18)))[1]["percent_touching"] == 0


def test_the_ends_of_the_image_belong_to_the_outline():
    full = found(plate((0, 3, 0, 3), (0, 3, 3, 4), shape=(3, 4)))[1]
    assert full["percent_touching"] == pytest.approx(100 * 3 / 8)


def test_the_two_closest_objects_and_the_angle_between_them():
    labels = plate((10, 13, 10, 13), (10, 13, 20, 23), (20, 23, 10, 13), (0, 1, 39, 40))
    row = found(labels)[1]
    assert (row["first_closest_object_number"], row["second_closest_object_number"]) == (2, 3)
    assert row["first_closest_distance"] == row["second_closest_distance"] == 10
    assert row["angle_between_neighbors"] == pytest.approx(90)
    assert found(labels)[2]["first_closest_object_number"] == 1


def test_objects_that_are_alone_or_two():
    one, two = found(plate((1, 4, 1, 4)))[1], found(plate((1, 4, 1, 4), (9, 12, 1, 4)))[2]
    np.testing.assert_array_equal(list(one.values()), ALONE)
    assert (two["first_closest_object_number"], two["first_closest_distance"]) == (1, 8)
    assert two["second_closest_object_number"] == 0
    assert np.isnan(two["second_closest_distance"])
    assert np.isnan(two["angle_between_neighbors"])


def test_masks_and_windows_are_alone_and_empty_masks_are_nothing():
    images, masks = np.zeros((3, 8, 9), np.uint8), np.zeros((3, 8, 9), np.uint8)
    masks[1, 2:5, 3:7], masks[2] = 9, 1
    values, _ = neighbours(images, masks)
    assert np.isnan(values[0]).all()
    for rows in (values[1:], neighbours(images, mk.windows(images.shape, 4, 2))[0]):
        np.testing.assert_array_equal(rows, np.tile(ALONE, (len(rows), 1)))


# ---- properties


def test_steps_are_those_of_a_disk_the_nearest_first():
    steps, reach = disk(2)
    squares = (steps**2).sum(axis=1)
    assert (np.diff(squares) >= 0).all()
    assert squares.max() == 5
    assert (reach, squares[reach - 1]) == (13, 4)


def test_a_neighbour_counts_though_it_is_not_measured():
    labels = plate((5, 10, 5, 10), (5, 10, 10, 15), (20, 25, 5, 10))
    where, images = mk.regions(labels[None]), np.zeros((1, *labels.shape), np.uint8)
    every, some = neighbours(images, where)[0], neighbours(images, where.some(np.array([1])))[0]
    np.testing.assert_array_equal(some[0], every[1])


@given(labels_of, st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_the_compiled_code_equals_the_definition(labels, distance):
    images, where = np.zeros(labels.shape, np.uint8), mk.regions(labels)
    values, _ = neighbours(images, where, distance=distance)
    want = neighbours.reference(images, where, distance=distance)
    lengths = [NAMES.index(name) for name in NAMES if "angle" not in name and "object" not in name]
    np.testing.assert_allclose(values[:, lengths], want[:, lengths], rtol=1e-6)


def test_the_gpu_code_gives_the_values_of_the_cpu_code_and_spills_nothing():
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 12, (2, 5, 6)), np.ones((6, 7))).astype(np.int32)
    images, where, used = np.zeros(labels.shape, np.uint8), mk.regions(labels), set[Function]()
    values, _ = neighbours(images, where, distance=2)
    got, interpreter = np.empty_like(values), Interpreter()

    def runner(launch: Launch) -> None:
        used.add(launch.function)
        interpreter(launch)

    with _cuda.running(runner):
        neighbours.gpu(images, where, got, distance=2)
    np.testing.assert_allclose(got, values, rtol=1e-6)
    assert len(used) == 2
    assert all(row.spills == 0 for function in used for row in report(function))
