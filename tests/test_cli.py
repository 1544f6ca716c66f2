"""The command line: one JSON document, one-line errors, the right exit code, a quick --help."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Ended

from medkern.engine import errors
from medkern.engine.cli import main

RECIPE = """
name = "small"
[ingest]
size = [16, 16]
batch = 16
[[denoise]]
kernel = "median"
[[texture]]
kernel = "glcm"
levels = 8
[train]
models = ["logistic", "tree"]
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images in .npz, a recipe, and a model trained on them."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "small.toml").write_text(RECIPE)
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 60), ("val", 24), ("test", 24)):
        labels = np.arange(n) % 2
        noise = rng.normal(0, 40, (n, 16, 16))
        noise[labels == 1] = np.cumsum(noise[labels == 1], axis=2) / 4  # smooth along rows
        arrays[f"{part}_images"] = np.clip(128 + noise, 0, 255).astype(np.uint8)
        arrays[f"{part}_labels"] = labels[:, None].astype(np.uint8)
    np.savez(folder / "set.npz", **arrays)
    with pytest.raises(SystemExit) as stop:
        main(
            f"train {folder}/set.npz --recipe {folder}/small.toml --json "
            f"--out {folder}/small.medkern".split()
        )
    assert not stop.value.code
    return folder


def one_line(ended: Ended, code: int, *words: str) -> None:
    """The command ended with that code and one line that holds the words, and wrote no result."""
    assert ended.code == code, ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("medkern: ")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    for word in words:
        assert word in lines[0], lines[0]


# ---- start-up


def test_help_is_quick_because_it_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['medkern', '--help']\n"
        "from medkern.engine.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'jax', 'sklearn', 'pydicom', 'scipy', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "verb", ["train", "evaluate", "screen", "features", "kernels", "doctor", "demo"]
)
def test_every_command_explains_itself_with_an_example(medkern, verb: str):
    ended = medkern(verb, "--help")
    assert ended.code == 0
    assert f"Example: medkern {verb}" in " ".join(ended.out.split())


# ---- results


def test_the_catalogue_and_the_features_are_json(medkern):
    rows = medkern("kernels", "--json").json
    assert {row["name"] for row in rows} >= {"median", "clahe", "glcm"}
    radius = next(row for row in rows if row["name"] == "median")["parameters"]["radius"]
    assert radius == {"default": 1, "range": "1 to 50", "unit": "pixels"} | {
        "meaning": radius["meaning"]
    }
    features = medkern("features", "--list", "--json").json
    assert len([f for f in features if f["family"] == "glcm"]) == 25
    assert set(features[0]) == {"tag", "name", "family", "unit", "formula", "preset"}


def test_doctor_names_what_is_there(medkern):
    checks = {row["check"]: row["state"] for row in medkern("doctor", "--json").json}
    assert checks["threads"] == "good"
    assert checks["codec JPEG 2000"] == "good"
    assert "kernels on the GPU" in checks


def test_train_evaluate_screen_and_measure(medkern, room: Path, tmp_path: Path):
    model = room / "small.medkern"
    assert (room / "small.html").exists()
    found = medkern("evaluate", room / "set.npz", "--model", model, "--json").json
    auc = {row["model"]: row["metrics"]["auc"] for row in found["rows"]}
    assert auc["logistic"]["value"] > 0.9
    assert auc["logistic"]["low"] <= auc["logistic"]["value"] <= auc["logistic"]["high"]
    assert {row["n"] for row in found["rows"]} == {24}

    ended = medkern(
        "screen", room / "set.npz", "--model", model, "--out", tmp_path / "run", "--json"
    )
    assert ended.code == 0
    assert ended.json["done"] == ended.json["rows_in"] == 108
    assert Path(ended.json["report"]).exists()

    table = tmp_path / "f.parquet"
    recipe = room / "small.toml"
    found = medkern("features", room / "set.npz", "--recipe", recipe, "--out", table, "--json").json
    assert (found["rows"], len(found["columns"])) == (108, 25)


def test_images_that_trained_a_model_do_not_judge_it(medkern, room: Path, tmp_path: Path):
    """Told by their pixels: the copies have other names and no split."""
    arrays = np.load(room / "set.npz")
    model = room / "small.medkern"
    images = {p: arrays[f"{p}_images"] for p in ("train", "test")}
    labels = {p: arrays[f"{p}_labels"].ravel() for p in ("train", "test")}

    def manifest(name: str, *parts: str) -> Path:
        import imagecodecs

        rows = ["path,label"]
        for part in parts:
            for number, (image, label) in enumerate(zip(images[part], labels[part], strict=True)):
                path = tmp_path / f"{name}-{part}-{number}.png"
                path.write_bytes(imagecodecs.png_encode(image))
                rows.append(f"{path.name},{label}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n")
        return tmp_path / f"{name}.csv"

    both = medkern("evaluate", manifest("both", "train", "test"), "--model", model, "--json")
    assert "60 of 84 images were used in training" in both.err
    assert {row["n"] for row in both.json["rows"]} == {24}
    only = medkern("evaluate", manifest("only", "train"), "--model", model)
    one_line(only, 2, "cannot judge it")


