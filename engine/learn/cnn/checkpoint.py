"""A training on disk: everything it needs to go on exactly where it stood, in one file.

A checkpoint is a safetensors file: arrays, one JSON text, a SHA-256 over both; no code, no pickle.
It is written beside and moved into place, and the one before it stays: whenever the power goes,
a whole one is there. Which data and settings it belongs to stands in it, and it is used for
no other. One that is damaged is refused, not skipped over in silence: the message says which
file to remove to go on from the one before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ... import whole
from ..errors import LearnError, ModelError
from ..file import container, strict

FORMAT = "medkern training"
VERSION = 1
KEPT = 2  # checkpoints
_NAME = "training-{:09d}.safetensors"
_PATTERN = re.compile(r"training-\d{9,}\.safetensors")
_FIELDS = {"format": str, "version": int, "facts": dict, "about": dict}

Arrays = dict[str, np.ndarray]


def save(
    folder: Path, step: int, facts: Mapping[str, Any], about: Mapping[str, Any], arrays: Arrays
) -> None:
    """Write the checkpoint of this step, then remove all but the newest `KEPT`.

    facts  what the training is: those of `load` must be equal; about  where it stands. Both JSON.
    LearnError where the folder cannot be written to; the checkpoints there are untouched then.
    """
    header = {"format": FORMAT, "version": VERSION, "facts": facts, "about": about}
    content = container.Content(json.dumps(header, allow_nan=False), arrays)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        whole.write(folder / _NAME.format(step), container.pack(content))
        for old in _found(folder)[KEPT:]:
            old.unlink()
    except OSError as error:
        raise LearnError(
            f"cnn: no checkpoint can be written to {folder}: {error.strerror}"
        ) from None


def load(
    folder: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[Path, dict[str, Any], Arrays] | None:
    """The newest checkpoint, its `about` and its arrays; None where the folder has none.

    wanted  name -> anything with the shape and dtype that array must have
    LearnError for one that is damaged, of another version, or of a training with other facts.
    """
    files = _found(folder)
    if not files:
        return None
    path, *before = files
    try:
        content = container.read(path)
        header = _header(content.text)
        _same(header["facts"], json.loads(json.dumps(facts)))
        _fit(content.arrays, wanted)
    except ModelError as error:
        rest = f"go on from {before[0].name}" if before else "start anew"
        raise LearnError(f"cnn: the checkpoint {path} {error}; remove it to {rest}") from None
    return path, header["about"], dict(content.arrays)


def fingerprint(*arrays: np.ndarray) -> str:
    """64 hexadecimal digits for the shapes, types and values, read 1024 rows at a time."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        for start in range(0, len(array), 1024):
            digest.update(np.ascontiguousarray(array[start : start + 1024]).data)
    return digest.hexdigest()


def _found(folder: Path) -> list[Path]:
    """The checkpoints there, newest first."""
    if not folder.is_dir():
        return []
    names = [path for path in folder.iterdir() if _PATTERN.fullmatch(path.name)]
    return sorted(names, key=lambda path: int(re.sub(r"\D", "", path.name)), reverse=True)


def _header(text: str) -> dict[str, Any]:
    header = strict.parse(text)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError("is not one of a training")
    if header.get("version") != VERSION:
        raise ModelError(f"has version {strict.short(header.get('version'))}, not {VERSION}")
    for name, kind in _FIELDS.items():
        if not isinstance(header.get(name), kind):
            raise ModelError(f"lacks its field {name!r}")
    return header


def _same(have: Mapping[str, Any], need: Mapping[str, Any]) -> None:
    for name, value in need.items():
        other = have.get(name)
        if other == value:
            continue
        which = ""
        if isinstance(value, dict) and isinstance(other, dict):
            odd = sorted(key for key in {*value, *other} if value.get(key) != other.get(key))
            which = f" ({strict.short(', '.join(odd))})"
        raise ModelError(f"belongs to another training: different {name}{which}")


def _fit(arrays: Mapping[str, np.ndarray], wanted: Mapping[str, Any]) -> None:
    if strange := sorted({*arrays} ^ {*wanted}):
        state = "unknown" if strange[0] in arrays else "missing"
        raise ModelError(f"does not fit: array {strict.short(strange[0])!r} is {state}")
    for name, need in wanted.items():
        array = arrays[name]
        if array.dtype != need.dtype or array.shape != need.shape:
            raise ModelError(
                f"does not fit: array {name!r} is {array.dtype} {array.shape}, not "
                f"{need.dtype} {need.shape}"
            )
