"""`medkern explain` and its page: what it shows is true of the model, and it stands alone."""

import base64
import json
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from conftest import Ended

from medkern.engine.cli import main
from medkern.engine.learn import load
from medkern.engine.learn.explain.tree import Node
from medkern.engine.report import heat
from medkern.engine.report.tree import tree_drawing

RECIPE = """
name = "small"
[ingest]
size = [16, 16]
batch = 16
[[texture]]
kernel = "glcm"
levels = 8
[train]
models = ["cnn", "logistic", "tree"]
inputs = ["texture", "fused"]
epochs = 2
width = 4
batch = 16
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images with three parts, and a model trained on two of them."""
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


@pytest.fixture(scope="module")
def told(room: Path) -> tuple[dict, str]:
    """The JSON and the page of the test part, the training data given."""
    with pytest.raises(SystemExit) as stop:
        main(
            f"explain {room}/set.npz --model {room}/small.medkern --data {room}/set.npz "
            f"--out {room}/why --count 6".split()
        )
    assert not stop.value.code
    return json.loads((room / "why/explain.json").read_text()), (
        room / "why/explain.html"
    ).read_text()


def test_every_image_has_its_scores_maps_and_neighbours(room: Path, told):
    report, _ = told
    model = load(room / "small.medkern")
    assert report["n"] == len(report["images"]) == 6 and report["space"] == "fused"
    assert report["labels"] == ["0", "1"] and report["positive"] == "1"
    for image in report["images"]:
        assert set(image["scores"]) == set(model.names) and not image["seen_in_training"]
        called = image["scores"]["cnn"]["called"]
        p = image["scores"]["cnn"]["probabilities"]
        assert called == ["1" if p["1"] >= model.thresholds["cnn"] else "0"]
        assert image["explained_class"] == called[0] and image["label"] in ("0", "1")
        assert image["integrated"]["complete"] or image["integrated"]["steps"] == 512
        distances = [near["distance"] for near in image["nearest"]]
        assert len(distances) == 3 and distances == sorted(distances) and distances[0] > 0


def number(name: str) -> int:
    return int(name.partition("#")[2])


def test_no_image_of_another_part_stands_as_a_training_image(told):
    report, _ = told
    near = {close["id"] for image in report["images"] for close in image["nearest"]}
    # the file holds 60 images to train on, then 24 of val, then 24 of test
    assert near and all(number(name) < 60 for name in near)
    assert all(number(image["id"]) >= 84 for image in report["images"])


def test_the_family_is_weighed_on_images_that_training_did_not_use(told):
    report, _ = told
    found = report["importance"]
    assert (found["model"], found["n"], found["groups"]) == ("classical.fused", 24, None)
    families = {row["name"]: row for row in found["families"]}
    assert set(families) == {"glcm", "deep"} and families["deep"]["columns"] == 16
    assert all(row["low"] <= row["high"] for row in families.values())
    assert all(row["columns"] == 1 for row in found["columns"])


def test_the_tree_is_the_model_s_and_counts_training_images(room: Path, told):
    report, page = told
    rules = report["tree"]["rules"]
    assert report["tree"]["n"] == 84 and rules[0].startswith("if ") and "n = 84" in page
    names = load(room / "small.medkern").features
    assert rules[0].split()[1] in names


def test_the_page_stands_alone_and_says_what_it_cannot_show(told):
    _, page = told
    assert "For research use only" in page and "They cannot show whether a score is right" in page
    assert page.count("data:image/png;base64,") == 6 * 3 + 6 * 3 + 2
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page
    bare = page.replace("not for diagnosis", "")
    assert "diagnos" not in bare.lower()


def test_json_is_one_document_and_the_same_as_the_file(medkern, room: Path, tmp_path: Path):
    done = medkern(
        "explain", room / "set.npz", "--model", room / "small.medkern", "--out", tmp_path / "a",
        "--count", 2, "--of", "1", "--json",
    )  # fmt: skip
    assert done.code == 0 and done.json == json.loads((tmp_path / "a/explain.json").read_text())
    assert [image["explained_class"] for image in done.json["images"]] == ["1", "1"]
    assert done.json["space"] is None and done.json["images"][0]["nearest"] == []
    assert done.json["tree"]["n"] is None


