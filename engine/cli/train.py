"""`medkern train`: labelled images -> one model file, its split and a report."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import say, show_json, show_table


def train(
    data: Annotated[Path, typer.Argument(help="Folder, CSV manifest or .npz (MedMNIST layout).")],
    recipe: Annotated[str, typer.Option(help="Shipped recipe or the path of a .toml file.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.medkern"),
    labels: Annotated[str, typer.Option(help="'folder': each class has its folder.")] = "",
    models: Annotated[str, typer.Option(help="Comma list, e.g. cnn,svm,boosted.")] = "",
    inputs: Annotated[
        str,
        typer.Option(help="What the classical models see, e.g. texture,deep,fused (deep: cnn's)."),
    ] = "",
    task: Annotated[
        str, typer.Option(help="classes, ordinal (grades), or labels: 'a;b' in one cell.")
    ] = "",
    order: Annotated[
        str,
        typer.Option(help="Class names in order, e.g. none,mild,severe; positive last."),
    ] = "",
    groups: Annotated[
        str, typer.Option(help="auto, required (refuse images without a group) or none.")
    ] = "",
    split_file: Annotated[
        Path | None, typer.Option(help="Use this split, e.g. chest.split.csv of an earlier model.")
    ] = None,
    split_out: Annotated[
        Path | None, typer.Option(help="Where the split is written; default: MODEL.split.csv.")
    ] = None,
    folds: Annotated[
        int, typer.Option(help="Also cross-validate, e.g. 5; 0: do not. Groups stay whole.")
    ] = 0,
    leak: Annotated[
        bool, typer.Option("--leak", help="With --folds: also by image, to show what leaks so.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
    ] = False,
    epochs: Annotated[int, typer.Option(help="Of the network; 0: as the recipe says.")] = 0,
    seed: Annotated[int, typer.Option(help="-1: as the recipe says.")] = -1,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train a network and classical classifiers; thresholds come from validation images only.

    Images of one group (patient, plate) stay in one part; where no group is known, images that
    look the same do. Beside MODEL.medkern stand MODEL.html, the report, MODEL.card.html and .md,
    the model card, and MODEL.split.csv, which says in which part every image was.

    Example: medkern train xrays/ --labels folder --recipe chest-xray --out chest.medkern

    Example: medkern train cells.csv --recipe microscopy --inputs texture,deep,fused --folds 5
    """
    from ..learn import save
    from ..learn.train import train as fit
    from ..recipe import load_recipe
    from ._folds import cross_validated, show_folds
    from ._road import TrainingProgress, columns, find, labelled, prepare
    from ._tables import HEADINGS, by_input, input_rows, summary_rows

    chosen = load_recipe(recipe)
    settings = replace(chosen.training, **_given(models, inputs, task, order, groups, epochs, seed))
    everything = divided(labelled(find(data, labels), data), split_file)
    # the test part is never read here
    items = [item for item in everything if (item.split or "").lower() not in ("test", "testing")]
    out.parent.mkdir(parents=True, exist_ok=True)
    prepared = prepare(items, chosen, device)
    pixels, features = prepared.measured.pixels, prepared.measured.features
    road = (pixels, chosen.layout.bits, features if chosen.texture else None)
    folded = cross_validated(road, prepared.items, settings, folds, leak)
    kept = split_out or out.with_suffix(".split.csv")
    with checkpoints(out, resume) as folder, TrainingProgress() as progress:
        trained = fit(
            *road,
            **columns(prepared.items),
            settings=settings,
            recipe=chosen.text,
            progress=progress,
            folder=folder,
        )
        digest = write_split(kept, everything, prepared.items, trained.split.part)
        facts = {**trained.model.training, "split": digest} | ({"folds": folded} if folded else {})
        trained = replace(trained, model=replace(trained.model, training=facts))
        name = save(trained.model, out)
    page = write_report(out, data.name, name, chosen, prepared, trained)
    if json:
        show_json(
            {
                "model": str(out),
                "id": name,
                "report": str(page),
                "card": str(out.with_suffix(".card.html")),
                "split": {"file": str(kept), "sha256": digest},
                "seconds": trained.model.training["seconds"],
                "rows": trained.model.training["rows"],
                "grouped": trained.split.grouped,
                "groups": trained.split.groups,
                "set_aside": len(prepared.rejects),
                "concerns": trained.model.training["concerns"],
                "validation": trained.validation,
                "by_input": by_input(trained.validation),
                **({"folds": folded} if folded else {}),
            }
        )
        return
    show_table("validation, 95 % intervals", HEADINGS, summary_rows(trained.validation))
    if len(settings.inputs) > 1:
        rows = input_rows(trained.validation)
        show_table("validation AUC by input", ("model", *settings.inputs), rows)
    show_folds(folded)
    for sentence in trained.model.training["concerns"]:
        say(sentence)
    say(f"model {out}, report {page}, split {kept} ({WORDS[trained.split.groups]})")


