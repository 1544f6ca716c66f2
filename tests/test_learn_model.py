"""A model file gives back the model, or one line that says why not."""

import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import save_file

from medkern.engine.features import Features
from medkern.engine.learn import (
    LearnError,
    ModelError,
    Settings,
    evaluate,
    identity,
    load,
    save,
)
from medkern.engine.learn.file import model_file
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
    assert tuple(after) == again.names == (*MODELS, "classical")
    for name, p in before.items():
        np.testing.assert_array_equal(after[name], p, err_msg=name)
    assert again.labels == ("healthy", "ill")
    assert again.recipe == "name = 'none'"
    assert again.thresholds == dict(model.thresholds)
    assert again.grouped
    assert again.training["rows"] == model.training["rows"]
    assert again.provenance["settings"]["epochs"] == 2
    assert identity(again) == identity(model)


def test_the_file_holds_arrays_and_json_and_nothing_else(whole):
    raw = whole.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    about = json.loads(header.pop("__metadata__")["medkern"])
    assert about["format"] == "medkern model"
    assert {entry["dtype"] for entry in header.values()} == {"F32", "F64", "I32"}


def test_validation_figures_come_from_validation_rows(trained):
    for row in trained.validation:
        assert row["n"] == len(trained.split.rows("val"))
        assert row["data"] == "validation"
        assert row["groups"] is not None
    names = [row["model"] for row in trained.validation]
    assert names == [*MODELS, "classical"]


def test_evaluation_has_a_row_for_every_model_with_intervals(trained):
    pixels, features, labels, groups = cohort(seed=6)
    rows = evaluate(trained.model, pixels, features, labels, groups, "new", resamples=50)
    for row in rows:
        assert set(row["metrics"]) == {"auc", "accuracy", "sensitivity", "specificity"}
        assert row["metrics"]["auc"]["low"] <= row["metrics"]["auc"]["high"]
        assert row["groups"] == 30
        json.dumps(row, allow_nan=False)
    assert rows[-1]["metrics"]["auc"]["value"] > 0.8


def test_the_classical_score_is_the_mean_and_columns_are_found_by_name(trained):
    pixels, features, _, _ = cohort(seed=7)
    p = trained.model.predict(pixels, features)
    mean = np.mean([p[name] for name in MODELS[1:]], axis=0)
    np.testing.assert_allclose(p["classical"], mean, atol=1e-15)
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


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_file_is_refused_in_one_line(whole, tmp_path, data):
    raw = bytearray(whole.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        place = data.draw(st.one_of(st.integers(0, 4000), st.integers(0, len(raw) - 1)))
        raw[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "damaged.medkern"
    path.write_bytes(raw)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def rewrite(whole, path, change):
    """A file whose header was changed and whose SHA-256 is right again: hostile, not damaged."""
    text, _, arrays = model_file._read(whole)
    header = json.loads(text)
    change(header, arrays)
    text = json.dumps(header)
    save_file(arrays, path, {"medkern": text, "sha256": model_file._digest(text, arrays)})


def huge(header, arrays):
    header["cnn"]["width"] = 10**9


def other_width(header, arrays):
    header["cnn"]["width"] = 3


def infinite(header, arrays):
    arrays["cnn/params/dense/bias"] = np.array([np.inf, 0], np.float32)


def negative_variance(header, arrays):
    arrays["cnn/state/stem/var"] = -arrays["cnn/state/stem/var"] - 1


def deep(header, arrays):
    arrays["tree/left"] = np.zeros_like(arrays["tree/left"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h, a: h.update(version=2), "format version 2; this medkern reads version 1"),
        (lambda h, a: h.update(format="other"), "not one of medkern"),
        (lambda h, a: h.pop("labels"), "'labels' is missing or of the wrong type"),
        (lambda h, a: h.update(labels=["a", "a"]), "labels must be texts, no two equal"),
        (lambda h, a: h.update(labels=["a"]), "there are 1 labels"),
        (lambda h, a: h.update(labels=["a", "b", "c"]), "has 2 classes, but there are 3"),
        (lambda h, a: h.update(features=["a"]), r"'mean' is float64 \(5,\), not float64 \(1,\)"),
        (lambda h, a: h.update(recipe=3), "'recipe' is missing or of the wrong type"),
        (lambda h, a: h["heads"].update(svm="pickle"), "kind 'pickle' is unknown"),
        (lambda h, a: h["heads"].update(more="svm"), "'more' is described or has arrays"),
        (lambda h, a: h["thresholds"].update(svm=7.0), "threshold 7.0 of 'svm'"),
        (lambda h, a: h["thresholds"].update(none=0.5), "threshold 0.5 of 'none'"),
        (lambda h, a: h["training"].update(rows={"val": 3}), "rows must be numbers of images"),
        (lambda h, a: h["cnn"].update(more=1), "cnn: the description must have the fields"),
        (huge, "cnn: width is 1000000000; allowed: 1 .. 512"),
        (other_width, r"'params/dense/weight' is float32 \(8, 2\), not float32 \(12, 2\)"),
        (infinite, "'params/dense/bias' holds NaN or infinity"),
        (negative_variance, "holds a negative variance"),
        (deep, "tree: a"),
        (lambda h, a: a.pop("cnn/params/dense/bias"), "'params/dense/bias' is missing"),
        (lambda h, a: a.update(x=np.zeros(1)), "'x' is described or has arrays"),
        (lambda h, a: a.update(x=np.zeros(1, np.int8)), "array 'x' is I8; allowed: F32"),
    ],
)
def test_a_hostile_file_is_refused(whole, tmp_path, change, sentence):
    path = tmp_path / "hostile.medkern"
    rewrite(whole, path, change)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "m.medkern"
    with pytest.raises(ModelError, match="No such file"):
        load(path)
    with pytest.raises(ModelError, match="directory"):
        load(tmp_path)
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="but not one of medkern"):
        load(path)
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ModelError, match="not a model file"):
        load(path)
    nested = "[" * 100_000
    save_file({"a": np.zeros(3)}, path, {"medkern": nested, "sha256": ""})
    with pytest.raises(ModelError, match="not JSON"):
        load(path)


def test_a_failed_save_leaves_the_old_file_and_no_other(trained, tmp_path, monkeypatch):
    path = tmp_path / "m.medkern"
    save(trained.model, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(replace(trained.model, recipe="other"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.medkern"]
    assert load(path).recipe == trained.model.recipe
