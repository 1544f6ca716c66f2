"""Figures by scanner, site, sex, age band: what a further CSV says of the images."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ._console import show_table

if TYPE_CHECKING:
    from ..ingest import Item

About = Mapping[str, Mapping[str, str]]  # column -> id -> value


def read(path: Path, items: Sequence[Item]) -> dict[str, dict[str, str]]:
    """The columns beside `path`, by the id of the image; an image may be missing ("not known").

    UserError for a file without the column path, without another one, or of none of the images.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            names = [name for name in rows.fieldnames or () if name and name != "path"]
            if "path" not in (rows.fieldnames or ()) or not names:
                raise UserError(f"{path} line 1: needs the column path and one more, e.g. path,sex")
            found = {row["path"]: row for row in rows}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is not CSV in UTF-8 ({error})") from None
    if not found.keys() & {item.id for item in items}:
        raise UserError(f"{path}: names none of the images; the first image is {items[0].id!r}")
    return {name: {key: (row[name] or "").strip() for key, row in found.items()} for name in names}


def rows_of(
    about: About, items: Sequence[Item], model: Any, truth: Any, scores: Any, groups: Any
) -> dict[str, list[dict[str, Any]]]:
    """{model: rows of `judge.subgroups.by_subgroup`}; empty without columns."""
    from ..learn.judge.subgroups import by_subgroup

    if not about:
        return {}
    columns = {name: [values.get(item.id, "") for item in items] for name, values in about.items()}
    return {
        name: by_subgroup(truth, p, model.thresholds.get(name), columns, groups, task=model.task)
        for name, p in scores.items()
    }


def show(parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """One table a model."""
    from ._tables import WITH_INTERVAL, interval

    for name, rows in parts.items():
        cells = [
            [row["column"], row["value"], row["n"]]
            + [interval(row["metrics"][metric]) for metric in WITH_INTERVAL]
            for row in rows
        ]
        show_table(f"{name} by subgroup", ("column", "value", "n", "AUC", "accuracy"), cells)
