"""A model file gives back the whole model, or one line that says why not."""

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import making_models as making
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import save_file

from medkern.engine.features import Features
from medkern.engine.learn import ModelError, identity, load, save
from medkern.engine.learn.file import container, header, strict
from medkern.engine.learn.file.container import Content
from medkern.engine.learn.judge import novelty

MODELS = Path(__file__).parent / "models"


def bundle():
    """A network, a head of every kind on measured features, others on deep and fused ones."""
    network = making.cnn()
    heads = {kind: making.head(kind) for kind in making.KINDS}
    heads |= {"svm.deep": making.head("svm", 8), "knn.fused": making.head("knn", 11)}
    inputs = dict.fromkeys(making.KINDS, "texture")
    return making.model(
        heads=heads,
        cnn=network,
        inputs=inputs | {"svm.deep": "deep", "knn.fused": "fused"},
        thresholds={"cnn": 0.25, "svm.deep": 0.75},
        calibration={"cnn": 1.5, "knn.fused": 0.5},
        conformal={"cnn": {"0.1": 0.8, "0.05": 1.0}},
        novelty=novelty.fit(network.features(making.pixels(40))),
        statistics={"pixels": {"mean": 0.4}},
        training={"grouped": True, "rows": {"val": {"class 0": 3}}, "seen": ["00ff" * 4] * 3,
                  "split": "ab" * 32},
        provenance={"versions": {"numpy": "2.1"}, "settings": {"epochs": 2}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return bundle()


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.medkern"
    save(model, path)
    return path


def test_the_file_gives_back_every_field_and_array(model, whole):
    again = load(whole)
    assert identity(again) == identity(model)
    for name in ("labels", "recipe", "features", "task", "inputs", "thresholds", "calibration",
                 "conformal", "statistics", "training", "provenance", "names"):  # fmt: skip
        assert getattr(again, name) == getattr(model, name), name
    assert again.cnn is not None
    assert again.cnn.design == model.cnn.design
    for name, array in model.cnn.arrays().items():
        np.testing.assert_array_equal(again.cnn.arrays()[name], array, err_msg=name)
    for name, head in model.heads.items():
        assert again.heads[name].kind == head.kind
        for key, array in head.arrays.items():
            np.testing.assert_array_equal(again.heads[name].arrays[key], array, err_msg=name + key)
    images = making.pixels()
    np.testing.assert_array_equal(again.novelty_of(images), model.novelty_of(images))


@pytest.mark.parametrize("task", ["classes", "ordinal", "labels"])
def test_every_task_and_network_comes_back(tmp_path, task):
    network = making.cnn((6, 8, 8), classes=3, task=task, architecture="light", channels=1)
    model = making.model((), cnn=network, task=task, classes=3, features=0)
    save(model, tmp_path / "m.medkern")
    again = load(tmp_path / "m.medkern")
    images = making.pixels(3, (6, 8, 8))
    assert again.task == task
    assert again.cnn is not None
    np.testing.assert_array_equal(again.cnn.predict(images), network.predict(images))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda heads, inputs: heads.pop("svm[1]"), "there must be one for each of 2 labels"),
        (lambda heads, inputs: heads.update({"svm[2]": heads["svm[1]"]}), "one for each of 2"),
        (lambda heads, inputs: heads.update({"knn": heads["svm[1]"]}), "belongs to task labels"),
        (lambda heads, inputs: heads.update({"classical": heads["svm[1]"]}), "is not allowed"),
        (lambda heads, inputs: inputs.update({"svm[1]": "deep"}), "must see the same input"),
    ],
)
def test_independent_labels_have_a_head_each(tmp_path, change, sentence):
    heads = {f"svm[{k}]": making.head("svm", 3) for k in range(2)}
    inputs = dict.fromkeys(heads, "texture")
    model = making.model(
        heads=heads, inputs=inputs, cnn=making.cnn(task="labels"), task="labels", thresholds={}
    )
    save(model, tmp_path / "m.medkern")
    assert load(tmp_path / "m.medkern").names == ("cnn", "svm", "together.fused")
    change(heads, inputs)
    with pytest.raises(ModelError, match=sentence):
        save(model, tmp_path / "m.medkern")


