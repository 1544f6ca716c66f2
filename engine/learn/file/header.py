"""What the JSON text says and which arrays belong to it: version 2 of the schema.

    field        type and range
    format       "medkern model"
    version      2
    task         classes, ordinal or labels
    labels       2 .. 1000 class names, no two equal
    recipe       text of a recipe
    features     up to 100,000 names of columns, no two equal
    cnn          null, or every field of `Design`; arrays "cnn/..."
    heads        {name: kind}; arrays "NAME/..."; see `classical.heads` for kinds and checks
    inputs       {head: texture, deep or fused}, one for each head
    thresholds   {model: 0 .. 1}
    calibration  {model: temperature, 0.001 .. 1000}
    conformal    {model: {share of misses as text, above 0 and below 1: quantile 0 .. 1}}
    novelty      whether there is one; arrays "novelty/..."; see `judge.novelty`
    statistics   facts of the training part
    training     facts of the training: rows {part: {label: images}}, operating {model: {aim:
                 threshold}}, split: the hash of the split, grouped; arrays "seen/marks": the
                 images' fingerprints, 8 bytes each as two int32
    provenance   versions {library: text}, settings, time

A model is a name that `Model.names` knows. Statistics, training and provenance are facts for
people: only what the program reads of them is checked. Unknown fields are refused.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..classical.heads import Head, check
from ..errors import LearnError, ModelError
from ..model import MEAN, TOGETHER, Model, of_label
from ..settings import INPUTS, TASKS
from . import upgrade
from .container import Arrays
from .strict import parse, short

if TYPE_CHECKING:
    from ..cnn.network import Network
    from ..cnn.trained import Cnn, Design
    from ..judge.novelty import Novelty

FORMAT = "medkern model"
VERSION = 2
TEMPERATURES = (1e-3, 1e3)
FIELDS: dict[str, type | tuple[type, ...]] = {
    "format": str, "version": int, "task": str, "labels": list, "recipe": str, "features": list,
    "cnn": (dict, type(None)), "heads": dict, "inputs": dict, "thresholds": dict,
    "calibration": dict, "conformal": dict, "novelty": bool, "statistics": dict, "training": dict,
    "provenance": dict,
}  # fmt: skip
_NAME = "[A-Za-z0-9_.-]{1,100}"
_NOT_HEADS = ("cnn", "novelty", "seen", MEAN, TOGETHER)


def encode(model: Model) -> tuple[str, dict[str, np.ndarray]]:
    """The JSON text and the arrays of a model; ModelError where a number is not finite."""
    parts: dict[str, Mapping[str, np.ndarray]] = {
        name: head.arrays for name, head in model.heads.items()
    }
    if model.cnn:
        parts["cnn"] = model.cnn.arrays()
    if model.novelty:
        parts["novelty"] = model.novelty.arrays()
    training = dict(model.training)
    if marks := training.pop("seen", []):
        parts["seen"] = {"marks": _to_marks(marks)}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "task": model.task,
        "labels": model.labels,
        "recipe": model.recipe,
        "features": model.features,
        "cnn": dataclasses.asdict(model.cnn.design) if model.cnn else None,
        "heads": {name: head.kind for name, head in model.heads.items()},
        "inputs": {name: model.inputs.get(name, "texture") for name in model.heads},
        "thresholds": dict(model.thresholds),
        "calibration": dict(model.calibration),
        "conformal": {name: dict(rows) for name, rows in model.conformal.items()},
        "novelty": model.novelty is not None,
        "statistics": dict(model.statistics),
        "training": training,
        "provenance": dict(model.provenance),
    }
    arrays = {
        f"{owner}/{key}": np.ascontiguousarray(array)
        for owner, part in parts.items()
        for key, array in part.items()
    }
    try:
        return json.dumps(header, allow_nan=False), arrays
    except ValueError:
        raise ModelError("NaN or infinity among the model's facts or figures") from None


def decode(text: str, arrays: Arrays, network: Network | None = None) -> Model:
    """The inverse of `encode`; ModelError unless every field and array is as it must be.

    network    of a model whose architecture is "custom"; for no other
    """
    header = fields(text)
    labels = _names(header, "labels", least=2, most=1000)
    features = _names(header, "features", least=0, most=100_000)
    _one_of("task", header["task"], TASKS)
    parts = _parts(header, arrays)
    cnn = _cnn(header, parts["cnn"], network) if header["cnn"] is not None else None
    widths = _widths(len(features), cnn)
    training = dict(header["training"])
    if "seen" in parts:
        training["seen"] = _from_marks(parts["seen"])
    model = Model(
        labels=labels,
        recipe=header["recipe"],
        features=features,
        cnn=cnn,
        heads=_heads(header, parts, widths, len(labels)),
        thresholds=header["thresholds"],
        training=training,
        provenance=header["provenance"],
        task=header["task"],
        inputs=header["inputs"],
        calibration=header["calibration"],
        conformal=header["conformal"],
        novelty=_novelty(parts["novelty"], widths) if header["novelty"] else None,
        statistics=header["statistics"],
    )
    _check_choices(model)
    _check_facts(model)
    return model


def fields(text: str) -> dict[str, Any]:
    """The JSON text as a header of this version, every field of the right type."""
    header = parse(text)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError("is a safetensors file, but not one of medkern")
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ModelError(f"has format version {short(version)}, which never was")
    if version > VERSION:
        raise ModelError(
            f"has format version {version}; this medkern reads versions 1 .. {VERSION}: install a "
            f"newer medkern, or save the model again with this one"
        )
    if version == 1:
        header = upgrade.from_1(header)
    if unknown := sorted(set(header) - set(FIELDS)):
        raise ModelError(f"its header has the unknown fields {', '.join(map(short, unknown[:5]))}")
    for name, kind in FIELDS.items():
        if not isinstance(header.get(name, ...), kind):
            raise ModelError(f"its header field {name!r} is missing or of the wrong type")
    return header


def _parts(header: dict[str, Any], arrays: Arrays) -> dict[str, dict[str, np.ndarray]]:
    """The arrays by their owner; every owner is described, all that is described has arrays."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        owner, _, key = path.partition("/")
        parts.setdefault(owner, {})[key] = array
    described = set(header["heads"]) | {"seen"} & set(parts)
    described |= {name for name in ("cnn", "novelty") if header[name] not in (None, False)}
    if strange := sorted(set(parts) ^ described):
        raise ModelError(f"model {short(strange[0])!r} is described or has arrays, but not both")
    return parts


