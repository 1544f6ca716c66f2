"""What a model's scores rest on -> everything the explanation page shows, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..recipe import Recipe
from . import heat, render, svg
from .environment import environment
from .evaluation import STAMP, UNGROUPED, about_recipe
from .picture import data_uri
from .tree import tree_drawing

if TYPE_CHECKING:
    from ..learn import Model
    from ..learn.explain.cases import Explained
    from ..learn.explain.importance import Importance
    from ..learn.explain.tree import Node

SPACES = {
    "texture": "measured features",
    "deep": "last features of the network",
    "fused": "measured features and the last ones of the network",
}
ENLARGE = 168  # pixels of a picture's shorter side, at least
FULL = 99.5  # percentile of the magnitudes in an attribution map that has the full colour


def explanation(
    data: str,
    recipe: Recipe,
    model: Model,
    identity: str,
    ids: Sequence[str],
    labels: Sequence[str | None],
    about: Explained,
    *,
    stage: str = "last",
    nearest: Mapping[str, Any] | None = None,
    importance: Mapping[str, Any] | None = None,
    tree: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """The data of the page, ready for JSON; one entry of "images" for each row of `about`.

    stage       in words, of the network's map that Grad-CAM shows
    labels      true classes where they are known
    nearest     {"space", "rows": of each image [{"id", "label", "distance"}]}
    importance  {"model", "n", "groups", "families": rows, "columns": rows}, see `table`
    tree        {"model", "labels", "rules": lines, "n": images counted, or None}
    """
    images = [
        _image(row, name, labels[row], model, about)
        | {"nearest": nearest["rows"][row] if nearest else []}
        for row, name in enumerate(ids)
    ]
    return {
        "medkern": version("medkern"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "stamp": None if model.grouped else STAMP,
        "ungrouped": "" if model.grouped else UNGROUPED,
        "data": data,
        "model": identity,
        "n": len(images),
        "labels": list(model.labels),
        "positive": model.labels[1] if len(model.labels) == 2 else None,
        "has_maps": about.gradcam is not None,
        "stage": stage,
        "thresholds": dict(model.thresholds),
        "images": images,
        "novelty_limit": model.novelty.limit if model.novelty else None,
        "space": nearest["space"] if nearest else None,
        "space_words": SPACES[nearest["space"]] if nearest else "",
        "importance": dict(importance) if importance else None,
        "tree": dict(tree) if tree else None,
        "seconds": dict(seconds or {}),
        "recipe": about_recipe(recipe),
        "environment": environment(device),
    }


def table(rows: Sequence[Importance]) -> list[dict[str, Any]]:
    """Rows of importance, for JSON."""
    return [asdict(row) for row in rows]


def pictures(
    pixels: np.ndarray, bits: int, about: Explained, near: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Of each image its data URIs: "image", "gradcam", "integrated", "near" (of its neighbours).

    pixels (n, h, w) as the network saw them; near (n, k, h, w) likewise.
    """
    shown = []
    for row, image in enumerate(pixels):
        grey = image.astype(np.float64) / (2**bits - 1)
        found: dict[str, Any] = {"image": data_uri(image, bits, ENLARGE)}
        if about.gradcam is not None and about.integrated is not None:
            cam, parts = about.gradcam[row], about.integrated.maps[row]
            found["gradcam"] = heat.over(grey, _full(cam, 100), enlarge=ENLARGE)
            found["integrated"] = heat.over(grey, _full(parts, FULL), True, ENLARGE)
        found["near"] = [] if near is None else [data_uri(other, bits, 64) for other in near[row]]
        shown.append(found)
    return shown


def page(
    report: Mapping[str, Any],
    shown: Sequence[Mapping[str, Any]],
    root: Node | None = None,
    counts: np.ndarray | None = None,
) -> str:
    """The page: the data, the `pictures`, and the tree to draw."""
    legends = {"sequential": heat.legend(), "signed": heat.legend(both=True)}
    drawn = tree_drawing(root, report["tree"]["labels"], counts) if root else ""
    return render(
        "explain.html", "Explanations", report,
        pictures=shown, legends=legends, tree=drawn, whisker=whisker,
    )  # fmt: skip


def whisker(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Markup:
    """The drop and its interval on the scale of all rows, 0 marked."""
    low = min(0.0, *(other["low"] for other in rows))
    high = max(0.0, *(other["high"] for other in rows))
    span = max(high - low, 1e-9)

    def x(value: float) -> float:
        return 4 + 292 * (value - low) / span

    parts = (
        svg.line("mark", x(0), 0, x(0), 20),
        svg.line("axis", x(row["low"]), 10, x(row["high"]), 10),
        svg.box("f0", x(row["drop"]) - 3, 5, 6, 10, f"{row['drop']:+.3f}"),
    )
    return svg.drawing("drop and interval", 300, 20, parts, preserveAspectRatio="none")


def _image(
    row: int, name: str, label: str | None, model: Model, about: Explained
) -> dict[str, Any]:
    """What is said of one image, but for its neighbours."""
    found: dict[str, Any] = {
        "id": name,
        "label": label,
        "scores": {
            key: {
                "probabilities": dict(zip(model.labels, p[row].tolist(), strict=True)),
                "called": _called(about.decided[key][row], model.labels),
            }
            for key, p in about.scores.items()
        },
        "explained_class": model.labels[int(about.classes[row])],
        "seen_in_training": bool(about.seen[row]),
        "novelty": None,
        "gradcam_peak": None,
        "integrated": None,
    }
    if about.novelty is not None and model.novelty is not None:
        score = float(about.novelty[row])
        # an image without any usable value is infinitely novel, which JSON cannot say
        value = score if np.isfinite(score) else None
        found["novelty"] = {"score": value, "flagged": score > model.novelty.limit}
    if about.gradcam is not None and about.integrated is not None:
        found["gradcam_peak"] = float(about.gradcam[row].max())
        found["integrated"] = {
            "difference": float(about.integrated.difference[row]),
            "gap": float(about.integrated.gap[row]),
            "steps": int(about.integrated.steps[row]),
            "complete": bool(about.integrated.complete[row]),
        }
    return found


def _called(decided: np.ndarray, labels: Sequence[str]) -> list[str]:
    """The class, or of independent labels those that are called: any number of them."""
    chosen = np.flatnonzero(decided).tolist() if decided.ndim else [int(decided)]
    return [labels[k] for k in chosen]


def _full(values: np.ndarray, percentile: float) -> np.ndarray:
    """The map divided by that percentile of its magnitudes; an empty map stays 0."""
    top = float(np.percentile(np.abs(values), percentile))
    return values / top if top > 0 else np.zeros(values.shape)
