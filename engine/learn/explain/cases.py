"""Images, a model and its training data -> what can be said of each image and of the model.

about = explain_images(model, pixels, features)       scores, maps, novelty, row by row
close = neighbours(model, rows, train, k)              the training images most like each
found = weigh(model, held_out, truth, groups)          what each family of columns is worth
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...features import Features
from ..errors import LearnError
from ..judge.metrics import decide
from ..model import Look, Model
from ..seen import fingerprints
from .importance import Importance, families, importance
from .nearest import even, nearest

if TYPE_CHECKING:
    from .integrated import Integrated  # brings JAX, which a model without a network does not need

BEST, SINGLE = 3, 10  # families whose columns are looked at one by one; columns that are told
ROWS = 1000  # held-out images that importance is measured on at most


class Rows(NamedTuple):
    """Images (n, h, w) as the recipe makes them, and their measured features."""

    pixels: np.ndarray
    features: Features | None


@dataclass(frozen=True, eq=False)
class Explained:
    """Of n images.

    scores      {model: (n, k)}
    decided     {model: (n,) class numbers}, by the model's threshold where it has one; of
                independent labels (n, k) bool
    classes     (n,) the class that the maps speak of
    gradcam     (n, h, w), None without a network; integrated likewise
    novelty     (n,) how unlike all training images, None where the model cannot tell
    seen        (n,) bool: the training used this very image
    """

    scores: Mapping[str, np.ndarray]
    decided: Mapping[str, np.ndarray]
    classes: np.ndarray
    gradcam: np.ndarray | None
    integrated: Integrated | None
    novelty: np.ndarray | None
    seen: np.ndarray


def explain_images(model: Model, rows: Rows, of: str | None = None, stage: int = -1) -> Explained:
    """All that a model lets one say of images. LearnError for an unknown class or stage.

    of     the class the maps speak of; None: of each image the one that the first model decides
           for, of independent labels the likeliest
    stage  of the network, whose map Grad-CAM shows: 0 (finest) .. -1 (coarsest)
    Cost: 200 predictions an image and more, for the integrated gradients.
    """
    look = model.look(rows.pixels)
    features = rows.features if model.heads or not model.cnn else None
    scores = model.predict(rows.pixels, features, look)
    decided = {
        name: decide(p, model.thresholds.get(name), model.task) for name, p in scores.items()
    }
    first = next(iter(scores))
    classes = scores[first].argmax(axis=1) if model.task == "labels" else decided[first]
    if of is not None:
        classes = np.full(len(rows.pixels), _number(model, of))
    gradcam = integrated = None
    if model.cnn:
        from . import gradcam as cam, integrated as gradients  # bring JAX

        gradcam = cam.gradcam(model.cnn, rows.pixels, classes, stage)
        integrated = gradients.integrated_gradients(model.cnn, rows.pixels, classes)
    novelty = model.novelty_of(rows.pixels, features, look)
    seen = model.seen(rows.pixels)
    return Explained(scores, decided, classes, gradcam, integrated, novelty, seen)


def neighbours(
    model: Model, rows: Rows, train: Rows, k: int = 3
) -> tuple[str, np.ndarray, np.ndarray]:
    """The space, and of each image the nearest training rows (n, k) and their distances (n, k).

    train  images that the training used, and no others: LearnError where one is not among them
    The space is that of the fused columns where a model sees them, else that of the network's
    features, else the measured ones. Fewer than k where there are fewer training rows.
    """
    if not model.seen(train.pixels).all():
        raise LearnError("nearest: an image is given as a training image that training did not use")
    taken = space(model)
    known, asked = (model.columns(taken, r.features, model.look(r.pixels)) for r in (train, rows))
    weights = None
    if taken == "fused":
        weights = even((len(model.features), known.shape[1] - len(model.features)))
    place = {mark: row for row, mark in enumerate(fingerprints(train.pixels))}
    same = np.array([place.get(mark, -1) for mark in fingerprints(rows.pixels)], np.intp)
    k = min(k, len(known) - bool((same >= 0).any()))
    return taken, *nearest(known, asked, k, weights, same)


def space(model: Model) -> str:
    """The input whose columns say what is alike: "fused", "deep" or "texture"."""
    if "fused" in model.inputs.values():
        return "fused"
    return "deep" if model.cnn else "texture"


def weigh(
    model: Model,
    held: Rows,
    truth: np.ndarray,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> tuple[str, list[Importance], list[Importance]] | None:
    """The classical model that is weighed, its families, and single columns of the best families.

    held  images that the training did not use: LearnError where one is among them
    The model is that of all classical ones on the fused columns, or else on the measured ones;
    None where there is neither. At most 1,000 images are used, drawn by `seed`.
    """
    taken = "fused" if "fused" in model.inputs.values() else "texture"
    heads = {n: h for n, h in model.heads.items() if model.inputs.get(n, "texture") == taken}
    if not heads:
        return None
    if model.seen(held.pixels).any():
        raise LearnError("importance: an image is among them that the training used")
    if len(truth) > ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(truth), ROWS, replace=False))
        features = None if held.features is None else held.features.rows(chosen)
        held, truth = Rows(held.pixels[chosen], features), truth[chosen]
        groups = None if groups is None else [groups[row] for row in chosen]
    values = model.columns(taken, held.features, model.look(held.pixels))
    measured = len(model.features)
    names = column_names(model, taken)
    alone = replace(model, cnn=None, heads=heads)
    name = alone.names[-1]  # their mean, where there are several

    def predict(values: np.ndarray) -> np.ndarray:
        ids = tuple(map(str, range(len(values))))
        features = Features(values[:, :measured], model.features, ids)
        return alone.predict(None, features, Look(None, values[:, measured:]))[name]

    owned = families(names)
    best = importance(predict, values, truth, owned, groups, seed=seed)
    columns = {names[i]: np.array([i]) for row in best[:BEST] for i in owned[row.name]}
    single = importance(predict, values, truth, columns, groups, repeats=3, seed=seed)
    return name, best, single[:SINGLE]


def column_names(model: Model, taken: str) -> list[str]:
    """Names of the columns of an input; those of the network are "deep.0", "deep.1", ..."""
    measured = [] if taken == "deep" else list(model.features)
    if taken == "texture":
        return measured
    widths = {len(h.arrays["mean"]) for n, h in model.heads.items() if model.inputs[n] == taken}
    return [*measured, *(f"deep.{i}" for i in range(min(widths) - len(measured)))]


def _number(model: Model, of: str) -> int:
    if of not in model.labels:
        raise LearnError(f"explain: {of!r} is no class of the model; it knows: "
                         f"{', '.join(model.labels)}")  # fmt: skip
    return model.labels.index(of)
