"""An exported ONNX file gives, in another runtime, the probabilities the model itself gives."""

import json
from dataclasses import replace

import making_models as making
import numpy as np
import pytest

from medkern.engine.learn import ModelError, identity, save

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from medkern.engine.learn.export import export, onnx as onnx_export  # noqa: E402


def answers(path, **feed):
    """{model: probabilities} of a runtime that knows the file alone."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", making.KINDS)
def test_every_kind_of_head_is_equal(tmp_path, kind, classes):
    model = making.model((kind,), classes=classes, thresholds={})
    features = making.rows(n=200)
    found = export(model, tmp_path / "m.onnx", features=features)
    p = answers(tmp_path / "m.onnx", features=features.values)[kind]
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, model.predict(None, features)[kind], atol=2e-7)
    assert found[kind]["difference"] < 2e-7  # float32 sums of trees; the others are near 1e-15
    assert found[kind]["agreement"] == 1


@pytest.mark.parametrize("kind", ["forest", "boosted"])
def test_values_at_a_threshold_and_missing_ones_go_the_same_way(tmp_path, kind):
    head = making.head(kind)
    arrays = dict(head.arrays) | {"mean": np.zeros(3), "scale": np.ones(3)}
    arrays["threshold"] = arrays["threshold"].astype(np.float32).astype(np.float64)
    model = making.model((), heads={kind: replace(head, arrays=arrays)}, thresholds={})
    limits = arrays["threshold"][arrays["left"] >= 0].astype(np.float32)
    values = np.stack([limits, np.nextafter(limits, np.float32(9)), limits - 1], axis=1)
    values = np.concatenate([values, values[:, ::-1], np.roll(values, 1, axis=1)])
    values[::5, 1] = np.nan
    values[1::5, 2] = np.inf
    features = replace(making.rows(n=len(values)), values=values)
    export(model, tmp_path / "m.onnx", features=features)
    p = answers(tmp_path / "m.onnx", features=values)[kind]
    np.testing.assert_allclose(p, model.predict(None, features)[kind], atol=2e-7)


NETWORKS = [
    {},
    {"size": (9, 13), "bits": 12, "standardise": "data"},
    {"size": (120, 60)},
    {"size": (9, 12), "channels": 3, "task": "ordinal", "classes": 4},
    {"size": (5, 8, 7), "channels": 3, "task": "labels", "classes": 3},
    {"architecture": "resnet18", "width": 2, "size": (33, 20), "blocks": 1},
    {"architecture": "resnet18", "width": 2, "size": (70, 65), "blocks": 1},
]


@pytest.mark.parametrize("design", NETWORKS, ids=str)
def test_every_network_is_equal_from_the_pixels_on(tmp_path, design):
    network = making.cnn(**design)
    d = network.design
    classes = tuple("abcd"[: d.classes])
    model = making.model((), cnn=network, task=d.task, labels=classes, features=0, thresholds={})
    shape = (*d.size, *((3,) if d.channels == 3 else ()))
    pixels = np.random.default_rng(3).integers(0, 2**d.bits, (70, *shape))
    pixels[0] = 7  # no contrast
    pixels = pixels.astype(np.uint8 if d.bits <= 8 else np.uint16)
    found = export(model, tmp_path / "m.onnx", pixels)
    p = answers(tmp_path / "m.onnx", pixels=pixels)["cnn"]
    ours = model.predict(pixels)["cnn"]
    assert np.ptp(ours) > 0.01  # the comparison means something
    np.testing.assert_allclose(p, ours, atol=2e-5)
    assert found["cnn"]["agreement"] > 0.98


@pytest.mark.parametrize("task", ["classes", "labels"])
def test_the_whole_model_with_means_and_temperatures(tmp_path, task):
    labels = ("a", "b")
    names = ("svm", "forest", "svm.deep", "logistic.deep", "boosted.fused")
    inputs, heads = {}, {}
    for seed, name in enumerate(names):
        kind, _, taken = name.partition(".")
        for suffix in ("[0]", "[1]") if task == "labels" else ("",):
            inputs[name + suffix] = taken or "texture"
            width = {"": 3, "deep": 8, "fused": 11}[taken]
            heads[name + suffix] = making.head(kind, width, 2, seed + len(heads))
    model = making.model(
        heads=heads, inputs=inputs, cnn=making.cnn(task=task), task=task, labels=labels,
        thresholds={},
        calibration={"cnn": 2.0, "svm": 0.5, "classical": 1.25, "together.fused": 0.8},
    )  # fmt: skip
    save(model, tmp_path / "m.medkern")  # it is a model that files know
    pixels, features = making.pixels(90), making.rows(n=90)
    found = export(model, tmp_path / "m.onnx", pixels, features)
    theirs = answers(tmp_path / "m.onnx", pixels=pixels, features=features.values)
    ours = model.predict(pixels, features)
    assert list(theirs) == list(model.names) == list(found) == list(ours)
    assert {"classical", "classical.deep", "together.fused"} < set(ours)
    for name, p in ours.items():
        np.testing.assert_allclose(theirs[name], p, atol=1e-5, err_msg=name)


def test_the_file_says_what_it_is_and_how_true(tmp_path):
    model = making.model(("logistic", "knn"))
    found = export(model, tmp_path / "m.onnx")
    made = onnx.load(tmp_path / "m.onnx")
    about = {entry.key: entry.value for entry in made.metadata_props}
    assert about["identity"] == identity(model)
    assert json.loads(about["labels"]) == list(model.labels)
    assert json.loads(about["features"]) == list(model.features)
    assert json.loads(about["thresholds"]) == model.thresholds
    assert about["recipe"] == model.recipe
    assert json.loads(about["fidelity"]) == found
    assert "research use" in made.doc_string


def test_a_file_that_differs_too_much_is_not_written(tmp_path, monkeypatch):
    model = making.model(("logistic",))
    other = making.model(("logistic",), recipe="x")
    other.heads["logistic"].arrays["bias"][0] += 0.1
    path = tmp_path / "m.onnx"
    made = onnx_export.build(other)
    monkeypatch.setattr(onnx_export, "build", lambda _: made)
    with pytest.raises(
        ModelError, match=r"'logistic' differs by 0\.0.* more than the bound 0.0001"
    ):
        export(model, path)
    assert not path.exists()
    found = export(model, path, bound=1.0)
    assert 1e-3 < found["logistic"]["difference"] < 0.1
    assert path.exists()


def test_a_network_of_one_s_own_has_no_onnx_form(tmp_path):
    own = making.cnn()
    custom = replace(own, design=replace(own.design, architecture="custom"))
    with pytest.raises(ModelError, match="a network of one's own has no ONNX form"):
        export(making.model((), cnn=custom, features=0), tmp_path / "m.onnx")


def test_the_command_exports_and_tells_the_fidelity(medkern, tmp_path):
    save(making.model(("svm", "forest")), tmp_path / "m.medkern")
    out = tmp_path / "m.onnx"
    ended = medkern("export", tmp_path / "m.medkern", "--onnx", out, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["file"] == str(out)
    assert set(told["fidelity"]) == {"svm", "forest", "classical"}
    assert told["fidelity"]["svm"]["difference"] < 1e-8
    assert out.exists()
    ended = medkern("export", tmp_path / "m.medkern", "--onnx", out, "--bound", 0)
    assert (ended.code, "more than the bound 0" in ended.err) == (2, True)
