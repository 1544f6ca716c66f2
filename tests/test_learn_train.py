"""A training gives a model that says how sure it is, what it cannot rule out and what is alien."""

from dataclasses import replace

import numpy as np
import pytest

from medkern.engine.features import Features
from medkern.engine.learn import LearnError, Model, Settings, load, save
from medkern.engine.learn.cnn import training
from medkern.engine.learn.judge import calibration, conformal
from medkern.engine.learn.labels import class_names, codes
from medkern.engine.learn.train import train

SMALL = {"epochs": 3, "batch": 32, "width": 4, "shift": 0.0, "intensity": 0.0}


def cohort(n: int = 160, classes: int = 2, seed: int = 0):
    """Images whose upper half, and features whose first column, tell the class, not surely."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    pixels = generator.integers(0, 120, (n, 8, 8)) + 40 * truth[:, None, None]
    pixels[:, 4:] = 100
    values = generator.normal(size=(n, 4)) + truth[:, None] * [1.2, 0, 0, 0]
    features = Features(values, tuple("abcd"), tuple(f"i{row}" for row in range(n)))
    groups = [f"patient{row // 4}" for row in range(n)]
    return pixels.clip(0, 255).astype(np.uint8), features, truth, groups


def names(truth: np.ndarray) -> list[str]:
    return [str(k) for k in truth]


def strange(model: Model, pixels=None, features=None) -> np.ndarray:
    """Which images the model calls alien."""
    score = model.novelty_of(pixels, features)
    assert score is not None
    assert model.novelty is not None
    return score > model.novelty.limit


@pytest.fixture(scope="module")
def fused():
    pixels, features, truth, groups = cohort()
    told = Settings(models=("cnn", "svm", "logistic"), inputs=("texture", "deep", "fused"), **SMALL)
    return train(pixels, 8, features, names(truth), groups, settings=told)


def test_every_classical_model_is_fitted_on_every_input(fused, tmp_path):
    wanted = ("cnn", "svm", "logistic", "classical", "svm.deep", "logistic.deep", "classical.deep",
              "svm.fused", "logistic.fused", "classical.fused", "together.fused")  # fmt: skip
    model = fused.model
    assert model.names == wanted
    assert [row["model"] for row in fused.validation] == list(wanted)
    widths = {name: head.arrays["mean"].size for name, head in model.heads.items()}
    assert (widths["svm"], widths["svm.deep"], widths["svm.fused"]) == (4, 16, 20)
    pixels, features, _, _ = cohort(seed=1)
    save(model, tmp_path / "m.medkern")
    again = load(tmp_path / "m.medkern")
    for name, p in model.predict(pixels, features).items():
        np.testing.assert_array_equal(again.predict(pixels, features)[name], p, err_msg=name)
    np.testing.assert_array_equal(
        again.novelty_of(pixels, features), model.novelty_of(pixels, features)
    )
    assert again.conformal == model.conformal
    assert again.statistics == model.statistics


def test_probabilities_are_calibrated_on_validation(fused):
    pixels, features, truth, _ = cohort()
    rows = fused.split.rows("val")
    model, raw = fused.model, replace(fused.model, calibration={})
    before = raw.predict(pixels[rows], features.rows(rows))
    after = model.predict(pixels[rows], features.rows(rows))
    for name in ("cnn", "svm", "logistic.fused"):
        wanted = calibration.temperature(truth[rows], before[name])
        assert model.calibration[name] == pytest.approx(wanted)
        softened = calibration.soften(before[name], wanted)
        np.testing.assert_allclose(after[name], softened, atol=1e-12)


def test_prediction_sets_hold_the_truth_as_often_as_promised(fused):
    pixels, features, truth, _ = cohort(600, seed=2)
    sets = fused.model.sets(fused.model.predict(pixels, features), "0.1")
    assert set(sets) == set(fused.model.names)
    for name in ("svm", "classical"):
        assert conformal.coverage(truth, sets[name]) > 0.8, name
    assert fused.model.sets({"svm": np.ones((1, 2)) / 2}, "0.3") == {}


def test_an_alien_image_is_flagged(fused):
    model = fused.model
    pixels, features, _, _ = cohort(200, seed=3)
    assert strange(model, pixels, features).mean() < 0.2
    stripes = np.zeros((5, 8, 8), np.uint8)
    stripes[:, :, ::2] = 255
    assert strange(model, stripes, features.rows(np.arange(5))).all()


def test_training_statistics_are_those_of_the_training_part(fused):
    pixels, features, _, _ = cohort()
    rows = fused.split.rows("train")
    found = fused.model.statistics
    assert found["rows"] == len(rows)
    assert found["pixels"]["mean"] == pytest.approx(pixels[rows].mean() / 255)
    middle = found["features"]["points"].index(0.5)
    medians = [row[middle] for row in found["features"]["quantiles"]]
    np.testing.assert_allclose(medians, np.median(features.values[rows], axis=0), rtol=1e-4)


def test_a_classical_model_alone_judges_novelty_by_its_features():
    _, features, truth, groups = cohort()
    told = Settings(models=("logistic",))
    model = train(None, 8, features, names(truth), groups, settings=told).model
    odd = Features(np.full((1, 4), 50.0), features.names, ("x",))
    assert strange(model, features=odd).all()
    assert strange(model, features=features).mean() < 0.1


def test_deep_features_alone_need_no_texture():
    pixels, _, truth, groups = cohort()
    told = Settings(models=("cnn", "logistic"), inputs=("deep",), **SMALL)
    model = train(pixels, 8, None, names(truth), groups, settings=told).model
    assert model.names == ("cnn", "logistic.deep")
    assert model.features == ()
    assert model.predict(pixels)["logistic.deep"].shape == (160, 2)


def test_grades_keep_their_order(tmp_path):
    pixels, features, truth, groups = cohort(240, classes=3)
    grades = [("none", "mild", "severe")[k] for k in truth]
    told = Settings(
        task="ordinal", order=("none", "mild", "severe"), models=("cnn", "logistic"), **SMALL
    )
    trained = train(pixels, 8, features, grades, groups, settings=told)
    assert trained.model.labels == ("none", "mild", "severe")
    assert "quadratic_kappa" in trained.validation[0]["metrics"]
    p = trained.model.predict(pixels, features)["cnn"]
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    save(trained.model, tmp_path / "m.medkern")
    assert load(tmp_path / "m.medkern").task == "ordinal"


def test_independent_labels_each_have_a_probability():
    generator = np.random.default_rng(0)
    truth = generator.random((240, 2)) < 0.5
    pixels = generator.integers(0, 60, (240, 8, 8))
    pixels[:, :4] += 120 * truth[:, 0, None, None]
    pixels[:, 4:] += 120 * truth[:, 1, None, None]
    values = truth + generator.normal(0, 0.3, truth.shape)
    features = Features(values, ("top", "bottom"), tuple(map(str, range(240))))
    texts = [";".join(np.array(["top", "bottom"])[row]) for row in truth]
    told = Settings(task="labels", models=("cnn", "logistic", "forest"), **SMALL)
    trained = train(pixels.astype(np.uint8), 8, features, texts, settings=told)
    model = trained.model
    assert model.labels == ("bottom", "top")
    assert model.names == ("cnn", "logistic", "forest", "classical", "together.fused")
    p = model.predict(pixels.astype(np.uint8), features)["logistic"]
    assert ((p >= 0.5) == truth[:, ::-1]).mean() > 0.9
    assert trained.validation[1]["metrics"]["auc"]["value"] > 0.95
    assert model.codes([";", "top", "bottom; top"]).tolist() == [
        [False, False], [False, True], [True, True],
    ]  # fmt: skip


def test_an_interrupted_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EVERY", 0.0)  # a checkpoint after every step
    pixels, features, truth, groups = cohort()
    told = Settings(models=("cnn", "logistic"), inputs=("fused",), **SMALL)
    labels = names(truth)
    whole = train(pixels, 8, features, labels, groups, settings=told)

    def stop(model, done, total, figures):
        if figures and figures.get("epoch") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            pixels, 8, features, labels, groups, settings=told, progress=stop, folder=tmp_path / "c"
        )
    epochs = []

    def watch(model, done, total, figures):
        epochs.extend([figures["epoch"]] if "epoch" in figures else [])

    again = train(
        pixels, 8, features, labels, groups, settings=told, progress=watch, folder=tmp_path / "c"
    )
    assert epochs == [2, 3]  # the first was not done again
    for name, p in whole.model.predict(pixels, features).items():
        np.testing.assert_array_equal(again.model.predict(pixels, features)[name], p)


def test_more_columns_than_rows_and_gaps_are_learned_from():
    _, _, truth, groups = cohort()
    values = np.random.default_rng(0).normal(size=(160, 400))
    values[:, 0] += 3 * truth
    values[::7, 1] = np.nan
    values[:, 2] = np.nan
    features = Features(values, tuple(f"f{k}" for k in range(400)), tuple(map(str, range(160))))
    told = Settings(models=("svm", "logistic", "forest"))
    trained = train(None, 8, features, names(truth), groups, settings=told)
    assert all(row["metrics"]["auc"]["value"] > 0.7 for row in trained.validation)
    assert trained.model.statistics["features"]["quantiles"][2] is None


@pytest.mark.parametrize(
    ("told", "change", "sentence"),
    [
        ({}, {"labels": ["1"] * 160}, "all rows have the same label"),
        ({"order": ("0", "2")}, {}, "label '1' is not in the order: 0, 2"),
        ({"order": ("0", "1", "2")}, {}, "'2' is in the order, but has no row"),
        ({"task": "ordinal"}, {"labels": ["mild", "severe"] * 80}, "need an order"),
        ({"task": "labels"}, {"labels": ["a", "a;b"] * 80}, "part has the label 'a'"),
        ({"groups": "required"}, {"groups": None}, "groups are required"),
        ({"groups": "required"}, {"groups": ["p", None] * 80}, "groups are required"),
        ({"inputs": ("fused",)}, {}, "need the network"),
        ({}, {"groups": ["p"]}, "1 groups for 160 labels"),
        ({}, {"groups": ["p"] * 160}, "part has no image of class"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_sentence(told, change, sentence):
    _, features, truth, groups = cohort()
    arguments = {"labels": [str(k) for k in truth], "groups": groups} | change
    told = Settings(**({"models": ("logistic",)} | told))
    with pytest.raises(LearnError, match=sentence) as caught:
        train(None, 8, features, **arguments, settings=told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"task": "regression"}, "task is 'regression'; allowed: classes, ordinal, labels"),
        ({"inputs": ("radiomics",)}, "inputs are .* allowed: texture, deep, fused"),
        ({"inputs": ()}, "no input is chosen"),
        ({"models": ("svm", "svm")}, "each may be named once"),
        ({"order": ("a", "a")}, "order is"),
        ({"groups": "maybe"}, "groups is 'maybe'"),
        ({"mirrored": 1}, "mirrored is 1; allowed: true, false"),
    ],
)
def test_settings_out_of_range_are_refused(told, sentence):
    with pytest.raises(LearnError, match=sentence):
        Settings(**told)


def test_labels_and_their_numbers():
    assert class_names(["b;a", ";", "c"], "labels") == ("a", "b", "c")
    assert class_names(["10", "2"], "ordinal") == ("2", "10")
    assert codes(["2", "10"], ("2", "10")).tolist() == [0, 1]
    with pytest.raises(LearnError, match="'d' is unknown to the model; known: a, b"):
        codes(["a;d"], ("a", "b"), "labels")


def test_doubts_about_the_table_are_kept_with_the_model():
    _, features, truth, groups = cohort()
    rows = len(features.ids)
    noise = np.random.default_rng(0).normal(size=(rows, rows)).astype(np.float32)
    wide = Features.join(
        features, Features(noise, tuple(f"n{k}" for k in range(rows)), features.ids)
    )
    told = Settings(models=("logistic",))
    few = train(None, 8, features, names(truth), groups, settings=told).model.training["concerns"]
    many = train(None, 8, wide, names(truth), groups, settings=told).model.training["concerns"]
    assert any("more features" in sentence for sentence in many)
    assert not any("more features" in sentence for sentence in few)
