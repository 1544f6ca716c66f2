"""`medkern export`: a model for runtimes that know no medkern."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import say, show_json, show_table


def export(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    onnx: Annotated[Path, typer.Option(help="ONNX file to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Images to compare on; without, random rows are taken.")
    ] = None,
    bound: Annotated[
        float, typer.Option(help="Largest difference of a probability that is accepted.")
    ] = 1e-4,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu: where the kernels run.")] = "auto",
    require_signature: Annotated[
        Path | None,
        typer.Option(help="File of trusted public keys, one of which must have signed."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write a model as ONNX, run it, and say how far its answers are from the model's own.

    From prepared pixels and measured features on, everything is inside; preparing the images by
    the recipe is not. A file whose answers differ by more than the bound is not written.

    Example: medkern export chest.medkern --onnx chest.onnx
    """
    from ..learn import identity, load
    from ..learn.export import export as write
    from ..recipe import parse
    from ._road import find, prepare

    loaded = load(model, keys=require_signature)
    pixels = features = None
    if data is not None:
        measured = prepare(find(data), parse(loaded.recipe, f"recipe in {model.name}"), device)
        pixels, features = measured.measured.pixels, measured.measured.features
    found = write(loaded, onnx, pixels, features, bound)
    if json:
        show_json({"model": identity(loaded), "file": str(onnx), "fidelity": found})
    else:
        rows = [(name, f["difference"], f["agreement"]) for name, f in found.items()]
        show_table("", ("model", "largest difference", "equal labels"), rows)
        say(f"wrote {onnx}")
