"""The README and the examples do what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.M | re.S)


def run(command: list[str | Path], cwd: Path) -> str:
    """Run as a user would, but with the commands of this environment; standard output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=os.environ | {"PATH": path}
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(kind: str) -> list[str]:
    return [line for k, text in BLOCKS if k == kind for line in text.splitlines() if line.strip()]


def test_the_first_block_is_two_commands_that_install_and_run():
    lines = BLOCKS[0][1].strip().splitlines()
    assert len(lines) == 2
    install = r"python3 -m venv \.venv && \.venv/bin/pip install -q "
    assert re.fullmatch(install + r"\. && \.venv/bin/medkern demo", lines[0])
    tests = r"\.venv/bin/python -m pytest -n auto --dist loadgroup"
    assert re.fullmatch(install + r'-e "\.\[test\]" && ' + tests, lines[1])


@pytest.mark.slow
def test_the_demonstration_ends_with_two_reports(tmp_path: Path):
    """What the first command runs, after its installation."""
    import json

    found = json.loads(run(["medkern", "demo", "--json"], tmp_path))
    auc = {row["model"]: row["metrics"]["auc"] for row in found["rows"]}
    assert 0.9 < found["ceiling"] < 1
    assert all(interval["low"] < found["ceiling"] for interval in auc.values())
    assert max(interval["value"] for interval in auc.values()) > 0.75
    screened = found["screen"]
    assert screened["done"] + screened["quarantined"] == screened["rows_in"] > 1200
    for page in (found["evaluation"], found["report"]):
        text = (tmp_path / page).read_text()
        assert text.lower().startswith("<!doctype html>")
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "<script" not in text


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_python_blocks_run(code: str, tmp_path: Path):
    run([sys.executable, "-W", "error", "-c", code], tmp_path)


@pytest.mark.parametrize("line", [c for c in commands("console") if "--help" in c or "json" in c])
def test_console_lines_that_need_no_data_run(line: str, tmp_path: Path):
    run(["bash", "-c", line.removeprefix("$ ")], tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples_run(path: Path, tmp_path: Path):
    assert run([sys.executable, "-W", "error", path], tmp_path).strip()


def test_every_command_and_kernel_is_in_the_readme():
    from medkern.engine.cli import app
    from medkern.kernels import catalogue

    verbs = [command.callback.__name__ for command in app.registered_commands if command.callback]
    missing = [v for v in verbs if f"medkern {v}" not in README]
    missing += [name for name in catalogue() if f"`{name}`" not in README]
    assert not missing, missing


def test_paths_that_the_readme_names_exist():
    named = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert named
    assert all((ROOT / path).exists() for path in named), named
