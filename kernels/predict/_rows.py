"""Rows of features on their way into a model."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from .. import _cuda
from .._cpu import frozen_view
from .._inner import inner

LARGEST = float(np.finfo(np.float32).max)  # of a value that is no gap
PlanT = TypeVar("PlanT")


@inner
def known(x):
    """Whether a value is no gap."""
    return abs(x) <= LARGEST


def rows_of(values: Any, features: int) -> Any:
    """Rows as kernels read them: C-contiguous float32 or float64 (n, features)."""
    if values.ndim != 2 or values.shape[1] != features:
        raise ValueError(f"rows are {tuple(values.shape)}, the model takes (n, {features})")
    if str(values.dtype) not in ("float32", "float64"):
        values = values.astype(np.float64)
    if isinstance(values, np.ndarray):
        return frozen_view(values)
    return values if values.flags.c_contiguous else values.copy()


def beside(values: Any, plan: PlanT) -> PlanT:
    """The plan, a dataclass, with its arrays on the device of `values`."""
    arrays = {f.name: getattr(plan, f.name) for f in fields(plan)}  # pyright: ignore[reportArgumentType]
    there = {k: move(values, a) for k, a in arrays.items() if isinstance(a, np.ndarray)}
    return replace(plan, **there)  # pyright: ignore[reportArgumentType]


def move(like: Any, array: np.ndarray) -> Any:
    """The array on the device of `like`; itself on the CPU."""
    if isinstance(like, np.ndarray):
        return array
    there = _cuda.empty(like, array.shape, array.dtype)
    there.set(np.ascontiguousarray(array))
    return there
