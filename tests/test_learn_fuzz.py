"""Mutated model files: a ModelError, or a model whose predictions are numbers. Never a crash, a
hang, or memory out of proportion.

Each mutation is drawn from its own number, so one that fails can be run alone. The default is some
hundred; MEDKERN_FUZZ=10000 runs that many. They run in a process of their own, under a limit of
memory: a crash is seen there, and does not take the tests with it.
"""

import faulthandler
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import making_models as making
import numpy as np
import pytest
from safetensors.numpy import save
from test_learn_file import bundle

from medkern.engine.learn import LearnError, ModelError, load, save as save_model
from medkern.engine.learn.file import container
from medkern.engine.learn.file.container import Content

MUTATIONS = int(os.environ.get("MEDKERN_FUZZ", "500"))
SECONDS = 1.0  # of processor time for one file, load and predict
MEMORY = 256 << 20  # bytes above what the process needs anyway; the files are below 100 kB

VALUES = (
    0, 1, -1, 2, 7, 2**31 - 1, -(2**31), 10**6, 10**18, 0.0, -1.0, 0.5, 1e-300, 1e30, 1e300,
    float("nan"), float("inf"), True, False, None, "", "svm", "deep", "labels", "\n", "x" * 99,
    [], [1], {}, {"svm": 1}, {"a": {"b": []}}, ["a", "b"],
)  # fmt: skip


def parts(path: Path) -> tuple[bytes, str, dict[str, np.ndarray]]:
    """Bytes, JSON text and arrays of a file, the same on each run: safetensors keeps no order."""
    content = container.read(path)
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8 : 8 + length]), sort_keys=True).encode()
    raw = len(header).to_bytes(8, "little") + header + raw[8 + length :]
    return raw, content.text, dict(sorted(content.arrays.items()))


def flip(raw: bytes, generator: np.random.Generator) -> bytes:
    """Damage: bits, a cut, a piece that stands elsewhere, another length of the header."""
    changed = bytearray(raw)
    way = generator.integers(4)
    if way == 0:
        for place in generator.integers(0, len(raw), generator.integers(1, 9)):
            changed[place] ^= 1 << generator.integers(8)
    elif way == 1:
        return raw[: generator.integers(len(raw))]
    elif way == 2:
        a, b = sorted(generator.integers(0, len(raw), 2))
        return raw[:a] + raw[b:] + raw[a:b]
    else:
        length = int(
            generator.choice([0, 1, 7, len(raw), 2**31, 2**63, int.from_bytes(raw[:8], "little")])
        )
        changed[:8] = (length + int(generator.integers(-2, 3))).to_bytes(9, "little", signed=True)[
            :8
        ]
    return bytes(changed)


def edit(text: str, generator: np.random.Generator) -> str:
    """The JSON text with one value replaced, removed, added, or renamed."""
    header = json.loads(text)
    place, key = header, str(generator.choice(list(header)))
    while isinstance(place[key], (dict, list)) and place[key] and generator.random() < 0.7:
        place = place[key]
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[generator.integers(len(keys))]
    way, value = generator.integers(4), VALUES[generator.integers(len(VALUES))]
    if way == 0 and isinstance(place, dict):
        del place[key]
    elif way == 1 and isinstance(place, dict):
        place[str(generator.choice(["x", "svm", "cnn", "0.1", "seen", "/", "a\n"]))] = value
    elif way == 2 and isinstance(place, dict):
        place[str(generator.choice(list(place)))] = place[key]
    else:
        place[key] = value
    return json.dumps(header)