def test_an_alien_image_is_flagged_and_needs_no_label(medkern, room: Path, tmp_path: Path):
    folder = tmp_path / "new"
    folder.mkdir()
    alien = np.zeros((16, 16), np.uint8)
    alien[:8] = 255
    (folder / "alien.png").write_bytes(imagecodecs.png_encode(alien))
    done = medkern(
        "explain", folder, "--model", room / "small.medkern", "--out", tmp_path / "b", "--json"
    )
    (image,) = done.json["images"]
    assert image["label"] is None and image["novelty"]["flagged"]
    assert "unlike the training images" in (tmp_path / "b/explain.html").read_text()
    assert done.json["importance"] is None


def refused(done: Ended, *words: str) -> None:
    lines = [line for line in done.err.splitlines() if line.startswith("medkern: ")]
    assert done.code == 2 and len(lines) == 1 and not done.out
    assert all(word in lines[0] for word in words), lines[0]


def test_what_cannot_be_explained_is_refused_in_one_line(medkern, room: Path, tmp_path: Path):
    start = ("explain", room / "set.npz", "--model", room / "small.medkern", "--out", tmp_path)
    refused(medkern(*start, "--count", 1, "--of", "cat"), "'cat'", "0, 1")
    refused(medkern(*start, "--count", 1, "--stage", 7), "no stage 7")
    refused(medkern(*start, "--count", 0), "1 or more")
    strange = tmp_path / "strange.npz"
    images = np.random.default_rng(9).integers(0, 255, (6, 16, 16)).astype(np.uint8)
    labels = (np.arange(6) % 2)[:, None]
    np.savez(strange, train_images=images, train_labels=labels)
    refused(medkern(*start, "--count", 1, "--data", strange), "no images that this model")
    assert not (tmp_path / "explain.html").exists()


# ---- colours and drawings


def decoded(uri: str) -> np.ndarray:
    return imagecodecs.png_decode(base64.b64decode(uri.partition(",")[2]))


def test_colours_step_evenly_rise_in_lightness_and_can_be_shown():
    lab = heat.sequential(np.linspace(0, 1, 65))
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.max() < 1.1 * steps.min() and (np.diff(lab[:, 0]) > 0).all()
    for colours in (lab, heat.signed(np.array([-1.0, 1.0]))):
        linear = (colours @ heat._TO_LMS.T) ** 3 @ heat._TO_RGB.T
        assert linear.min() > -0.02 and linear.max() < 1.02
    less, more = heat.signed(np.array([-1.0, 1.0]))
    assert less[2] < -0.1 and more[2] > 0.1  # blue against orange: no eye confuses them


def test_where_a_map_is_empty_the_picture_shows_through_unchanged():
    grey = np.linspace(0, 1, 64).reshape(8, 8)
    heats = np.zeros((8, 8))
    heats[2, 3], heats[4, 4] = 1, -1
    shown = decoded(heat.over(grey, heats, both=True, enlarge=16)).astype(int)
    assert shown.shape == (16, 16, 3)
    shown = shown[::2, ::2]
    empty = heats == 0
    assert np.abs(shown[empty] - 255 * grey[empty][:, None]).max() <= 1
    assert shown[2, 3, 0] > shown[2, 3, 2] + 50 and shown[4, 4, 2] > shown[4, 4, 0] + 50


def grown(depth: int, number: int = 0) -> Node:
    if not depth:
        return Node(number, (0.25, 0.75))
    parts = grown(depth - 1, 2 * number + 1), grown(depth - 1, 2 * number + 2)
    return Node(number, (0.5, 0.5), (f"glcm.a<b&{'long' * 12}.d1", 12.5), *parts)


def test_a_deep_tree_is_drawn_without_overlap_and_its_names_are_escaped():
    page = tree_drawing(grown(6), ("no", "yes"), np.tile([3, 4], (127, 1)))
    places = re.findall(r'class="node" transform="translate\(([\d.]+) ([\d.]+)\)', page)
    assert len(places) == len(set(places)) == 127
    by_column: dict[str, list[float]] = {}
    for x, y in places:
        by_column.setdefault(x, []).append(float(y))
    assert len(by_column) == 7
    assert all(np.diff(sorted(ys)).min() >= 38 for ys in by_column.values() if len(ys) > 1)
    assert "a&lt;b&amp;" in page and "…" in page and page.count("n = 7") == 127
