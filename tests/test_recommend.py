"""Advice: what it says for each kind of noise, and that following it helps."""

import numpy as np
import pytest

from medkern import kernels as mk
from medkern.bench.quality.truth import truths

EXPECTED = {
    "white 25": ("", "collaborative"),
    "CT 20000": ("CT", "tv"),
    "Rician 5 %": ("MR", "nlm"),
    "Poisson 20": ("GM", "anscombe"),
    "speckle": ("US", "srad"),
}


@pytest.fixture(scope="module")
def sets(data):
    found = {truth.name: truth.first(2) for truth in truths(data("denoise_truth"))}
    return {name: found[name] for name in EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_first_kernel_suits_the_noise_and_the_chain_gains(sets, name):
    modality, first = EXPECTED[name]
    truth = sets[name]
    advice = mk.recommend(truth.noisy, (modality,) * len(truth.noisy))
    assert advice.chain[0].kernel == first and advice.reason
    got = advice(truth.noisy)
    assert got.dtype == truth.noisy.dtype and got.shape == truth.noisy.shape
    gain = np.log10(_error(truth.noisy, truth) / _error(got, truth)) * 10
    assert gain > 3


def test_counted_photons_and_magnitudes_are_told_without_a_modality(sets):
    assert mk.recommend(sets["Poisson 20"].noisy).chain[0].kernel == "anscombe"
    assert mk.recommend(sets["Rician 5 %"].noisy).chain[0].parameters == {"noise": "rician"}


def test_impulses_are_for_the_median_whatever_the_modality():
    rng = np.random.default_rng(0)
    images = rng.normal(100, 3, (2, 64, 64)).clip(0, 255).astype(np.uint8)
    images[rng.random(images.shape) < 0.03] = 255
    for modality in ("", "MR", ("US", "US")):
        advice = mk.recommend(images, modality)
        assert [step.kernel for step in advice.chain] == ["median"]
        assert advice(images).dtype == np.uint8


def test_integers_come_back_from_the_chain_with_their_dtype():
    rng = np.random.default_rng(0)
    mean = 30 + 25 * np.sin(np.arange(128) / 12)
    images = rng.poisson(np.broadcast_to(mean, (1, 128, 128))).astype(np.uint16)
    advice = mk.recommend(images, "SM")
    assert [step.kernel for step in advice.chain][::2] == ["anscombe", "anscombe_inverse"]
    assert advice(images).dtype == np.uint16


def test_the_most_frequent_modality_counts_and_none_is_no_error():
    images = np.random.default_rng(0).normal(1000, 10, (3, 64, 64)).astype(np.float32)
    assert mk.recommend(images, ("US", "CT", "US")).chain[0].kernel == "srad"
    assert mk.recommend(images, ()).chain
    with pytest.raises(ValueError, match="no images"):
        mk.recommend(images[:0])


def _error(image, truth):
    return float(((image - truth.clean) ** 2).mean())
