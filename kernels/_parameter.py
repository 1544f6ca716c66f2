"""One parameter of a kernel: what is allowed, and how a value is checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _cuda

AUTO = "auto"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel: its default (whose type it keeps), meaning and legal range.

    With `each` the value may differ from image to image: one number for all, or an array of n. With
    `estimate` it may also be "auto": `estimate(images)` gives the n numbers. The kernel always gets
    an array of n float32, on the device of the images.
    """

    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    above: float | None = None  # like `low`, but not itself allowed
    each: bool = False
    estimate: Callable[[Any], Any] | None = None

    @property
    def differs(self) -> bool:
        """Whether the kernel gets one number for each image."""
        return self.each or self.estimate is not None

    @property
    def range(self) -> str:
        """What is allowed, as text: `1 to 15`, `2, 4 or 8`, `above 0`, `any`."""
        text = self._range()
        return f"'{AUTO}' or {text}" if self.estimate else text

    def _range(self) -> str:
        if self.choices:
            *first, last = map(repr, self.choices)
            return f"{', '.join(first)} or {last}" if first else last
        most = "" if self.high is None else f"{self.high:g}"
        if self.above is not None:
            return f"above {self.above:g}" + (f", at most {most}" if most else "")
        if self.low is None:
            return f"at most {most}" if most else "any"
        return f"{self.low:g} to {most}" if most else f"at least {self.low:g}"

    def check(self, kernel: str, name: str, value: Any) -> Any:
        """The value in the default's type; a `TypeError` or `ValueError` says what is allowed."""
        where = f"{kernel}: {name}"
        if self.differs:
            return self._check_each(where, value)
        if isinstance(self.default, tuple):
            if not isinstance(value, (tuple, list)) or len(value) != len(self.default):
                raise TypeError(f"{where} takes {len(self.default)} numbers, got {value!r}")
            return tuple(self._number(where, v, self.default[0]) for v in value)
        if isinstance(self.default, bool):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{where} must be True or False, got {value!r}")
            return bool(value)
        if isinstance(self.default, str):
            if value not in self.choices:
                raise ValueError(f"{where} must be {self.range}, got {value!r}")
            return value
        return self._number(where, value, self.default)

    def settle(self, kernel: str, name: str, value: Any, images: Any) -> Any:
        """What a checked value is for these images: n numbers where it differs between them."""
        if not self.differs:
            return value
        if self.estimate and isinstance(value, str):
            return self.estimate(images)
        n = images.shape[0]
        if hasattr(value, "shape") and tuple(value.shape) != (n,):
            raise ValueError(
                f"{kernel}: {name} has shape {tuple(value.shape)} for {n} images; "
                f"give one number, or one an image"
            )
        each = _cuda.empty(images, (n,), np.float32)
        if isinstance(value, np.ndarray) and not isinstance(images, np.ndarray):
            each.set(value.astype(np.float32))  # CuPy fills from a scalar or its own arrays only
        else:
            each[...] = value
        return each

    def _check_each(self, where: str, value: Any) -> Any:
        if self.estimate and isinstance(value, str):
            if value != AUTO:
                raise ValueError(f"{where} must be {self.range}, got {value!r}")
            return value
        if isinstance(value, np.ndarray) and value.ndim:
            for one in value.ravel().tolist():
                self._number(where, one, 0.0)
            return value
        if hasattr(value, "shape") and value.shape:  # on a GPU: checking would wait for it
            return value
        return self._number(where, value, 0.0)

    def _number(self, where: str, value: Any, default: Any) -> int | float:
        whole = isinstance(default, int)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{where} must be a number ({self.range}), got {value!r}")
        if whole and math.isfinite(value) and value != int(value):
            raise ValueError(f"{where} must be a whole number ({self.range}), got {value!r}")
        legal = math.isfinite(value)
        legal &= self.low is None or value >= self.low
        legal &= self.above is None or value > self.above
        legal &= self.high is None or value <= self.high
        if self.choices:
            legal &= value in self.choices
        if not legal:
            raise ValueError(f"{where} must be {self.range}, got {value!r}")
        return int(value) if whole else float(value)
