"""The house rules that keep the code base readable: who imports whom, file length, docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("kernels", "engine", "bench", "tests", "examples")
FAMILIES = {"denoise", "enhance", "texture"}
NEIGHBOURS = FAMILIES | {"predict"}  # rows of features in, no images: not in the catalogue
LONGEST = 400

# The road of the data: a room may import from rooms to its left, never from the right.
ROAD = (
    "batch",
    "ingest",
    "recipe",
    "stages",
    "features",
    "learn",
    "screen",
    "report",
    "demo",
    "cli",
)
ALLOWED_BACK = {
    "stages": {"features"},  # stages make Features
    "recipe": {"learn"},  # the recipe checks training settings against their dataclass
    "screen": {"report"},  # a run ends with its report
}
GUESTS = {  # third-party packages that only one room may import
    "jax": {"engine/learn", "kernels/_kernel.py"},
    "optax": {"engine/learn"},
    "sklearn": {"engine/learn"},
    "pydicom": {"engine/ingest"},
    "imagecodecs": {"engine/ingest"},
    "nibabel": {"engine/ingest"},
    "tifffile": {"engine/ingest"},
    "cupy": {"kernels/_cuda.py", "kernels/_kernel.py", "engine/batch.py"},
}


def sources(*folders: str) -> list[Path]:
    found = [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]
    return [p for p in found if not {"results", "__pycache__"} & set(p.parts)]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, relative ones resolved to `medkern....`."""
    package = ["medkern", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def rooms(path: Path) -> set[str]:
    """The rooms of the engine that a file imports from."""
    parts = (module.split(".") for module in imports(path) if module.startswith("medkern.engine."))
    return {part[2] for part in parts if len(part) > 2}


def test_no_file_is_longer_than_the_reader_s_patience():
    files = [*sources(*FOLDERS), *ROOT.glob("kernels/**/*.cu*"), *ROOT.glob("bench/**/*.cu*")]
    long = {name(p): n for p in files if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long, f"more than {LONGEST} lines: {long}"


def test_imports_go_one_way_between_the_folders():
    forbidden = {"kernels": ("engine", "bench"), "engine": ("bench",), "bench": ()}
    wrong = [
        f"{name(path)} imports {module}"
        for folder, banned in forbidden.items()
        for path in sources(folder)
        for module in imports(path)
        if any(module.startswith(f"medkern.{other}") for other in (*banned, "tests"))
    ]
    assert not wrong, wrong


def test_kernel_families_never_import_one_another():
    wrong = [
        f"{name(path)} imports {module}"
        for family in NEIGHBOURS
        for path in sources(f"kernels/{family}")
        for module in imports(path)
        for other in NEIGHBOURS - {family}
        if module.startswith(f"medkern.kernels.{other}")
    ]
    assert not wrong, wrong


def test_kernels_need_nothing_but_numpy_and_numba():
    allowed = {"numpy", "numba", "llvmlite", "scipy", "jax", "cupy", "nvidia", "cuda", "medkern"}
    standard = __import__("sys").stdlib_module_names
    wrong = [
        f"{name(path)} imports {module}"
        for path in sources("kernels")
        for module in imports(path)
        if (top := module.split(".")[0]) and top not in allowed and top not in standard
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("room", ROAD)
def test_the_engine_s_arrows_follow_the_data(room: str):
    paths = sources(f"engine/{room}") or [ROOT / f"engine/{room}.py"]
    ahead = set(ROAD[ROAD.index(room) + 1 :]) - ALLOWED_BACK.get(room, set())
    wrong = {name(p): found for p in paths if p.exists() and (found := rooms(p) & ahead)}
    assert not wrong, f"{room} imports from rooms after it: {wrong}"


@pytest.mark.parametrize("guest", GUESTS)
def test_each_heavy_package_is_imported_in_its_own_room_only(guest: str):
    wrong = [
        name(path)
        for path in sources("kernels", "engine")
        if guest in {module.split(".")[0] for module in imports(path)}
        and not any(name(path).startswith(room) for room in GUESTS[guest])
    ]
    assert not wrong, f"{guest} is imported outside {sorted(GUESTS[guest])}: {wrong}"


def kernel_files() -> list[Path]:
    return [p for f in sorted(FAMILIES) for p in sources(f"kernels/{f}") if p.stem[0] != "_"]


@pytest.mark.parametrize("path", kernel_files(), ids=lambda p: p.stem)
def test_a_kernel_file_says_what_a_user_must_know(path: Path):
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    summary, _, rest = text.partition("\n")
    assert 10 < len(summary) <= 100, "the first line says what the kernel does"
    assert re.search(r"^ {4}\S.*=", rest, re.M), "an indented formula"
    for word in ("images", "borders", "cost", "nan", "source"):
        assert re.search(rf"^{word}\s+\S", text, re.M), f"no field {word!r}"


@pytest.mark.parametrize("path", kernel_files(), ids=lambda p: p.stem)
def test_every_kernel_has_its_gpu_twin_and_a_line_in_the_catalogue(path: Path):
    borrowed = "made_of=" in path.read_text()  # it launches what other kernels have
    assert borrowed or path.with_suffix(".cu").exists(), f"{path.stem}.cu is missing"
    table = (ROOT / "kernels/__init__.py").read_text()
    assert f"from .{path.parent.name}.{path.stem} import {path.stem} as {path.stem}" in table


def test_public_functions_of_the_engine_say_what_they_do():
    missing = []
    for path in sources("engine", "kernels"):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name[0] == "_":
                continue
            if not ast.get_docstring(node) and node.name not in ("cpu", "gpu"):
                missing.append(f"{name(path)}: {node.name}")
    assert not missing, missing
