"""Stains: amounts of dyes that are known, SciPy's statistics, thresholds, degenerate regions."""

import numpy as np
import pytest
from scipy import stats

from medkern import kernels as mk
from medkern.bench.shapes import SHAPES
from medkern.kernels._colour import STAINS, density, stain, stain_weights
from medkern.kernels.texture.stains import FEATURES, stains


def found(images, masks=None, **parameters) -> list[dict[str, float]]:
    values, names = stains(images, masks, **parameters)
    short = [name.removeprefix("stains.") for name in names]
    return [dict(zip(short, row.tolist(), strict=True)) for row in values]


def stained(amounts: np.ndarray, choice: str) -> np.ndarray:
    """Pixels (..., 3) uint8 of a section with these amounts (..., 3) of the dyes."""
    vectors = np.linalg.inv(stain_weights(choice).T.astype(np.float64))
    return np.rint(255 * 10 ** -(amounts @ vectors)).astype(np.uint8)


def test_amounts_that_were_put_in_are_found():
    amounts = np.random.default_rng(0).uniform(0, 0.6, (1, 40, 50, 3)) * [1, 1, 0]
    got = found(stained(amounts, "H-E"), stains="H-E")[0]
    for k, dye in enumerate(("haematoxylin", "eosin")):
        v = amounts[..., k].ravel()
        assert got[f"mean.{dye}"] == pytest.approx(v.mean(), abs=2e-3)
        assert got[f"standard_deviation.{dye}"] == pytest.approx(v.std(), abs=2e-3)
        assert got[f"percentile_90.{dye}"] == pytest.approx(np.percentile(v, 90), abs=6e-3)
    assert got["mean.residual"] == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize("choice", STAINS)
def test_values_equal_numpy_and_scipy(choice):
    image = SHAPES["colour-2x40x48"].images(1)
    got, names = stains(image, stains=choice, threshold=0.1)
    red, green, blue = density()[image.reshape(-1, 3).T]
    v = np.array([stain(red, green, blue, w) for w in stain_weights(choice)], np.float64)
    want = [
        *v.mean(axis=1), *v.std(axis=1), *stats.skew(v, axis=1), *stats.kurtosis(v, axis=1),
        *np.percentile(v, (10, 25, 50, 75, 90), axis=1).ravel(),
        *(v > np.float32(0.1)).mean(axis=1),
    ]  # fmt: skip
    np.testing.assert_allclose(got[0], want, rtol=2e-6, atol=1e-7)
    assert len(set(names)) == 3 * len(FEATURES)


def test_positive_is_above_the_threshold_not_at_it():
    image = np.full((1, 5, 5, 3), 255, np.uint8)
    image[0, :2] = stained(np.array([0.0, 0.0, 0.8]), "H-E-DAB")
    assert found(image)[0]["positive.dab"] == pytest.approx(0.4)
    assert found(image, threshold=1.0)[0]["positive.dab"] == 0
    assert found(image, threshold=0)[0]["positive.dab"] == pytest.approx(0.4)  # white has none


def test_masks_labels_and_crops_say_the_same():
    images = SHAPES["colour-2x40x48"].images(1)
    labels = np.zeros((1, 40, 48), np.int32)
    labels[0, 2:19, 3:25], labels[0, 20:39, 5:43] = 1, 2
    of_labels, _ = stains(images, mk.regions(labels))
    for k, row in enumerate(of_labels):
        of_mask, _ = stains(images, labels == k + 1)
        np.testing.assert_array_equal(row, of_mask[0])
    of_crop, _ = stains(images[:, 2:19, 3:25])
    np.testing.assert_array_equal(of_labels[0], of_crop[0])


def test_glass_black_and_empty_regions_are_defined():
    images = np.zeros((3, 4, 6, 3), np.uint8)
    images[0] = 255
    masks = np.ones((3, 4, 6), np.uint8)
    masks[2] = 0
    glass, black, empty = found(images, masks)
    assert not any(glass.values())
    assert np.isnan(list(empty.values())).all()
    assert black["mean.haematoxylin"] == black["percentile_50.haematoxylin"] > 0
    assert black["standard_deviation.haematoxylin"] == black["kurtosis.haematoxylin"] == 0
