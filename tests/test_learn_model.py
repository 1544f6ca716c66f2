"""From labelled images to a model that judges new ones."""

import json

import numpy as np
import pytest

from medkern.engine.features import Features
from medkern.engine.learn import (
    LearnError,
    Settings,
    evaluate,
    identity,
    load,
    save,
)
from medkern.engine.learn.judge.calibration import soften
from medkern.engine.learn.train import class_names, train

MODELS = ("cnn", "svm", "tree", "forest", "logistic")


def cohort(n: int = 120, seed: int = 0):
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    pixels = generator.integers(0, 90, (n, 8, 8), np.uint8) + (80 * truth[:, None, None])
    pixels[:, :4] = 100
    values = generator.normal(size=(n, 5)) + truth[:, None] * [1.5, 0, 0, 0, 1.0]
    features = Features(values, tuple("abcde"), tuple(f"i{row}" for row in range(n)))
    labels = [("healthy", "ill")[k] for k in truth]
    groups = [f"patient{row // 4}" for row in range(n)]
    return pixels.astype(np.uint8), features, labels, groups


@pytest.fixture(scope="module")
def trained():
    pixels, features, labels, groups = cohort()
    told = Settings(models=MODELS, epochs=2, batch=32, width=2)
    return train(pixels, 8, features, labels, groups, settings=told, recipe="name = 'none'")


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.medkern"
    save(trained.model, path)
    return path


def test_the_file_gives_back_the_whole_model(trained, whole):
    model, again = trained.model, load(whole)
    pixels, features, _, _ = cohort(seed=5)
    before, after = model.predict(pixels, features), again.predict(pixels, features)
    assert tuple(after) == again.names == (*MODELS, "classical", "together.fused")
    for name, p in before.items():
        np.testing.assert_array_equal(after[name], p, err_msg=name)
    assert again.labels == ("healthy", "ill")
    assert again.recipe == "name = 'none'"
    assert again.thresholds == dict(model.thresholds)
    assert again.grouped
    assert again.training["rows"] == model.training["rows"]
    assert again.provenance["settings"]["epochs"] == 2
    assert identity(again) == identity(model)


def test_validation_figures_come_from_validation_rows(trained):
    for row in trained.validation:
        assert row["n"] == len(trained.split.rows("val"))
        assert row["data"] == "validation"
        assert row["groups"] is not None
    names = [row["model"] for row in trained.validation]
    assert names == [*MODELS, "classical", "together.fused"]


def test_evaluation_has_a_row_for_every_model_with_intervals(trained):
    pixels, features, labels, groups = cohort(seed=6)
    rows = evaluate(trained.model, pixels, features, labels, groups, "new", resamples=50)
    for row in rows:
        assert list(row["metrics"])[:4] == ["auc", "accuracy", "sensitivity", "specificity"]
        assert row["metrics"]["auc"]["low"] <= row["metrics"]["auc"]["high"]
        assert row["groups"] == 30
        json.dumps(row, allow_nan=False)
    assert rows[-1]["metrics"]["auc"]["value"] > 0.8


def test_the_network_and_texture_judge_together(trained):
    pixels, features, _, _ = cohort(seed=7)
    p = trained.model.predict(pixels, features)
    softened = soften((p["cnn"] + p["classical"]) / 2, trained.model.calibration["together.fused"])
    np.testing.assert_allclose(p["together.fused"], softened, atol=1e-15)


def test_the_classical_score_is_the_mean_and_columns_are_found_by_name(trained):
    pixels, features, _, _ = cohort(seed=7)
    p = trained.model.predict(pixels, features)
    mean = np.mean([p[name] for name in MODELS[1:]], axis=0)
    softened = soften(mean, trained.model.calibration["classical"])
    np.testing.assert_allclose(p["classical"], softened, atol=1e-15)
    extra = Features(np.ones((120, 1)), ("z",), features.ids)
    mixed = Features.join(extra, features).select(("z", "e", "d", "c", "b", "a"))
    np.testing.assert_array_equal(trained.model.predict(pixels, mixed)["svm"], p["svm"])


def test_rows_of_the_test_part_change_nothing():
    _, features, labels, groups = cohort()
    told = Settings(models=("svm", "logistic"))
    first = train(None, 8, features, labels, groups, settings=told)
    values = features.values.copy()
    values[first.split.rows("test")] = 1e9
    second = train(
        None, 8, Features(values, features.names, features.ids), labels, groups, settings=told
    )
    assert second.model.thresholds == first.model.thresholds
    for name, head in first.model.heads.items():
        for key, array in head.arrays.items():
            np.testing.assert_array_equal(array, second.model.heads[name].arrays[key])


def test_three_classes_and_many_bits_work_without_thresholds(tmp_path):
    generator = np.random.default_rng(0)
    truth = np.arange(90) % 3
    pixels = (generator.integers(0, 500, (90, 8, 8)) + 1200 * truth[:, None, None]).astype(
        np.uint16
    )
    labels = [str((10, 9, 100)[k]) for k in truth]
    told = Settings(models=("cnn",), epochs=1, batch=16, width=2, standardise="data")
    result = train(pixels, 12, None, labels, settings=told)
    assert result.model.labels == ("9", "10", "100")
    assert result.model.thresholds == {}
    assert not result.model.grouped
    save(result.model, tmp_path / "m.medkern")
    assert load(tmp_path / "m.medkern").predict(pixels)["cnn"].shape == (90, 3)


def test_class_names_are_in_natural_order():
    assert class_names(["10", "2", "1"]) == ("1", "2", "10")
    assert class_names(["b", "a", "10"]) == ("10", "a", "b")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ["ill"] * 120}, "all rows have the same label"),
        ({"labels": ["ill"] * 119 + ["healthy"]}, "part has no image of class 'healthy'"),
        ({"pixels": None}, "the network needs pixels"),
        ({"features": None}, "the classical models need features"),
        ({"pixels": np.zeros((7, 8, 8), np.uint8)}, "7 images for 120 labels"),
        ({"given": ["train"] * 119}, "119 split for 120 labels"),
    ],
)
def test_data_that_cannot_teach_are_refused(change, sentence):
    pixels, features, labels, _ = cohort()
    arguments = {"pixels": pixels, "features": features, "labels": labels} | change
    with pytest.raises(LearnError, match=sentence):
        train(bits=8, **arguments)


def test_missing_inputs_and_unknown_labels_are_named(trained):
    pixels, features, labels, _ = cohort()
    with pytest.raises(LearnError, match="needs pixels"):
        trained.model.predict(None, features)
    with pytest.raises(LearnError, match="need features"):
        trained.model.predict(pixels, None)
    with pytest.raises(ValueError, match="1 of 5 needed columns are missing, the first is 'c'"):
        trained.model.predict(pixels, features.select(tuple("abde")))
    with pytest.raises(LearnError, match="'dead' is unknown to the model; known: healthy, ill"):
        evaluate(trained.model, pixels, features, ["dead", *labels[1:]])
    with pytest.raises(LearnError, match="no labelled rows in x"):
        evaluate(trained.model, pixels[:0], features.rows(np.array([], int)), [], data="x")
