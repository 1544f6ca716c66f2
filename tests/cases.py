"""The cases of the catalogue that every contract test runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from medkern import kernels as mk

CATALOGUE = mk.catalogue()


def legal(kernel: mk.Kernel, dtype: str, example: Mapping[str, Any]) -> bool:
    """Whether this dtype allows these parameters."""
    try:
        if kernel.validate:
            kernel.validate(np.dtype(dtype), (1, 64, 64), **kernel.resolve(example))
    except ValueError:
        return False
    return True


def cases() -> list[Any]:
    """(kernel, dtype, parameters) for every legal combination."""
    return [
        pytest.param(kernel, dtype, dict(example), id=f"{name}-{dtype}-{label(example)}")
        for name, kernel in CATALOGUE.items()
        for dtype in kernel.dtypes
        for example in kernel.examples
        if legal(kernel, dtype, example)
    ]


def label(example: Mapping[str, Any]) -> str:
    """`radius=2`, or `defaults`."""
    return ",".join(f"{k}={v}" for k, v in example.items()) or "defaults"


every_case = pytest.mark.parametrize(("kernel", "dtype", "parameters"), cases())
every_kernel = pytest.mark.parametrize("kernel", list(CATALOGUE.values()), ids=list(CATALOGUE))
