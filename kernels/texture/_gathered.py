"""Objects measured block by block: their pixels are gathered, then described.

Gathering knows the images' dtype and is compiled for each; describing knows float32 alone.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .._cpu import frozen_view
from .._regions import Regions, volumes
from .._threads import run, threads
from ._levels import CACHED, WORTH_A_THREAD, blocks

Work = Callable[[Regions], np.ndarray]  # a block of regions -> their features, float64


def labels_of(where: Regions) -> np.ndarray:
    """The labels as volumes for compiled code; of size 0 where regions are whole boxes."""
    if where.labels is None:
        return frozen_view(np.empty((1, 1, 1, 0), np.uint8))
    return frozen_view(volumes(where.labels))


def measure(where: Regions, values: np.ndarray, work: Work) -> None:
    """values = what `work` gives for each block of regions, large regions first."""
    sizes = where.sizes.prod(axis=1)
    order = np.argsort(-sizes, kind="stable")  # so that threads end together
    starts = blocks(sizes[order], max(WORTH_A_THREAD, min(CACHED, sizes.sum() // threads())))
    parts = [order[first:stop] for first, stop in pairwise(starts)]

    def serve(first: int, stop: int) -> None:
        for rows in parts[first:stop]:
            with np.errstate(over="ignore"):  # a sum above float32 is infinite
                values[rows] = work(where.some(rows))

    run(serve, len(parts))