def test_version_1_still_predicts_what_it_predicted():
    told = json.loads((MODELS / "version1.json").read_text())
    model = load(MODELS / "version1.safetensors")
    values = np.array(told["values"], np.float32)
    features = Features(values, model.features, tuple("abcdef"))
    p = model.predict(np.array(told["pixels"], np.uint8), features)
    assert list(p) == [*told["probabilities"], "together.fused"]  # a mean, which is newer
    for name, expected in told["probabilities"].items():
        np.testing.assert_allclose(p[name][:, 1], expected, atol=2e-6, err_msg=name)
    assert model.task == "classes"
    assert set(model.inputs.values()) == {"texture"}
    assert model.thresholds == told["thresholds"]
    assert len(model.training["seen"]) == told["seen"]


def test_version_1_saved_again_is_version_2_and_the_same_model(tmp_path):
    model = load(MODELS / "version1.safetensors")
    save(model, tmp_path / "m.medkern")
    assert json.loads(container.read(tmp_path / "m.medkern").text)["version"] == 2
    again = load(tmp_path / "m.medkern")
    assert identity(again) == identity(model)
    assert again.training == model.training


def test_the_file_holds_arrays_and_json_and_nothing_else(whole):
    raw = whole.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    entries = json.loads(raw[8 : 8 + length])
    about = json.loads(entries.pop("__metadata__")["medkern"])
    assert about["format"] == "medkern model"
    assert {entry["dtype"] for entry in entries.values()} == {"F32", "F64", "I32"}


def test_a_model_that_could_not_be_loaded_is_not_saved(model, tmp_path):
    path = tmp_path / "m.medkern"
    with pytest.raises(ModelError, match=r"temperature -1\.0 of 'cnn'"):
        save(replace(model, calibration={"cnn": -1.0}), path)
    with pytest.raises(ModelError, match="NaN or infinity among"):
        save(replace(model, training={"seconds": {"cnn": float("nan")}}), path)
    with pytest.raises(ModelError, match="header is larger than 8 MiB"):
        save(replace(model, recipe="x" * (9 << 20)), path)
    assert not path.exists()


def test_a_hundred_thousand_fingerprints_are_kept_in_a_small_header(model, tmp_path):
    marks = np.random.default_rng(0).bytes(8 * 100_000).hex()
    seen = [marks[i : i + 16] for i in range(0, len(marks), 16)]
    save(replace(model, training={"seen": seen}), tmp_path / "m.medkern")
    assert load(tmp_path / "m.medkern").training["seen"] == seen
    raw = (tmp_path / "m.medkern").read_bytes()
    assert struct.unpack("<Q", raw[:8])[0] < 30_000


def test_a_plugged_in_network_needs_its_functions_again(tmp_path):
    from medkern.engine.learn.cnn.network import residual
    from medkern.engine.learn.cnn.trained import Cnn

    own = making.cnn()
    network = residual(2, "light", 2, 1)
    custom = Cnn(replace(own.design, architecture="custom"), own.params, own.state, network)
    model = making.model((), cnn=custom, features=0)
    save(model, tmp_path / "m.medkern")
    with pytest.raises(ModelError, match="needs its Network, which no file holds"):
        load(tmp_path / "m.medkern")
    again = load(tmp_path / "m.medkern", network=network)
    assert again.cnn is not None
    np.testing.assert_array_equal(again.cnn.predict(making.pixels()), own.predict(making.pixels()))


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
    """A file whose content was changed and whose SHA-256 is right again: hostile, not damaged."""
    content = container.read(whole)
    about, arrays = json.loads(content.text), dict(content.arrays)
    change(about, arrays)
    text = json.dumps(about)
    digest = Content(text, arrays).digest
    save_file(arrays, path, {"medkern": text, "sha256": digest})


def infinite(header, arrays):
    arrays["cnn/params/dense/bias"] = np.array([np.inf, 0], np.float32)


def negative_variance(header, arrays):
    arrays["cnn/state/stem/var"] = -arrays["cnn/state/stem/var"] - 1


def other_novelty(header, arrays):
    made = novelty.fit(np.random.default_rng(0).normal(size=(9, 3))).arrays()
    arrays |= {f"novelty/{key}": array for key, array in made.items()}


def cycle(header, arrays):
    arrays["forest/left"] = np.zeros_like(arrays["forest/left"])


