"""What a command shows: results on standard output, progress and messages on standard error.

On a terminal progress is a bar with images/s and the time left; in a log it is a plain line every
tenth part. With `--json` standard output holds one JSON document and nothing else.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int], None]


def say(text: str) -> None:
    """One line for the person who watches."""
    print(text, file=sys.stderr, flush=True)


def show_json(document: Any) -> None:
    """The one JSON document of a `--json` command."""
    print(json.dumps(document, indent=2, allow_nan=False))


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table: drawn on a terminal, tab-separated in a pipe. Numbers are right-aligned."""
    cells = [[_text(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells) for i in range(len(columns))]
    if not sys.stdout.isatty():
        print(*columns, sep="\t")
        for row in cells:
            print(*row, sep="\t")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(column, justify="right" if right else "left")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@contextmanager
def progress(what: str, total: int, unit: str = "images") -> Iterator[Advance]:
    """`advance(k)` after every k items done."""
    if sys.stderr.isatty():
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        yield _Log(what, total, unit)


class _Log:
    """Progress as plain lines: after each tenth, with the rate and the time left."""

    def __init__(self, what: str, total: int, unit: str):
        self.what, self.total, self.unit = what, total, unit
        self.done, self.tenth, self.start = 0, 0, time.perf_counter()

    def __call__(self, count: int) -> None:
        self.done += count
        tenth = 10 * self.done // max(self.total, 1)
        if tenth > self.tenth:
            self.tenth = tenth
            seconds = max(time.perf_counter() - self.start, 1e-9)
            rate = self.done / seconds
            left = max(self.total - self.done, 0) / rate
            say(
                f"{self.what}: {self.done}/{self.total} {self.unit}, "
                f"{rate:.4g} {self.unit}/s, {left:.0f} s left"
            )


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.4g} {unit}/s" if task.speed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(what, total=total)
        yield lambda count: bars.advance(task, count)


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return "" if cell is None else str(cell)


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip("%") or "0")
    except ValueError:
        return False
    return True
