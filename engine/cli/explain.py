"""`medkern explain`: a model file and images -> what the scores rest on, as a page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ._console import say, show_json


def explain(
    images: Annotated[Path, typer.Argument(help="Folder, CSV manifest or .npz (MedMNIST layout).")],
    model: Annotated[Path, typer.Option(help="The model file.")],
    out: Annotated[Path, typer.Option(help="Folder for explain.html and explain.json.")],
    data: Annotated[
        Path | None, typer.Option(help="The training data, for the nearest training images.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Part to explain where the images name parts.")
    ] = "test",
    labels: Annotated[str, typer.Option(help="'folder': each class has its folder.")] = "",
    count: Annotated[int, typer.Option(help="Images to show: sure ones and unsure ones.")] = 9,
    of: Annotated[str, typer.Option(help="Class the maps speak of; default: the one called.")] = "",
    stage: Annotated[int, typer.Option(help="Map of the network, 0 (finest) .. -1 (last).")] = -1,
    neighbours: Annotated[int, typer.Option(help="Training images beside each image.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show what a model's scores rest on: maps over the images, the worth of each family of
    features, the decision tree, the nearest training images.

    The worth of features is measured on labelled images that the training did not use. For
    research use: a map shows where a score comes from, not whether it is right.

    Example: medkern explain xrays.csv --model chest.medkern --out why/ --data xrays.csv
    """
    from json import dumps

    from .. import whole
    from ..errors import UserError
    from ..learn import identity, load
    from ..learn.explain.cases import explain_images
    from ..recipe import parse
    from ..report.explanation import explanation, page, pictures
    from ._road import find, prepare
    from .evaluate import choose

    if count < 1 or neighbours < 1:
        raise UserError("explain: --count and --neighbours must be 1 or more")
    loaded = load(model)
    recipe = parse(loaded.recipe, f"recipe in {model.name}")
    items, name = choose(find(images, labels), split, images.name)
    prepared = prepare(items, recipe, device)
    trained = prepare(find(data, labels), recipe, device) if data else None
    shown = prepared.rows(_picked(loaded, prepared, count))
    rows = _rows(shown)
    say(f"explaining {len(shown.items)} of {len(prepared.items)} images")
    about = explain_images(loaded, rows, of or None, stage)
    close, thumbnails = _nearest(loaded, rows, trained, neighbours)
    root, counts, tree = _tree(loaded, trained)
    report = explanation(
        name, recipe, loaded, identity(loaded),
        [item.id for item in shown.items], [item.label for item in shown.items], about,
        stage="last" if stage == -1 else f"stage {stage}",
        nearest=close, importance=_importance(loaded, prepared, trained), tree=tree,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    drawn = pictures(rows.pixels, recipe.layout.bits, about, thumbnails)
    whole.write(out / "explain.html", page(report, drawn, root, counts).encode())
    text = dumps(report, indent=2, allow_nan=False)
    whole.write(out / "explain.json", text.encode())
    if json:
        show_json(report)
    else:
        say(f"report {out / 'explain.html'}")


def _rows(prepared: Any) -> Any:
    from ..learn.explain.cases import Rows

    return Rows(prepared.measured.pixels, prepared.measured.features)


def _picked(model: Any, prepared: Any, count: int) -> Any:
    """Which images to show: a third each of the highest, the lowest and the least certain scores
    of the first model; all where there are no more than `count`."""
    import numpy as np

    rows = _rows(prepared)
    n = len(rows.pixels)
    if n <= count:
        return np.arange(n)
    name, scores = next(iter(model.predict(*rows).items()))
    score = scores[:, 1] if scores.shape[1] == 2 else scores.max(axis=1)
    border = model.thresholds.get(name, 0.5)
    picked: list[int] = []
    for key in (-score, score, np.abs(score - border)):
        fresh = [row for row in np.argsort(key, kind="stable").tolist() if row not in picked]
        picked += fresh[: -(-count // 3)]
    return np.array(picked[:count])


def _nearest(model: Any, rows: Any, trained: Any, k: int) -> tuple[dict[str, Any] | None, Any]:
    """The nearest training images of each image, for the page, and their pixels (n, k, h, w).

    Where the data name parts, those of the train part alone; else all that training used.
    """
    import numpy as np

    from ..errors import UserError
    from ..learn.explain.cases import neighbours

    if trained is None:
        return None, None
    part = [(item.split or "train").lower() in ("train", "training") for item in trained.items]
    used = np.flatnonzero(model.seen(trained.measured.pixels) & np.array(part))
    if len(used) < 2:
        raise UserError("--data holds no images that this model was trained on")
    known = trained.rows(used)
    space, index, distance = neighbours(model, rows, _rows(known), k)
    found = [
        [
            {"id": known.items[i].id, "label": known.items[i].label, "distance": float(d)}
            for i, d in zip(close, far, strict=True)
        ]
        for close, far in zip(index, distance, strict=True)
    ]
    return {"space": space, "rows": found}, known.measured.pixels[index]


def _importance(model: Any, *sources: Any) -> dict[str, Any] | None:
    """What the features are worth, on the first source that has labelled images of two classes
    that training did not use; None where there is none, or no classical model."""
    import numpy as np

    from ..learn.explain.cases import weigh
    from ..report.explanation import table
    from ._road import columns

    for source in sources:
        if source is None:
            continue
        labelled = np.array([item.label is not None for item in source.items])
        held = source.rows(np.flatnonzero(labelled & ~model.seen(source.measured.pixels)))
        known = columns(held.items)
        if len(set(known["labels"])) < 2:
            continue
        groups = known["groups"] if all(known["groups"]) else None
        found = weigh(model, _rows(held), model.codes(known["labels"]), groups)
        if found is None:
            return None
        name, families, single = found
        return {
            "model": name,
            "n": len(held.items),
            "groups": len(set(groups)) if groups else None,
            "families": table(families),
            "columns": table(single),
        }
    return None


def _tree(model: Any, trained: Any) -> tuple[Any, Any, dict[str, Any] | None]:
    """The model's decision tree, how many training images come by its nodes, and its rules."""
    import numpy as np

    from ..learn.explain import tree
    from ..learn.explain.cases import column_names

    name = next((name for name in model.heads if name.partition("[")[0].startswith("tree")), None)
    if name is None:
        return None, None, None
    head, taken = model.heads[name], model.inputs.get(name, "texture")
    labels = list(model.labels)
    if model.task == "labels":  # a tree of its own for each label, of which this is the first
        labels = [f"not {model.labels[0]}", model.labels[0]]
    root = tree.read(head, column_names(model, taken))
    counts, n = None, None
    if trained is not None:
        labelled = np.array([item.label is not None for item in trained.items])
        known = trained.rows(np.flatnonzero(labelled & model.seen(trained.measured.pixels)))
        truth, n = model.codes([item.label for item in known.items]), len(known.items)
        truth = truth[:, 0].astype(np.intp) if truth.ndim == 2 else truth
        rows = _rows(known)
        values = model.columns(taken, rows.features, model.look(rows.pixels))
        counts = tree.counts(head, values, truth)
    return (
        root,
        counts,
        {"model": name, "n": n, "labels": labels, "rules": tree.rules(root, labels)},
    )
