"""`medkern evaluate`: a model file and labelled images -> figures with intervals and a report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import say, show_json, show_table
from .train import METRICS


def evaluate(
    data: Annotated[Path, typer.Argument(help="Folder, CSV manifest or .npz (MedMNIST layout).")],
    model: Annotated[Path, typer.Option(help="The model file.")],
    split: Annotated[
        str, typer.Option(help="Part to evaluate where the data name parts: train, val or test.")
    ] = "test",
    labels: Annotated[str, typer.Option(help="'folder': each class has its folder.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Report to write; default: MODEL.SPLIT.html beside it.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Judge a model on labelled images it was not trained on.

    Thresholds are the model's own, chosen on validation images; nothing is fitted here. Images that
    its training used are told by their pixels and left out, unless you ask for that part by name.

    Example: medkern evaluate xrays.csv --model chest.medkern --split test
    """
    from ..learn import identity, load
    from ..learn.judge.metrics import result
    from ..recipe import parse
    from ._road import columns, find, labelled, prepare, summary_rows

    loaded = load(model)
    recipe = parse(loaded.recipe, f"recipe in {model.name}")
    items, name = choose(labelled(find(data, labels), data), split, data.name)
    prepared = prepare(items, recipe, device)
    if split not in ("train", "val"):
        prepared = unseen(prepared, loaded)
    known = columns(prepared.items)
    features = prepared.measured.features if loaded.heads else None
    probabilities = loaded.predict(prepared.measured.pixels, features)
    truth = loaded.codes(known["labels"])
    figures = [
        result(key, name, truth, p, loaded.thresholds.get(key), known["groups"])
        for key, p in probabilities.items()
    ]
    page = out or model.with_suffix(f".{split}.html")
    write_report(page, name, recipe, loaded, truth, probabilities, figures, known, prepared)
    if json:
        show_json({"model": identity(loaded), "data": name, "report": str(page), "rows": figures})
    else:
        show_table(f"{name}, 95 % intervals", ("model", *METRICS), summary_rows(figures))
        say(f"report {page}")


def unseen(prepared: Any, model: Any) -> Any:
    """Without the images that the model's training used."""
    import numpy as np

    from ..errors import UserError

    fresh = ~model.seen(prepared.measured.pixels)
    if fresh.all():
        return prepared
    if not fresh.any():
        raise UserError("all these images were used to train this model: they cannot judge it")
    say(f"{(~fresh).sum()} of {len(fresh)} images were used in training and are left out")
    return prepared.rows(np.flatnonzero(fresh))


def choose(items: list[Any], split: str, data: str) -> tuple[list[Any], str]:
    """The items of a part, and its name for people; all items where the data name no parts."""
    from ..errors import UserError

    parts = sorted({item.split for item in items if item.split})
    if not parts:
        return items, f"{data}, all images"
    chosen = [item for item in items if item.split == split]
    if not chosen:
        raise UserError(f"the data have no part {split!r}; they have: {', '.join(parts)}")
    return chosen, f"{data}, {split} part"


def write_report(
    path: Path,
    name: str,
    recipe: Any,
    model: Any,
    truth: Any,
    probabilities: Any,
    figures: Any,
    known: Any,
    prepared: Any,
    ceiling: dict[str, float] | None = None,
) -> None:
    """The page of an evaluation."""
    from .. import whole
    from ..learn import identity
    from ..report import evaluation, evaluation_page
    from ._road import split_sizes

    report = evaluation(
        "Evaluation report",
        name,
        recipe,
        model.labels,
        truth,
        probabilities,
        figures,
        groups_known=bool(known["groups"]) and all(known["groups"]),
        splits=split_sizes(model),
        ceiling=ceiling,
        seconds=prepared.measured.seconds,
        model=identity(model),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.write(path, evaluation_page(report).encode())
