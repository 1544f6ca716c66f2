"""What several commands do: find the images, run the recipe's kernels, say what is odd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ._console import Advance, progress, say

if TYPE_CHECKING:
    from ..ingest import Item, Reject
    from ..learn import Model
    from ..recipe import Recipe
    from ..stages import Measured


@dataclass(frozen=True)
class Prepared:
    """The readable items in order, their pixels and features, and what was set aside."""

    items: Sequence[Item]
    measured: Measured
    rejects: Sequence[Reject]

    def rows(self, index: Any) -> Prepared:
        """These rows only."""
        measured = replace(
            self.measured,
            pixels=self.measured.pixels[index],
            features=self.measured.features.rows(index),
        )
        return replace(self, items=[self.items[row] for row in index], measured=measured)


def find(source: Path, labels: str | None = None) -> list[Item]:
    """The items of a source; an empty or absent one is the user's error."""
    from ..ingest import index

    return index(source, labels or None)


def prepare(items: Sequence[Item], recipe: Recipe, device: str) -> Prepared:
    """Read the items and run the recipe's kernels; unreadable ones are told and left aside."""
    from ..ingest import read
    from ..stages import Stages

    rejects: list[Reject] = []
    with progress("images", len(items)) as advance:
        batches = read(items, recipe.layout, rejects.append)
        measured = Stages(recipe, device).measure_all(batches, advance)
    by_id = {item.id: item for item in items}
    if rejects:
        say(f"{len(rejects)} of {len(items)} set aside: {reasons(rejects)}")
    if not measured.ids:
        raise UserError(f"none of the {len(items)} files is a readable image")
    return Prepared([by_id[name] for name in measured.ids], measured, rejects)


def reasons(rejects: Sequence[Reject]) -> str:
    """`3 not_an_image, 1 truncated`."""
    counts = Counter(reject.code.value for reject in rejects)
    return ", ".join(f"{count} {code}" for code, count in counts.most_common())


def labelled(items: Sequence[Item], source: Path) -> list[Item]:
    """The items that have a label; at least one must."""
    chosen = [item for item in items if item.label is not None]
    if not chosen:
        raise UserError(
            f"{source} brings no labels: give a CSV manifest (path,label,group,split), an .npz "
            "in MedMNIST layout, or --labels folder where each class has a folder of its own"
        )
    return chosen


def columns(items: Sequence[Item]) -> dict[str, Any]:
    """labels, groups and given split of labelled items, as training takes them."""
    return {
        "labels": [str(item.label) for item in items],
        "groups": [item.group for item in items],
        "given": [item.split for item in items],
    }


@dataclass
class TrainingProgress:
    """Shows one bar for each network that is trained, and one for the classical models."""

    stack: ExitStack = field(default_factory=ExitStack)
    model: str = ""
    done: int = 0
    advance: Advance = lambda count: None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.close()

    def __call__(self, model: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        network = model == "cnn"
        bar = "network" if network else "classical models"
        if bar != self.model or done < self.done:
            self.stack.close()
            unit = "images" if network else "models"
            self.advance = self.stack.enter_context(progress(bar, total, unit))
            self.model, self.done = bar, 0
        self.advance(done - self.done)
        self.done = done


def split_sizes(model: Model) -> list[dict[str, Any]]:
    """How many images of each label the model's training had in each part."""
    return [
        {"name": part, "n": sum(counts.values()), "groups": None, "labels": counts}
        for part, counts in model.training.get("rows", {}).items()
        if sum(counts.values())
    ]


def interval(metric: Mapping[str, float | None]) -> str:
    """A value with its 95 % interval."""
    if metric["value"] is None:
        return "not defined"
    if metric["low"] is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} ({metric['low']:.3f}-{metric['high']:.3f})"
