"""Features keep their columns apart, their rows in order, and survive their file."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from medkern.engine.features import Features, FeaturesError, column_metadata

NAMES = st.lists(st.text("abc.d_", min_size=1, max_size=8), unique=True, max_size=6)


def table(rows: int, names: str, start: float = 0) -> Features:
    values = start + np.arange(rows * len(names), dtype=np.float32).reshape(rows, len(names))
    return Features(values, tuple(names), tuple(f"image{row}" for row in range(rows)))


@settings(max_examples=40, deadline=None)
@given(NAMES, st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_the_file_gives_back_what_was_written(tmp_path_factory, names, rows, seed):
    values = np.random.default_rng(seed).normal(size=(rows, len(names))).astype(np.float32)
    values[values > 1.5] = np.nan
    before = Features(values, tuple(names), tuple(f"é/{row}#1" for row in range(rows)))
    path = tmp_path_factory.mktemp("parquet") / "f.parquet"
    before.to_parquet(path)
    after = Features.from_parquet(path)
    assert after.names == before.names
    assert after.ids == before.ids
    np.testing.assert_array_equal(after.values, before.values)
    assert after.values.dtype == np.float32


def test_any_parquet_reader_finds_what_a_column_means(tmp_path):
    facts = {"a": {"tag": "QWB0", "unit": "", "parameters": {"levels": 16}, "version": "1"}}
    table(2, "ab").to_parquet(tmp_path / "f.parquet", facts)
    field = pq.read_schema(tmp_path / "f.parquet").field("a")
    assert field.metadata[b"tag"] == b"QWB0"
    read = column_metadata(tmp_path / "f.parquet")
    assert read["a"] == {"tag": "QWB0", "unit": "", "parameters": '{"levels": 16}', "version": "1"}
    assert read["b"] == {}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "f.parquet"
    table(2, "ab").to_parquet(path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        table(3, "ab").to_parquet(path)
    assert [p.name for p in tmp_path.iterdir()] == ["f.parquet"]
    assert len(Features.from_parquet(path).ids) == 2


def test_join_puts_columns_side_by_side_and_concat_rows_below():
    joined = Features.join(table(2, "ab"), table(2, "c", start=9))
    assert joined.names == ("a", "b", "c")
    np.testing.assert_array_equal(joined.values, [[0, 1, 9], [2, 3, 10]])
    stacked = Features.concat([table(1, "ab"), table(2, "ab", start=5)])
    np.testing.assert_array_equal(stacked.values, [[0, 1], [5, 6], [7, 8]])
    assert stacked.ids == ("image0", "image0", "image1")


def test_select_and_rows_choose_by_name_and_by_mask():
    features = table(3, "abc")
    assert features.select(("c", "a")).values.tolist() == [[2, 0], [5, 3], [8, 6]]
    assert features.rows(np.array([True, False, True])).ids == ("image0", "image2")
    assert features.rows(np.array([2, 0])).values[:, 0].tolist() == [6, 0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Features(np.zeros((2, 2)), ("a", "a"), ("x", "y")), "'a' stands for more than"),
        (lambda: Features(np.zeros((2, 1)), ("a", "b"), ("x", "y")), r"shape \(2, 1\)"),
        (lambda: Features(np.zeros((1, 1)), ("id",), ("x",)), "cannot be named"),
        (lambda: Features.join(table(2, "a"), table(3, "b")), "one has 2 rows, the other 3"),
        (lambda: Features.join(table(2, "a"), table(2, "a")), "'a' stands for more than"),
        (lambda: Features.concat([table(2, "ab"), table(2, "ac")]), "column 1 is 'b' in one"),
        (lambda: Features.concat([]), "at least one part"),
        (lambda: table(2, "ab").select(("a", "z")), "1 of 2 needed columns .* 'z'"),
        (lambda: table(2, "ab").to_arrow({"z": {}}), "'z', which is no column"),
    ],
)
def test_what_does_not_fit_is_named(make, sentence):
    with pytest.raises(FeaturesError, match=sentence):
        make()


def test_values_cannot_be_changed_behind_the_names():
    features = table(2, "ab")
    with pytest.raises(ValueError, match="read-only"):
        features.values[0, 0] = 5


def write_text(path: Path) -> None:
    path.write_text("not a table")


def write_without_ids(path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1.0], pa.float32())}), path)


def write_doubles(path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"], "a": [1.0]}), path)


def write_nulls(path: Path) -> None:
    pq.write_table(pa.table({"id": ["x"], "a": pa.array([None], pa.float32())}), path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (write_text, "cannot be read as Parquet"),
        (write_without_ids, "holds no features"),
        (write_doubles, "'a' is double, not float32"),
        (write_nulls, "'a' has nulls"),
        (lambda path: None, "cannot be read"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, write, sentence):
    write(tmp_path / "f.parquet")
    with pytest.raises(FeaturesError, match=sentence) as caught:
        Features.from_parquet(tmp_path / "f.parquet")
    assert "\n" not in str(caught.value)
