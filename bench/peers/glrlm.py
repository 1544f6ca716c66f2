"""What is timed of grey level run lengths.

PyRadiomics, MIRP and Nyxus measure the same; none of them is a dependency of the benchmarks.
"""

from .peer import Peer, Row

PEERS: tuple[Peer, ...] = ()

ROWS = (
    Row("cell-rois-1000x64x64", "uint16", {"levels": 32}),
    Row("cell-rois-1000x64x64", "uint16", {"levels": 64}),
    Row("mr-head-128", "float32", {"levels": 32}),
)
