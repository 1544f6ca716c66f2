"""The rows of a part: id, scores, decisions, novelty, features; those of its quarantine: id, code,
detail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..features import Features
from ..ingest import Item, Reject
from ..learn.judge.metrics import decide
from .reader import Reader, Reading

QUARANTINE = pa.schema([("id", pa.string()), ("code", pa.string()), ("detail", pa.string())])


class Rows(NamedTuple):
    """The rows of one batch; `reading` is what the model says, None where there is none."""

    features: Features
    reading: Reading | None


def manifest_hash(items: Sequence[Item]) -> str:
    """SHA-256 over the ids, in order, and the sizes of their files."""
    sizes: dict[Any, int] = {}
    digest = hashlib.sha256()
    for item in items:
        if item.path not in sizes:
            try:
                sizes[item.path] = item.path.stat().st_size
            except OSError:
                sizes[item.path] = -1  # `read` will say why
        digest.update(f"{item.id}\0{sizes[item.path]}\n".encode())
    return digest.hexdigest()


def account(chunk: Sequence[Item], found: Sequence[Rows], aside: Sequence[Reject]) -> None:
    """Every item has one row or one reason; anything else is an error of ours."""
    ended = [name for part in found for name in part.features.ids] + [r.id for r in aside]
    if sorted(ended) != sorted(item.id for item in chunk):
        raise AssertionError(f"{len(chunk)} items were read, {len(ended)} came back")


def join(
    parts: Sequence[Rows], features: Mapping[str, Mapping[str, str]], reader: Reader | None
) -> pa.Table:
    """One table of all rows; its columns do not depend on the rows.

    id; score.<head>.<class> and label.<head> of each of the model's heads, and set.<head>, the
    classes that cannot be ruled out (one alone: the head is sure); novelty and alien: how unlike
    the training images, and whether too unlike to be judged; then the features, each with its
    metadata. Several classes in one cell are divided by ";".
    """
    fields = [pa.field("id", pa.string())]
    columns: list[Any] = [[name for part in parts for name in part.features.ids]]
    if reader:
        found = [part.reading for part in parts if part.reading]
        for head in reader.names:
            fields += [pa.field(f"score.{head}.{label}", pa.float32()) for label in reader.labels]
            scores = _stacked([reading.scores[head] for reading in found], reader)
            columns += list(scores.T.astype(np.float32))
            fields.append(pa.field(f"label.{head}", pa.string()))
            columns.append(_decided(scores, head, reader))
            if head in reader.with_sets:
                fields.append(pa.field(f"set.{head}", pa.string()))
                sets = _stacked([reading.sets[head] for reading in found], reader)
                columns.append(_names(sets.astype(bool), reader.labels))
        novelty = np.concatenate([np.empty(0), *(reading.novelty for reading in found)])
        fields += [pa.field("novelty", pa.float32()), pa.field("alien", pa.bool_())]
        columns += [novelty.astype(np.float32), reader.alien(novelty)]
    values = np.concatenate([_rows(len(features)), *(part.features.values for part in parts)])
    fields += [
        pa.field(name, pa.float32(), metadata=dict(about)) for name, about in features.items()
    ]
    columns += list(values.T)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def quarantine(aside: Sequence[Reject]) -> pa.Table:
    """The items without a row and why."""
    return pa.Table.from_pylist(
        [{"id": r.id, "code": str(r.code), "detail": r.detail} for r in aside], QUARANTINE
    )


def _stacked(parts: Sequence[np.ndarray], reader: Reader) -> np.ndarray:
    return np.concatenate([_rows(len(reader.labels)), *parts])


def _decided(scores: np.ndarray, head: str, reader: Reader) -> list[str]:
    """The label of each row; several, or none, where labels are independent."""
    if reader.task == "labels":
        return _names(decide(scores, reader.threshold(head), "labels"), reader.labels)
    return [reader.labels[index] for index in decide(scores, reader.threshold(head))]


def _names(chosen: np.ndarray, labels: Sequence[str]) -> list[str]:
    """(n, k) bool -> "a;b" a row."""
    return [";".join(name for name, yes in zip(labels, row, strict=True) if yes) for row in chosen]


def _rows(columns: int) -> np.ndarray:
    """No rows of that many columns, so that a part without images has its columns too."""
    return np.empty((0, columns), np.float32)
