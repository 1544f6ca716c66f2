"""`medkern screen`: a folder of images -> scores, features and a report. The main job."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import progress, say, show_json, show_table


def screen(
    folder: Annotated[Path, typer.Argument(help="Images of any kind, in any sub-folders.")],
    out: Annotated[Path, typer.Option(help="The run's folder; one that exists is continued.")],
    model: Annotated[
        Path | None, typer.Option(help="Model file; without one the images are measured only.")
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe to measure with, where there is no model.")
    ] = "",
    require_signature: Annotated[
        Path | None, typer.Option(help="Trusted public keys: refuse a model none of them signed.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Read every image, clean and measure it, score it with the network and the classical models.

    Results are written part by part: stop it, or lose power, and the same command continues. What
    cannot be read is set aside with its reason, and the exit code is then 3.

    Example: medkern screen scans/ --model chest.medkern --out run/
    """
    from ..errors import UserError
    from ..learn import load
    from ..recipe import load_recipe
    from ..screen import screen as run
    from ._road import find

    if (model is None) == (not recipe):
        raise UserError("give either --model, which brings its recipe, or --recipe to measure only")
    loaded = load(model, require_signature) if model else None
    chosen = load_recipe(recipe) if recipe else None
    items = find(folder)
    with progress("screening", len(items)) as advance:
        summary = run(items, out, model=loaded, recipe=chosen, device=device, advance=advance)
    if json:
        show_json(summary.json())
    else:
        total = sum(summary.stages.values()) or 1.0
        show_table(
            "",
            ("stage", "seconds", "share"),
            [(name, s, f"{100 * s / total:.0f}%") for name, s in summary.stages.items()],
        )
        if summary.reasons:
            rows = sorted(summary.reasons.items(), key=lambda row: -row[1])
            show_table("set aside", ("reason", "files"), rows)
        say(
            f"{summary.done} of {summary.rows_in} images in {summary.seconds:.1f} s "
            f"({summary.images_per_s:.4g} images/s), {summary.quarantined} set aside"
        )
        say(f"report {summary.report}")
    raise typer.Exit(summary.exit)
