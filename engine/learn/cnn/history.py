"""How a training went, epoch by epoch, and which epoch was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import LearnError, ModelError
from ..judge.metrics import auc


@dataclass
class History:
    """One value an epoch, all finite; `best` is the epoch that was kept, from 0.

    loss      mean over the steps, of the weights as they were
    val_auc   of the averaged weights: mean over the classes of one against the rest
    val_loss  of the averaged weights: mean -log p of the truth, without class weights
    notes     what else a reader should know: memory that did not suffice, another machine
    """

    loss: list[float] = field(default_factory=list)
    val_auc: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    best: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, loss: float, val_auc: float, val_loss: float) -> bool:
        """Append an epoch; whether it is the best so far: by AUC, then by the lower loss."""
        self.loss.append(loss)
        self.val_auc.append(val_auc)
        self.val_loss.append(val_loss)
        last = len(self.loss) - 1
        before = (self.val_auc[self.best], -self.val_loss[self.best])
        if last == 0 or (val_auc, -val_loss) > before:
            self.best = last
        return self.best == last

    def figures(self) -> dict[str, float]:
        """Those of the last epoch, which is counted from 1."""
        return {
            "epoch": len(self.loss),
            "loss": self.loss[-1],
            "val_auc": self.val_auc[-1],
            "val_loss": self.val_loss[-1],
        }

    @classmethod
    def read(cls, values: Any) -> History:
        """The inverse of `dataclasses.asdict`; ModelError for anything else."""
        columns = ("loss", "val_auc", "val_loss")
        if not isinstance(values, Mapping) or set(values) != {*columns, "best", "notes"}:
            raise ModelError("has no history")
        epochs = {len(values[name]) for name in columns if _are(values[name], float)}
        best, notes = values["best"], values["notes"]
        sound = len(epochs) == 1 and type(best) is int and _are(notes, str)
        if not sound or not 0 <= best <= max(0, max(epochs) - 1):
            raise ModelError("has a history that contradicts itself")
        return cls(**values)


def judge(truth: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """AUC, the mean over classes of one against the rest, and mean -log p of the truth.

    truth (n,) class numbers or (n, k) bool, p (n, k). Classes that no row or every row has take
    no part in the AUC; LearnError where that leaves none.
    """
    yes = truth if truth.ndim == 2 else truth[:, None] == np.arange(p.shape[1])
    p = np.asarray(p, np.float64)
    told = np.flatnonzero(yes.any(axis=0) & ~yes.all(axis=0))
    if not told.size:
        raise LearnError("cnn: the validation images are all alike; no epoch can be chosen by them")
    curves = [auc(yes[:, k].astype(np.intp), np.stack([1 - p[:, k], p[:, k]], 1)) for k in told]
    if truth.ndim == 2:
        likelihood = np.where(truth, p, 1 - p)
    else:
        likelihood = p[np.arange(len(p)), truth]
    return float(np.mean(curves)), -float(np.log(np.maximum(likelihood, 1e-12)).mean())


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(
        type(value) is kind and (kind is str or math.isfinite(value)) for value in values
    )