def test_an_unreadable_file_is_exit_code_3(medkern, room: Path, tmp_path: Path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")
    (folder / "set.npz").write_bytes((room / "set.npz").read_bytes())
    ended = medkern(
        "screen", folder, "--recipe", room / "small.toml", "--out", tmp_path / "r", "--json"
    )
    assert ended.code == 3
    assert ended.json["quarantined"] == 1
    assert ended.json["reasons"] == {"not_an_image": 1}


# ---- bad input


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kernel = "median"', 'kernel = "median"\nraduis = 2', ("line 8", "'radius'")),
        ('kernel = "median"', 'kernel = "median"\nradius = 99', ("line 8", "1 to 50")),
        ('kernel = "median"', 'kernel = "medina"', ("line 7", "'median'")),
        ("batch = 16", "batch = 16\nbits = 9", ("bits", "8, 12, 16")),
        ("[ingest]", "[ingets]", ("line 3", "ingest")),
        ('name = "small"', "name = ", ("line 2",)),
    ],
)
def test_a_bad_recipe_is_refused_with_its_line(medkern, room, tmp_path, old, new, words):
    recipe = tmp_path / "bad.toml"
    recipe.write_text(RECIPE.replace(old, new, 1))
    out = tmp_path / "run"
    one_line(medkern("screen", room, "--recipe", recipe, "--out", out), 2, "bad.toml", *words)
    assert not out.exists()


def test_an_unknown_recipe_names_the_shipped_ones(medkern, room: Path):
    ended = medkern("features", room / "set.npz", "--recipe", "chest")
    one_line(ended, 2, "chest-xray", "ct", "microscopy")


def test_an_empty_and_an_absent_folder(medkern, room: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for folder, word in (("empty", "holds no files"), ("absent", "does not exist")):
        ended = medkern(
            "screen", tmp_path / folder, "--recipe", room / "small.toml", "--out", tmp_path / "r"
        )
        one_line(ended, 2, folder, word)


def test_images_without_labels_cannot_train(medkern, room: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no image")
    ended = medkern("train", tmp_path, "--recipe", room / "small.toml")
    one_line(ended, 2, "labels", "path,label,group,split")


@pytest.mark.parametrize("damage", ["truncated", "garbage", "other version", "not a model"])
def test_a_model_that_cannot_be_trusted(medkern, room: Path, tmp_path: Path, damage: str):
    raw = (room / "small.medkern").read_bytes()
    bad = tmp_path / "bad.medkern"
    bad.write_bytes(
        {
            "truncated": raw[:-100],
            "garbage": raw[:2000] + b"\xff" * 64 + raw[2064:],
            "other version": raw.replace(b'\\"version\\": 2', b'\\"version\\": 9'),
            "not a model": b"hello",
        }[damage]
    )
    assert bad.read_bytes() != raw
    ended = medkern("screen", room / "set.npz", "--model", bad, "--out", tmp_path / "run")
    one_line(ended, 2, "bad.medkern")
    assert not (tmp_path / "run").exists()


def test_screen_wants_a_model_or_a_recipe(medkern, room: Path, tmp_path: Path):
    one_line(medkern("screen", room, "--out", tmp_path / "r"), 2, "--model", "--recipe")


def test_a_gpu_asked_for_by_name_works_or_says_why(medkern, room: Path, tmp_path: Path):
    from medkern.kernels import _cuda

    if _cuda.available() is None:
        pytest.skip("there is a GPU: nothing to refuse")
    recipe = room / "small.toml"
    ended = medkern("screen", room, "--recipe", recipe, "--out", tmp_path / "r", "--device", "gpu")
    one_line(ended, 2, "gpu", "CuPy")


def test_a_full_disk_is_one_line_and_leaves_no_model(medkern, room, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "m.medkern"
    recipe = room / "small.toml"
    one_line(medkern("train", room / "set.npz", "--recipe", recipe, "--out", out), 75, "no space")
    assert not list(tmp_path.iterdir())
    ended = medkern("screen", room / "set.npz", "--recipe", recipe, "--out", tmp_path / "run")
    one_line(ended, 75, "space")
    monkeypatch.undo()
    ended = medkern(
        "screen", room / "set.npz", "--recipe", recipe, "--out", tmp_path / "run", "--json"
    )
    assert ended.json["done"] == 108


def test_a_stopped_run_and_a_bug_have_their_own_codes(medkern, monkeypatch, room, tmp_path):
    arguments = ("screen", room, "--recipe", room / "small.toml", "--out", tmp_path / "r")
    for error, code, word in (
        (errors.Stopped("after part 3"), 75, "stopped: after part 3"),
        (KeyError("bug"), 70, "internal error"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("medkern.engine.screen.screen", fail)
        ended = medkern(*arguments)
        assert ended.code == code
        assert word in ended.err


def test_usage_errors_are_exit_code_2(medkern):
    assert medkern("screen").code == 2
    assert medkern("no-such-verb").code == 2
    assert medkern("kernels", "medain").code == 2


def test_the_demonstration_never_deletes_a_stranger_s_folder(medkern, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    one_line(medkern("demo", "--out", tmp_path), 2, "choose another --out")
    assert (tmp_path / "thesis.txt").exists()