def tear(arrays: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """One array with hostile values, of another type or shape, swapped with another, or gone."""
    names = list(arrays)
    name, other = (names[generator.integers(len(names))] for _ in range(2))
    array = arrays[name]
    way = generator.integers(7)
    if way == 0:
        arrays[name], arrays[other] = arrays[other], arrays[name]
    elif way == 1:
        del arrays[name]
    elif way == 2:
        arrays[name] = array.astype(generator.choice(["f4", "f8", "i4", "i8", "u1"]))
    elif way == 3:
        arrays[name] = array[: len(array) // 2] if generator.random() < 0.5 else array[..., None]
    elif way == 4:
        generator.shuffle(array)
    elif array.dtype == np.int32:
        wild = [-(2**31), -2, -1, 0, 1, 2, 5, 6, len(array), 2**31 - 1, 10**6]
        places = generator.integers(0, array.size, generator.integers(1, 4))
        array.reshape(-1)[places] = generator.choice(wild, len(places))
    else:
        wild = [np.nan, np.inf, -np.inf, 0, -0.0, -1, 1e-300, 1e30, -1e30, 1e99, -1e99, 1e300]
        places = generator.integers(0, array.size, generator.integers(1, 4))
        with np.errstate(over="ignore"):
            array.reshape(-1)[places] = generator.choice(wild, len(places)).astype(array.dtype)


def mutated(raw: bytes, text: str, arrays: dict[str, np.ndarray], number: int) -> bytes:
    """File `number`: a third damaged; the others hostile, their SHA-256 right again."""
    generator = np.random.default_rng(number)
    if number % 3 == 0:
        return flip(raw, generator)
    arrays = {name: array.copy() for name, array in arrays.items()}
    for _ in range(generator.integers(1, 3)):
        if number % 3 == 1:
            text = edit(text, generator)
        elif arrays:
            tear(arrays, generator)
    return save(arrays, {"medkern": text, "sha256": Content(text, arrays).digest})


def heaviest() -> list[str]:
    """Headers of the most values, or the most text, that are taken."""
    most = 480_000
    return [
        "{" + ",".join(f'"{number:x}":1.5' for number in range(most)) + "}",
        "[" + '{"":{"":{}}},' * (most // 4) + "1]",
        '"' + "x" * (7 << 20) + '"',
    ]


def judge(path: Path, pixels: np.ndarray, features) -> str:
    """What became of a file, in one word. Anything else that is raised is a fault."""
    try:
        model = load(path)
    except ModelError as error:
        assert "\n" not in str(error), error
        assert len(str(error)) < 1000, error
        return "refused"
    try:
        scores = model.predict(pixels, features if model.heads else None)
        alien, sets = model.novelty_of(pixels, features), model.sets(scores, "0.1")
    except (ModelError, LearnError) as error:  # weights that overflow; images of another size
        assert "\n" not in str(error), error
        return "refused in predict"
    except ValueError as error:
        assert "needed columns are missing" in str(error)  # renamed columns
        return "refused in predict"
    for name, p in scores.items():
        assert p.shape == (len(pixels), len(model.labels)), name
        assert ((p >= 0) & (p <= 1)).all(), name
    assert alien is None or not np.isnan(alien).any()
    assert all(found.dtype == bool for found in sets.values())
    return "loaded"


def run(first: int, last: int, folder: Path) -> None:
    """Files `first` .. `last` in this process; prints {what became of them: how many}."""
    faulthandler.enable()
    whole, path = folder / "whole.medkern", folder / "mutated.medkern"
    raw, text, arrays = parts(whole)
    pixels, features = making.pixels(4), making.rows(n=4)
    assert judge(whole, pixels, features) == "loaded"
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_in_use() + MEMORY, hard))
    for heavy in heaviest():
        path.write_bytes(save(arrays, {"medkern": heavy, "sha256": Content(heavy, arrays).digest}))
        assert judge(path, pixels, features) == "refused"
    counts: dict[str, int] = {}
    slowest = 0.0
    for number in range(first, last):
        path.write_bytes(mutated(raw, text, arrays, number))
        print(number, file=sys.stderr, flush=True)
        begun = time.process_time()
        became = judge(path, pixels, features)
        slowest = max(slowest, time.process_time() - begun)
        counts[became] = counts.get(became, 0) + 1
    print(json.dumps(counts | {"slowest": slowest}))


def _in_use() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit needs /proc")
def test_mutated_files_are_refused_or_predict(tmp_path):
    save_model(bundle(), tmp_path / "whole.medkern")
    code = f"import test_learn_fuzz as f; f.run(0, {MUTATIONS}, f.Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60 + MUTATIONS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(told)
    assert told.pop("slowest") < SECONDS
    assert sum(told.values()) == MUTATIONS
    assert told["refused"] > MUTATIONS / 2  # most mutations hurt
    assert told["loaded"] > MUTATIONS / 100  # and some do not: predict was reached
