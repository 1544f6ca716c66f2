"""The outer shell of a model file: a safetensors file whose metadata hold one JSON text, the
SHA-256 over that text and all arrays, and perhaps a signature of that SHA-256.

Everything here happens before the JSON text is looked at. A file is read once, into memory, so
that what was checked is what is used, whatever happens to the file meanwhile. Sizes come first:
no array is made before its shape was held against the bytes there are, and none is empty, so that
no length in a checked file is larger than the file. Reading takes at most 3 times the file's size
and 192 MiB for the header's values.
"""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors, save as to_safetensors

from ..errors import ModelError
from . import strict

LARGEST_FILE = 2 << 30  # bytes
LARGEST_HEADER = 8 << 20
MOST_ARRAYS = 4096
MOST_AXES = 5  # of an array: the weights of a convolution over volumes
DTYPES = {"F32": 4, "F64": 8, "I32": 4}  # bytes a value

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Content:
    """JSON text and arrays, with the signature of both or ""."""

    text: str
    arrays: Arrays
    signature: str = ""

    @property
    def digest(self) -> str:
        """SHA-256, 64 hexadecimal digits, over text and arrays: names, types, shapes, values."""
        digest = hashlib.sha256(self.text.encode())
        for name in sorted(self.arrays):
            array = self.arrays[name]
            digest.update(f"\0{name} {array.dtype} {array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def pack(content: Content) -> bytes:
    """The file's bytes; ModelError where `unpack` would refuse them."""
    about = {"medkern": content.text, "sha256": content.digest}
    if content.signature:
        about["signature"] = content.signature
    raw = to_safetensors(dict(content.arrays), about)
    _framing(raw)
    return raw


def read(path: Path) -> Content:
    """A file's content, whole and undamaged; ModelError otherwise."""
    return unpack(_bytes(path))


def unpack(raw: bytes) -> Content:
    """The inverse of `pack`."""
    about = _framing(raw)
    try:
        arrays = from_safetensors(raw)
    except (SafetensorError, ValueError) as error:
        raise ModelError(
            f"is not a model file, or is damaged: {strict.short(str(error))}"
        ) from None
    content = Content(about["medkern"], arrays, about.get("signature", ""))
    if content.digest != about["sha256"]:
        raise ModelError("its content does not match its SHA-256: the file is damaged")
    return content


def _bytes(path: Path) -> bytes:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would wait, a device never end
            what = "is a directory" if stat.S_ISDIR(about.st_mode) else "is not a regular file"
            raise ModelError(what)
        if about.st_size > LARGEST_FILE:
            raise ModelError(f"is larger than {LARGEST_FILE >> 30} GiB")
        with path.open("rb") as file:
            return file.read(about.st_size)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None


def _framing(raw: bytes) -> dict[str, str]:
    """The metadata, after every array's type, shape and size was checked."""
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 10 or length > len(raw) - 8:
        raise ModelError("is not a model file, or is cut short")
    if length > LARGEST_HEADER:
        raise ModelError(f"its header is larger than {LARGEST_HEADER >> 20} MiB")
    try:
        header = strict.parse(raw[8 : 8 + length].decode())
    except UnicodeDecodeError:
        raise ModelError("is not a model file, or is damaged: its header is not text") from None
    about = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if (
        not isinstance(about, dict)
        or not {"medkern", "sha256"} <= set(about) <= {"medkern", "sha256", "signature"}
        or not all(isinstance(text, str) for text in about.values())
    ):
        raise ModelError("is a safetensors file, but not one of medkern")
    if len(header) > MOST_ARRAYS:
        raise ModelError(f"holds {len(header)} arrays; allowed: up to {MOST_ARRAYS}")
    for name, entry in header.items():
        _check_entry(strict.short(name), entry, len(raw) - 8 - length)
    return about


def _check_entry(name: str, entry: Any, size: int) -> None:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelError(f"array {name!r} is not described as safetensors does")
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelError(f"array {name!r} is {strict.short(dtype)}; allowed: {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > MOST_AXES or {type(n) for n in shape} - {int}:
        raise ModelError(f"array {name!r} must have up to {MOST_AXES} axes of whole length")
    if min(shape, default=1) < 1:
        raise ModelError(f"array {name!r} is empty")
    if math.prod(shape) * DTYPES[dtype] > size:
        raise ModelError(f"array {name!r} is larger than the file")
