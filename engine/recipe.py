"""A recipe says what happens to the images: TOML, checked whole before the first image is read.

    recipe = load_recipe("chest-xray")          a shipped recipe, or the path of a .toml file
    recipe.layout                               how files become equal-shape grey images
    recipe.denoise, .enhance, .texture          kernels of the catalogue with all their parameters
    recipe.training                             what `train` does with them

A recipe is data: it names kernels and numbers and can neither run code nor open files. Its text
travels inside the model file, so that screening prepares images exactly as training did.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from medkern import kernels

from . import _toml
from .errors import UserError
from .ingest import Layout
from .learn.errors import LearnError
from .learn.settings import Settings

FAMILIES = ("denoise", "enhance", "texture")
SECTIONS = ("name", "modality", "ingest", *FAMILIES, "train")
LARGEST = 64 * 1024  # characters of TOML; recipes also come out of model files
SIDE = (4, 8192)  # pixels
BATCH = (1, 4096)  # images

T = TypeVar("T")


class RecipeError(UserError):
    """One sentence: which file, which line, which key, what is allowed."""


@dataclass(frozen=True)
class Step:
    """One kernel with all its parameters, defaults included.

    `grid` (rows, columns) is used by texture alone: each image is cut into that many regions.
    """

    kernel: str
    parameters: Mapping[str, Any]
    grid: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Recipe:
    """A checked recipe; `text` is the TOML it came from."""

    name: str
    modality: str
    layout: Layout
    denoise: tuple[Step, ...]
    enhance: tuple[Step, ...]
    texture: tuple[Step, ...]
    training: Settings
    text: str = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what the recipe means: comments, spaces and the order of keys do not count."""
        meaning = dataclasses.asdict(self)
        del meaning["text"]
        canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with medkern."""
    folder = resources.files("medkern.engine") / "recipes"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """The shipped recipe of that name, or the recipe file at that path; RecipeError if bad."""
    if str(name_or_path) in shipped():
        file = resources.files("medkern.engine") / "recipes" / f"{name_or_path}.toml"
        return parse(file.read_text("utf-8"), f"{name_or_path}.toml")
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        raise RecipeError(
            f"no recipe named {str(name_or_path)!r}{_closest(str(name_or_path), shipped())}; "
            f"shipped are {', '.join(shipped())}; or give the path of a .toml file"
        )
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecipeError(f"{path}: is not UTF-8 text") from None
    return parse(text, path.name)


def parse(text: str, source: str = "recipe") -> Recipe:
    """The recipe in `text`; `source` is the name that errors give."""
    if len(text) > LARGEST:
        raise RecipeError(f"{source}: is longer than {LARGEST} characters")
    try:
        values, lines = _toml.read(text)
    except _toml.TomlError as error:
        raise RecipeError(f"{source}, line {error.line}: is not TOML: {error}") from None

    def table(name: str, index: int = 0, values: Any = None) -> _Table:
        return _Table(source, lines, name, index, values)

    top = table("", values=values)
    top.only(SECTIONS)
    for name in ("ingest", "train"):
        if not isinstance(values.setdefault(name, {}), dict):
            top.fail(name, f"must be a table, written [{name}]")
    layout = _layout(table("ingest", values=values["ingest"]))
    steps: dict[str, tuple[Step, ...]] = {}
    dtype = layout.dtype  # of the pixels that the next step gets
    for family in FAMILIES:
        found = values.get(family, [])
        if not isinstance(found, list) or not all(isinstance(v, dict) for v in found):
            top.fail(family, f"must be a list of tables, each written [[{family}]]")
        tables = [table(family, index, v) for index, v in enumerate(found)]
        if family == "texture" and dtype != layout.dtype:
            top.fail(
                "denoise",
                f"leaves {dtype} pixels, and what follows takes {layout.dtype}; a stabilised image "
                "must be turned back, e.g. by anscombe_inverse",
            )
        made = []
        for t in tables:
            step, dtype = _step(family, t, layout, dtype)
            made.append(step)
        steps[family] = tuple(made)
        if family == "texture":
            _refuse_equal_columns(tables, steps[family])
    return Recipe(
        name=top.take("name", _text, "recipe"),
        modality=top.take("modality", _text, ""),
        layout=layout,
        **steps,
        training=_training(table("train", values=values["train"]), bool(steps["texture"])),
        text=text,
    )


class _Table:
    """One table of the file, which knows the lines its keys stand on."""

    def __init__(
        self,
        source: str,
        lines: Mapping[_toml.Place, int],
        name: str,
        index: int,
        values: Mapping[str, Any],
    ):
        self.source, self.lines, self.name, self.index = source, lines, name, index
        self.values = values

    def fail(self, key: str, sentence: str) -> NoReturn:
        places = [(self.name, self.index, key), (self.name, self.index, ""), ("", 0, self.name)]
        if not self.name:  # a key of the top may be the header of a table
            places.append((key, 0, ""))
        line = next((self.lines[place] for place in places if place in self.lines), 1)
        brackets = f"[[{self.name}]]" if self.name in FAMILIES else f"[{self.name}]"
        what = " ".join(part for part in (brackets if self.name else "", key) if part)
        raise RecipeError(f"{self.source}, line {line}: {what} {sentence}")

    def only(self, known: tuple[str, ...]) -> None:
        """Refuse keys that nobody reads."""
        for key in self.values:
            if key not in known:
                self.fail(key, f"is unknown{_closest(key, known)}; known are {', '.join(known)}")

    def take(self, key: str, check: Callable[[Any], T], default: Any) -> T:
        """The checked value of `key`; the error that `check` raises says what is allowed."""
        try:
            return check(self.values.get(key, default))
        except (TypeError, ValueError) as error:
            self.fail(key, str(error))


def _layout(table: _Table) -> Layout:
    table.only(("size", "bits", "window", "batch"))
    return Layout(
        size=table.take("size", _pair(*SIDE, "pixels, [height, width]"), [224, 224]),
        bits=table.take("bits", _one_of(8, 12, 16), 8),
        window=table.take("window", _window, "file"),
        batch=table.take("batch", _whole(*BATCH, "images"), 64),
    )


def _step(family: str, table: _Table, layout: Layout, dtype: np.dtype) -> tuple[Step, np.dtype]:
    """The checked step for pixels of `dtype`, and the dtype of its result."""
    kind = kernels.Measure if family == "texture" else kernels.Filter
    catalogue = {
        name: k
        for name, k in kernels.catalogue().items()
        if k.family == family and isinstance(k, kind)
    }
    if "kernel" not in table.values:
        table.fail("", f"needs a kernel: {', '.join(catalogue)}")
    name = table.values["kernel"]
    if name not in catalogue:
        known = ", ".join(catalogue)
        table.fail("kernel", f"{name!r} is unknown{_closest(name, catalogue)}; known are {known}")
    kernel = catalogue[name]
    table.only(("kernel", *kernel.parameters, *(("grid",) if family == "texture" else ())))
    given = {key: v for key, v in table.values.items() if key not in ("kernel", "grid")}
    if "bits" in kernel.parameters and given.setdefault("bits", layout.bits) != layout.bits:
        table.fail("bits", f"must be {layout.bits}, as in [ingest], got {given['bits']!r}")
    if family == "texture" and "levels" in kernel.parameters and "levels" not in given:
        table.fail("levels", "must be given: features of different grey levels do not compare")
    parameters = {
        key: table.take(
            key,
            lambda value, key=key, p=p: _checked(p, name, key, value),
            given.get(key, p.default),
        )
        for key, p in kernel.parameters.items()
    }
    grid = table.take("grid", _pair(1, 64, "regions, [rows, columns]"), [1, 1])
    shape = _region(table, layout, grid, parameters.get("distance", 1))
    if dtype.name not in kernel.dtypes:
        table.fail(
            "kernel",
            f"{name!r} takes {', '.join(kernel.dtypes)}; {layout.bits} bits are {layout.dtype}"
            if dtype == layout.dtype
            else f"{name!r} takes {', '.join(kernel.dtypes)}; the step before it gives {dtype}",
        )
    if validate := kernel.validate:
        whole = (layout.batch, *shape)
        table.take("", lambda _: validate(dtype, whole, **parameters), None)
    if isinstance(kernel, kernels.Filter):
        dtype = kernel.result_dtype(dtype, **parameters)
    return Step(name, parameters, grid), dtype


def _training(table: _Table, textures: bool) -> Settings:
    """The keys of [train] are the fields of the training's own settings, which check the values."""
    known = tuple(f.name for f in dataclasses.fields(Settings))
    table.only(known)
    given: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in table.values.items()
    }
    for key, value in given.items():
        try:
            Settings(**{key: value})
        except LearnError as error:
            table.fail(key, re.sub(rf"^training: {key} ", "", str(error)))
        except (TypeError, ValueError):
            table.fail(key, f"has the wrong kind of value: {value!r}")
    if "fractions" in given:
        given["fractions"] = table.take("fractions", _fractions, None)
    if not textures:
        models, inputs = given.setdefault("models", ("cnn",)), given.get("inputs", ("texture",))
        if set(models) != {"cnn"} and inputs != ("deep",):
            table.fail(
                "models",
                'can only be ["cnn"] in a recipe without a [[texture]], or have inputs = ["deep"]',
            )
    return Settings(**given)


