"""Who else measures neighbours: CellProfiler's steps with SciPy, object by object.

CellProfiler is no library; its module dilates each object, and all others, by a disk within the
object's surroundings, and sorts the distances of all centres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from .intensity import object_pool
from .peer import Peer, Row

_RELATIVE, _ABSOLUTE = 1e-4, 1e-4  # our values are float32


def surroundings(regions: Any, labels: np.ndarray, *, distance: int) -> np.ndarray:
    """(objects, 7)"""
    numbers = np.unique(labels[labels > 0])
    centres = np.array(ndimage.center_of_mass(np.ones(labels.shape), labels, numbers))
    y, x = np.mgrid[-distance : distance + 1, -distance : distance + 1]
    reach, wide = (y * y + x * x <= r * r for r in (distance, distance + 0.5))
    rows = []
    for region in regions:
        top, left, bottom, right = region.bbox
        patch = labels[
            max(top - distance, 0) : bottom + distance, max(left - distance, 0) : right + distance
        ]
        inside = patch == region.label
        met = patch[ndimage.binary_dilation(inside, reach) & ~inside]
        core: Any = ndimage.binary_erosion(inside, np.ones((3, 3)))
        outline = inside & ~core
        touched = outline & np.asarray(ndimage.binary_dilation((patch > 0) & ~inside, wide))
        ways = centres - np.array(region.centroid)
        lengths = np.hypot(*ways.T)
        first, second = np.lexsort((numbers, lengths))[1:3]
        angle = np.arccos(ways[first] @ ways[second] / (lengths[first] * lengths[second]))
        rows.append([
            len(np.setdiff1d(met, [0])), 100 * touched.sum() / outline.sum(),
            numbers[first], lengths[first], numbers[second], lengths[second], np.degrees(angle),
        ])  # fmt: skip
    return np.array(rows, np.float64).reshape(-1, 7)


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    apart = np.abs(ours[0] - theirs) - _RELATIVE * np.abs(theirs)
    rows = np.flatnonzero(~(apart <= _ABSOLUTE).all(axis=1))
    return f"region {rows[0]} of {len(apart)} differs" if len(rows) else ""


PEERS = (
    Peer(
        name="scipy.ndimage:binary_dilation",
        package="scipy",
        distribution="scipy",
        modes={
            "thread pool": object_pool(surroundings, processes=False),
            "process pool": object_pool(surroundings, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cells-1x1024x1024", "uint16", {"distance": 5}),)
