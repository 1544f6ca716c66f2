"""The compile cache: never stale, never fatal, never in somebody else's reach."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = Path(__file__).resolve().parents[1] / "kernels"

HELPER = """
from .._cpu import compiled

@compiled
def gain(x):
    return x * {factor}
"""
LOOP = """
import numpy as np
from .._cpu import compiled
from ._helper import gain

@compiled
def total(values):
    result = 0
    for value in values:
        result += gain(value)
    return result

answer = total(np.arange(4))
hits = sum(total.stats.cache_hits.values())
"""


class Install:
    """A copy of the kernels, with a loop that calls a helper in another file."""

    def __init__(self, root: Path):
        self.tree = root / "house" / "kernels"
        self.cache = root / "cache"
        ignored = shutil.ignore_patterns("__pycache__", "median*", "clahe*", "glcm*", "_*_*.py")
        shutil.copytree(KERNELS, self.tree, ignore=ignored)
        (self.tree / "__init__.py").write_text("")
        (self.tree / "texture" / "_loop.py").write_text(LOOP)
        self.write_helper(factor=2)

    def write_helper(self, factor: int) -> None:
        (self.tree / "texture" / "_helper.py").write_text(HELPER.format(factor=factor))

    def run(self, cache: str | None = None) -> tuple[int, int]:
        """(answer, cache hits) of a fresh process."""
        code = "from house.kernels.texture._loop import answer, hits; print(answer, hits)"
        environment = os.environ | {
            "MEDKERN_CACHE": cache or str(self.cache),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self.tree.parents[1]),
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        answer, hits = done.stdout.split()
        return int(answer), int(hits)

    def entries(self) -> list[Path]:
        return sorted(self.cache.rglob("*.nbc"))


@pytest.fixture
def install(tmp_path: Path) -> Install:
    return Install(tmp_path)


def test_an_edited_helper_in_another_file_is_noticed(install: Install):
    assert install.run() == (12, 0)
    assert install.run() == (12, 1)
    install.write_helper(factor=7)
    assert install.run() == (42, 0)


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "one bit"])
def test_a_damaged_cache_file_is_survived_and_repaired(install: Install, damage: str):
    install.run()
    assert install.entries()
    for path in install.entries():
        raw = path.read_bytes()
        path.write_bytes(
            {
                "empty": b"",
                "half": raw[: len(raw) // 2],
                "garbage": b"\x80\x05garbage." * 50,
                "one bit": raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
            }[damage]
        )
    assert install.run() == (12, 0)
    assert install.run() == (12, 1)


def test_nothing_is_written_beside_the_sources(install: Install):
    before = {p: p.stat().st_mtime_ns for p in install.tree.rglob("*")}
    install.run()
    assert {p: p.stat().st_mtime_ns for p in install.tree.rglob("*")} == before


def test_without_a_cache_folder_kernels_still_run(install: Install):
    blocked = install.tree / "__init__.py" / "cache"  # a file stands where a folder would go
    assert install.run(cache=str(blocked)) == (12, 0)
    assert install.run(cache=str(blocked)) == (12, 0)


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_the_cache_is_private(install: Install):
    install.run()
    assert install.cache.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in install.entries())


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_a_folder_that_others_can_write_is_not_trusted(install: Install):
    install.cache.mkdir()
    install.cache.chmod(0o777)
    assert install.run() == (12, 0)
    assert not install.entries()
