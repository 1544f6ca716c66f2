"""Features: named float32 columns, one row an image or region, and their Parquet file.

The file holds the column `id` and one float32 column a feature. What a column means (tag, unit,
family, parameters, version, ...) stands in that column's own metadata, where any Parquet reader
finds it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import whole
from .errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

ID = "id"


class FeaturesError(UserError):
    """Features that do not fit together, or a file that does not hold any."""


@dataclass(frozen=True, eq=False)
class Features:
    """A table of measurements.

    values  (n, f) float32; NaN where a feature is not defined
    names   f column names, unique, none empty and none "id"
    ids     n row names

    The array is held as a read-only view. Raises FeaturesError where these do not fit.
    """

    values: np.ndarray
    names: tuple[str, ...]
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        values = np.ascontiguousarray(self.values, np.float32).view()
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "ids", tuple(self.ids))
        if values.shape != (len(self.ids), len(self.names)):
            raise FeaturesError(
                f"features: values have the shape {values.shape}, but there are "
                f"{len(self.ids)} ids and {len(self.names)} names"
            )
        if twice := [name for name, times in Counter(self.names).items() if times > 1]:
            raise FeaturesError(f"features: the name {twice[0]!r} stands for {_many(twice)}")
        if "" in self.names or ID in self.names:
            raise FeaturesError(f'features: a column cannot be named "" or "{ID}"')

    @classmethod
    def join(cls, *parts: Features) -> Features:
        """The columns of all parts side by side; FeaturesError unless all have the same ids."""
        _at_least_one(parts, "join")
        for part in parts[1:]:
            if part.ids != parts[0].ids:
                raise FeaturesError(
                    "features: only parts with the same ids in the same order can be joined; "
                    + _first_difference(parts[0].ids, part.ids, "row")
                )
        names = tuple(name for part in parts for name in part.names)
        return cls(np.concatenate([part.values for part in parts], axis=1), names, parts[0].ids)

    @classmethod
    def concat(cls, parts: Iterable[Features]) -> Features:
        """The rows of all parts, one below the other; FeaturesError unless columns are equal."""
        parts = tuple(parts)
        _at_least_one(parts, "concat")
        for part in parts[1:]:
            if part.names != parts[0].names:
                raise FeaturesError(
                    "features: only parts with the same columns in the same order can be stacked; "
                    + _first_difference(parts[0].names, part.names, "column")
                )
        ids = tuple(name for part in parts for name in part.ids)
        return cls(np.concatenate([part.values for part in parts]), parts[0].names, ids)

    def select(self, names: Sequence[str]) -> Features:
        """These columns, in this order; FeaturesError names what is missing."""
        if tuple(names) == self.names:
            return self
        position = {name: index for index, name in enumerate(self.names)}
        if missing := [name for name in names if name not in position]:
            raise FeaturesError(
                f"features: {len(missing)} of {len(names)} needed columns are missing, "
                f"the first is {missing[0]!r}"
            )
        return Features(self.values[:, [position[name] for name in names]], tuple(names), self.ids)

    def rows(self, index: np.ndarray) -> Features:
        """The rows of an index or boolean array."""
        chosen = np.arange(len(self.ids))[index]
        return Features(self.values[chosen], self.names, tuple(self.ids[i] for i in chosen))

    def to_arrow(self, metadata: Mapping[str, Mapping[str, Any]] | None = None) -> pa.Table:
        """The table for pyarrow. `metadata` maps a column to its facts; text is kept as it is,
        everything else is written as JSON."""
        import pyarrow as pa

        facts = metadata or {}
        if strange := sorted(set(facts) - set(self.names)):
            raise FeaturesError(f"features: metadata for {strange[0]!r}, which is no column")
        fields = [pa.field(ID, pa.string(), nullable=False)]
        fields += [
            pa.field(name, pa.float32(), nullable=False, metadata=_as_text(facts.get(name, {})))
            for name in self.names
        ]
        columns = [pa.array(self.ids, pa.string())]
        columns += [pa.array(np.ascontiguousarray(column)) for column in self.values.T]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields))

    def to_parquet(
        self, path: str | Path, metadata: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Write the Parquet file, whole or not at all (a temporary file is moved into place)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(self.to_arrow(metadata), sink)
        whole.write(Path(path), sink.getvalue().to_pybytes())

    @classmethod
    def from_parquet(cls, path: str | Path) -> Features:
        """Read what `to_parquet` wrote; FeaturesError for any other file."""
        table = _read(path)
        names = [name for name in table.column_names if name != ID]
        values = np.empty((table.num_rows, len(names)), np.float32)
        for index, name in enumerate(names):
            values[:, index] = table.column(name).to_numpy()
        return cls(values, tuple(names), tuple(table.column(ID).to_pylist()))


def column_metadata(path: str | Path) -> dict[str, dict[str, str]]:
    """What a Parquet file of features says about each column, as text."""
    schema = _read(path).schema
    return {
        field.name: {key.decode(): value.decode() for key, value in (field.metadata or {}).items()
                     if not key.startswith(b"PARQUET:")}
        for field in schema
        if field.name != ID
    }  # fmt: skip


def _read(path: str | Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeaturesError(f"{path}: cannot be read as Parquet: {reason}") from None
    if ID not in table.column_names or table.schema.field(ID).type != pa.string():
        raise FeaturesError(f'{path}: has no text column "{ID}", so it holds no features')
    for field in table.schema:
        if field.name != ID and field.type != pa.float32():
            raise FeaturesError(f"{path}: column {field.name!r} is {field.type}, not float32")
        if table.column(field.name).null_count:
            raise FeaturesError(f"{path}: column {field.name!r} has nulls; a gap must be NaN")
    return table


def _as_text(facts: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in facts.items()
    }


def _at_least_one(parts: Sequence[Features], action: str) -> None:
    if not parts:
        raise FeaturesError(f"features: {action} needs at least one part")


def _first_difference(left: Sequence[str], right: Sequence[str], what: str) -> str:
    if len(left) != len(right):
        return f"one has {len(left)} {what}s, the other {len(right)}"
    index = next(i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b)
    return f"{what} {index} is {left[index]!r} in one and {right[index]!r} in the other"


def _many(names: Sequence[str]) -> str:
    others = f" (and {len(names) - 1} more such names)" if len(names) > 1 else ""
    return f"more than one column{others}"
