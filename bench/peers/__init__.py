"""The peers: what else could do a kernel's job, each in its best mode, asked the same question.

`peers/<kernel>.py` holds `PEERS`, the adapters of that kernel, fastest first, and, where the usual
shapes do not suit it, `ROWS`, what is timed; a new kernel needs no other entry.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from .peer import Peer as Peer, Row as Row


def peers_of(kernel: str) -> tuple[Peer, ...]:
    """The adapters written for a kernel, whether or not their libraries are installed."""
    return _of(kernel, "PEERS")


def rows_of(kernel: str) -> tuple[Row, ...]:
    """The rows that a kernel's adapters ask for."""
    return _of(kernel, "ROWS")


def _of(kernel: str, name: str) -> tuple:
    if find_spec(f"{__name__}.{kernel}") is None:
        return ()
    return getattr(import_module(f".{kernel}", __name__), name, ())
