"""read: every image a row, every other a reason; order, padding, memory; hostile files."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from medkern.engine.ingest import Item, Layout, Limits, Reason, Reject, index, read
from medkern.engine.ingest.write import write_ct

RNG = np.random.default_rng(1)


def no_reject(reject):
    raise AssertionError(reject)


def pictures(folder, count, side=12):
    """PNG files whose first pixel is their number."""
    images = RNG.integers(0, 256, (count, side, side)).astype(np.uint8)
    images[:, 0, 0] = np.arange(count)
    for k, image in enumerate(images):
        (folder / f"{k:04d}.png").write_bytes(imagecodecs.png_encode(image))
    return images


@pytest.mark.parametrize("workers", [1, 4])
def test_order_shape_and_padding(tmp_path, workers):
    images = pictures(tmp_path, 50)
    batches = list(read(index(tmp_path), Layout((12, 12), batch=16), no_reject, workers))
    assert [batch.count for batch in batches] == [16, 16, 16, 2]
    assert {batch.pixels.shape for batch in batches} == {(16, 12, 12)}
    ids = [name for batch in batches for name in batch.ids[: batch.count]]
    assert ids == [f"{k:04d}.png" for k in range(50)]
    pixels = np.concatenate([batch.pixels[batch.valid] for batch in batches])
    np.testing.assert_array_equal(pixels, images)
    last = batches[-1]
    assert last.ids[2:] == ("",) * 14 and last.modality == ("",) * 16
    assert not last.pixels[2:].any() and np.isnan(last.spacing).all()


def test_ct_slices_carry_spacing_window_and_modality(tmp_path):
    hu = RNG.integers(-1000, 2000, (20, 30)).astype(np.int16)
    write_ct(tmp_path / "a.dcm", hu, "p", 0.7, (40.0, 400.0))
    (batch,) = read(index(tmp_path), Layout((10, 15), bits=12, batch=1), no_reject)
    assert batch.modality == ("CT",)
    assert batch.pixels.dtype == np.uint16 and batch.pixels.max() == 4095
    np.testing.assert_allclose(batch.spacing, [[1.4, 1.4]], rtol=1e-6)
    np.testing.assert_array_equal(batch.window, [[40, 400]])


def test_rejects_come_in_order_with_their_reason_and_leave_no_row(tmp_path):
    pictures(tmp_path, 6)
    (tmp_path / "0002.png").write_bytes(b"no picture")
    (tmp_path / "0004.png").write_bytes(b"")
    items = [*index(tmp_path), Item("gone", tmp_path / "gone")]
    rejects, threads = [], set()

    def on_reject(reject):
        rejects.append(reject)
        threads.add(threading.current_thread())

    (batch,) = read(items, Layout((12, 12), batch=8), on_reject, workers=3)
    assert batch.ids[:4] == ("0000.png", "0001.png", "0003.png", "0005.png")
    assert [(reject.id, reject.code) for reject in rejects] == [
        ("0002.png", Reason.NOT_AN_IMAGE),
        ("0004.png", Reason.EMPTY_FILE),
        ("gone", Reason.NOT_FOUND),
    ]
    assert threads == {threading.current_thread()}


def test_nothing_to_read():
    assert list(read([], Layout((4, 4)), no_reject)) == []
    rejects: list[Reject] = []
    assert list(read([Item("x", Path("/absent"))], Layout((4, 4)), rejects.append)) == []
    assert len(rejects) == 1
    with pytest.raises(ValueError, match="workers"):
        read([], Layout((4, 4)), no_reject, workers=0)


def test_frames_of_one_file_open_it_once(tmp_path, monkeypatch):
    from medkern.engine.ingest import reader

    np.savez(tmp_path / "set.npz", train_images=np.zeros((100, 4, 4), np.uint8))
    items = index(tmp_path)
    opened = []
    real = reader.open_source
    monkeypatch.setattr(reader, "open_source", lambda *args: opened.append(args[0]) or real(*args))
    batches = list(read(items, Layout((4, 4), batch=16), no_reject, workers=4))
    assert sum(batch.count for batch in batches) == 100
    assert opened == [tmp_path / "set.npz"]


def test_reading_runs_ahead_by_two_batches_and_no_further(tmp_path):
    pictures(tmp_path, 40)
    drawn = []

    def items():
        for item in index(tmp_path):
            drawn.append(item)
            yield item

    batches = read(items(), Layout((12, 12), batch=4), no_reject, workers=2)
    next(batches)
    assert 4 < len(drawn) <= 4 + 2 * 4 + 2 * 8  # a batch, two ahead, in runs of eight
    batches.close()
    alive = [t for t in threading.enumerate() if t.name.startswith("medkern-read")]
    assert not alive


def test_an_error_of_the_reader_itself_is_named_and_not_fatal(tmp_path, monkeypatch):
    pictures(tmp_path, 3)
    monkeypatch.setattr(Layout, "fit", lambda *_: 1 / 0)
    rejects: list[Reject] = []
    assert list(read(index(tmp_path), Layout((4, 4)), rejects.append)) == []
    assert {reject.code for reject in rejects} == {Reason.INTERNAL}


def test_limits_reach_every_file(tmp_path):
    pictures(tmp_path, 2)
    rejects: list[Reject] = []
    limits = Limits(pixels=100)
    assert list(read(index(tmp_path), Layout((4, 4)), rejects.append, limits=limits)) == []
    assert {reject.code for reject in rejects} == {Reason.IMAGE_TOO_LARGE}
    with pytest.raises(ValueError, match="positive"):
        Limits(pixels=0)


# real folders


def verdicts(folder, size=(64, 64)):
    items, rejects, rows = index(folder), [], []
    for batch in read(items, Layout(size), rejects.append):
        rows += batch.ids[: batch.count]
    assert sorted(rows + [reject.id for reject in rejects]) == sorted(item.id for item in items)
    return rows, {reject.id: reject.code for reject in rejects}


def test_every_file_of_many_syntaxes_is_a_row_or_a_reason(data):
    rows, rejects = verdicts(data("dicom_syntaxes"))
    assert len(rows) == 224
    assert set(rejects.values()) == {Reason.NOT_AN_IMAGE, Reason.NO_PIXELS}


def test_every_file_of_mednist_is_a_row_or_a_reason(data):
    rows, rejects = verdicts(data("mednist_subset"))
    assert len(rows) == 1800
    assert rejects == {"NOTE.md": Reason.NOT_AN_IMAGE, "labels.csv": Reason.NOT_AN_IMAGE}


HOSTILE = """
import json, resource, sys
import imagecodecs, nibabel, tifffile
from medkern.engine.ingest import Layout, index, read
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30,) * 2)
items, found = index(sys.argv[1]), {}
for batch in read(items, Layout((32, 32), batch=8), lambda r: found.setdefault(r.id, r.code), 2):
    found |= dict.fromkeys(batch.ids[: batch.count], "row")
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address space limits need Linux")
def test_hostile_files_are_refused_within_a_gigabyte(data):
    """In its own process: a crash, a hang or a great allocation would show."""
    folder = data("dicom_malformed")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HOSTILE, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    found = {name.partition("#")[0]: verdict for name, verdict in json.loads(done.stdout).items()}
    assert not {"internal", "out_of_memory"} & set(found.values())
    cases = (folder / "generated" / "cases.csv").read_text().splitlines()[1:]
    for case in cases:
        name, _, rest = case.partition(",")
        verdict = found.get(f"generated/{name}")
        if verdict is None:
            continue
        if ",reject," in rest:
            assert verdict != "row", case
        if ",accept," in rest:
            assert verdict == "row", case
    assert len(found) >= 220
