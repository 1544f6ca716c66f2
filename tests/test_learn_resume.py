"""A training that is stopped anywhere goes on as if nothing had happened, or says why it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np
import pytest
from making_training import FAST, PLAIN, nothing, plain, stripes

from medkern.engine import whole
from medkern.engine.learn import LearnError
from medkern.engine.learn.cnn import checkpoint, training
from medkern.engine.learn.cnn.fit import fit
from medkern.engine.learn.cnn.network import Network
from medkern.engine.learn.file import container

SETTINGS = replace(FAST, epochs=3)
TRAIN, VAL = stripes(200), stripes(50, seed=1)


class Killed(Exception):
    pass


def train(
    folder,
    progress=nothing,
    settings=SETTINGS,
    network: Network | None = PLAIN,
    train=TRAIN,
    val=VAL,
):
    return fit(train, val, 8, 2, settings, progress, folder, network)


def killer(call: int):
    """Progress that ends the training at its nth call."""
    left = iter(range(call))

    def progress(*told):
        if next(left, None) is None:
            raise Killed

    return progress


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(one, other) -> bool:
    (a, past), (b, other_past) = one, other
    assert past == other_past
    for name, array in a.arrays().items():
        np.testing.assert_array_equal(array, b.arrays()[name], err_msg=name)
    return True


@pytest.fixture(autouse=True)
def at_every_chance(monkeypatch):
    """Checkpoints and progress after every step."""
    monkeypatch.setattr(training, "EVERY", 0.0)
    monkeypatch.setattr(training, "TELL", 0.0)


@pytest.fixture(scope="module")
def undisturbed():
    return fit(TRAIN, VAL, 8, 2, SETTINGS, nothing, None, PLAIN)


@pytest.fixture
def stopped(tmp_path):
    """The folder of a training that was killed in its second epoch, of 7 steps each."""
    with pytest.raises(Killed):
        train(tmp_path, killer(11))
    return tmp_path


# ---- exactness ----


@pytest.mark.parametrize("call", [0, 1, 6, 7, 8, 12, 15, 16, 20, 23])
def test_a_training_killed_anywhere_ends_with_the_same_bits(tmp_path, undisturbed, call):
    with pytest.raises(Killed):
        train(tmp_path, killer(call))
    assert same(train(tmp_path), undisturbed)


def test_a_training_killed_again_and_again_ends_with_the_same_bits(tmp_path, undisturbed):
    for _ in range(9):
        with pytest.raises(Killed):
            train(tmp_path, killer(2))
    assert same(train(tmp_path), undisturbed)


def test_our_own_network_goes_on_exactly_too(tmp_path):
    once = train(None, network=None)
    with pytest.raises(Killed):
        train(tmp_path, killer(11), network=None)
    assert same(train(tmp_path, network=None), once)


def test_a_finished_training_is_not_repeated(tmp_path, undisturbed):
    assert same(train(tmp_path), undisturbed)
    before = files(tmp_path)
    assert same(train(tmp_path, killer(0)), undisturbed)
    assert files(tmp_path) == before


def test_early_stopping_and_parts_are_remembered(tmp_path, monkeypatch):
    settings, swapped = replace(SETTINGS, epochs=20, patience=2), (VAL[0], 1 - VAL[1])
    once = train(None, settings=settings, val=swapped)
    with pytest.raises(Killed):
        train(tmp_path, killer(20), settings=settings, val=swapped)
    assert same(train(tmp_path, settings=settings, val=swapped), once)


def test_a_batch_once_divided_stays_divided(tmp_path, monkeypatch):
    real = training.advance

    def tight(carry, given, block, first, last, plan):
        if plan.parts == 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return real(carry, given, block, first, last, plan)

    monkeypatch.setattr(training, "advance", tight)
    with pytest.warns(RuntimeWarning, match="2 parts"):
        once = train(None)
    with pytest.warns(RuntimeWarning, match="2 parts"), pytest.raises(Killed):
        train(tmp_path, killer(11))
    monkeypatch.setattr(training, "advance", real)
    assert same(train(tmp_path), once)  # in two parts, though one would do now


def test_checkpoints_are_as_rare_as_asked_for(tmp_path, monkeypatch, undisturbed):
    monkeypatch.setattr(training, "EVERY", 3600.0)
    with pytest.raises(Killed):
        train(tmp_path, killer(11))
    assert files(tmp_path) == []
    assert same(train(tmp_path), undisturbed)
    assert len(files(tmp_path)) == 1


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from test_learn_resume import train, training
training.EVERY = training.TELL = 0.0
def slow(*told):
    import time
    time.sleep(0.02)
train(__import__("pathlib").Path(sys.argv[1]), slow)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_sigkill_at_a_random_moment_loses_nothing(tmp_path, undisturbed):
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path, Path(__file__).parent])
    deadline = time.monotonic() + 120
    while len(files(tmp_path)) < 2 and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(float(np.random.default_rng().uniform(0, 0.3)))
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert same(train(tmp_path), undisturbed)


# ---- what is on disk ----


def test_two_checkpoints_are_kept_and_half_a_file_is_none(stopped):
    assert len(files(stopped)) == 2
    (stopped / ".new-1-training-000000099.safetensors").write_bytes(b"half")
    (stopped / "notes.txt").write_text("not ours")
    train(stopped)
    assert "notes.txt" in files(stopped)
    assert len([name for name in files(stopped) if name.startswith("training-")]) == 2


@pytest.mark.parametrize("failing", ["write", "pack"])
def test_a_crash_while_writing_leaves_the_checkpoints_there(
    stopped, monkeypatch, undisturbed, failing
):
    before = {name: (stopped / name).read_bytes() for name in files(stopped)}

    def crash(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole if failing == "write" else container, failing, crash)
    with pytest.raises(LearnError, match=r"no checkpoint can be written to .*: No space left"):
        train(stopped)
    assert {name: (stopped / name).read_bytes() for name in files(stopped)} == before
    monkeypatch.undo()
    assert same(train(stopped), undisturbed)


def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_kept(stopped, undisturbed):
    older, newest = files(stopped)
    sound = (stopped / newest).read_bytes()
    for place in (0, 7, 40, len(sound) // 2, len(sound) - 1):
        bad = bytearray(sound)
        bad[place] ^= 0x10
        for content in (bytes(bad), sound[:place]):
            (stopped / newest).write_bytes(content)
            with pytest.raises(LearnError, match=rf"{newest} .*; remove it to go on from {older}"):
                train(stopped)
    assert files(stopped) == [older, newest]
    (stopped / newest).unlink()
    assert same(train(stopped), undisturbed)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"settings": replace(SETTINGS, rate=2e-2)}, r"different settings \(rate\)"),
        ({"settings": replace(SETTINGS, seed=1, batch=16)}, r"different settings \(batch, seed\)"),
        ({"train": (TRAIN[0], 1 - TRAIN[1])}, "different training images"),
        ({"train": stripes(199)}, "different design"),
        ({"val": stripes(50, seed=2)}, "different validation images"),
        (
            {"network": plain(3)},
            r"array 'params/last' is float32 \(8, 2\), not float32 \(8, 3\)",
        ),
        ({"network": None}, r"different design \(architecture\)"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(stopped, other, sentence):
    before = files(stopped)
    with pytest.raises(LearnError, match=sentence):
        train(stopped, **other)
    assert files(stopped) == before


def rewritten(folder: Path, change) -> None:
    """The newest checkpoint with its header or arrays changed, and a digest that is right."""
    path = folder / files(folder)[-1]
    content = container.read(path)
    header, arrays = json.loads(content.text), dict(content.arrays)
    change(header, arrays)
    path.write_bytes(container.pack(container.Content(json.dumps(header), arrays)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h, a: h.update(format="medkern model"), "is not one of a training"),
        (lambda h, a: h.update(version=2), "has version 2, not 1"),
        (lambda h, a: h.pop("about"), "lacks its field 'about'"),
        (lambda h, a: h["about"].pop("history"), "has no history"),
        (lambda h, a: h["about"]["history"]["loss"].append(1.0), "contradicts itself"),
        (lambda h, a: h["about"]["history"].update(best=7), "contradicts itself"),
        (lambda h, a: h["about"].update(parts=3), "contradicts itself"),
        (lambda h, a: h["about"].update(parts=0), "no share of the batch"),
        (lambda h, a: h["about"].update(kept=False), "contradicts itself"),
        (lambda h, a: h["about"].pop("kept"), "kept"),
        (lambda h, a: a.update(step=np.array(3, np.int32)), "has a step outside its epoch"),
        (lambda h, a: a.pop("average/0/last"), "array 'average/0/last' is missing"),
        (lambda h, a: a.update(more=np.ones(1, np.float32)), "array 'more' is unknown"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(stopped, change, sentence):
    rewritten(stopped, change)
    with pytest.raises(LearnError, match=sentence):
        train(stopped)


def test_going_on_elsewhere_is_noted(stopped, undisturbed):
    rewritten(stopped, lambda h, a: h["about"].update(machine="JAX 0.1 on abacus"))
    with pytest.warns(RuntimeWarning, match="begun with JAX 0.1 on abacus, continued with"):
        model, history = train(stopped)
    assert len(history.notes) == 1
    assert same((model, replace(history, notes=[])), undisturbed)


def test_a_checkpoint_names_what_it_is_and_holds_no_code(stopped):
    content = container.read(stopped / files(stopped)[-1])
    header = json.loads(content.text)
    assert header["facts"]["settings"] == json.loads(json.dumps(asdict(SETTINGS)))
    assert {
        *("params/first", "state/steps", "average/0/first", "average/1/steps"),
        *("optimiser/1/count", "optimiser/1/mu", "optimiser/1/nu", "step", "loss"),
        *("params/last", "average/0/last", "best/0/first", "best/0/last", "best/1/steps"),
    } == set(content.arrays)
    assert {str(array.dtype) for array in content.arrays.values()} == {"float32", "int32"}


def test_a_fingerprint_is_of_values_shape_and_type():
    images = np.arange(5000, dtype=np.uint8).reshape(2500, 2)
    marks = {
        checkpoint.fingerprint(images),
        checkpoint.fingerprint(images.reshape(1250, 4)),
        checkpoint.fingerprint(images.view(np.int8)),
        checkpoint.fingerprint(np.where(np.arange(2500)[:, None] == 2400, images + 1, images)),
    }
    assert len(marks) == 4
    assert checkpoint.fingerprint(images[::2]) == checkpoint.fingerprint(images[::2].copy())
