"""A model as one ONNX file, for runtimes that know no medkern: what it predicts, and no more.

    inputs   pixels    (n, h, w), (n, h, w, 3) or (n, d, h, w), uint8, uint16 above 8 bits, as the
                       recipe makes them; where there is a network
             features  (n, f) float32, the columns in the order of the metadata "features"; where a
                       classical model sees measured ones
    outputs  one a model, by its name: calibrated probabilities (n, k) float64

The scaling of pixels, the standardisation of features, the mean of the classical models and the
temperatures are inside; preparing images by the recipe is not: its text stands in the metadata,
with labels, thresholds, task and the model's identity.

ONNX is for export only, and never the truth: the file is run at once, and its answers are compared
with the model's own on given or random rows. Above a bound the file is not written. The extra
`onnx` brings what is needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import whole
from ...features import Features
from ..errors import ModelError
from ..file.model_file import identity
from ..judge.calibration import LEAST
from ..model import MEAN, TOGETHER, Model, of_label, title
from ..settings import INPUTS
from .graph import IR_VERSION, OPSETS, Graph
from .heads import add_head
from .network import add_cnn, pixel_type

if TYPE_CHECKING:
    from ..cnn.trained import Design

BOUND = 1e-4  # of the largest difference of a probability
ROWS = 256  # that fidelity is measured on, where none are given
LARGEST = (2 << 30) - (1 << 20)  # bytes; a protobuf message ends at 2 GiB

Fidelity = dict[str, dict[str, float]]


def export(
    model: Model,
    path: str | Path,
    pixels: np.ndarray | None = None,
    features: Features | None = None,
    bound: float = BOUND,
) -> Fidelity:
    """Write the ONNX file; {model: {"difference": max |dp|, "agreement": share of equal labels}}.

    pixels, features  rows to measure the fidelity on, as `Model.predict` takes them; without,
                      random ones: patches of any contrast, features spread as in training
    bound             of the difference, above which nothing is written

    The figures stand in the file's metadata "fidelity" too. Two causes of a difference are no
    faults, and call for a larger bound: a tree on the network's features sends a row the other way
    where float32 is rounded differently (a forest of 200 then differs by 1/200 or so); and on a
    GPU the model's own network computes in bfloat16.

    ModelError where a model has no ONNX form, differs by more than the bound, or is too large;
    OSError where writing fails.
    """
    _need_libraries()
    feed, features = _rows(model, pixels, features)
    made = build(model)
    found = compare(model, made, feed, features)
    worst = max(found, key=lambda name: found[name]["difference"])
    if not found[worst]["difference"] <= bound:
        raise ModelError(
            f"export: {worst!r} differs by {found[worst]['difference']:.2g} from the model, more "
            f"than the bound {bound:g}; give a larger bound to accept that"
        )
    _annotate(made, fidelity=json.dumps(found))
    whole.write(Path(path), made.SerializeToString(deterministic=True))
    return found


def build(model: Model) -> Any:
    """The ONNX model (a ModelProto) with metadata, checked by ONNX's own checker."""
    import onnx
    from onnx import helper

    graph, inputs = Graph(), []
    scores: dict[str, str] = {}
    columns: dict[str, str] = {}
    if _measured(model):
        inputs.append(_value("features", np.float32, len(model.features)))
        columns["texture"] = "features"
    if model.cnn:
        design = model.cnn.design
        sides = (*design.size, *((3,) if design.channels == 3 else ()))
        inputs.append(_value("pixels", pixel_type(design), *sides))
        p, columns["deep"] = add_cnn(graph, model.cnn, "pixels")
        scores["cnn"] = _softened(graph, model, "cnn", graph.cast(p, np.float64))
    if len(columns) == 2:
        columns["fused"] = graph("Concat", columns["texture"], columns["deep"], axis=1)
    for taken in INPUTS:
        _add_heads(graph, model, taken, columns, scores)
    if halves := model.halves():
        scores[TOGETHER] = _mean(graph, model, TOGETHER, [scores[name] for name in halves])
    for name in model.names:
        graph.nodes.append(helper.make_node("Identity", [scores[name]], [name]))
    outputs = [_value(name, np.float64, len(model.labels)) for name in model.names]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "medkern", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid(domain, n) for domain, n in OPSETS.items()],
        ir_version=IR_VERSION,
        producer_name="medkern",
        doc_string="For research use. Probabilities of each model, by its name.",
    )
    _annotate(
        made,
        identity=identity(model),
        task=model.task,
        labels=json.dumps(model.labels),
        features=json.dumps(model.features),
        thresholds=json.dumps(dict(model.thresholds)),
        recipe=model.recipe,
    )
    if made.ByteSize() > LARGEST:
        raise ModelError("export: the model is too large for one ONNX file (2 GiB)")
    onnx.checker.check_model(made, full_check=True)
    return made


