"""`medkern sign`: a name under a model file."""

from pathlib import Path
from typing import Annotated

import typer

from ._console import say, show_json


def sign(
    model: Annotated[Path, typer.Argument(help="The model file; signed in place.")],
    key: Annotated[Path, typer.Option(help="Private Ed25519 key, PEM; kept to yourself.")],
    new: Annotated[
        bool, typer.Option("--new", help="Make the key first: KEY, and KEY.pub for the others.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Sign a model file, so that others can know it is yours and unchanged.

    Whoever has your public key can ask for it: --require-signature KEY.pub. That file holds a line
    a key; put several together to trust several signers.

    Example: medkern sign chest.medkern --key ~/keys/me --new
    """
    from ..learn import identity, load
    from ..learn.file import sign as sign_file
    from ..learn.file.signature import new_key

    if new:
        public, _ = new_key(key)
        say(f"made {key}, which is secret, and {public}, which is for the others")
    line = sign_file(model, key)
    if json:
        show_json({"model": identity(load(model)), "file": str(model), "public": line})
    else:
        say(f"{model} is signed by {line}")
