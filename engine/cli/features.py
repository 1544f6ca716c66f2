"""`medkern features`: measure images into a Parquet table, or list what can be measured."""

from pathlib import Path
from typing import Annotated

import typer

from . import _radiomics
from ._console import say, show_json, show_table


def features(
    source: Annotated[
        Path | None, typer.Argument(help="Folder, CSV manifest, .npz or one image.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Shipped recipe or the path of a .toml file.")] = "",
    preset: Annotated[
        str,
        typer.Option(
            help="With masks: ibsi, pyradiomics (scans), haralick, cellprofiler (cells), "
            "colour, lesion, tissue (colour pictures)."
        ),
    ] = "",
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks, named as the images; labels are regions.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="TOML that changes the preset: spacing, width, scales, ...")
    ] = None,
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")] = Path(
        "features.parquet"
    ),
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    list_: Annotated[bool, typer.Option("--list", help="List every feature and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure images, one row each, or the regions of volumes or images, one row a region.

    Example: medkern features scans/ --recipe ct --out features.parquet

    Example: medkern features scans/ --masks masks/ --preset ibsi --settings lung.toml

    Example: medkern features sites/ --masks cells/ --preset cellprofiler --out cells.parquet

    Example: medkern features photos/ --masks outlines/ --preset lesion
    """
    from ..errors import UserError

    if list_:
        return _list(json)
    if source is not None and preset:
        if recipe:
            raise UserError("--recipe and --preset exclude each other")
        return _radiomics.measure(source, masks, preset, settings, out, json)
    if source is None or not recipe:
        raise UserError("give images and --recipe, images with --masks and --preset, or --list")
    from ..recipe import load_recipe
    from ..stages import feature_metadata
    from ._road import find, prepare

    chosen = load_recipe(recipe)
    if not chosen.texture:
        raise UserError(f"recipe {chosen.name} has no [[texture]] step: it measures nothing")
    prepared = prepare(find(source), chosen, device)
    table = prepared.measured.features
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(out, feature_metadata(chosen))
    if json:
        show_json(
            {
                "features": str(out),
                "rows": len(table.ids),
                "columns": list(table.names),
                "set_aside": [
                    {"id": r.id, "code": r.code.value, "detail": r.detail} for r in prepared.rejects
                ],
                "stages": prepared.measured.seconds,
            }
        )
    else:
        say(f"{len(table.ids)} rows of {len(table.names)} features in {out}")


def _list(json: bool) -> None:
    from medkern.kernels import Measure, catalogue

    known: dict[tuple[str, str], dict[str, str]] = {}  # a kernel of all families has theirs again
    for kernel in catalogue().values():
        if isinstance(kernel, Measure) and kernel.family == "texture":
            columns = kernel.names(**kernel.resolve({}))
            for column, feature in zip(columns, kernel.features, strict=False):
                family = column.partition(".")[0]
                preset = "ibsi" if feature.tag else ""
                row = feature._asdict() | {"family": family, "preset": preset}
                known.setdefault((family, feature.name), row)
    rows = list(known.values())
    if json:
        show_json(rows)
    else:
        columns = ("tag", "name", "family", "unit", "formula", "preset")
        show_table("", columns, ([row[c] for c in columns] for row in rows))
