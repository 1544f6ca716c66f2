"""Colour coherence vectors: hand-made patches, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.coherence import coherence

regions = arrays.arrays(np.uint8, (2, 9, 11, 3), elements=st.sampled_from([0, 70, 200]))
areas = arrays.arrays(np.bool_, (2, 9, 11))
SUMMARY = ("coherent_share", "components", "largest_component", "frequent_colours")


def summary(values: np.ndarray) -> np.ndarray:
    return values[:, -len(SUMMARY) :]


def test_patches_are_coherent_and_specks_are_not():
    image = np.zeros((1, 10, 10, 3), np.uint8)
    image[0, :, 5:] = 255, 0, 128
    image[0, 2, 2] = image[0, 7, 8] = 0, 255, 0
    values, names = coherence(image, blur=False, tau=0.1)
    found = dict(zip(names, values[0].tolist(), strict=True))
    expected = {
        "coherent.r0g0b0": 0.49, "coherent.r3g0b2": 0.49, "incoherent.r0g3b0": 0.02,
        "coherent_share": 0.98, "components": 4, "largest_component": 0.49, "frequent_colours": 3,
    }  # fmt: skip
    for name in names:
        want = expected.get(name.removeprefix("coherence."), 0.0)
        assert found[name] == np.float32(want), name


def test_a_component_of_just_tau_is_coherent_and_corners_touch():
    image = np.zeros((1, 4, 5, 3), np.uint8)
    image[0, range(4), range(4)] = 255  # a diagonal of 4 in 20 pixels
    values, names = coherence(image, blur=False, tau=0.2)
    assert values[0, names.index("coherence.coherent.r3g3b3")] == np.float32(0.2)
    assert summary(values)[0, 1] == 2  # a line of corners does not part what touches at corners
    values, _ = coherence(image, blur=False, tau=0.21)
    assert values[0, names.index("coherence.incoherent.r3g3b3")] == np.float32(0.2)


def test_the_blur_sees_the_image_around_the_region():
    image = np.zeros((1, 5, 5, 3), np.uint8)
    image[0, :, 3:] = 255
    mask = np.zeros((1, 5, 5), np.uint8)
    mask[0, 2, 2] = 1  # a third of the pixels around it are white: 85 of 255 is level 1 of 4
    values, names = coherence(image, mask)
    assert values[0, names.index("coherence.coherent.r1g1b1")] == 1


@given(regions, areas, st.booleans(), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
@settings(max_examples=30, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks, blur, tau):
    chosen = coherence.resolve({"blur": blur, "tau": tau})
    values, _ = coherence(images, masks, **chosen)
    want = coherence.reference(images, coherence.place(images, masks), **chosen)
    np.testing.assert_array_equal(values, want)


@given(regions, areas)
@settings(max_examples=30, deadline=None)
def test_turning_and_mirroring_an_image_changes_nothing(images, masks):
    want, _ = coherence(images, masks)
    for turned in (lambda a: a[:, ::-1], lambda a: a[:, :, ::-1], lambda a: a.swapaxes(1, 2)):
        got, _ = coherence(turned(images), np.ascontiguousarray(turned(masks)))
        np.testing.assert_array_equal(got, want)


def test_the_shares_of_all_colours_add_up():
    rng = np.random.default_rng(4)
    images = rng.integers(0, 4096, (3, 30, 33, 3)).astype(np.uint16)
    values, names = coherence(images, levels=3, bits=12)
    assert len(names) == 2 * 27 + len(SUMMARY)
    np.testing.assert_allclose(values[:, :54].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(values[:, :27].sum(axis=1), summary(values)[:, 0], rtol=1e-6)


def test_labelled_objects_are_measured_alone():
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (2, 20, 24, 3)).astype(np.uint8)
    labels = rng.integers(0, 4, (2, 20, 24)).astype(np.int32)
    where = mk.regions(labels)
    values, _ = coherence(images, where, blur=False)
    for row, image, label in zip(values, where.image, where.label, strict=True):
        alone, _ = coherence(images[[image]], labels[[image]] == label, blur=False)
        np.testing.assert_array_equal(row, alone[0])


@pytest.mark.parametrize("blur", [False, True])
def test_odd_regions_are_alike_on_the_gpu(blur):
    rng = np.random.default_rng(6)
    images = rng.choice(np.array([0, 90, 255], np.uint8), (4, 7, 9, 3))
    masks = np.zeros((4, 7, 9), np.uint8)
    masks[1, 3, 4], masks[2, :, 8], masks[3] = 1, 1, rng.random((7, 9)) < 0.7
    values, _ = coherence(images, masks, blur=blur)
    assert np.isnan(values[0]).all()
    assert summary(values)[1].tolist() == [1, 1, 1, 1]
    got, where = np.empty_like(values), coherence.place(images, masks)
    with _cuda.running(Interpreter()):
        coherence.gpu(images, where, got, **coherence.resolve({"blur": blur}))
    np.testing.assert_array_equal(got, values)


def test_uint8_has_eight_bits():
    with pytest.raises(ValueError, match="bits must be 8 for uint8"):
        coherence(np.zeros((1, 4, 4, 3), np.uint8), bits=12)
