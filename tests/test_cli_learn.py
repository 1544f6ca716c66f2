"""`medkern train` and `evaluate`: the split is kept and checked, folds, inputs, subgroups."""

import csv
import hashlib
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from medkern.engine import learn
from medkern.engine.cli import main
from medkern.engine.learn import load
from medkern.engine.learn.cnn.training import Training
from medkern.engine.report.picture import png

RECIPE = """
[ingest]
size = [16, 16]
batch = 16
[[texture]]
kernel = "glcm"
levels = 8
[train]
models = ["logistic", "tree"]
epochs = 2
width = 2
batch = 32
"""


def refused(ended, *words: str) -> None:
    """The command ended with exit code 2, one line that holds the words, and no result."""
    assert ended.code == 2, ended.err
    (line,) = [line for line in ended.err.splitlines() if line.startswith("medkern: ")]
    assert ended.out == ""
    for word in words:
        assert word in line, line


def make_images(folder: Path, n: int = 96, each: int = 3) -> None:
    """Rough and smooth pictures, `each` of a patient; a manifest with groups and one without."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(n):
        truth = number // each % 2
        noise = generator.normal(0, 40, (16, 16))
        noise = np.cumsum(noise, axis=1) / 4 if truth else noise
        name = f"image{number:03}.png"
        (folder / name).write_bytes(png(np.clip(128 + noise, 0, 255).astype(np.uint8)))
        rows.append((name, ("rough", "smooth")[truth], f"p{number // each}"))
    for name, width in (("grouped.csv", 3), ("plain.csv", 2)):
        with (folder / name).open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(("path", "label", "group")[:width])
            table.writerows(row[:width] for row in rows)
    (folder / "small.toml").write_text(RECIPE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images and a model of the grouped manifest."""
    folder = tmp_path_factory.mktemp("made")
    make_images(folder)
    told = f"--recipe {folder}/small.toml --out {folder}/m.medkern"
    with pytest.raises(SystemExit) as stop:
        main(f"train {folder}/grouped.csv {told}".split())
    assert not stop.value.code
    return folder


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "trained"))


@pytest.fixture
def room(tmp_path: Path) -> Path:
    make_images(tmp_path)
    return tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_split_is_written_beside_the_model_and_its_hash_into_it(trained: Path):
    rows = rows_of(trained / "m.split.csv")
    assert list(rows[0]) == ["id", "content_hash", "label", "group", "part"]
    assert len({row["id"] for row in rows}) == 96
    assert len({(row["group"], row["part"]) for row in rows}) == 32
    text = (trained / "m.split.csv").read_bytes()
    model = load(trained / "m.medkern")
    assert model.training["split"] == hashlib.sha256(text).hexdigest()
    assert model.training["groups"] == "given"


def test_evaluate_takes_the_part_that_training_left_out(trained: Path, medkern):
    tested = [row for row in rows_of(trained / "m.split.csv") if row["part"] == "test"]
    found = medkern(
        "evaluate", trained / "grouped.csv", "--model", trained / "m.medkern",
        "--split-file", trained / "m.split.csv", "--json",
    )  # fmt: skip
    assert "used in training" not in found.err
    for page in ("m.card.html", "m.card.md"):
        assert "research" in (trained / page).read_text()
    assert {row["n"] for row in found.json["rows"]} == {len(tested)}
    assert found.json["alien"] >= 0


def test_another_model_can_use_the_same_split(trained: Path, medkern):
    told = ("--recipe", trained / "small.toml", "--out", trained / "n.medkern", "--seed", 7)
    table = trained / "m.split.csv"
    ended = medkern("train", trained / "grouped.csv", *told, "--split-file", table, "--json")
    assert ended.json["split"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert (trained / "n.split.csv").read_bytes() == table.read_bytes()


def test_an_image_that_changed_moved_or_was_relabelled_is_an_error(trained: Path, medkern):
    told = ("evaluate", trained / "grouped.csv", "--model", trained / "m.medkern")
    told += ("--split-file", trained / "m.split.csv")
    manifest = trained / "grouped.csv"
    image, text = trained / "image000.png", manifest.read_text()
    content = image.read_bytes()
    image.write_bytes((trained / "image050.png").read_bytes())
    refused(medkern(*told), "image000.png", "another hash")
    image.write_bytes(content)
    image.rename(trained / "moved.png")
    manifest.write_text(text.replace("image000.png", "moved.png"))
    refused(medkern(*told), "moved.png", "not in the split file")
    (trained / "moved.png").rename(image)
    manifest.write_text(text.replace("image000.png,rough", "image000.png,smooth"))
    refused(medkern(*told), "'smooth'", "'rough'")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(",test\n", ",train\n", 1), ("not the one", "trained with")),
        (lambda text: text.replace(",test\n", ",tset\n", 1), ("line", "'tset'")),
        (lambda text: text.replace("content_hash", "hash"), ("line 1", "columns")),
        (lambda text: text + text.splitlines()[-1] + "\n", ("stands there twice",)),
    ],
)
def test_a_split_file_that_was_edited_is_refused(trained: Path, medkern, change, words):
    table = trained / "m.split.csv"
    table.write_text(change(table.read_text()))
    told = ("--model", trained / "m.medkern", "--split-file", table)
    refused(medkern("evaluate", trained / "grouped.csv", *told), "m.split.csv", *words)


def test_groups_can_be_required(room: Path, medkern):
    told = ("--recipe", room / "small.toml", "--out", room / "m.medkern", "--groups", "required")
    refused(medkern("train", room / "plain.csv", *told), "groups are required")
    assert not (room / "m.medkern").exists()
    assert medkern("train", room / "grouped.csv", *told).code == 0


