"""Networks and classical models, fitted on one part of the data; another part only chooses.

    network on `fitted`, its epoch chosen on `held` -> its features of `fitted`
    -> each classical model on each input of `fitted`
    -> temperatures, thresholds, conformal quantiles, the limit of novelty from `held`

Nothing here knows a test part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .adjust import adjusted
from .classical.heads import Head
from .classical.warn import concerns
from .cohort import Cohort
from .model import Look, Model, of_label, title
from .settings import Progress, Settings

if TYPE_CHECKING:
    from .cnn.network import Network


@dataclass
class Log:
    """What a fit leaves behind beside the model: seconds by model, the network's history, the
    hyper-parameters chosen, and what a reader of the figures must know."""

    seconds: dict[str, float] = field(default_factory=dict)
    history: dict[str, Any] | None = None
    concerns: list[str] = field(default_factory=list)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begun


def fit_bundle(
    fitted: Cohort,
    held: Cohort,
    names: tuple[str, ...],
    settings: Settings,
    recipe: str = "",
    progress: Progress = lambda model, done, total, figures: None,
    folder: Path | None = None,
    network: Network | None = None,
) -> tuple[Model, Log]:
    """The model that `settings` describes, without facts of the training.

    fitted, held  the train and the val part; every class stands in both
    folder        where the network keeps its checkpoints; an interrupted fit goes on from there
    network       a network of one's own
    """
    log, cnn = Log(), None
    if "cnn" in settings.models:
        from .cnn import fit  # brings JAX and optax

        assert fitted.pixels is not None and held.pixels is not None
        train, val = (fitted.pixels, fitted.truth), (held.pixels, held.truth)
        with log.timed("cnn"):
            cnn, history = fit.fit(
                train, val, fitted.bits, len(names), settings, progress, folder, network
            )
        log.history = asdict(history)
        log.concerns += [f"cnn: {note}." for note in history.notes]
    measured = fitted.features.names if fitted.features is not None else ()
    model = Model(names, recipe, measured, cnn, {}, {}, task=settings.task)
    look = model.look(fitted.pixels)
    model = _with_heads(model, fitted, look, settings, progress, log)
    model = adjusted(model, fitted, look, held)
    measured_needed = {"texture", "fused"} & set(model.inputs.values())
    return model if measured_needed else replace(model, features=()), log


def _with_heads(
    model: Model, fitted: Cohort, look: Look, settings: Settings, progress: Progress, log: Log
) -> Model:
    """The model with each classical model on each input."""
    kinds = [name for name in settings.models if name != "cnn"]
    heads: dict[str, Head] = {}
    inputs: dict[str, str] = {}
    wanted = [(kind, taken) for taken in settings.inputs for kind in kinds]
    for taken in settings.inputs if kinds else ():
        log.concerns += _doubts(model, taken, fitted, look, kinds)
    for done, (kind, taken) in enumerate(wanted, start=1):
        name = title(kind, taken)
        values = model.columns(taken, fitted.features, look)
        with log.timed(name):
            found = _heads_of(name, kind, values, fitted, settings, log)
        heads |= found
        inputs |= dict.fromkeys(found, taken)
        progress(name, done, len(wanted), {})
    return replace(model, heads=heads, inputs=inputs)


def _doubts(model: Model, taken: str, fitted: Cohort, look: Look, kinds: list[str]) -> list[str]:
    """What speaks against trusting the classical models that see this input."""
    if fitted.truth.ndim == 2:
        return []
    values = model.columns(taken, fitted.features, look)
    names = model.features if taken == "texture" else None
    found = concerns(values, fitted.truth, fitted.group_numbers(), kinds, names)
    return [f"{taken}: {sentence}" for sentence in found]


def _heads_of(
    name: str, kind: str, values: np.ndarray, fitted: Cohort, settings: Settings, log: Log
) -> dict[str, Head]:
    """One head; of independent labels one for each."""
    from .classical import fit, search  # bring scikit-learn

    groups = fitted.group_numbers()
    how: dict[str, Any] = {
        "seed": settings.seed, "correlation": settings.correlation, "select": settings.select,
    }  # fmt: skip

    def head(name: str, truth: np.ndarray) -> Head:
        if settings.search:
            log.parameters[name] = search.search(kind, values, truth, groups, **how)
        parameters = log.parameters.get(name)
        return fit.fit(kind, values, truth, groups, **how, parameters=parameters)[1]

    if fitted.truth.ndim == 1:
        return {name: head(name, fitted.truth)}
    names = [of_label(name, k) for k in range(fitted.truth.shape[1])]
    columns = fitted.truth.T.astype(np.intp)
    return {of: head(of, truth) for of, truth in zip(names, columns, strict=True)}
