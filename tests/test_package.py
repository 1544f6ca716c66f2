"""The wheel: it holds every file of the three folders, and works without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {".py", ".cu", ".cuh", ".toml", ".html", ".css"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", folder, ROOT], check=True, capture_output=True)
    (path,) = folder.glob("medkern-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    return python


def run(python: Path, code: str, cwd: Path) -> str:
    """Run code with the dependencies of this environment, but without its editable medkern."""
    dependencies = Path(np.__file__).parents[1]  # a path entry: its .pth files are not read
    environment = os.environ | {"PYTHONPATH": str(dependencies)}
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_source_file_and_nothing_else(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    inside = {n for n in names if ".dist-info/" not in n}
    assert {n.split("/")[0] for n in inside} == {"medkern"}
    expected = {
        f"medkern/{path.relative_to(ROOT).as_posix()}"
        for folder in ("kernels", "engine", "bench")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SHIPPED and not {"results", "__pycache__"} & set(path.parts)
    }
    assert inside >= expected, sorted(expected - inside)
    assert not [n for n in inside if "/results/" in n or n.endswith((".pyc", ".nbc"))]
    assert any(n.endswith("LICENSE") for n in names)


def test_the_wheel_works_without_the_checkout(installed: Path, tmp_path: Path):
    code = (
        "import numpy as np, medkern.engine, medkern.bench\n"
        "from medkern import kernels as mk\n"
        "print(mk.__file__, list(mk.catalogue()))\n"
        "assert mk.median(np.full((1, 5, 5), 7, np.uint8), radius=1).max() == 7\n"
    )
    out = run(installed, code, tmp_path)
    assert str(installed.parents[1].resolve()) in str(Path(out.split()[0]).resolve())
    assert str(ROOT) not in out


def test_the_command_is_installed(installed: Path, tmp_path: Path):
    code = "from medkern.engine.cli import main; main(['kernels', '--json'])"
    assert '"median"' in run(installed, code, tmp_path)