HOSTILE = [
    (lambda h, a: h.update(version=3), r"version 3; this medkern reads versions 1 \.\. 2: install"),
    (lambda h, a: h.update(version=True), "format version True, which never was"),
    (lambda h, a: h.update(version=1), "its header has the unknown field 'calibration'"),
    (lambda h, a: h.update(format="other"), "not one of medkern"),
    (lambda h, a: h.update(more=1, other=2), "has the unknown fields more, other"),
    (lambda h, a: h.pop("labels"), "'labels' is missing or of the wrong type"),
    (lambda h, a: h.update(labels=["a", "a"]), "labels must be texts, no two equal"),
    (lambda h, a: h.update(labels=["a"]), "there are 1 labels"),
    (lambda h, a: h.update(labels=["a", "b", "c"]), "has 2 classes, but there are 3"),
    (lambda h, a: h.update(features=["a"]), r"'mean' is float64 \(3,\), not float64 \(1,\)"),
    (lambda h, a: h.update(features=[["a"]]), "features must be texts"),
    (lambda h, a: h.update(recipe=3), "'recipe' is missing or of the wrong type"),
    (lambda h, a: h.update(task="regression"), "task is 'regression'; allowed: classes, ordinal"),
    (lambda h, a: h.update(task="labels"), "cnn: its task is classes, the model's labels"),
    (lambda h, a: h["heads"].update(svm="pickle"), "kind 'pickle' is unknown"),
    (lambda h, a: h["heads"].update(more="svm"), "'more' is described or has arrays"),
    (lambda h, a: h["inputs"].pop("svm"), "inputs must be named for every head"),
    (lambda h, a: h["inputs"].update(none="deep"), "inputs must be named for every head"),
    (lambda h, a: h["inputs"].update(svm="sound"), "input of 'svm' is 'sound'; allowed: texture"),
    (lambda h, a: h["inputs"].update(svm="deep"), r"'mean' is float64 \(3,\), not float64 \(8,\)"),
    (lambda h, a: h["thresholds"].update(svm=7.0), "threshold 7.0 of 'svm'"),
    (lambda h, a: h["thresholds"].update(svm=True), "threshold True of 'svm'"),
    (lambda h, a: h["thresholds"].update(none=0.5), "threshold 0.5 of 'none'"),
    (lambda h, a: h["calibration"].update(svm=0.0), "temperature 0.0 of 'svm'"),
    (lambda h, a: h["calibration"].update(svm=1e9), r"temperature 1000000000.0 of 'svm'"),
    (lambda h, a: h["calibration"].update(none=1.0), "temperature 1.0 of 'none'"),
    (lambda h, a: h["conformal"].update(cnn={"2": 0.5}), "a quantile for each share of misses"),
    (lambda h, a: h["conformal"].update(cnn=0.5), "a quantile for each share of misses"),
    (lambda h, a: h["conformal"].update(cnn={"0.1": -1.0}), "conformal quantile -1.0 of 'cnn'"),
    (lambda h, a: h["conformal"].update(none={"0.1": 0.5}), "conformal quantile 0.5 of 'none'"),
    (lambda h, a: h.update(novelty=False), "'novelty' is described or has arrays"),
    (lambda h, a: h.update(novelty=1), "'novelty' is missing or of the wrong type"),
    (lambda h, a: a.pop("novelty/mean"), "novelty: "),
    (other_novelty, "novelty: is of 3 columns, the model has 8"),
    (lambda h, a: h["training"].update(rows={"val": 3}), "rows must be numbers of images"),
    (lambda h, a: h["training"].update(operating={"cnn": {"x": "0"}}), "operating must be thresh"),
    (lambda h, a: h["training"].update(grouped=1), "grouped must be true or false"),
    (lambda h, a: h["training"].update(split=[]), "split must be the hash of the split"),
    (lambda h, a: h["provenance"].update(versions={"numpy": 2}), "versions must be texts"),
    (lambda h, a: h["cnn"].update(more=1), "cnn: field 'more' is unknown"),
    (lambda h, a: h["cnn"].pop("rank"), "cnn: field 'rank' is missing"),
    (lambda h, a: h["cnn"].update(size=[8]), "it must be two or three lengths"),
    (lambda h, a: h["cnn"].update(size=[8, 8, 8]), "size is .*, which is not of rank 2"),
    (lambda h, a: h["cnn"].update(size=[8, 9e9]), "side in pixels is 9000000000.0; allowed"),
    (lambda h, a: h["cnn"].update(architecture="custom"), "needs its Network"),
    (lambda h, a: h["cnn"].update(width=10**9), "width is 1000000000; allowed: "),
    (lambda h, a: h["cnn"].update(width=512, blocks=9), "needs more than 641728512 weights"),
    (lambda h, a: h["cnn"].update(width=0), "needs more than 36864 weights"),
    (lambda h, a: h["cnn"].update(width=1), r"'params/dense/weight' is float32 \(8, 2\), not"),
    (infinite, "'params/dense/bias' holds NaN or infinity"),
    (negative_variance, "holds a negative variance"),
    (cycle, "forest: a"),
    (lambda h, a: a.pop("cnn/params/dense/bias"), "'params/dense/bias' is missing"),
    (lambda h, a: a.update(x=np.zeros(1)), "'x' is described or has arrays"),
    (lambda h, a: a.update(x=np.zeros(1, np.int8)), "array 'x' is I8; allowed: F32"),
    (lambda h, a: a.update(x=np.zeros((0, 2**40))), "array 'x' is empty"),
    (lambda h, a: a.update(x=np.zeros((1,) * 6)), "array 'x' must have up to 5 axes"),
    (lambda h, a: a.update({"seen/marks": np.zeros((1, 3), np.int32)}), r"int32 \(n, 2\)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), HOSTILE)
def test_a_hostile_file_is_refused(whole, tmp_path, change, sentence):
    path = tmp_path / "hostile.medkern"
    rewrite(whole, path, change)
    with pytest.raises(ModelError, match=sentence) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 20 + "1" + "}" * 20, "nested deeper than 16 levels"),
        ('{"a": 1, "a": 2}', "key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not allowed"),
        ('{"a": 1e999}', "1e999 is too large"),
        (f'{{"a": {"9" * 5000}}}', "is too large"),
        ('{"a": "\\ud800"}', "not JSON"),
        ("[" + "1," * 600_000 + "1]", "more than 500000 values"),
        ('{"a"', "not JSON"),
        ("[]", "not one of medkern"),
    ],
)
def test_json_with_tricks_is_refused(tmp_path, text, sentence):
    path = tmp_path / "m.medkern"
    arrays = {"a": np.zeros(3)}
    save_file(arrays, path, {"medkern": text, "sha256": Content(text, arrays).digest})
    with pytest.raises(ModelError, match=sentence):
        load(path)


