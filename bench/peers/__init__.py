"""The peers: what else could do a kernel's job, each in its best mode, asked the same question.

`peers/<kernel>.py` holds `PEERS`, the adapters of that kernel; a new kernel needs no other entry.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from .peer import Peer as Peer


def peers_of(kernel: str) -> tuple[Peer, ...]:
    """The adapters written for a kernel, whether or not their libraries are installed."""
    if find_spec(f"{__name__}.{kernel}") is None:
        return ()
    return import_module(f".{kernel}", __name__).PEERS
