"""The split as a file: which image, with which content, belongs to which part.

    id,content_hash,label,group,part
    images/a.png,0f6c...,benign,patient-7,train

A CSV that people can read and later commands check: an image whose content changed, one that moved
or whose label changed, and a row that was edited are errors, not surprises in a table of figures.
The model keeps the file's SHA-256.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..ingest import Item
from .errors import LearnError
from .split import PARTS

COLUMNS = ("id", "content_hash", "label", "group", "part")
LARGEST = 1 << 30  # bytes


class Row(NamedTuple):
    """One image; `group` is "" where none is known."""

    id: str
    content_hash: str
    label: str
    group: str
    part: str


def rows(items: Sequence[Item], parts: Sequence[str]) -> list[Row]:
    """A row for each labelled image, with the part it is in."""
    marks = content_hashes(items)
    return [
        Row(item.id, mark, str(item.label), item.group or "", str(part))
        for item, mark, part in zip(items, marks, parts, strict=True)
    ]


def content_hashes(items: Sequence[Item]) -> list[str]:
    """32 hexadecimal digits for each image: BLAKE2b of its file and the number of its frame.

    Every file is read once. LearnError for one that cannot be.
    """
    files: dict[Path, bytes] = {}
    marks = []
    for item in items:
        if item.path not in files:
            try:
                with item.path.open("rb") as file:
                    files[item.path] = hashlib.file_digest(file, hashlib.blake2b).digest()
            except OSError as error:
                raise LearnError(f"split: {item.path}: cannot be read: {error.strerror}") from None
        frame = item.frame.to_bytes(8, "little")
        marks.append(hashlib.blake2b(files[item.path] + frame, digest_size=16).hexdigest())
    return marks


def text(table: Sequence[Row]) -> str:
    """The file's content: the same rows give the same text."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(table)
    return sink.getvalue()


def digest(content: str) -> str:
    """64 hexadecimal digits: the SHA-256 of the file's content."""
    return hashlib.sha256(content.encode()).hexdigest()


def load(path: str | Path) -> tuple[dict[str, Row], str]:
    """The rows by id, and the file's SHA-256; LearnError, with its line, for a bad file."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise LearnError(f"{path}: is larger than a split file can be")
        content = path.read_bytes().decode()
    except OSError as error:
        raise LearnError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LearnError(f"{path}: is not UTF-8 text") from None
    reader = csv.reader(io.StringIO(content), strict=True)
    table: dict[str, Row] = {}
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise LearnError(f"{path} line 1: the columns must be {','.join(COLUMNS)}")
        for cells in reader:
            row = _row(f"{path} line {reader.line_num}", cells)
            if row.id in table:
                raise LearnError(f"{path} line {reader.line_num}: {row.id!r} stands there twice")
            table[row.id] = row
    except csv.Error as error:
        raise LearnError(f"{path} line {reader.line_num}: not valid CSV ({error})") from None
    return table, digest(content)


def parts(table: Mapping[str, Row], items: Sequence[Item]) -> list[str]:
    """The part of each image; LearnError unless all are in the table, as they were then."""
    found = []
    for item, mark in zip(items, content_hashes(items), strict=True):
        row = table.get(item.id)
        if row is None:
            raise LearnError(f"split: {item.id!r} is not in the split file")
        if row.content_hash != mark:
            raise LearnError(f"split: {item.id!r} is not the image that was divided: its content "
                             f"has another hash")  # fmt: skip
        if row.label != str(item.label):
            raise LearnError(
                f"split: {item.id!r} has label {str(item.label)!r}, but {row.label!r} when the "
                f"images were divided"
            )
        found.append(row.part)
    return found


def _row(where: str, cells: Sequence[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise LearnError(f"{where}: {len(cells)} values for {len(COLUMNS)} columns")
    row = Row(*cells)
    if row.part not in PARTS:
        raise LearnError(f"{where}: the part is {row.part!r}; allowed: {', '.join(PARTS)}")
    return row
