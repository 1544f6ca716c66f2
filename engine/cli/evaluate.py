"""`medkern evaluate`: a model file and labelled images -> figures with intervals and a report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import say, show_json, show_table


def evaluate(
    data: Annotated[Path, typer.Argument(help="Folder, CSV manifest or .npz (MedMNIST layout).")],
    model: Annotated[Path, typer.Option(help="The model file.")],
    split: Annotated[
        str, typer.Option(help="Part to evaluate where parts are known: train, val or test.")
    ] = "test",
    split_file: Annotated[
        Path | None, typer.Option(help="The split of the training, e.g. chest.split.csv; checked.")
    ] = None,
    subgroups: Annotated[
        Path | None, typer.Option(help="CSV path,sex,site,...: figures for each value of each.")
    ] = None,
    require_signature: Annotated[
        Path | None, typer.Option(help="Trusted public keys: refuse a model none of them signed.")
    ] = None,
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
    Beside the model file the model card is written anew, with these figures.

    Example: medkern evaluate xrays.csv --model chest.medkern --split test

    Example: medkern evaluate xrays/ --labels folder --model chest.medkern --split-file
    chest.split.csv --subgroups patients.csv
    """
    from ..learn import identity, load
    from ..learn.judge.metrics import result
    from ..recipe import parse
    from ._road import columns, find, labelled, prepare
    from ._subgroups import read, rows_of, show
    from ._tables import HEADINGS, by_input, summary_rows

    loaded = load(model, require_signature)
    recipe = parse(loaded.recipe, f"recipe in {model.name}")
    known_items = labelled(find(data, labels), data)
    if split_file is not None:
        known_items = as_divided(known_items, split_file, loaded)
    items, name = choose(known_items, split, data.name)
    about = read(subgroups, items) if subgroups else {}
    prepared = prepare(items, recipe, device)
    if split not in ("train", "val"):
        prepared = unseen(prepared, loaded)
    known = columns(prepared.items)
    features = prepared.measured.features if loaded.features else None
    look = loaded.look(prepared.measured.pixels)
    probabilities = loaded.predict(features=features, look=look)
    strange = loaded.novelty_of(features=features, look=look)
    truth = loaded.codes(known["labels"])
    figures = [
        result(
            key, name, truth, p, loaded.thresholds.get(key), known["groups"],
            task=loaded.task, labels=loaded.labels,
        )
        for key, p in probabilities.items()
    ]  # fmt: skip
    parts = rows_of(about, prepared.items, loaded, truth, probabilities, known["groups"])
    page = out or model.with_suffix(f".{split}.html")
    write_report(
        page, name, recipe, loaded, truth, probabilities, figures, known, prepared,
        novelty=strange, subgroups=parts, card_of=model,
    )  # fmt: skip
    limit = loaded.novelty.limit if loaded.novelty else None
    alien = None if strange is None else int((strange > limit).sum())
    if json:
        document = {"model": identity(loaded), "data": name, "report": str(page), "rows": figures}
        document |= {"by_input": by_input(figures), "alien": alien, "subgroups": parts}
        show_json(document)
        return
    show_table(f"{name}, 95 % intervals", HEADINGS, summary_rows(figures))
    show(parts)
    if alien:
        say(f"{alien} of {len(prepared.items)} images are unlike all that the model was trained on")
    say(f"report {page}")


def as_divided(items: list[Any], split_file: Path, model: Any) -> list[Any]:
    """The items with the parts of the split that the model was trained with."""
    from ..errors import UserError
    from ..learn import split_file as table
    from .train import divided

    digest = table.load(split_file)[1]
    if digest != (kept := model.training.get("split")):
        reason = "is not the one that the model was trained with" if kept else (
            "cannot be checked: the model keeps no hash of a split"
        )  # fmt: skip
        raise UserError(f"{split_file}: {reason}")
    return divided(items, split_file)


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
    novelty: Any = None,
    subgroups: Any = None,
    card_of: Path | None = None,
) -> None:
    """The page of an evaluation, and the model card beside the model file `card_of`."""
    from ..learn import identity
    from ._pages import write_page

    write_page(
        path,
        "Evaluation report",
        name,
        recipe,
        model,
        truth,
        probabilities,
        figures,
        groups=known["groups"],
        groups_known=bool(known["groups"]) and all(known["groups"]),
        seconds=prepared.measured.seconds,
        name=identity(model),
        novelty=novelty,
        subgroups=subgroups,
        ceiling=ceiling,
        card_of=card_of,
    )
