"""Neighbourhood grey tone differences: matrices by hand, exact sums, invariances, degenerates."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.kernels.texture._neighbours import neighbourhood
from medkern.kernels.texture.ngtdm import FEATURES, ngtdm, tone_differences

NAMES = [feature.name for feature in FEATURES]
SLICES = ("volume", "averaged", "merged")
regions = arrays.arrays(np.uint8, (3, 9, 11), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (3, 9, 11))


def measured(*given, **parameters) -> dict[str, float]:
    """The features of the first region by name."""
    values, _ = ngtdm(*given, **parameters)
    return dict(zip(NAMES, values[0].tolist(), strict=True))


# ---- the matrix


def test_the_matrix_of_an_image_by_hand():
    """The manual's example of a neighbourhood, but every pixel counts, not the inner four alone."""
    grey = np.array([[1, 2, 2, 3], [1, 2, 3, 3], [4, 2, 4, 1], [4, 1, 2, 3]])
    i, n, s = tone_differences(grey[None], neighbourhood(grey[None], "volume", 1))
    by_hand = {level: Fraction(0) for level in range(1, 5)}
    for y in range(4):
        for x in range(4):
            around = grey[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            own = int(grey[y, x])
            mean = Fraction(int(around.sum()) - own, around.size - 1)
            by_hand[own] += abs(own - mean)
    assert i.tolist() == [1, 2, 3, 4]
    assert n.tolist() == [4, 5, 4, 3]
    np.testing.assert_allclose(s, [float(by_hand[level]) for level in range(1, 5)], rtol=1e-15)


def test_a_pixel_without_neighbours_is_not_counted():
    grey = np.array([[[1, 0, 2], [1, 0, 0], [0, 0, 3]]])
    i, n, s = tone_differences(grey, neighbourhood(grey, "volume", 1))
    assert (i.tolist(), n.tolist(), s.tolist()) == ([1], [2], [0.0])


def test_two_levels_side_by_side():
    """1 2: s = 1, 1; p = 1/2, 1/2: every feature by hand."""
    assert measured(np.array([[[1, 2]]], np.uint8), binning="none", levels=2) == {
        "coarseness": 1.0,
        "contrast": 0.25,
        "busyness": 1.0,
        "complexity": 1.0,
        "strength": 1.0,
    }


# ---- properties


@given(regions, areas)
@settings(max_examples=30, deadline=None)
def test_inverting_the_greys_changes_only_what_weighs_by_the_level(images, masks):
    grey = images % 8 + 1
    values, _ = ngtdm(grey, masks, binning="none", levels=8)
    mirrored, _ = ngtdm(9 - grey, masks, binning="none", levels=8)
    same = [k for k, name in enumerate(NAMES) if name != "busyness"]  # sum |i p_i - j p_j|
    np.testing.assert_allclose(mirrored[:, same], values[:, same], rtol=1e-5)


def test_slices_on_their_own_are_averaged_or_summed():
    volume = np.random.default_rng(5).integers(1, 9, (1, 3, 12, 13), np.uint8)
    exact = {"binning": "none", "levels": 8}
    each, _ = ngtdm(volume[0], **exact)
    averaged, _ = ngtdm(volume, slices="averaged", **exact)
    np.testing.assert_allclose(averaged[0], each.mean(axis=0, dtype=np.float64), rtol=1e-6)
    twice = np.concatenate([volume[:, :1]] * 2, axis=1)  # p stays, s doubles
    once, merged = measured(volume[:, 0], **exact), measured(twice, slices="merged", **exact)
    assert merged["coarseness"] == pytest.approx(once["coarseness"] / 2, rel=1e-6)
    assert merged["contrast"] == pytest.approx(once["contrast"], rel=1e-6)
    assert merged["strength"] == pytest.approx(once["strength"] / 2, rel=1e-6)


# ---- degenerate regions


def test_a_region_without_neighbours_is_nan():
    images = np.arange(75, dtype=np.float32).reshape(3, 5, 5)
    masks = np.zeros((3, 5, 5), np.uint8)
    masks[1, 2, 2] = 1  # one pixel
    masks[2, 0, 0] = masks[2, 4, 4] = 1  # two, apart
    assert np.isnan(ngtdm(images, masks)[0]).all()


@pytest.mark.parametrize("slices", SLICES)
def test_a_flat_region_is_as_coarse_as_can_be(slices):
    found = measured(np.full((1, 3, 6, 7), 400, np.uint16), slices=slices)
    assert found == dict.fromkeys(NAMES, 0.0) | {"coarseness": 1e6}


def test_levels_in_balance_are_not_busy():
    """2 n_1 = 4 = 1 n_2 2: the denominator of busyness is 0."""
    found = measured(np.array([[[1, 2, 1]]], np.uint8), binning="none", levels=2)
    assert found["busyness"] == 0.0
    assert np.isfinite(list(found.values())).all()


def test_slices_without_neighbours_take_no_part():
    volume = np.random.default_rng(6).integers(0, 99, (1, 3, 9, 9), np.uint8)
    mask = np.ones(volume.shape, np.uint8)
    mask[0, 1] = 0
    mask[0, 1, 4, 4] = 1
    exact = {"binning": "width", "width": 10.0, "levels": 10}
    want = ngtdm(volume[0, ::2], **exact)[0].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(ngtdm(volume, mask, slices="averaged", **exact)[0][0], want, 1e-6)


# ---- words and errors


def test_column_names():
    _, names = ngtdm(np.zeros((1, 4, 4), np.uint8), distance=2)
    assert names[0] == "ngtdm.coarseness.d2"
    _, names = ngtdm(np.zeros((1, 2, 4, 4), np.uint8), slices="merged")
    assert names[-1] == "ngtdm.strength.d1.2.5d"


def test_bad_parameters_say_what_is_allowed():
    image = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"ngtdm: distance must be 1 to 4"):
        ngtdm(image, distance=5)
    with pytest.raises(ValueError, match=r"2\^26 voxels"):
        ngtdm(np.broadcast_to(np.uint8(0), (1, 2**10, 2**9, 2**9)))