def test_folds_and_their_leak_are_reported(room: Path, medkern):
    told = ("--recipe", room / "small.toml", "--out", room / "m.medkern", "--models", "tree")
    ended = medkern("train", room / "grouped.csv", *told, "--folds", 3, "--leak", "--json")
    folded = ended.json["folds"]
    assert (folded["count"], folded["groups"], len(folded["per_fold"])) == (3, "given", 3)
    assert folded["figures"][0]["n"] == 96
    assert folded["figures"][0]["metrics"]["auc"]["low"] is not None
    assert folded["by_image"][0]["groups"] is None
    assert load(room / "m.medkern").training["folds"]["count"] == 3
    refused(medkern("train", room / "grouped.csv", *told, "--leak"), "--folds")
    refused(medkern("train", room / "grouped.csv", *told, "--folds", 20), "fewer than 20 folds")


def test_texture_network_and_both_are_one_table(room: Path, medkern):
    told = ("--recipe", room / "small.toml", "--out", room / "m.medkern")
    told += ("--models", "cnn,logistic", "--inputs", "texture,deep,fused")
    ended = medkern("train", room / "plain.csv", *told)
    assert ended.code == 0, ended.err
    assert "model\ttexture\tdeep\tfused" in ended.out
    assert "kept together" in ended.err
    table = ended.out.split("model\ttexture\tdeep\tfused\n")[1].splitlines()
    assert [line.split("\t")[0] for line in table[:2]] == ["cnn (pixels)", "logistic"]
    found = medkern("evaluate", room / "plain.csv", "--model", room / "m.medkern", "--split-file",
                    room / "m.split.csv", "--json").json  # fmt: skip
    assert set(found["by_input"]["logistic"]) == {"texture", "deep", "fused"}
    assert set(found["by_input"]["cnn"]) == {"pixels"}
    assert not (room / "m.checkpoints").exists()


def test_figures_by_subgroup(trained: Path, medkern):
    about = trained / "about.csv"
    lines = [f"image{k:03}.png,{'ab'[k % 2]},{'' if k < 9 else 'x'}" for k in range(96)]
    about.write_text("\n".join(["path,scanner,site", *lines]) + "\n")
    told = ("evaluate", trained / "grouped.csv", "--model", trained / "m.medkern", "--split-file",
            trained / "m.split.csv", "--subgroups")  # fmt: skip
    rows = medkern(*told, about, "--json").json["subgroups"]["tree"]
    assert {row["column"] for row in rows} == {"scanner", "site"}
    assert sum(row["n"] for row in rows if row["column"] == "scanner") == rows_in_test(trained)
    about.write_text("name,scanner\n")
    refused(medkern(*told, about), "needs the column path")
    about.write_text("path,scanner\nnone.png,a\n")
    refused(medkern(*told, about), "names none of the images")


def rows_in_test(folder: Path) -> int:
    return sum(row["part"] == "test" for row in rows_of(folder / "m.split.csv"))


def test_an_unsigned_model_is_refused_where_a_signature_is_required(trained: Path, medkern):
    key = trained / "me"
    told = ("evaluate", trained / "grouped.csv", "--model", trained / "m.medkern")
    other = trained / "other.medkern"
    other.write_bytes((trained / "m.medkern").read_bytes())
    assert medkern("sign", other, "--key", key, "--new").code == 0
    refused(medkern(*told, "--require-signature", trained / "me.pub"), "m.medkern")
    assert medkern("sign", trained / "m.medkern", "--key", key).code == 0
    assert medkern(*told, "--require-signature", trained / "me.pub").code == 0


def test_an_interrupted_training_is_resumed(room: Path, medkern, monkeypatch):
    told = ("train", room / "plain.csv", "--recipe", room / "small.toml", "--models", "cnn")
    told += ("--out", room / "m.medkern")
    refused(medkern(*told, "--resume"), "no interrupted training")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learn, "save", full)
    assert medkern(*told).code == 75
    kept = room / "m.checkpoints"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert any(kept.iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(Training, "_epoch", lambda _: pytest.fail("an epoch was done again"))
    assert medkern(*told, "--resume").code == 0
    assert not kept.exists()
    assert load(room / "m.medkern").names == ("cnn",)


def test_independent_labels_and_grades_go_the_whole_way(room: Path, medkern):
    generator = np.random.default_rng(1)
    lines = ["path,label"]
    for number in range(96):
        labels = [name for name in ("a", "b") if generator.random() < 0.5]
        lines.append(f"image{number:03}.png,{';'.join(labels) or ';'}")
    (room / "labels.csv").write_text("\n".join(lines) + "\n")
    told = ("--recipe", room / "small.toml", "--out", room / "m.medkern", "--task", "labels")
    ended = medkern("train", room / "labels.csv", *told, "--json")
    assert ended.code == 0, ended.err
    ended = medkern("screen", room / "labels.csv", "--model", room / "m.medkern", "--out",
                    room / "run", "--json")  # fmt: skip
    assert ended.json["done"] == 96, ended.err
    told = ("--recipe", room / "small.toml", "--out", room / "g.medkern", "--task", "ordinal")
    refused(medkern("train", room / "plain.csv", *told), "need an order")
    ended = medkern("train", room / "plain.csv", *told, "--order", "rough,smooth", "--json")
    assert ended.json["validation"][0]["metrics"]["quadratic_kappa"]["value"] is not None
