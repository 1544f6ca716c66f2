"""Prediction by compiled code: the votes of trees and the decisions of RBF machines.

The rest, from votes to probabilities, is small and the same as in `reference`. Brings Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from medkern.kernels.predict import Machines, Trees, beside, empty, move, rbf, trees

from .layouts import Arrays
from .reference import platt, shares

__all__ = ["PREDICT", "Model", "empty", "pack"]


@dataclass(frozen=True, eq=False)
class Model:
    """The arrays of a head and what is packed of them, on the device of the rows."""

    arrays: dict[str, Any]
    packed: Any = None


def pack(kind: str, arrays: Arrays, values: Any) -> Model:
    """A head made ready for rows of the type of `values`."""
    packed = _PACK[kind](arrays) if kind in _PACK else None
    there = {name: move(values, array) for name, array in arrays.items()}
    return Model(there, packed and beside(values, packed))


_NODES = ("mean", "scale", "roots", "left", "right", "feature", "threshold")
_MACHINE = ("mean", "scale", "vectors", "dual", "machine", "gamma", "bias")


def _some(a: Arrays, names: tuple[str, ...]) -> Any:
    return {name: a[name] for name in names}


def _pack_forest(a: Arrays) -> Trees:
    value = a["value"]
    second = value[:, 1:]  # is enough where there are two
    return Trees.pack(**_some(a, _NODES), value=second if value.shape[1] == 2 else value)


def _pack_boosted(a: Arrays) -> Trees:
    return Trees.pack(
        **_some(a, _NODES),
        value=a["leaf"][:, None],
        first=a["tree_class"],
        scores=len(a["baseline"]),
        missing_left=a["missing_left"],
        precision=np.float64,
    )


def _pack_svm(a: Arrays) -> Machines:
    return Machines.pack(**_some(a, _MACHINE))


def _forest(values: Any, model: Model) -> Any:
    share = trees(values, model.packed) / len(model.packed.roots)
    return np.concatenate([1 - share, share], axis=1) if share.shape[1] == 1 else share


def _boosted(values: Any, model: Model) -> Any:
    return shares(trees(values, model.packed) + model.arrays["baseline"])


def _svm(values: Any, model: Model) -> Any:
    return platt(rbf(values, model.packed), model.arrays)


_PACK: dict[str, Callable[[Arrays], Any]] = {
    "forest": _pack_forest,
    "boosted": _pack_boosted,
    "svm": _pack_svm,
}
PREDICT: dict[str, Callable[[Any, Model], Any]] = {
    "forest": _forest,
    "boosted": _boosted,
    "svm": _svm,
}
