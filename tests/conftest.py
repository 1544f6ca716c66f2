"""Fixtures every test file shares."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import ibsi
import numpy as np
import pytest
from hypothesis import settings

from medkern.engine.cli import main

ROOT = Path(__file__).resolve().parents[1]

# Two runs of one commit must agree, a stranger's and ours: the examples of the property tests are
# drawn from the test's own text. HYPOTHESIS_PROFILE=search draws others, which is how to find more.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """`data("name")`: a folder of real test data, or a skip that says how to get it."""
    root = Path(os.environ.get("MEDKERN_DATA", ROOT.parent / "shared" / "data"))

    def folder(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(
                f"real data {name!r} not found; set MEDKERN_DATA to the folder that holds it"
            )
        return path

    return folder


@pytest.fixture(scope="session")
def phantom(data: Callable[[str], Path]) -> tuple[np.ndarray, np.ndarray]:
    """The digital phantom of the standard, as one volume with its mask."""
    return ibsi.digital_phantom(data("ibsi_phantoms"))


@pytest.fixture(scope="session")
def consensus(data: Callable[[str], Path]) -> ibsi.Consensus:
    """What the teams agreed on for the digital phantom: {tag: (value, tolerance)}."""
    return ibsi.agreed(data("ibsi_phantoms"), "dig_phantom")


class Ended(Exception):
    """How a command ended: exit code, standard output, standard error."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def medkern(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Ended(int(stop.value.code or 0), captured.out, captured.err)

    return run
