"""Pictures of one scene are found, whatever was done to them; others are left apart."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.engine.features import Features
from medkern.engine.learn import LearnError, Settings, duplicates
from medkern.engine.learn.duplicates import near_duplicates
from medkern.engine.learn.train import train


def scenes(n: int, side: int = 48, seed: int = 0) -> np.ndarray:
    """Smooth pictures that have nothing in common."""
    rough = np.random.default_rng(seed).normal(size=(n, 9, 9))
    return (128 + 30 * duplicates.cells(rough, side, side)).clip(0, 255).astype(np.uint8)


def test_a_picture_is_found_again_brighter_noisier_and_resized():
    first = scenes(40)
    noise = np.random.default_rng(1).normal(0, 4, first.shape)
    changed = {
        "brighter": first * 0.6 + 80,
        "noisy": (first + noise).clip(0, 255),
        "smaller once": duplicates.cells(duplicates.cells(first, 30, 30), 48, 48),
    }
    for what, second in changed.items():
        both = np.concatenate([first, second.astype(np.uint8)])
        numbers = near_duplicates(both)
        assert (numbers[:40] == numbers[40:]).all(), what
        assert len(set(numbers)) == 40, what


def test_mirror_images_belong_together_only_if_that_is_asked_for():
    first = scenes(20)
    both = np.concatenate([first, first[:, :, ::-1]])
    assert len(set(near_duplicates(both))) == 40
    numbers = near_duplicates(both, mirrored=True)
    assert (numbers[:20] == numbers[20:]).all()
    assert len(set(numbers)) == 20


def test_colours_volumes_empty_images_and_no_images():
    grey = scenes(6)
    colour = np.repeat(grey[..., None], 3, axis=3)
    volume = np.repeat(grey[:, None], 4, axis=1)
    for images in (colour, volume):
        assert len(set(near_duplicates(np.concatenate([images, images])))) == 6
    assert near_duplicates(np.zeros((3, 8, 8), np.uint8)).tolist() == [0, 0, 0]
    assert near_duplicates(np.zeros((0, 8, 8), np.uint8)).tolist() == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 48), st.integers(0, 10**6))
def test_the_search_finds_exactly_the_pairs_that_a_plain_comparison_finds(n, distance, seed):
    generator = np.random.default_rng(seed)
    marks = generator.integers(0, 256, (n, 32), np.uint8)
    for row in range(0, n - 1, 3):  # copies with some bits turned
        turned = generator.permutation(256)[: generator.integers(0, 60)]
        bits = np.unpackbits(marks[row])
        bits[turned] ^= 1
        marks[row + 1] = np.packbits(bits)
    bits = np.unpackbits(marks, axis=1).astype(bool)
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    plain = {(i, j) for i in range(n) for j in range(i + 1, n) if apart[i, j] <= distance}
    assert set(zip(*duplicates._within(marks, distance).tolist(), strict=True)) == plain


def test_nothing_depends_on_how_the_pairs_are_cut(monkeypatch):
    images = np.concatenate([scenes(70), scenes(70)[::-1]])
    whole = near_duplicates(images)
    for name, value in (("_ROWS", 7), ("_COLUMNS", 13), ("_BLOCK", 5000)):
        monkeypatch.setattr(duplicates, name, value)
    assert near_duplicates(images).tolist() == whole.tolist()


def test_near_duplicates_never_straddle_a_split():
    first = scenes(60)
    images = np.concatenate([first, (first * 0.8 + 20).astype(np.uint8)])
    labels = ["even", "odd"] * 60
    values = np.random.default_rng(0).normal(size=(120, 3)) + (np.arange(120) % 2)[:, None]
    features = Features(values, tuple("abc"), tuple(map(str, range(120))))
    told = Settings(models=("logistic",))
    trained = train(images, 8, features, labels, settings=told)
    assert trained.split.groups == "near-duplicates"
    assert not trained.split.grouped
    assert (trained.split.part[:60] == trained.split.part[60:]).all()


def test_breast_ultrasound_whose_near_duplicates_are_known(data):
    """780 images, 191 pairs of near-duplicates found by other means."""
    import imagecodecs

    folder = data("busi_ultrasound")
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = [np.asarray(imagecodecs.imread(str(folder / row["file"]))) for row in rows]
    grey = [image if image.ndim == 2 else image[..., :3].mean(axis=2) for image in images]
    found = near_duplicates(np.stack(grey).astype(np.uint8))
    known = np.array([int(row["near_dup_group"]) for row in rows])
    i, j = np.triu_indices(len(rows), 1)
    same, together = known[i] == known[j], found[i] == found[j]
    assert (together & same).sum() / same.sum() >= 0.95
    assert (together & ~same).sum() <= 0.1 * same.sum()


@pytest.mark.parametrize("near", [-1, 49, 2.5])
def test_a_distance_out_of_range_is_refused(near):
    with pytest.raises(LearnError, match="near"):
        Settings(near=near)
