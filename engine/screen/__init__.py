"""Screening: a folder of images -> rows of scores and features, and a report; stop it anywhere.

    summary = screen(index(folder), out, model=model)          scores and features
    summary = screen(index(folder), out, recipe=recipe)        measures only

The items are cut into chunks, each chunk becomes one sealed part of the run's folder (`folder.py`
says how), and a run started again makes only what is missing. Every item ends as one row or as one
line of the quarantine, never both, never neither. Ids are paths relative to the input folder;
nothing of a file's header (names, dates, numbers of a patient) is written anywhere.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ahead import ahead
from ..batch import Batch
from ..clock import Clock
from ..ingest import Item, Layout, Reject, read
from ..recipe import Recipe, parse
from ..stages import Stages, in_order
from . import table
from .files import RunError as RunError
from .folder import Folder, Seal
from .reader import Reader
from .stop import Stop
from .summary import write_report

if TYPE_CHECKING:
    from ..learn import Model

BATCHES = 16  # a part holds up to this many batches: seconds of work, 0.1 s of writing


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    `seconds` and `stages` count all work in it, that of earlier starts too; `startup_seconds` is
    what this start spent before its first image, on compilation above all. `exit` is 0 where all
    items have rows and 3 where some were set aside.
    """

    run: str
    rows_in: int
    done: int
    quarantined: int
    seconds: float
    images_per_s: float
    startup_seconds: float
    stages: Mapping[str, float]
    reasons: Mapping[str, int]
    report: str
    exit: int

    def json(self) -> dict[str, Any]:
        return asdict(self)


def screen(
    items: Sequence[Item],
    out: str | Path,
    *,
    model: Model | None = None,
    recipe: Recipe | None = None,
    device: str = "auto",
    advance: Callable[[int], None] = lambda count: None,
    pictures: int = 6,
) -> Summary:
    """Screen the items into the folder `out`, or continue the run that it holds.

    Without `model` a `recipe` is needed, and images are measured only. With a model its own recipe
    is used. `advance(k)` is called after every k items. `pictures` images are shown in the report.

    Raises RunError where the folder holds another run or cannot be written, Stopped (the run can be
    continued) on SIGINT, SIGTERM and a full disk.
    """
    recipe = _recipe(model, recipe)
    stages = Stages(recipe, device)
    _refuse_twice(items)
    size = BATCHES * recipe.layout.batch
    reader = Reader(model) if model else None
    identity = {
        "recipe": recipe.hash,
        "model": reader.hash if reader else None,
        "manifest": table.manifest_hash(items),
        "medkern": version("medkern"),
        "device": stages.device,
        "part": size,
    }
    facts = {
        "recipe": recipe.text,
        "items": len(items),
        "ids": "paths relative to the input folder; #n is frame n of a file",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    startup = _warm(stages, reader)
    ids = [item.id for item in items]
    with Stop() as stop, Folder.opened(Path(out), identity, facts, ids) as folder:
        chunks = [items[first : first + size] for first in range(0, len(items), size)]
        seals = [folder.seal(number) for number in range(len(chunks))]
        advance(sum(seal.rows + seal.quarantined for seal in seals if seal))
        missing = [number for number, seal in enumerate(seals) if seal is None]
        decoded = ahead(_decoded([chunks[number] for number in missing], recipe.layout))
        with closing(decoded):
            for number in missing:
                part = _Part(chunks[number], stages, reader, advance)
                part.run(decoded, stop)
                seals[number] = part.commit(folder, number)
        done = [seal for seal in seals if seal]
        return _finish(folder, done, items, stages, reader, startup, pictures)


def _warm(stages: Stages, reader: Reader | None) -> float:
    """Compile everything on one black image; returns the seconds that took."""
    start = time.perf_counter()
    black = stages.warm()
    if reader:
        reader.read(black, Clock())
    return time.perf_counter() - start


def _decoded(
    chunks: Iterable[Sequence[Item]], layout: Layout
) -> Generator[Batch | list[Reject], None, None]:
    """The batches of each chunk, then the list of what it set aside."""
    for chunk in chunks:
        aside: list[Reject] = []
        yield from read(chunk, layout, aside.append)
        yield aside


class _Part:
    """One chunk on its way to a sealed part."""

    def __init__(
        self,
        chunk: Sequence[Item],
        stages: Stages,
        reader: Reader | None,
        advance: Callable[[int], None],
    ):
        self.chunk, self.stages, self.reader, self.advance = chunk, stages, reader, advance
        self.clock = Clock()
        self.start = time.perf_counter()
        self.rows: list[table.Rows] = []
        self.aside: list[Reject] = []

    def run(self, decoded: Iterator[Batch | list[Reject]], stop: Stop) -> None:
        """Take the chunk's batches, then its rejects, from `decoded`; Stopped if asked to stop."""
        for got in self.clock.timed("read", decoded):
            stop.check()
            if isinstance(got, list):
                self.aside = got
                self.advance(len(got))
                return table.account(self.chunk, self.rows, got)
            done = self.stages.run(got)
            self.clock.add(done.seconds)
            reading = self.reader.read(done, self.clock) if self.reader else None
            self.rows.append(table.Rows(done.features, reading))
            self.advance(got.count)
        raise AssertionError("the batches ended before the chunk did")

    def commit(self, folder: Folder, number: int) -> Seal:
        """Write and seal; the seal's own write is the one thing that its seconds leave out."""
        with self.clock("write"):
            found = table.join(self.rows, self.stages.columns, self.reader)
            left = table.quarantine(self.aside)
        return folder.commit(number, found, left, self.clock, self.start)


def _finish(
    folder: Folder,
    seals: Sequence[Seal],
    items: Sequence[Item],
    stages: Stages,
    reader: Reader | None,
    startup: float,
    pictures: int,
) -> Summary:
    done = sum(seal.rows for seal in seals)
    aside = sum(seal.quarantined for seal in seals)
    seconds = sum(seal.seconds for seal in seals)
    clock = Clock()
    for seal in seals:
        clock.add(seal.stages)
    speed = done / seconds if seconds else 0.0
    totals = {
        "rows_in": len(items),
        "done": done,
        "quarantined": aside,
        "seconds": seconds,
        "images_per_s": speed,
        "startup_seconds": startup,
        "stages": in_order(clock.seconds),
    }
    report = {"run": folder.root.name, **totals}
    reasons = write_report(folder, report, len(seals), items, stages, reader, pictures)
    return Summary(
        run=str(folder.root),
        rows_in=len(items),
        done=done,
        quarantined=aside,
        seconds=seconds,
        images_per_s=speed,
        startup_seconds=startup,
        stages=totals["stages"],
        reasons=reasons,
        report=str(folder.root / "report.html"),
        exit=3 if aside else 0,
    )


def _recipe(model: Model | None, recipe: Recipe | None) -> Recipe:
    """The model's recipe, or the one given where there is no model."""
    if model is None:
        if recipe is None:
            raise RunError("screening needs a model, or a recipe to measure by")
        return recipe
    trained = parse(model.recipe, "the model's recipe")
    if recipe is not None and recipe.hash != trained.hash:
        raise RunError(
            f"the model was trained with recipe {trained.name!r}, which prepares images in "
            f"another way than {recipe.name!r}; leave the recipe out"
        )
    return trained


def _refuse_twice(items: Sequence[Item]) -> None:
    if not items:
        raise RunError("there is nothing to screen: no items")
    twice = [name for name, n in Counter(item.id for item in items).items() if n > 1]
    if twice:
        raise RunError(f"id {twice[0]!r} stands twice in the input; ids must be unique")
