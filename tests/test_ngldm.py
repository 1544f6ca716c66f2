"""Neighbouring grey level dependence: matrices by hand, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.kernels.texture._neighbours import neighbourhood
from medkern.kernels.texture.ngldm import FEATURES, dependences, ngldm

NAMES = [feature.name for feature in FEATURES]
SLICES = ("volume", "averaged", "merged")
regions = arrays.arrays(np.uint8, (3, 9, 11), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (3, 9, 11))


def measured(*given, **parameters) -> dict[str, float]:
    """The features of the first region by name."""
    values, _ = ngldm(*given, **parameters)
    return dict(zip(NAMES, values[0].tolist(), strict=True))


# ---- the matrix


@pytest.mark.parametrize(
    ("coarseness", "want"),
    [
        (0, {(1, 2): 2, (2, 2): 2, (2, 3): 1, (3, 1): 1, (3, 2): 2, (3, 3): 1}),
        (1, {(1, 4): 1, (1, 5): 1, (2, 6): 2, (2, 9): 1, (3, 3): 1, (3, 4): 2, (3, 6): 1}),
        (2, {(1, 4): 1, (1, 6): 1, (2, 6): 2, (2, 9): 1, (3, 4): 3, (3, 6): 1}),
    ],
)
def test_the_matrix_of_an_image_by_hand(coarseness, want):
    grey = np.array([[[1, 2, 3], [1, 2, 3], [3, 2, 3]]])
    found = dependences(grey, neighbourhood(grey, "volume", 1), coarseness)
    matrix = np.zeros_like(found)
    for (i, j), count in want.items():
        matrix[i - 1, j - 1] = count
    np.testing.assert_array_equal(found, matrix)


def test_what_lies_outside_is_no_neighbour():
    """Level 1 and coarseness 1: the 0 of the outside is not one level away."""
    grey = np.array([[[1, 0, 2], [1, 0, 0], [0, 0, 3]]])
    found = dependences(grey, neighbourhood(grey, "volume", 1), 1)
    want = np.zeros((3, 9), int)
    want[0, 1], want[1, 0], want[2, 0] = 2, 1, 1
    np.testing.assert_array_equal(found, want)


def test_a_flat_image_by_hand():
    """3 x 3 of level 1: four corners with 4, four sides with 6 and the centre with 9."""
    found = measured(np.full((1, 3, 3), 7, np.uint8))
    j, n = np.array([4, 6, 9]), np.array([4, 4, 1])
    p, mean = n / 9, (j * n).sum() / 9
    want = {
        "low_dependence_emphasis": (p / j**2).sum(),
        "high_dependence_emphasis": (p * j**2).sum(),
        "grey_level_non_uniformity": 9.0,
        "dependence_count_non_uniformity": (n**2).sum() / 9,
        "normalised_dependence_count_non_uniformity": (p**2).sum(),
        "dependence_count_percentage": 1.0,
        "grey_level_variance": 0.0,
        "dependence_count_variance": (p * (j - mean) ** 2).sum(),
        "dependence_count_entropy": -(p * np.log2(p)).sum(),
        "dependence_count_energy": (p**2).sum(),
    }
    assert {name: found[name] for name in want} == pytest.approx(want, rel=1e-6)


# ---- properties


@given(regions, areas, st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_inverting_the_greys_changes_only_what_weighs_by_the_level(images, masks, coarseness):
    grey, exact = images % 8 + 1, {"binning": "none", "levels": 8, "coarseness": coarseness}
    values, _ = ngldm(grey, masks, **exact)
    mirrored, _ = ngldm(9 - grey, masks, **exact)
    same = [
        k for k, name in enumerate(NAMES)
        if "_grey_level_" not in name or "non_uniformity" in name
    ]  # fmt: skip
    assert len(same) == 11
    np.testing.assert_allclose(mirrored[:, same], values[:, same], rtol=1e-5, atol=1e-6)


@given(regions, areas)
@settings(max_examples=20, deadline=None)
def test_a_coarseness_of_all_levels_counts_neighbours(images, masks):
    """Then the levels no longer matter: the dependences are those of a flat region."""
    every, _ = ngldm(images, masks, coarseness=32)
    flat, _ = ngldm(np.zeros_like(images), masks)
    sizes = [k for k, name in enumerate(NAMES) if name in (
        "low_dependence_emphasis", "high_dependence_emphasis", "dependence_count_variance",
        "dependence_count_non_uniformity", "normalised_dependence_count_non_uniformity",
    )]  # fmt: skip
    np.testing.assert_array_equal(every[:, sizes], flat[:, sizes])


def test_slices_on_their_own_are_averaged_or_summed():
    volume = np.random.default_rng(5).integers(1, 9, (1, 3, 12, 13), np.uint8)
    exact = {"binning": "none", "levels": 8}
    each, _ = ngldm(volume[0], **exact)
    averaged, _ = ngldm(volume, slices="averaged", **exact)
    np.testing.assert_allclose(averaged[0], each.mean(axis=0, dtype=np.float64), rtol=1e-6)
    twice = np.concatenate([volume[:, :1]] * 2, axis=1)  # every n_ij doubles
    once, merged = measured(volume[:, 0], **exact), measured(twice, slices="merged", **exact)
    doubled = {"grey_level_non_uniformity", "dependence_count_non_uniformity"}
    want = {name: value * (2 if name in doubled else 1) for name, value in once.items()}
    assert merged == pytest.approx(want, rel=1e-6)


# ---- degenerate regions


@pytest.mark.parametrize("slices", SLICES)
def test_one_pixel_depends_on_itself(slices):
    images = np.arange(150, dtype=np.float32).reshape(2, 3, 5, 5)
    masks = np.zeros(images.shape, np.uint8)
    masks[1, 1, 2, 2] = 1
    values, _ = ngldm(images, masks, slices=slices)
    assert np.isnan(values[0]).all()
    none = {"grey_level_variance", "dependence_count_variance", "dependence_count_entropy"}
    assert values[1].tolist() == [0.0 if name in none else 1.0 for name in NAMES]


def test_slices_without_pixels_take_no_part():
    volume = np.random.default_rng(6).integers(0, 99, (1, 3, 9, 9), np.uint8)
    mask = np.ones(volume.shape, np.uint8)
    mask[0, 1] = 0
    exact = {"binning": "width", "width": 10.0, "levels": 10}
    want = ngldm(volume[0, ::2], **exact)[0].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(ngldm(volume, mask, slices="averaged", **exact)[0][0], want, 1e-6)


# ---- words and errors


def test_column_names():
    _, names = ngldm(np.zeros((1, 4, 4), np.uint8), distance=2, coarseness=1)
    assert names[0] == "ngldm.low_dependence_emphasis.a1.d2"
    assert len(set(names)) == 17
    _, names = ngldm(np.zeros((1, 2, 4, 4), np.uint8), slices="averaged")
    assert names[-1] == "ngldm.dependence_count_energy.a0.d1.2d"


def test_bad_parameters_say_what_is_allowed():
    image = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"ngldm: distance must be 1 to 4"):
        ngldm(image, distance=5)
    with pytest.raises(ValueError, match=r"ngldm: coarseness must be 0 to 1024"):
        ngldm(image, coarseness=-1)
    with pytest.raises(ValueError, match=r"2\^26 voxels"):
        ngldm(np.broadcast_to(np.uint8(0), (1, 2**10, 2**9, 2**9)))