def _cnn(header: dict[str, Any], arrays: dict[str, np.ndarray], network: Network | None) -> Cnn:
    from ..cnn.trained import Cnn, Design  # brings JAX: only where there is a network

    described = header["cnn"]
    known = {field.name for field in dataclasses.fields(Design)}
    if odd := sorted(set(described) ^ known):
        state = "unknown" if odd[0] in described else "missing"
        raise ModelError(
            f"cnn: field {short(odd[0])!r} is {state}: "
            f"the description must have the fields {', '.join(sorted(known))}"
        )
    size = described["size"]
    if not isinstance(size, list) or not 2 <= len(size) <= 3:
        raise ModelError(f"cnn: size is {short(size)}; it must be two or three lengths")
    design = Design(**(described | {"size": tuple(size)}))
    if design.classes != (classes := len(header["labels"])):
        raise ModelError(f"cnn: has {design.classes} classes, but there are {classes} labels")
    if design.task != header["task"]:
        raise ModelError(f"cnn: its task is {design.task}, the model's {header['task']}")
    _check_size(design, arrays)
    try:
        return Cnn.from_arrays(design, arrays, network)
    except LearnError as error:
        raise ModelError(str(error)) from None


def _check_size(design: Design, arrays: Arrays) -> None:
    """The last stage's convolutions alone must fit into the arrays, before any shape is worked
    out: those of an absurd width would overflow."""
    from ..cnn.network import PLANS

    if plan := PLANS.get(design.architecture):
        channels = (design.width or plan.width) * 2 ** (plan.stages - 1)
        need = (2 * (design.blocks or plan.blocks) - 1) * 3**design.rank * channels**2
        there = sum(array.size for array in arrays.values())
        if need > there:
            raise ModelError(f"cnn: needs more than {need} weights, but has {there}")


def _widths(features: int, cnn: Cnn | None) -> dict[str, int]:
    """Columns of each input that the model has."""
    if cnn is None:
        return {"texture": features}
    if cnn.network is None:
        deep = cnn.params["dense"]["weight"].shape[0]
    else:
        channels = (3,) if cnn.design.channels == 3 else ()
        deep = cnn.features(np.empty((0, *cnn.design.size, *channels), np.uint8)).shape[1]
    return {"texture": features, "deep": deep, "fused": features + deep}


def _heads(
    header: dict[str, Any],
    parts: dict[str, dict[str, np.ndarray]],
    widths: dict[str, int],
    classes: int,
) -> dict[str, Head]:
    kinds, inputs = header["heads"], header["inputs"]
    if set(inputs) != set(kinds):
        raise ModelError("inputs must be named for every head, and for nothing else")
    labels = classes if header["task"] == "labels" else 0
    heads = {}
    for name, kind in kinds.items():
        base = _check_name(name, kinds, labels)
        if labels and inputs[name] != inputs[of_label(base, 0)]:
            raise ModelError(f"head {name!r}: all of {base!r} must see the same input")
        if not isinstance(kind, str):
            raise ModelError(f"head {name!r}: its kind is {short(kind)}, not a text")
        _one_of(f"input of {name!r}", inputs[name], INPUTS)
        if inputs[name] not in widths:
            raise ModelError(f"head {name!r} needs deep features, but there is no network")
        wide = widths[inputs[name]]
        heads[name] = check(name, kind, parts[name], wide, 2 if labels else classes)
    return heads


