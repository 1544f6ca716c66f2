"""`medkern train`: labelled images -> one model file and a report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import say, show_json, show_table

METRICS = ("auc", "accuracy", "sensitivity", "specificity")


def train(
    data: Annotated[Path, typer.Argument(help="Folder, CSV manifest or .npz (MedMNIST layout).")],
    recipe: Annotated[str, typer.Option(help="Shipped recipe or the path of a .toml file.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.medkern"),
    labels: Annotated[str, typer.Option(help="'folder': each class has its folder.")] = "",
    models: Annotated[str, typer.Option(help="Comma list: cnn,svm,tree,forest,logistic.")] = "",
    epochs: Annotated[int, typer.Option(help="Of the network; 0: as the recipe says.")] = 0,
    seed: Annotated[int, typer.Option(help="-1: as the recipe says.")] = -1,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train a network and classical classifiers; thresholds come from validation images only.

    Beside the model file MODEL.medkern stands MODEL.html, the report.

    Example: medkern train xrays/ --labels folder --recipe chest-xray --out chest.medkern
    """
    from dataclasses import replace

    from ..learn import save
    from ..learn.train import train as fit
    from ..recipe import load_recipe
    from ._road import TrainingProgress, columns, find, labelled, prepare, summary_rows  # fmt: skip

    chosen = load_recipe(recipe)
    given: dict[str, Any] = {}
    if models:
        given["models"] = tuple(models.split(","))
    if epochs:
        given["epochs"] = epochs
    if seed >= 0:
        given["seed"] = seed
    settings = replace(chosen.training, **given)
    items = [
        item
        for item in labelled(find(data, labels), data)
        if (item.split or "").lower() not in ("test", "testing")  # the test part is never read here
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    prepared = prepare(items, chosen, device)
    with TrainingProgress() as progress:
        trained = fit(
            prepared.measured.pixels,
            chosen.layout.bits,
            prepared.measured.features if chosen.texture else None,
            **columns(prepared.items),
            settings=settings,
            recipe=chosen.text,
            progress=progress,
        )
    name = save(trained.model, out)
    page = write_report(out.with_suffix(".html"), data.name, name, chosen, prepared, trained)
    if json:
        show_json(
            {
                "model": str(out),
                "id": name,
                "report": str(page),
                "seconds": trained.model.training["seconds"],
                "rows": trained.model.training["rows"],
                "grouped": trained.split.grouped,
                "set_aside": len(prepared.rejects),
                "validation": trained.validation,
            }
        )
    else:
        show_table(
            "validation, 95 % intervals", ("model", *METRICS), summary_rows(trained.validation)
        )
        say(f"model {out}, report {page}")


def write_report(
    path: Path, data: str, name: str, recipe: Any, prepared: Any, trained: Any
) -> Path:
    """The page of a training: figures of the validation part, curves, split sizes."""
    import numpy as np

    from .. import whole
    from ..report import evaluation, evaluation_page
    from ._road import split_sizes

    model, rows = trained.model, trained.split.rows("val")
    truth = model.codes([str(prepared.items[row].label) for row in rows])
    features = prepared.measured.features.rows(rows) if model.heads else None
    probabilities = model.predict(prepared.measured.pixels[rows], features)
    history = model.training["history"] or {}
    curves = {
        "Loss of the network": {"training": "loss", "validation": "val_loss"},
        "AUC of the network": {"validation": "val_auc"},
    }
    epochs = list(range(1, len(history.get("loss", ())) + 1))
    report = evaluation(
        "Training report",
        f"{data}, validation part",
        recipe,
        model.labels,
        np.asarray(truth),
        probabilities,
        trained.validation,
        groups_known=trained.split.grouped,
        splits=split_sizes(model),
        training={
            title: {line: (epochs, list(history[key])) for line, key in lines.items()}
            for title, lines in curves.items()
        }
        if history
        else None,
        seconds={**prepared.measured.seconds, **model.training["seconds"]},
        model=name,
    )
    whole.write(path, evaluation_page(report).encode())
    return path
