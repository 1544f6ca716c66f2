"""What is timed of neighbouring grey level dependences.

PyRadiomics, MIRP and Nyxus define the same matrix; none of them is a dependency of the benchmarks.
"""

from .peer import Peer, Row

PEERS: tuple[Peer, ...] = ()

_SHAPES = (
    *(("cell-rois-8x16x16", "uint16"), ("block-1x16x40x48", "float32")),
    *(("cell-rois-1000x64x64", "uint16"), ("mr-head-128", "float32")),
)
ROWS = tuple(Row(shape, dtype, {"levels": n}) for shape, dtype in _SHAPES for n in (32, 64))
