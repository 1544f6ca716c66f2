"""Batch: what it refuses, that it cannot be written to, and moving it."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from medkern.engine.batch import Batch


def make(n=3, h=4, w=5, **changes):
    batch = {
        "pixels": np.arange(n * h * w, dtype=np.uint16).reshape(n, h, w),
        "bits": 12,
        "ids": tuple(f"image{k}" for k in range(n)),
        "masks": None,
        "spacing": np.full((n, 2), 0.5, np.float32),
        "modality": ("CT",) * n,
        "window": np.full((n, 2), np.nan, np.float32),
        "valid": np.ones(n, bool),
    }
    return Batch(**(batch | changes))


def test_it_holds_what_it_was_given():
    batch = make(masks=np.ones((3, 4, 5), np.uint8))
    assert batch.count == 3
    assert batch.device == "cpu"
    assert batch.pixels.shape == (3, 4, 5)
    assert batch.ids == ("image0", "image1", "image2")


def test_padding_rows_do_not_count():
    batch = make(ids=("a", "b", ""), valid=np.array([True, True, False]))
    assert batch.count == 2


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pixels", np.zeros((4, 5), np.uint8), "pixels must be an"),
        ("pixels", [[1]], "pixels must be an"),
        ("pixels", np.zeros((3, 4, 5), np.float64), "pixels are float64"),
        ("bits", 17, "1 .. 16"),
        ("bits", 8.0, "whole number"),
        ("ids", ("a", "b"), "3 strings"),
        ("ids", ["a", "b", "c"], "tuple"),
        ("ids", ("a", "a", "b"), "unique"),
        ("ids", ("a", "", "b"), "not empty"),
        ("masks", np.zeros((3, 4, 4), np.uint8), "masks must be"),
        ("masks", np.zeros((3, 4, 5), bool), "masks is bool"),
        ("spacing", np.zeros((3,), np.float32), "spacing must be"),
        ("spacing", np.zeros((3, 2)), "spacing is float64"),
        ("modality", ("CT",), "modality"),
        ("window", np.zeros((2, 2), np.float32), "window must be"),
        ("valid", np.ones(3, np.uint8), "valid is uint8"),
        ("valid", np.array([True, True, False]), "padding rows"),
    ],
)
def test_a_wrong_field_is_named(name, value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(**{name: value})


def test_nothing_in_it_can_be_changed():
    batch = make(masks=np.zeros((3, 4, 5), np.uint8))
    for array in (batch.pixels, batch.masks, batch.spacing, batch.window, batch.valid):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(FrozenInstanceError):
        batch.bits = 8  # type: ignore[misc]


def test_making_one_neither_copies_nor_locks_the_callers_array():
    pixels = np.zeros((3, 4, 5), np.uint8)
    batch = make(pixels=pixels)
    assert np.shares_memory(batch.pixels, pixels)
    assert pixels.flags.writeable


def test_with_pixels_keeps_everything_else():
    batch = make()
    other = batch.with_pixels(np.zeros((3, 4, 5), np.float32))
    assert other.pixels.dtype == np.float32
    assert other.ids is batch.ids
    np.testing.assert_array_equal(other.spacing, batch.spacing)
    with pytest.raises(ValueError, match="pixels must be"):
        batch.with_pixels(np.zeros((3, 4, 6), np.float32))


def test_an_empty_batch_is_a_batch():
    assert make(n=0).count == 0


def test_staying_on_the_cpu_is_free():
    batch = make()
    assert batch.to("cpu") is batch
    assert batch.numpy() is batch
    with pytest.raises(ValueError, match="'cpu', 'gpu'"):
        batch.to("tpu")


def test_the_gpu_works_or_says_why_not():
    batch = make(masks=np.ones((3, 4, 5), np.uint8))
    try:
        there = batch.to("gpu")
    except RuntimeError as error:
        assert "CuPy" in str(error)
        return
    assert there.device == "gpu"
    back = there.numpy()
    np.testing.assert_array_equal(back.pixels, batch.pixels)
    np.testing.assert_array_equal(back.masks, batch.masks)


def test_replace_checks_again():
    with pytest.raises(ValueError, match="allowed"):
        replace(make(), bits=0)
