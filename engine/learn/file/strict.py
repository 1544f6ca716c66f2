"""JSON as a file from a stranger may hold it: no tricks, and no cost out of proportion.

Refused are what parsers read differently or programs fail on later: two equal keys, NaN and
infinity (also 1e999), whole numbers above 20 digits, text that is not Unicode, deep nesting, and
more values than any header needs. The number of values is bounded before parsing: each but the
first follows a comma or an opening bracket.
"""

from __future__ import annotations

import json
import math
import reprlib
from typing import Any

from ..errors import ModelError

DEEPEST = 16  # levels of nesting
MOST_VALUES = 500_000


def parse(text: str) -> Any:
    """The value of a JSON text; ModelError in one line for anything refused."""
    if sum(map(text.count, "[{,")) > MOST_VALUES:
        raise ModelError(f"its header holds more than {MOST_VALUES} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
        if not text.isascii() or "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # refuses half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its header is not JSON: {short(str(error))}") from None
    _check_depth(value)
    return value


def short(value: Any) -> str:
    """A value for a message: one line of at most some 80 characters."""
    return " ".join(value[:80].split()) if isinstance(value, str) else reprlib.repr(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in pairs:
        if name in known:
            raise ValueError(f"key {short(name)!r} stands twice")
        known[name] = value
    return known


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"{text[:20]}... is too large")
    return int(text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [child for part in level for child in _children(part)]
        if not level:
            return
    raise ModelError(f"its header is nested deeper than {DEEPEST} levels")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