def _region(table: _Table, layout: Layout, grid: tuple[int, int], distance: int) -> tuple[int, int]:
    """Size of the smallest region of the grid; refuses grids without a pair of pixels in one."""
    shape = (layout.size[0] // grid[0], layout.size[1] // grid[1])
    if min(shape) <= distance:
        table.fail(
            "grid",
            f"{list(grid)} cuts images of {list(layout.size)} into regions of {list(shape)} "
            f"pixels, too small for a distance of {distance}",
        )
    return shape


def _refuse_equal_columns(tables: list[_Table], steps: tuple[Step, ...]) -> None:
    """Two steps must not give columns of the same name."""
    seen: dict[str, int] = {}
    for index, (table, step) in enumerate(zip(tables, steps, strict=True), 1):
        measure = kernels.catalogue()[step.kernel]
        for name in measure.names(**step.parameters):  # pyright: ignore[reportAttributeAccessIssue]
            first = seen.setdefault(f"{name} {step.grid != (1, 1)}", index)
            if first != index:
                table.fail("", f"number {index} gives the columns of number {first} ({name}) again")


def _checked(parameter: kernels.Parameter, kernel: str, key: str, value: Any) -> Any:
    """The value as the kernel takes it; a message without the name that the line has already."""
    try:
        return parameter.check(kernel, key, value)
    except (TypeError, ValueError) as error:
        raise ValueError(str(error).removeprefix(f"{kernel}: {key} ")) from None


# ---- checks: a value in, the checked value out; the message continues "[table] key ..."


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 100 or not value.isprintable():
        raise TypeError(f"must be a text of one line, up to 100 characters, got {value!r}")
    return value


def _whole(low: int, high: int, unit: str) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number, {low} to {high} {unit}, got {value!r}")
        return value

    return check


def _pair(low: int, high: int, unit: str) -> Callable[[Any], tuple[int, int]]:
    def check(value: Any) -> tuple[int, int]:
        whole = isinstance(value, list) and [type(v) for v in value] == [int, int]
        if not whole or not all(low <= v <= high for v in value):
            raise ValueError(f"must be two whole numbers, {low} to {high} {unit}, got {value!r}")
        return value[0], value[1]

    return check


def _fractions(value: Any) -> tuple[float, ...]:
    numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
    if not numbers or len(value) != 3 or not all(0 <= v <= 1 for v in value) or not value[0]:
        raise ValueError(
            f"must be three shares for train, val and test, 0 to 1, train above 0, got {value!r}"
        )
    return tuple(map(float, value))


def _one_of(*allowed: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not int or value not in allowed:
            raise ValueError(f"must be one of {', '.join(map(str, allowed))}, got {value!r}")
        return value

    return check


def _window(value: Any) -> str | tuple[float, float]:
    if value in ("file", "full"):
        return value
    numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
    if not numbers or len(value) != 2 or not all(map(math.isfinite, value)) or value[1] <= 0:
        raise ValueError(
            f'must be "file", "full" or [centre, width] with a width above 0, got {value!r}'
        )
    return float(value[0]), float(value[1])


def _closest(word: Any, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(str(word), list(known), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
