"""The model file: one safetensors file, all arrays in its body, one JSON text in its header.

Nothing in it is code. `load` trusts no part of it, and looks in this order: sizes before anything
is parsed (`container`), a SHA-256 over JSON and arrays against damage, the signature where there
is one (`signature`), then every field's type and range, and every array's name, dtype, shape and
values against what the described model needs (`header`). Any fault is a one-line `ModelError`.
`save` writes beside the target and moves into place: a reader sees a whole file or the old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ... import whole
from ..errors import ModelError
from ..model import Model
from . import container, header, signature
from .container import Content

if TYPE_CHECKING:
    from ..cnn.network import Network

SUFFIX = ".medkern"
_LONGEST = 500  # characters of a reason: a hostile file's own words may be in it


def save(model: Model, path: str | Path) -> str:
    """Write the file and return the model's identity.

    ModelError where `load` would refuse the file; OSError where writing fails. Nothing is left
    behind then.
    """
    content = Content(*header.encode(model))
    header.decode(content.text, content.arrays, model.cnn.network if model.cnn else None)
    whole.write(Path(path), container.pack(content))
    return content.digest[:16]


def load(path: str | Path, keys: str | Path | None = None, network: Network | None = None) -> Model:
    """The model of a file; ModelError, in one line, for anything but a whole, sound file.

    keys    a file of trusted public keys: the model must be signed with one of them. Without,
            unsigned files are taken too; a wrong signature never is
    network the functions of a network that is not one of ours, as in training; for no other model
    """
    path = Path(path)
    trusted = signature.trusted(Path(keys)) if keys is not None else None
    with _naming(path):
        content = container.read(path)
        signature.verify(content, trusted)
        return header.decode(content.text, content.arrays, network)


def identity(model: Model) -> str:
    """16 hexadecimal digits that stand for everything in the model."""
    return Content(*header.encode(model)).digest[:16]


def sign(path: str | Path, key: str | Path) -> str:
    """Sign a model file in place with a private key, and return the public key's line.

    The content's SHA-256 is compared first, so that no damage is signed; the model's identity
    stays. An earlier signature is replaced. ModelError for a bad file or key, OSError where
    writing fails.
    """
    path = Path(path)
    private = signature.private_key(Path(key))
    with _naming(path):
        content = container.read(path)
        header.fields(content.text)
    signed = replace(content, signature=signature.of(content, private))
    whole.write(path, container.pack(signed))
    return signature.public_line(private)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """The file's name before every fault, in one line that stays readable."""
    try:
        yield
    except ModelError as error:
        reason = " ".join(str(error)[:_LONGEST].split())
        raise ModelError(f"{path}: {reason}") from None