def _check_name(name: str, names: Collection[str], labels: int) -> str:
    """A head is called "svm" or "svm.deep"; of independent labels there is one for each:
    "svm[0]", "svm[1]", ... What stands before the bracket is returned."""
    base, _, label = name.partition("[")
    if not re.fullmatch(_NAME, base) or base.partition(".")[0] in _NOT_HEADS:
        raise ModelError(f"head {short(name)!r}: this name is not allowed")
    if (label != "") != (labels > 0):
        raise ModelError(f"head {short(name)!r}: a head a label, NAME[0], NAME[1], ..., belongs to "
                         f"task labels, and to no other")  # fmt: skip
    wanted = [of_label(base, k) for k in range(labels)] or [name]
    if name not in wanted or not set(wanted) <= set(names):
        raise ModelError(f"head {short(name)!r}: there must be one for each of {labels} labels")
    return base


def _novelty(arrays: dict[str, np.ndarray], widths: dict[str, int]) -> Novelty:
    from ..judge.novelty import Novelty

    novelty = Novelty.from_arrays(arrays)
    need = widths.get("deep", widths["texture"])
    if len(novelty.mean) != need:
        raise ModelError(f"novelty: is of {len(novelty.mean)} columns, the model has {need}")
    return novelty


def _names(header: Mapping[str, Any], field: str, least: int, most: int) -> tuple[str, ...]:
    names = header[field]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise ModelError(f"{field} must be texts, no two equal")
    if not least <= len(names) <= most:
        raise ModelError(f"there are {len(names)} {field}; allowed: {least} .. {most}")
    return tuple(names)


def _check_choices(model: Model) -> None:
    """Numbers that turn probabilities into decisions."""
    names = set(model.names)
    for name, value in model.thresholds.items():
        _of_a_model("threshold", name, value, names, 0, 1)
    for name, value in model.calibration.items():
        _of_a_model("temperature", name, value, names, *TEMPERATURES)
    for name, rows in model.conformal.items():
        if not isinstance(rows, dict) or len(rows) > 100 or not all(map(_is_share, rows)):
            raise ModelError(f"conformal: {short(rows)} of {short(name)!r}: it must be a quantile "
                             f"for each share of misses, '0.1' for 10 %")  # fmt: skip
        for value in rows.values():
            _of_a_model("conformal quantile", name, value, names, 0, 1)


def _of_a_model(
    what: str, name: str, value: Any, names: Collection[str], low: float, high: float
) -> None:
    if name not in names or type(value) is not float or not low <= value <= high:
        raise ModelError(f"{what} {short(value)} of {short(name)!r}: it must be {low} .. {high}, "
                         f"of a model here")  # fmt: skip


def _is_share(text: str) -> bool:
    try:
        return len(text) <= 20 and 0 < float(text) < 1
    except ValueError:
        return False


def _check_facts(model: Model) -> None:
    """What reports and later verbs read of the facts of the training."""
    training = model.training
    _check_marks(training.get("seen", []))
    if not _is_table(training.get("rows", {}), int):
        raise ModelError("training: rows must be numbers of images, by part and label")
    if not _is_table(training.get("operating", {}), float):
        raise ModelError("training: operating must be thresholds, by model and aim")
    if type(training.get("grouped", False)) is not bool:
        raise ModelError("training: grouped must be true or false")
    if not isinstance(training.get("split", ""), str):
        raise ModelError("training: split must be the hash of the split, a text")
    versions = model.provenance.get("versions", {})
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        raise ModelError("provenance: versions must be texts by the library's name")


def _is_table(value: Any, kind: type) -> bool:
    """{row: {column: a value of this very type}}."""
    return isinstance(value, dict) and all(
        isinstance(row, dict) and all(type(cell) is kind for cell in row.values())
        for row in value.values()
    )


def _one_of(what: str, value: Any, allowed: Collection[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise ModelError(f"{what} is {short(value)!r}; allowed: {', '.join(allowed)}")


def _check_marks(marks: Any) -> None:
    """Fingerprints are texts of 16 hexadecimal digits; see `learn.seen`."""
    if not isinstance(marks, list) or not all(
        isinstance(mark, str) and re.fullmatch("[0-9a-f]{16}", mark) for mark in marks
    ):
        raise ModelError("training: the fingerprints of the images seen must be 16 hex digits each")


def _to_marks(marks: Any) -> np.ndarray:
    """Fingerprints, 16 hexadecimal digits each -> (n, 2) int32."""
    _check_marks(marks)
    return np.frombuffer(bytes.fromhex("".join(marks)), "<i4").astype(np.int32).reshape(-1, 2)


def _from_marks(arrays: dict[str, np.ndarray]) -> list[str]:
    marks = arrays.get("marks")
    if len(arrays) != 1 or marks is None or marks.dtype != np.int32 or marks.shape[1:] != (2,):
        raise ModelError("seen: there must be one array, marks, int32 (n, 2)")
    text = marks.astype("<i4").tobytes().hex()
    return [text[start : start + 16] for start in range(0, len(text), 16)]