WORDS = {
    "given": "groups known",
    "near-duplicates": "no groups known: images that look the same kept together",
    "none": "NO groups known: one patient's images may be on both sides",
}


def _given(
    models: str, inputs: str, task: str, order: str, groups: str, epochs: int, seed: int
) -> dict[str, Any]:
    """The settings that the command line names; the others are the recipe's."""
    lists = {"models": models, "inputs": inputs, "order": order}
    given: dict[str, Any] = {
        key: tuple(part.strip() for part in text.split(",")) for key, text in lists.items() if text
    }
    given |= {key: text for key, text in (("task", task), ("groups", groups)) if text}
    if epochs:
        given["epochs"] = epochs
    if seed >= 0:
        given["seed"] = seed
    return given


def divided(items: list[Any], split_file: Path | None) -> list[Any]:
    """The items with the parts of a split file, where there is one; it must fit them."""
    from ..learn import split_file as table

    if split_file is None:
        return items
    rows, _ = table.load(split_file)
    found = table.parts(rows, items)
    return [replace(item, split=part) for item, part in zip(items, found, strict=True)]


def write_split(path: Path, everything: list[Any], used: Any, parts: Any) -> str:
    """Write which part every image was in, those of a test part that was not read included; the
    file's SHA-256."""
    from .. import whole
    from ..learn import split_file as table

    part = {item.id: str(name) for item, name in zip(used, parts, strict=True)}
    part = {item.id: "test" for item in everything if item.split} | part
    known = [item for item in everything if item.id in part]
    content = table.text(table.rows(known, [part[item.id] for item in known]))
    whole.write(path, content.encode())
    return table.digest(content)


@contextmanager
def checkpoints(out: Path, resume: bool) -> Iterator[Path]:
    """The private folder beside the model file in which an interrupted network waits to be resumed;
    gone where all went well."""
    from ..errors import UserError

    folder = out.with_suffix(".checkpoints")
    if resume and not folder.is_dir():
        raise UserError(f"there is no interrupted training to resume: {folder} does not exist")
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


def write_report(out: Path, data: str, name: str, recipe: Any, prepared: Any, trained: Any) -> Path:
    """The page of a training and the model card beside the model file `out`: figures of the
    validation part, curves, split sizes."""
    from ._pages import write_page
    from ._road import columns

    model = trained.model
    held = prepared.rows(trained.split.rows("val"))
    features = held.measured.features if model.features else None
    look, known = model.look(held.measured.pixels), columns(held.items)
    return write_page(
        out.with_suffix(".html"),
        "Training report",
        f"{data}, validation part",
        recipe,
        model,
        model.codes(known["labels"]),
        model.predict(features=features, look=look),
        trained.validation,
        groups=known["groups"],
        groups_known=trained.split.grouped,
        seconds={**prepared.measured.seconds, **model.training["seconds"]},
        name=name,
        novelty=model.novelty_of(features=features, look=look),
        curves=True,
        card_of=out,
    )