def test_what_is_written_parses(model):
    text, _ = header.encode(model)
    assert strict.parse(text)["labels"] == list(model.labels)


def framed(entries, body=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + body


ABOUT = {"medkern": "{}", "sha256": ""}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "cut short"),
        (b"\0" * 9, "cut short"),
        (struct.pack("<Q", 2**60) + b"{}", "cut short"),
        (struct.pack("<Q", 9 << 20) + b" " * (10 << 20), "larger than 8 MiB"),
        (struct.pack("<Q", 4) + b"\xff" * 4, "its header is not text"),
        (framed([]), "not one of medkern"),
        (framed({"__metadata__": ABOUT | {"more": ""}}), "not one of medkern"),
        (framed({"__metadata__": ABOUT | {"sha256": 1}}), "not one of medkern"),
        (framed({"__metadata__": ABOUT, "a": 1}), "'a' is not described as safetensors does"),
        (
            framed({"__metadata__": ABOUT, "a": {"dtype": [], "shape": [], "data_offsets": []}}),
            r"'a' is \[\]; allowed: F32",
        ),
        (
            framed({"__metadata__": ABOUT,
                    "a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}}, b"1" * 8),
            "'a' is larger than the file",
        ),
        (
            framed({"__metadata__": ABOUT,
                    "a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 16]}}, b"1" * 8),
            "is damaged",
        ),
        (
            framed({"__metadata__": ABOUT} | {
                f"a{n}": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}
                for n in range(5000)}),
            "holds 5000 arrays; allowed: up to 4096",
        ),
    ],
)  # fmt: skip
def test_a_hostile_shell_is_refused(tmp_path, raw, sentence):
    path = tmp_path / "m.medkern"
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=sentence):
        load(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "m.medkern"
    with pytest.raises(ModelError, match="No such file"):
        load(path)
    with pytest.raises(ModelError, match="is a directory"):
        load(tmp_path)
    os.mkfifo(path)  # opening it would wait for ever
    with pytest.raises(ModelError, match="is not a regular file"):
        load(path)
    path.unlink()
    save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="but not one of medkern"):
        load(path)


def test_a_failed_save_leaves_the_old_file_and_no_other(model, tmp_path, monkeypatch):
    path = tmp_path / "m.medkern"
    save(model, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(replace(model, recipe="other"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m.medkern"]
    assert load(path).recipe == model.recipe
