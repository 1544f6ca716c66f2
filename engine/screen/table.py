"""The rows of a part: id, scores, decision, features; and of its quarantine: id, code, detail."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ..features import Features
from ..ingest import Item, Reject
from ..learn.judge.metrics import decide
from .reader import Reader

QUARANTINE = pa.schema([("id", pa.string()), ("code", pa.string()), ("detail", pa.string())])


class Rows(NamedTuple):
    """The rows of one batch."""

    features: Features
    scores: Mapping[str, np.ndarray]  # (rows, classes) by model


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

    id; score.<head>.<class> and label.<head> of each of the model's heads; then the features, each
    with its metadata.
    """
    fields = [pa.field("id", pa.string())]
    columns: list[Any] = [[name for part in parts for name in part.features.ids]]
    if reader:
        for head in reader.names:
            scores = np.concatenate([_rows(len(reader.labels)), *(p.scores[head] for p in parts)])
            fields += [pa.field(f"score.{head}.{label}", pa.float32()) for label in reader.labels]
            columns += list(scores.T.astype(np.float32))
            decided = decide(scores, reader.threshold(head))
            fields.append(pa.field(f"label.{head}", pa.string()))
            columns.append([reader.labels[index] for index in decided])
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


def _rows(columns: int) -> np.ndarray:
    """No rows of that many columns, so that a part without images has its columns too."""
    return np.empty((0, columns), np.float32)
