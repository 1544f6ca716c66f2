"""From a source to a list of items: one per frame, in a fixed order.

A source is a folder (walked to the bottom, in order of name), a CSV manifest, an NPZ archive or a
single file. Every file gives at least one item, so that each ends as a row or as a reason; only
names that begin with a dot are not part of the data, and links to folders are not followed.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError
from .formats import open_source
from .limits import Limits
from .npz import SPLITS, NpzFile
from .reason import Unreadable


class SourceError(UserError):
    """A source that cannot be listed: absent, empty, or a manifest with a bad row."""


COLUMNS = ("path", "label", "group", "split")


@dataclass(frozen=True, slots=True)
class Item:
    """One frame to read.

    id     relative path, with "/" between folders, plus "#frame" where the file has several
    frame  0 .. frames - 1
    label  class name; group: patient or other unit that a split must not cut; split: train, val
           or test. None where unknown.
    """

    id: str
    path: Path
    frame: int = 0
    label: str | None = None
    group: str | None = None
    split: str | None = None


def index(
    source: str | Path, labels: str | None = None, limits: Limits | None = None
) -> list[Item]:
    """All items of `source`; reads headers only (about 0.1 ms a file).

    labels="folder": the label is the name of the first folder below `source`; files beside those
    folders have none. NPZ archives bring their own labels (class numbers as text) and splits.

    SourceError where the source is absent, a folder is empty, `labels` is unknown, or a manifest
    has a bad row (with its line).
    """
    source, limits = Path(source), limits or Limits()
    if labels not in (None, "folder"):
        raise SourceError(f"labels is {labels!r}; allowed: None, 'folder'")
    if not source.exists():
        raise SourceError(f"{source} does not exist")
    if labels == "folder" and not source.is_dir():
        raise SourceError(f"labels='folder' needs a folder of folders; {source} is a file")
    if source.is_dir():
        files = _folder(source, labels == "folder")
    elif source.suffix.lower() == ".csv":
        files = _manifest(source)
    else:
        files = iter([Item(_name(source.name), source)])
    items = [item for file in files for item in _frames(file, limits)]
    if not items:
        raise SourceError(f"{source} holds no files")
    return items


def _folder(folder: Path, labelled: bool) -> Iterator[Item]:
    """Files in order of their relative path."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(root)
        inner = [_name(part) for part in here.relative_to(folder).parts]
        label = inner[0] if labelled and inner else None
        for name in sorted(files):
            if not name.startswith("."):
                yield Item("/".join([*inner, _name(name)]), here / name, label=label)


def _manifest(manifest: Path) -> Iterator[Item]:
    """Rows of a CSV with the columns path (needed), label, group, split; paths relative to it."""
    seen: dict[str, int] = {}
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            _check_header(manifest, header)
            for row in rows:
                if row:
                    yield _row(manifest, rows.line_num, header, row, seen)
        except csv.Error as error:
            raise SourceError(f"{manifest} line {rows.line_num}: not valid CSV ({error})") from None
        except UnicodeDecodeError:
            raise SourceError(f"{manifest} after line {rows.line_num}: not UTF-8 text") from None


def _check_header(manifest: Path, header: list[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if "path" not in header or unknown or len(set(header)) != len(header):
        raise SourceError(
            f"{manifest} line 1: columns are {', '.join(header) or 'missing'}; "
            f"path is needed, allowed are {', '.join(COLUMNS)}, each once"
        )


def _row(
    manifest: Path, line: int, header: list[str], row: list[str], seen: dict[str, int]
) -> Item:
    where = f"{manifest} line {line}"
    if len(row) != len(header):
        raise SourceError(f"{where}: {len(row)} values for {len(header)} columns")
    cells = {name: value.strip() or None for name, value in zip(header, row, strict=True)}
    name = cells.pop("path")
    if name is None or "\0" in name:
        raise SourceError(f"{where}: path is empty")
    if cells.get("split") not in (None, *SPLITS):
        raise SourceError(f"{where}: split is {cells['split']!r}; allowed: {', '.join(SPLITS)}")
    if (first := seen.setdefault(name, line)) != line:
        raise SourceError(f"{where}: the path stands in line {first} already")
    label, group, split = (cells.get(column) for column in COLUMNS[1:])
    return Item(Path(name).as_posix(), manifest.parent / name, 0, label, group, split)


def _frames(item: Item, limits: Limits) -> Iterator[Item]:
    """One item a frame; the item as it is where the file cannot be read: `read` says why."""
    try:
        source = open_source(item.path, limits, peek=True)
        frames = source.frames
        if isinstance(source, NpzFile):
            yield from _archive(item, source)
            return
    except (Unreadable, OSError, MemoryError):
        yield item
        return
    if frames == 1:
        yield item
        return
    for frame in range(frames):
        yield replace(item, id=f"{item.id}#{frame}", frame=frame)


def _archive(item: Item, source: NpzFile) -> Iterator[Item]:
    """Frames of an NPZ archive with its labels and splits, where the item has none of its own."""
    for frame, (label, split) in enumerate(zip(source.labels(), source.splits(), strict=True)):
        yield replace(
            item,
            id=f"{item.id}#{frame}",
            frame=frame,
            label=item.label or label,
            split=item.split or split,
        )


def _name(name: str) -> str:
    """A file name as valid UTF-8 text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
