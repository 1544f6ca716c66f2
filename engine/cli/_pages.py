"""A model and what it said of labelled images -> the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..learn import Model
    from ..recipe import Recipe

CURVES = {
    "Loss of the network": {"training": "loss", "validation": "val_loss"},
    "AUC of the network": {"validation": "val_auc"},
}


def write_page(
    path: Path,
    title: str,
    data: str,
    recipe: Recipe,
    model: Model,
    truth: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    figures: Sequence[Mapping[str, Any]],
    *,
    groups: Sequence[str | None] | None,
    groups_known: bool,
    seconds: Mapping[str, float],
    name: str,
    novelty: np.ndarray | None = None,
    subgroups: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ceiling: Mapping[str, float] | None = None,
    curves: bool = False,
    card_of: Path | None = None,
) -> Path:
    """Write the page, and the model card beside the model file `card_of`: MODEL.card.html and
    MODEL.card.md. For the other arguments see `report.evaluation`; curves: of the training."""
    from .. import whole
    from ..report import card, card_markdown, card_page, evaluation, evaluation_page, of_model
    from ._road import split_sizes

    alien = None if novelty is None or model.novelty is None else (novelty, model.novelty.limit)
    report = evaluation(
        title,
        data,
        recipe,
        model.labels,
        truth,
        probabilities,
        figures,
        groups_known=groups_known,
        splits=split_sizes(model),
        training=_curves(model) if curves else None,
        ceiling=ceiling,
        seconds=seconds,
        model=name,
        groups=groups,
        subgroups=subgroups,
        novelty=alien,
        **of_model(model),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.write(path, evaluation_page(report).encode())
    if card_of is not None:
        about = card(report)
        whole.write(card_of.with_suffix(".card.html"), card_page(about).encode())
        whole.write(card_of.with_suffix(".card.md"), card_markdown(about).encode())
    return path


def _curves(model: Model) -> dict[str, dict[str, tuple[Sequence[float], Sequence[float]]]]:
    """Figures of the network by epoch; none where there is no network."""
    history = model.training["history"]
    if not history:
        return {}
    epochs = list(range(1, len(history["loss"]) + 1))
    return {
        title: {line: (epochs, list(history[key])) for line, key in lines.items()}
        for title, lines in CURVES.items()
    }
