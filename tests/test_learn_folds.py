"""Cross-validation judges every image by a model that has not seen its group."""

import json

import numpy as np
import pytest

from medkern.engine.features import Features
from medkern.engine.learn import LearnError, Settings
from medkern.engine.learn.folds import cross_validate


def table(n: int = 200, size: int = 4, seed: int = 0):
    """Classes by patient, and columns that tell the patient and nothing else."""
    generator = np.random.default_rng(seed)
    patient = np.arange(n) // size
    truth = generator.permutation(np.arange(n // size) % 2)[patient]
    values = generator.normal(size=(n // size, 6))[patient] + generator.normal(0, 0.05, (n, 6))
    features = Features(values, tuple("abcdef"), tuple(map(str, range(n))))
    return features, truth.tolist(), [f"p{k}" for k in patient]


def auc(folded) -> float:
    return folded.figures[0]["metrics"]["auc"]["value"]


def test_no_fold_separates_a_group_and_every_row_is_judged_once():
    features, labels, groups = table()
    told = Settings(models=("logistic", "tree"))
    folded = cross_validate(None, 8, features, labels, groups, 5, told)
    homes = set(zip(groups, folded.fold.tolist(), strict=True))
    assert len(homes) == len(set(groups))
    assert sorted(np.unique(folded.fold)) == [0, 1, 2, 3, 4]
    assert folded.groups == "given"
    for p in folded.probabilities.values():
        np.testing.assert_allclose(p.sum(axis=1), 1)
    assert [row["n"] for rows in folded.per_fold for row in rows if row["model"] == "tree"] == [
        int((folded.fold == k).sum()) for k in range(5)
    ]
    for row in folded.figures:
        assert row["groups"] == 50
        assert row["metrics"]["auc"]["low"] < row["metrics"]["auc"]["high"]
    json.dumps([folded.figures, folded.per_fold], allow_nan=False)


def test_folds_by_image_show_the_leak():
    features, labels, groups = table()
    told = Settings(models=("forest",))
    honest = cross_validate(None, 8, features, labels, groups, 5, told)
    leaking = cross_validate(None, 8, features, labels, groups, 5, told, by_image=True)
    assert auc(honest) < 0.7
    assert auc(leaking) > 0.9
    assert (leaking.groups, honest.groups) == ("none", "given")
    assert any("not known" in note for note in leaking.figures[0]["notes"])


def test_the_same_seed_gives_the_same_figures_and_another_others():
    features, labels, groups = table()
    run = [
        cross_validate(None, 8, features, labels, groups, 3, Settings(models=("tree",), seed=seed))
        for seed in (1, 1, 2)
    ]
    assert run[0].figures == run[1].figures
    assert run[0].fold.tolist() != run[2].fold.tolist()


def test_nothing_of_a_fold_enters_the_model_that_judges_it():
    """Columns are chosen, scaled and fitted, and probabilities calibrated, by other folds."""
    features, labels, groups = table()
    told = Settings(models=("svm", "logistic"), correlation=0.5)
    before = cross_validate(None, 8, features, labels, groups, 4, told)
    row = int(np.flatnonzero(before.fold == 2)[0])
    values = features.values.copy()
    others = (before.fold == 2) & (np.arange(200) != row)
    values[others] = np.random.default_rng(9).normal(0, 1e4, (others.sum(), 6))
    changed = Features(values, features.names, features.ids)
    after = cross_validate(None, 8, changed, labels, groups, 4, told)
    for name in ("svm", "logistic"):
        same = after.probabilities[name][row]
        np.testing.assert_array_equal(same, before.probabilities[name][row], err_msg=name)


def test_pixels_and_texture_go_through_the_folds_together():
    generator = np.random.default_rng(0)
    truth = np.arange(96) % 2
    pixels = (generator.integers(0, 80, (96, 8, 8)) + 100 * truth[:, None, None]).astype(np.uint8)
    values = generator.normal(size=(96, 3)) + truth[:, None]
    features = Features(values, tuple("abc"), tuple(map(str, range(96))))
    told = Settings(models=("cnn", "logistic"), inputs=("texture", "fused"), epochs=2, width=2,
                    batch=32)  # fmt: skip
    folded = cross_validate(pixels, 8, features, [str(k) for k in truth], folds=2, settings=told)
    wanted = ("cnn", "logistic", "logistic.fused", "together.fused")
    assert tuple(folded.probabilities) == wanted
    assert folded.groups == "near-duplicates"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"folds": 1}, "1 are asked for; allowed: 2 .. 20"),
        ({"groups": [f"p{k % 4}" for k in range(200)]}, "groups, which is fewer than 5 folds"),
        ({"labels": [0] * 197 + [1] * 3}, "class '1' has 1 groups, which is fewer than 5 folds"),
        ({"labels": [0] * 200}, "all rows have the same label"),
    ],
)
def test_folds_that_cannot_be_are_refused(change, sentence):
    features, labels, groups = table()
    arguments = {"labels": labels, "groups": groups, "folds": 5} | change
    with pytest.raises(LearnError, match=sentence):
        cross_validate(None, 8, features, settings=Settings(models=("tree",)), **arguments)
