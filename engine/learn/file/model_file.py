"""The model file: one safetensors file, all arrays in its body, one JSON text in its header.

Nothing in it is code. `load` trusts no part of it: sizes before anything is parsed, a SHA-256
over JSON and arrays against damage, every field's type, and every array's name, dtype, shape and
values against what the described model needs. Any fault is a one-line `ModelError`.
`save` writes beside the target and moves into place: a reader sees a whole file or the old one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from ... import whole
from ..classical.heads import check
from ..errors import ModelError
from ..model import Model

if TYPE_CHECKING:
    from ..cnn.trained import Cnn

FORMAT = "medkern model"
VERSION = 1
SUFFIX = ".medkern"
_DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32}
_LARGEST_HEADER = 16 << 20  # bytes
_LARGEST_FILE = 2 << 30
_MOST_ARRAYS = 4096
_FIELDS = {
    "format": str, "version": int, "labels": list, "recipe": str, "features": list,
    "cnn": (dict, type(None)), "heads": dict, "thresholds": dict, "training": dict,
    "provenance": dict,
}  # fmt: skip


def save(model: Model, path: str | Path) -> str:
    """Write the file and return the model's identity. OSError where that fails; then nothing
    is left behind."""
    text, arrays = encode(model)
    digest = _digest(text, arrays)
    content = to_safetensors(arrays, {"medkern": text, "sha256": digest})
    whole.write(Path(path), content)
    return digest[:16]


def load(path: str | Path) -> Model:
    """The model of a file; ModelError, in one line, for anything but a whole, sound file."""
    path = Path(path)
    try:
        text, digest, arrays = _read(path)
        header = _parse(text)
        if _digest(text, arrays) != digest:
            raise ModelError("its content does not match its SHA-256: the file is damaged")
        return decode(header, arrays)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def identity(model: Model) -> str:
    """16 hexadecimal digits that stand for everything in the model."""
    return _digest(*encode(model))[:16]


def encode(model: Model) -> tuple[str, dict[str, np.ndarray]]:
    """The JSON text and the arrays of a model."""
    arrays = {
        f"{name}/{key}": array
        for name, head in model.heads.items()
        for key, array in head.arrays.items()
    }
    if model.cnn:
        arrays |= {f"cnn/{key}": array for key, array in model.cnn.arrays().items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "labels": model.labels,
        "recipe": model.recipe,
        "features": model.features,
        "cnn": dataclasses.asdict(model.cnn.design) if model.cnn else None,
        "heads": {name: head.kind for name, head in model.heads.items()},
        "thresholds": dict(model.thresholds),
        "training": dict(model.training),
        "provenance": dict(model.provenance),
    }
    text = json.dumps(header, allow_nan=False)
    return text, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def decode(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Model:
    """The inverse of `encode` for a header whose fields have the right types."""
    labels = _names(header, "labels", least=2, most=1000)
    features = _names(header, "features", least=0, most=100_000)
    parts: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        owner, _, key = path.partition("/")
        parts.setdefault(owner, {})[key] = array
    described = set(header["heads"]) | ({"cnn"} if header["cnn"] is not None else set())
    if strange := sorted(set(parts) ^ described):
        raise ModelError(f"model {strange[0]!r} is described or has arrays, but not both")
    cnn = _cnn(header["cnn"], parts["cnn"], len(labels)) if header["cnn"] is not None else None
    heads = {
        name: check(name, kind, parts[name], len(features), len(labels))
        for name, kind in _kinds(header["heads"]).items()
    }
    model = Model(
        labels, header["recipe"], features, cnn, heads, header["thresholds"],
        header["training"], header["provenance"],
    )  # fmt: skip
    _check_thresholds(model)
    _check_rows(model.training.get("rows", {}))
    seen = model.training.get("seen", [])
    if not isinstance(seen, list) or not all(isinstance(mark, str) for mark in seen):
        raise ModelError("training: the fingerprints of the images seen must be texts")
    return model


def _read(path: Path) -> tuple[str, str, dict[str, np.ndarray]]:
    """JSON text, digest and arrays, after the sizes that could exhaust memory were checked."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None
    if not 8 < size <= _LARGEST_FILE or length > min(_LARGEST_HEADER, size - 8):
        raise ModelError("is not a model file, or is cut short")
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            names = list(file.keys())
            if "medkern" not in about or "sha256" not in about or len(names) > _MOST_ARRAYS:
                raise ModelError("is a safetensors file, but not one of medkern")
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _DTYPES:
                    raise ModelError(f"array {name!r} is {dtype}; allowed: {', '.join(_DTYPES)}")
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        reason = str(error).splitlines()[0]
        raise ModelError(f"is not a model file, or is damaged: {reason}") from None
    return about["medkern"], about["sha256"], arrays


def _parse(text: str) -> dict[str, Any]:
    """The header with every field's type checked; another version is refused first."""
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its header is not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError("is a safetensors file, but not one of medkern")
    if header.get("version") != VERSION:
        raise ModelError(
            f"has format version {header.get('version')!r}; this medkern reads version {VERSION}"
        )
    for name, kind in _FIELDS.items():
        if not isinstance(header.get(name, ...), kind):
            raise ModelError(f"its header field {name!r} is missing or of the wrong type")
    return header


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name} {array.dtype} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _cnn(described: dict[str, Any], arrays: dict[str, np.ndarray], classes: int) -> Cnn:
    from ..cnn.trained import Cnn, Design  # brings JAX: only where there is a network

    known = {field.name for field in dataclasses.fields(Design)}
    size: Any = described.get("size")
    if set(described) != known or not isinstance(size, list) or len(size) != 2:
        raise ModelError(f"cnn: the description must have the fields {', '.join(sorted(known))}")
    fields: dict[str, Any] = described | {"size": tuple(size)}
    design = Design(**fields)
    if design.classes != classes:
        raise ModelError(f"cnn: has {design.classes} classes, but there are {classes} labels")
    return Cnn.from_arrays(design, arrays)


def _kinds(heads: dict[str, Any]) -> dict[str, str]:
    for name, kind in heads.items():
        if not isinstance(kind, str) or name in ("cnn", "") or "/" in name:
            raise ModelError(f"head {name!r} of kind {kind!r} is not allowed")
    return heads


def _names(header: Mapping[str, Any], field: str, least: int, most: int) -> tuple[str, ...]:
    names = header[field]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ModelError(f"{field} must be texts, no two equal")
    if not least <= len(names) <= most:
        raise ModelError(f"there are {len(names)} {field}; allowed: {least} .. {most}")
    return tuple(names)


def _check_thresholds(model: Model) -> None:
    for name, value in model.thresholds.items():
        if name not in model.names or not isinstance(value, float) or not 0 <= value <= 1:
            raise ModelError(f"threshold {value!r} of {name!r}: it must be 0 .. 1, of a model here")


def _check_rows(rows: Any) -> None:
    """{part: {label: number of images}}, which reports add up."""
    parts = rows.values() if isinstance(rows, dict) else [None]
    for counts in parts:
        if not isinstance(counts, dict) or not all(type(n) is int for n in counts.values()):
            raise ModelError("training: rows must be numbers of images, by part and label")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")
