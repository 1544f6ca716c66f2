"""Fixtures every test file shares."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
