"""Nobody else: the packages of this family (bm3d, bm4d) are licensed for non-commercial use only.

The rows are timed alone; the closest method that others offer, non-local means, computes something
else and has its own rows.
"""

from __future__ import annotations

from .peer import Peer, Row

PEERS: tuple[Peer, ...] = ()

ROWS = (
    Row("image-1024", "float32"),
    Row("image-1024", "float32", {"stages": 1}),
    Row("ct-chest-64x512x512", "uint16"),
)
