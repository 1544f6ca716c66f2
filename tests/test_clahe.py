"""What is special to CLAHE: OpenCV's bits, the role of clip and bits, every odd size."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.enhance.clahe import clahe

CLIPS = (0.01, 0.7, 2.0, 3.3, 40.0, 1e9)


def noisy(shape: tuple[int, ...], levels: int, seed: int = 0) -> np.ndarray:
    """A smooth ramp with noise over about half of the grey levels, and a black border."""
    rng = np.random.default_rng(seed)
    _, y, x = np.indices(shape)
    values = 0.3 + 0.4 * np.sin(y / 17.0) * np.cos(x / 23.0) + rng.normal(0, 0.05, shape)
    images = np.clip(values * levels, 0, levels - 1).astype(
        np.uint8 if levels == 256 else np.uint16
    )
    images[:, :, : shape[2] // 8] = 0
    return images


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_opencv_gives_the_same_bits(data):
    cv2 = pytest.importorskip("cv2")
    dtype, bits = data.draw(st.sampled_from([(np.uint8, 8), (np.uint16, 16)]))
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70)))
    tiles = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    clip = data.draw(st.sampled_from(CLIPS))
    top = data.draw(st.integers(0, 2**bits - 1))
    images = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, top), fill=st.just(top)))
    peer = cv2.createCLAHE(clip, tiles[::-1])
    want = np.stack([peer.apply(image) for image in images])
    np.testing.assert_array_equal(clahe(images, tiles=tiles, clip=clip, bits=bits), want)


@pytest.mark.parametrize("shape", [(2, 256, 256), (1, 301, 260), (1, 256, 260), (3, 130, 64)])
@pytest.mark.parametrize("bits", [8, 16])
def test_opencv_gives_the_same_bits_on_larger_images(shape, bits):
    cv2 = pytest.importorskip("cv2")
    images = noisy(shape, 2**bits)
    peer = cv2.createCLAHE(2.0, (8, 8))
    want = np.stack([peer.apply(image) for image in images])
    np.testing.assert_array_equal(clahe(images, bits=bits), want)


@pytest.mark.parametrize("bits", range(9, 16))
def test_opencv_gives_the_same_bits_for_shifted_pixels(bits):
    cv2 = pytest.importorskip("cv2")
    peer = cv2.createCLAHE(2.0, (4, 4))
    if not hasattr(peer, "setBitShift"):
        pytest.skip("this OpenCV has no setBitShift: it always takes 65536 grey levels")
    peer.setBitShift(16 - bits)
    images = noisy((1, 90, 110), 2**bits)
    want = peer.apply(images[0] << (16 - bits)) >> (16 - bits)
    np.testing.assert_array_equal(clahe(images, tiles=(4, 4), bits=bits)[0], want)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_size_grid_and_range_equals_the_reference(data):
    bits = data.draw(st.integers(8, 12))
    shape = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 40)))
    tiles = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    clip = data.draw(st.sampled_from(CLIPS))
    values = st.integers(0, data.draw(st.sampled_from([2**bits - 1, 2**16 - 1])))
    images = data.draw(hnp.arrays(np.uint16, shape, elements=values))
    parameters = {"tiles": tiles, "clip": clip, "bits": bits}
    np.testing.assert_array_equal(
        clahe(images, **parameters), clahe.reference(images, **parameters)
    )


def test_the_largest_grid_on_one_pixel():
    images = np.array([[[7]], [[200]]], np.uint8)
    parameters = {"tiles": (64, 64), "clip": 2.0, "bits": 8}
    np.testing.assert_array_equal(
        clahe(images, **parameters), clahe.reference(images, **parameters)
    )


def test_many_images_are_taken_in_groups():
    """More tables than fit the workspace: groups of images, the last one smaller."""
    images = noisy((7, 96, 96), 2**16)
    got = clahe(images, bits=16)
    for image, result in zip(images, got, strict=True):
        np.testing.assert_array_equal(clahe(image[None], bits=16)[0], result)


def test_grey_levels_above_the_top_are_taken_for_the_top():
    images = noisy((2, 60, 70), 2**12)
    images[:, 10:20, 30:40] = 4095
    above = images.copy()
    above[:, 10:20, 30:40] = 65535
    np.testing.assert_array_equal(clahe(above, bits=12), clahe(images, bits=12))


def test_clip_of_all_grey_levels_is_plain_equalisation():
    """One tile and nothing clipped: every grey level goes to its place in the ranking."""
    images = noisy((1, 64, 80), 256)
    got = clahe(images, tiles=(1, 1), clip=256.0)
    rank = np.searchsorted(np.sort(images, axis=None), images, side="right") / images.size
    assert np.abs(got - rank * 255).max() <= 0.51
    np.testing.assert_array_equal(clahe(images, tiles=(1, 1), clip=1e12), got)


def test_a_table_never_falls():
    """Within one tile brighter pixels stay brighter, whatever the clip."""
    images = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)
    for clip in CLIPS:
        got = clahe(images, tiles=(1, 1), clip=clip, bits=12).ravel().astype(int)
        assert (np.diff(got) >= 0).all()


def test_clipping_bounds_the_contrast():
    """A table rises by no more than clip + 1 (the refilled share) grey levels a grey level."""
    images = noisy((1, 256, 256), 256)
    for clip in (1.0, 2.0, 4.0):
        got = clahe(images, tiles=(1, 1), clip=clip).ravel().astype(int)
        table = np.full(256, -1)
        table[images.ravel()] = got
        known = np.flatnonzero(table >= 0)
        steps = np.diff(table[known]) / np.diff(known)
        assert steps.max() <= clip + 2  # and one for rounding


def test_contrast_rises_where_it_was_low():
    images = noisy((1, 256, 256), 256) // 8 + 100
    assert clahe(images).std() > 1.8 * images.std()


def test_bits_and_dtype_must_agree():
    with pytest.raises(ValueError, match="uint8 images have bits=8, got bits=12"):
        clahe(np.zeros((1, 8, 8), np.uint8), bits=12)
    with pytest.raises(ValueError, match="bits must be 8 to 16, got 7"):
        clahe(np.zeros((1, 8, 8), np.uint16), bits=7)
    with pytest.raises(ValueError, match="tiles must be 1 to 64, got 0"):
        clahe(np.zeros((1, 8, 8), np.uint8), tiles=(0, 8))
    with pytest.raises(ValueError, match=r"clip must be at least 0\.01, got 0"):
        clahe(np.zeros((1, 8, 8), np.uint8), clip=0)


@pytest.mark.parametrize("bits", [13, 14])
def test_gpu_histograms_in_one_and_in_several_parts(bits):
    """8192 counters fit shared memory; beyond that the grey levels are counted part by part."""
    images = noisy((1, 20, 37), 2**bits)
    for some in (images, images // 8 + 5000, np.full_like(images, 2**bits - 1)):
        out = np.empty_like(some)
        with _cuda.running(Interpreter()):
            clahe.gpu(some, out, tiles=(2, 1), clip=2.0, bits=bits)
        np.testing.assert_array_equal(out, clahe(some, tiles=(2, 1), bits=bits))


def test_real_radiographs(data):
    """Chest radiographs of 28 x 28 pixels in tiles of 7 x 7: the definition, and more contrast."""
    path = data("pneumoniamnist") / "pneumoniamnist.npz"
    images = np.load(path)["test_images"][:64]
    got = clahe(images, tiles=(4, 4))
    np.testing.assert_array_equal(got, clahe.reference(images, tiles=(4, 4), clip=2.0, bits=8))
    assert got.std(axis=(1, 2)).mean() > images.std(axis=(1, 2)).mean()
