"""Screening: every image ends once, whatever happens to the process, the disk or the folder."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from making_brightness import RECIPE, Brightness

from medkern.engine import screen as screening, whole
from medkern.engine.errors import Stopped
from medkern.engine.ingest import index
from medkern.engine.recipe import parse
from medkern.engine.report.picture import png
from medkern.engine.screen import RunError, screen

TEXTURE = RECIPE + '[[texture]]\nkernel = "glcm"\nlevels = 8\nbinning = "width"\nwidth = 32\n'


@pytest.fixture
def model(monkeypatch):
    from medkern.engine import learn

    monkeypatch.setattr(learn, "identity", lambda model: "0123456789abcdef")
    return Brightness()


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(screening, "BATCHES", 2)


@pytest.fixture
def images(tmp_path):
    """19 images of known brightness and 3 files that are none."""
    folder = tmp_path / "in"
    folder.mkdir()
    make_images(folder)
    return folder


def make_images(folder, count=19):
    noise = np.random.default_rng(0)
    for k in range(count):
        grey = np.clip(noise.normal(13 * k, 4, (16, 16)), 0, 255).astype(np.uint8)
        (folder / f"image {k:02}.png").write_bytes(png(grey))
    (folder / "image 03 empty.png").write_bytes(b"")
    (folder / "image 09 text.png").write_bytes(b"no image at all")
    (folder / "image 06 cut.png").write_bytes(png(np.zeros((64, 64), np.uint8))[:40])


def rows(run):
    """All rows and all quarantined of a run, in the order of the parts."""
    return [
        row
        for kind in ("parts", "quarantine")
        for path in sorted((Path(run) / kind).glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def parts(run):
    return {p.name: p.read_bytes() for p in sorted(Path(run).glob("*/*.parquet"))}


# ---- what a run gives


def test_every_image_has_a_row_or_a_reason(images, model, tmp_path, small_parts):
    seen = []
    summary = screen(index(images), tmp_path / "run", model=model, advance=seen.append)
    assert (summary.rows_in, summary.done, summary.quarantined) == (22, 19, 3)
    assert sum(seen) == 22
    assert summary.exit == 3
    assert sum(summary.reasons.values()) == 3
    assert summary.reasons["empty_file"] == 1
    assert list(summary.stages) == ["read", "texture", "network", "classical", "write"]
    found = rows(tmp_path / "run")
    assert sorted(row["id"] for row in found) == sorted(item.id for item in index(images))
    row = next(row for row in found if row["id"] == "image 09.png")
    assert row["score.cnn.bright"] == pytest.approx(117 / 255, abs=0.02)
    assert row["score.tree.bright"] == pytest.approx((117 / 255) ** 2, abs=0.02)
    assert (row["label.cnn"], row["label.tree"]) == ("bright", "dark")
    assert row["set.cnn"] == "dark;bright"  # neither can be ruled out
    assert row["novelty"] == pytest.approx(117 / 255, abs=0.02)
    assert not row["alien"]
    brightest = next(row for row in found if row["id"].startswith("image 18"))
    assert (brightest["set.cnn"], brightest["alien"]) == ("bright", True)
    document = json.loads((tmp_path / "run" / "report.json").read_text())
    assert document["alien"] == sum(row["alien"] for row in found if "alien" in row) > 0
    assert document["scores"]["cnn"]["predicted"] == {"dark": 8, "bright": 11}
    assert {"highest", "lowest", "most uncertain"} == {p["why"] for p in document["pictures"]}
    json.dumps(summary.json(), allow_nan=False)


def test_without_a_model_a_run_measures(images, tmp_path, small_parts):
    recipe = parse(TEXTURE)
    summary = screen(index(images), tmp_path / "run", recipe=recipe)
    table = pq.read_table(tmp_path / "run" / "parts" / "part-00000.parquet")
    assert table.column_names[0] == "id"
    contrast = table.schema.field("glcm.contrast.d1.averaged")
    assert contrast.metadata[b"tag"] == b"ACUI"
    assert not any(name.startswith(("score.", "label.")) for name in table.column_names)
    assert set(summary.stages) == {"read", "texture", "write"}


def test_a_part_does_not_depend_on_its_neighbours(images, model, tmp_path, small_parts):
    """Equal rows from parts of 8, of 64, and from a folder that holds one image less."""
    screen(index(images), tmp_path / "a", model=model)
    screening.BATCHES = 16
    screen(index(images), tmp_path / "b", model=model)
    (images / "image 00.png").unlink()
    screen(index(images), tmp_path / "c", model=model)
    by_id = [{row["id"]: row for row in rows(tmp_path / run)} for run in "abc"]
    assert by_id[0] == by_id[1]
    del by_id[0]["image 00.png"]
    assert by_id[0] == by_id[2]


def test_a_folder_of_nothing_readable_is_a_complete_run(tmp_path, model):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    summary = screen(index(tmp_path / "in"), tmp_path / "run", model=model)
    assert (summary.done, summary.quarantined, summary.exit) == (0, 1, 3)
    assert (
        "score.cnn.bright" in pq.read_table(tmp_path / "run/parts/part-00000.parquet").schema.names
    )
    assert (tmp_path / "run" / "report.html").exists()


def test_nothing_of_a_patient_is_written(tmp_path):
    import pydicom
    from pydicom.data import get_testdata_file

    (tmp_path / "in").mkdir()
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    secrets = {"PatientName": "CANARY^NAME", "PatientID": "CANARYID7", "StudyDate": "19770713"}
    for name, value in secrets.items():
        setattr(dataset, name, value)
    dataset.save_as(tmp_path / "in" / "slice")
    screen(index(tmp_path / "in"), tmp_path / "run", recipe=parse(TEXTURE))
    for path in (tmp_path / "run").rglob("*.*"):
        content = path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            content += str((pq.read_schema(path), pq.read_table(path).to_pylist()))
        for secret in (*secrets.values(), str(tmp_path)):
            assert secret not in content, f"{secret} stands in {path.name}"


def test_names_of_files_cannot_become_markup(tmp_path, model):
    (tmp_path / "in").mkdir()
    name = '<img src=x onerror="alert(1)">.png'
    (tmp_path / "in" / name).write_bytes(png(np.zeros((16, 16), np.uint8)))
    (tmp_path / "in" / ("bad" + name)).write_bytes(b"")
    screen(index(tmp_path / "in"), tmp_path / "run", model=model)
    html = (tmp_path / "run" / "report.html").read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


# ---- stopped, killed, damaged


def test_a_run_started_again_makes_only_what_is_missing(images, model, tmp_path, small_parts):
    screen(index(images), tmp_path / "run", model=model)
    before = parts(tmp_path / "run")
    times = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("*/*.parquet")}
    again = screen(index(images), tmp_path / "run", model=model)
    assert parts(tmp_path / "run") == before
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("*/*.parquet")} == times
    assert again.done == 19


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_and_it_continues(images, model, tmp_path, small_parts, number):
    screen(index(images), tmp_path / "whole", model=model)
    seen = []

    def stop_after_ten(count):
        seen.append(count)
        if sum(seen) == 12:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(Stopped, match="the same command continues"):
        screen(index(images), tmp_path / "run", model=model, advance=stop_after_ten)
    assert signal.getsignal(number) is before
    assert len(list((tmp_path / "run").glob("parts/*.json"))) == 1
    assert screen(index(images), tmp_path / "run", model=model).done == 19
    assert parts(tmp_path / "run") == parts(tmp_path / "whole")


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def swap(path):
    other = path.with_name(path.name.replace("00001", "00000"))
    path.write_bytes(other.read_bytes())


def replaced_by_nan(path):
    path.write_text('{"check": NaN}')


@pytest.mark.parametrize("damage", [cut, flip, swap, Path.unlink, replaced_by_nan])
@pytest.mark.parametrize(
    "name", ["parts/part-00001.parquet", "parts/part-00001.json", "quarantine/part-00001.parquet"]
)
def test_a_damaged_part_is_made_again(images, model, tmp_path, small_parts, name, damage):
    run = tmp_path / "run"
    screen(index(images), run, model=model, pictures=0)
    before = parts(run)
    times = {p.name: p.stat().st_mtime_ns for p in run.glob("parts/*.parquet")}
    damage(run / name)
    summary = screen(index(images), run, model=model, pictures=0)
    assert (summary.done, summary.quarantined) == (19, 3)
    assert parts(run) == before
    made = {p.name for p in run.glob("parts/*.parquet") if p.stat().st_mtime_ns != times[p.name]}
    assert made == {"part-00001.parquet"}


def test_all_three_files_of_another_part_are_not_taken_for_this_one(
    images, model, tmp_path, small_parts
):
    run = tmp_path / "run"
    screen(index(images), run, model=model)
    before = parts(run)
    for name in ("parts/part-00001.parquet", "parts/part-00001.json"):
        swap(run / name)
    swap(run / "quarantine/part-00001.parquet")
    screen(index(images), run, model=model)
    assert parts(run) == before


@pytest.mark.parametrize("call", range(1, 12))
def test_a_full_disk_stops_the_run_and_leaves_nothing_to_mistrust(
    images, model, tmp_path, small_parts, monkeypatch, call
):
    screen(index(images), tmp_path / "whole", model=model, pictures=0)
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) >= call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Stopped, match="the disk is full") as caught:
        screen(index(images), tmp_path / "run", model=model, pictures=0)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(os, "fsync", real)
    assert not list((tmp_path / "run").rglob(whole.TEMPORARY + "*"))
    assert screen(index(images), tmp_path / "run", model=model, pictures=0).done == 19
    assert parts(tmp_path / "run") == parts(tmp_path / "whole")


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import test_screen
    from pathlib import Path
    from medkern.engine import learn, screen
    from medkern.engine.ingest import index

    learn.identity = lambda model: "0123456789abcdef"
    screen.BATCHES = 2
    steps = 0

    def counted(call, limit):
        def step(*arguments, **more):
            global steps
            for moment in ("before", "after"):
                if moment == "after":
                    result = call(*arguments, **more)
                steps += 1
                if steps == limit:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result
        return step

    def start(run, limit):
        child = os.fork()  # before any thread was started
        if child:
            return os.waitpid(child, 0)[1]
        os.fsync = counted(os.fsync, limit)
        Path.replace = counted(Path.replace, limit)
        Path.mkdir = counted(Path.mkdir, limit)
        screen.screen(index({images!r}), run, model=test_screen.Brightness(), pictures=0)
        os._exit(0)

    killed = 0
    for limit in range(1, 400, {stride}):
        run = Path({out!r}) / str(limit)
        died = start(run, limit)
        if not died:
            break
        assert os.WIFSIGNALED(died) and os.WTERMSIG(died) == signal.SIGKILL, died
        killed += 1
        start(run, 9)  # and once more on the way back
        assert start(run, 0) == 0
    print(killed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are tried on forks, on POSIX alone")
def test_killed_at_any_step_no_row_is_lost_and_none_stands_twice(tmp_path):
    """SIGKILL before and after flushes, moves and new folders; the end is always the same."""
    images = tmp_path / "in"
    images.mkdir()
    make_images(images, 8)
    script = textwrap.dedent(KILLED).format(
        tests=str(Path(__file__).parent), images=str(images), out=str(tmp_path / "killed"), stride=5
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
    runs = list((tmp_path / "killed").iterdir())
    whole = max(runs, key=lambda path: int(path.name))  # the one that was not killed
    assert sorted(row["id"] for row in rows(whole)) == sorted(item.id for item in index(images))
    for run in runs:
        assert parts(run) == parts(whole), f"killed at step {run.name}"


# ---- folders that cannot be used


def test_the_folder_of_another_run_is_refused(images, model, tmp_path, small_parts):
    run = tmp_path / "run"
    screen(index(images), run, model=model)
    with pytest.raises(RunError, match=r"another run \(different recipe, model\).*new --out"):
        screen(index(images), run, recipe=parse(TEXTURE))
    (images / "image 30.png").write_bytes(png(np.zeros((8, 8), np.uint8)))
    with pytest.raises(RunError, match=r"different manifest"):
        screen(index(images), run, model=model)
    flip(run / "run.json")
    with pytest.raises(RunError, match=r"is damaged|another run|format"):
        screen(index(images), run, model=model)


def test_a_folder_with_other_files_is_refused(images, model, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match=r"holds other files \(thesis.tex\) and no run"):
        screen(index(images), tmp_path / "run", model=model)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "precious"
    with pytest.raises(RunError, match="cannot be used as run folder"):
        screen(index(images), tmp_path / "run" / "thesis.tex", model=model)


def test_two_runs_at_once_in_one_folder_are_refused(images, model, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="is in use by another medkern"):
            screen(index(images), tmp_path / "run", model=model)


def test_a_recipe_other_than_the_model_s_is_refused(images, model, tmp_path):
    with pytest.raises(RunError, match="leave the recipe out"):
        screen(index(images), tmp_path / "run", model=model, recipe=parse(TEXTURE))
    with pytest.raises(RunError, match="needs a model, or a recipe"):
        screen(index(images), tmp_path / "run")
    with pytest.raises(RunError, match="stands twice"):
        screen(index(images) * 2, tmp_path / "run", model=model)
    with pytest.raises(RunError, match="nothing to screen"):
        screen([], tmp_path / "run", model=model)
