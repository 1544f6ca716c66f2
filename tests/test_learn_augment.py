"""Views of training images: what each part may change, by how much, and what it must leave."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from medkern.engine.learn import Settings
from medkern.engine.learn.cnn.augment import augment

view = jax.jit(augment, static_argnums=2)
STILL = Settings(shift=0, intensity=0)
ALL = Settings(
    shift=0.1, rotate=20, zoom=0.2, intensity=0.2, gamma=0.3, colour=0.3, cutout=0.3,
    flips=("horizontal", "vertical"),
)  # fmt: skip
SHAPES = {"grey": (8, 12, 10, 1), "colour": (8, 12, 10, 3), "volume": (8, 5, 12, 10, 1)}


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def views(x, settings, seed=1):
    return np.asarray(view(jax.random.key(seed), x, settings))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nothing_asked_for_is_the_identity(shape):
    np.testing.assert_array_equal(views(noise(shape), STILL), noise(shape))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_key_fixes_the_views_and_no_image_influences_another(shape):
    x = noise(shape)
    seen = views(x, ALL)
    np.testing.assert_array_equal(views(x, ALL), seen)
    assert (views(x, ALL, seed=2) != seen).any(axis=tuple(range(1, x.ndim))).all()
    others = np.concatenate([noise((7, *shape[1:]), seed=3) * 100, x[7:]])
    np.testing.assert_array_equal(views(others, ALL)[7], seen[7])
    assert np.isfinite(seen).all() and seen.dtype == np.float32


def test_every_view_is_of_its_own_image():
    """The label of row i stays that of row i: no view is more like another image."""
    x = np.repeat(np.repeat(noise((8, 6, 5, 1)), 4, axis=1), 4, axis=2)
    mild = replace(ALL, flips=(), cutout=0.1, rotate=5, zoom=0.05, shift=0.02, colour=0)
    seen = views(x, mild).reshape(8, -1)
    assert (np.corrcoef(seen, x.reshape(8, -1))[:8, 8:].argmax(axis=1) == np.arange(8)).all()


@pytest.mark.parametrize(
    ("flip", "shape", "axis"),
    [
        ("horizontal", (40, 10, 7, 1), 2),
        ("vertical", (40, 10, 7, 1), 1),
        ("horizontal", (40, 4, 6, 5, 1), 3),
        ("depth", (40, 4, 6, 5, 1), 1),
    ],
)
def test_half_of_the_images_are_flipped_exactly(flip, shape, axis):
    x = noise(shape)
    seen = views(x, replace(STILL, flips=(flip,)))
    inside = tuple(range(1, x.ndim))
    kept = (seen == x).all(axis=inside)
    assert (kept ^ (seen == np.flip(x, axis)).all(axis=inside)).all()
    assert 8 < kept.sum() < 32


def test_a_shift_rolls_the_image_and_repeats_its_edge():
    settings = replace(STILL, shift=0.2)
    y, x = np.mgrid[:10, :15].astype(np.float32)
    places = views(np.stack([y, x], -1)[None].repeat(200, 0), settings)
    image = noise((10, 15, 2))
    seen = views(image[None].repeat(200, 0), settings)
    for place, one in zip(places, seen, strict=True):
        down, across = place[5, 7, 0] - 5, place[5, 7, 1] - 7
        rows, columns = np.clip(y + down, 0, 9).astype(int), np.clip(x + across, 0, 14).astype(int)
        np.testing.assert_array_equal(one, image[rows, columns])
        middle = np.roll(image, (-int(down), -int(across)), (0, 1))[3:7, 4:11]
        np.testing.assert_array_equal(one[3:7, 4:11], middle)
    assert {*(places[:, 5, 7, 0] - 5)} == {-2, -1, 0, 1, 2}
    assert {*(places[:, 5, 7, 1] - 7)} == {-3, -2, -1, 0, 1, 2, 3}


def test_volumes_move_along_their_depth_by_whole_slices():
    x = np.arange(10, dtype=np.float32)[None, :, None, None, None] * np.ones((100, 1, 4, 4, 1))
    seen = views(x.astype(np.float32), replace(STILL, shift=0.2))
    by = seen[:, 5] - 5
    assert {*by.ravel()} == {-2, -1, 0, 1, 2}
    expected = np.clip(np.arange(10)[None, :, None, None, None] + by[:, None], 0, 9)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("shape", [(100, 16, 20, 2), (100, 3, 16, 20, 2)])
def test_rotation_and_zoom_map_lines_to_lines_within_their_bounds(shape):
    """Planes y and x: interpolation is exact there, and their slopes tell turn and scale."""
    y, x = np.mgrid[:16, :20].astype(np.float32)
    seen = views(np.broadcast_to(np.stack([y, x], -1), shape), replace(STILL, rotate=20, zoom=0.2))
    if len(shape) == 5:
        np.testing.assert_array_equal(seen, seen[:, :1].repeat(3, 1))  # the same in every slice
        seen = seen[:, 0]
    (ay, ax), (by, bx) = (
        (seen[:, 9, 10, k] - seen[:, 8, 10, k], seen[:, 8, 11, k] - seen[:, 8, 10, k])
        for k in (0, 1)
    )
    turn, size = np.rad2deg(np.arctan2(by, ay)), np.log(np.hypot(ay, by))
    np.testing.assert_allclose([bx, ax], [ay, -by], atol=1e-4)  # a similarity: no shear
    assert np.abs(turn).max() <= 20.01 and np.ptp(turn) > 30
    assert np.abs(size).max() <= 0.201 and np.ptp(size) > 0.3
    middle = seen[:, 5:11, 7:13, 0]
    np.testing.assert_allclose(np.diff(middle, 2, axis=1), 0, atol=1e-4)
    np.testing.assert_allclose((seen[:, 7, 9] + seen[:, 8, 10]) / 2, [[7.5, 9.5]] * 100, atol=1e-4)


def test_intensity_is_a_line_and_gamma_a_rising_curve_over_the_same_range():
    x = noise((50, 6, 6, 1))
    flat = views(x, replace(STILL, intensity=0.2)).reshape(50, -1)
    for before, after in zip(x.reshape(50, -1), flat, strict=True):
        gain, offset = np.polyfit(before, after, 1)
        np.testing.assert_allclose(gain * before + offset, after, atol=1e-5)
        assert abs(np.log(gain)) <= 0.2001 and abs(offset) <= 0.2001
    curved = views(x, replace(STILL, gamma=0.5))
    axes = (1, 2, 3)
    np.testing.assert_allclose(curved.min(axes), x.min(axes), atol=1e-6)
    np.testing.assert_allclose(curved.max(axes), x.max(axes), atol=1e-5)
    order = x.reshape(50, -1).argsort(axis=1)
    assert (np.diff(np.take_along_axis(curved.reshape(50, -1), order, axis=1)) >= 0).all()
    assert np.abs(curved - x).max() > 0.1
    assert np.isfinite(views(np.ones((2, 6, 6, 1), np.float32), replace(STILL, gamma=0.5))).all()


def test_colours_turn_about_grey():
    x = noise((50, 4, 4, 3))
    x[:, 0, 0] = x[:, 0, 0, :1]  # a grey pixel
    seen = views(x, replace(STILL, colour=0.3))
    np.testing.assert_allclose(seen.mean(axis=3), x.mean(axis=3), atol=1e-5)
    np.testing.assert_allclose(seen[:, 0, 0], x[:, 0, 0], atol=1e-5)
    tint, turned = (a - a.mean(axis=3, keepdims=True) for a in (x, seen))
    size = np.linalg.norm(turned[:, 1:], axis=3) / np.linalg.norm(tint[:, 1:], axis=3)
    cos = (tint * turned).sum(3)[:, 1:] / np.linalg.norm(tint[:, 1:], axis=3) ** 2 / size
    assert np.abs(np.log(size)).max() <= 0.301
    assert cos.min() >= np.cos(0.301) - 1e-5 and cos.min() < np.cos(0.2)


def test_cutout_blanks_one_box_and_nothing_else():
    x = noise((100, 10, 20, 1))
    seen = views(x, replace(STILL, cutout=0.5))
    shares = []
    for before, after in zip(x[..., 0], seen[..., 0], strict=True):
        hole = after == 0
        np.testing.assert_array_equal(after[~hole], before[~hole])
        rows, columns = hole.any(axis=1), hole.any(axis=0)
        np.testing.assert_array_equal(hole, rows[:, None] & columns)
        assert rows.sum() <= 5 and columns.sum() <= 10
        shares.append(hole.mean())
    assert max(shares) > 0.1 and min(shares) < 0.01