def compare(model: Model, made: Any, feed: dict[str, np.ndarray], features: Any) -> Fidelity:
    """How the ONNX model's answers differ from the model's own on the same rows."""
    import onnxruntime

    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
    )
    theirs = session.run(list(model.names), feed)
    ours = model.predict(feed.get("pixels"), features)
    found: Fidelity = {}
    for name, p in zip(model.names, theirs, strict=True):
        both = [_called(q, model.task) for q in (np.asarray(p), ours[name])]
        found[name] = {
            "difference": float(np.abs(np.asarray(p) - ours[name]).max()),
            "agreement": float((both[0] == both[1]).mean()),
        }
    return found


def _add_heads(
    graph: Graph, model: Model, taken: str, columns: dict[str, str], scores: dict[str, str]
) -> None:
    """The classical models that see one input, and their mean; see `Model.predict`."""
    mean = title(MEAN, taken)
    members = [n for n in model.names if n not in ("cnn", mean) and _input(model, n) == taken]
    for name in members:
        if model.task == "labels":
            each = [model.heads[of_label(name, k)] for k in range(len(model.labels))]
            yes = [
                graph("Gather", add_head(graph, head, columns[taken]), graph.whole(1), axis=1)
                for head in each
            ]
            p = graph("Concat", *yes, axis=1)
        else:
            p = add_head(graph, model.heads[name], columns[taken])
        scores[name] = _softened(graph, model, name, p)
    if len(members) > 1:
        scores[mean] = _mean(graph, model, mean, [scores[name] for name in members])


def _mean(graph: Graph, model: Model, name: str, of: list[str]) -> str:
    total = graph("Sum", *of)
    return _softened(graph, model, name, graph("Div", total, graph.constant(float(len(of)))))


def _measured(model: Model) -> bool:
    """Whether any classical model sees measured columns."""
    return any(model.inputs.get(name, "texture") != "deep" for name in model.heads)


def _input(model: Model, name: str) -> str:
    """What a classical model, of one head or one a label, sees; "" for a mean."""
    head = name if model.task != "labels" else of_label(name, 0)
    return model.inputs.get(head, "texture") if head in model.heads else ""


def _softened(graph: Graph, model: Model, name: str, p: str) -> str:
    """See `judge.calibration.soften`."""
    temperature = model.calibration.get(name, 1.0)
    if temperature == 1.0:
        return p
    divisor, least = graph.constant(temperature), graph.constant(LEAST)
    yes = graph("Log", graph("Max", p, least))
    if model.task != "labels":
        return graph("Softmax", graph("Div", yes, divisor), axis=1)
    no = graph("Log", graph("Max", graph("Sub", graph.constant(1.0), p), least))
    return graph("Sigmoid", graph("Div", graph("Sub", yes, no), divisor))


def _rows(
    model: Model, pixels: np.ndarray | None, features: Features | None
) -> tuple[dict[str, np.ndarray], Features | None]:
    """What to compare on, as ONNX takes it and as the model does."""
    generator = np.random.default_rng(0)
    feed: dict[str, np.ndarray] = {}
    if model.cnn:
        design = model.cnn.design
        if pixels is None:
            n = ROWS if features is None else len(features.values)
            pixels = _random_pixels(design, n, generator)
        feed["pixels"] = pixels.astype(pixel_type(design))
    if _measured(model):
        if features is None:
            n = len(feed["pixels"]) if model.cnn else ROWS
            features = _random_features(model, n, generator)
        features = features.select(model.features)
        feed["features"] = features.values
    return feed, features


def _random_pixels(design: Design, n: int, generator: np.random.Generator) -> np.ndarray:
    """Patches, eight a side, of any contrast, with noise: mere noise looks all the same to a
    network."""
    x = generator.random((n, *(8,) * design.rank))
    for axis, side in enumerate(design.size, start=1):
        x = x.take(8 * np.arange(side) // side, axis)
    each = (n,) + (1,) * design.rank
    x = x * generator.random(each) + 0.2 * generator.random(each) * generator.random(x.shape)
    if design.channels == 3:
        x = x[..., None] * generator.random((n, *(1,) * design.rank, 3))
    return x.clip(0, 1) * (2**design.bits - 1)


def _random_features(model: Model, n: int, generator: np.random.Generator) -> Features:
    """Rows spread as in training, as a head remembers it; one value in fifty missing."""
    mean, scale = np.zeros(len(model.features)), np.ones(len(model.features))
    for name, head in model.heads.items():
        if model.inputs.get(name, "texture") == "texture":
            mean, scale = head.arrays["mean"], head.arrays["scale"]
            break
    values = mean + scale * generator.normal(size=(n, len(mean)))
    values[generator.random(values.shape) < 0.02] = np.nan
    ids = tuple(f"row {number}" for number in range(n))
    return Features(values.astype(np.float32), model.features, ids)


def _called(p: np.ndarray, task: str) -> np.ndarray:
    return p >= 0.5 if task == "labels" else p.argmax(axis=1)


def _value(name: str, dtype: Any, *shape: int) -> Any:
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, ["n", *shape])


def _annotate(made: Any, **texts: str) -> None:
    for name, text in texts.items():
        made.metadata_props.add(key=name, value=text)


def _need_libraries() -> None:
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise ModelError(
            "export: needs onnx and onnxruntime: pip install 'medkern[onnx]'"
        ) from None
    assert onnx and onnxruntime
