"""Who else measures radial distributions: CellProfiler's steps, with SciPy and scikit-image.

CellProfiler is no library; its module takes distances to the edge, shortest ways from the centre
and sums over rings and wedges, as here, object by object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from .peer import Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32


def distribution(image: np.ndarray, mask: np.ndarray, rings: int) -> np.ndarray:
    """The values of one object."""
    from skimage.graph import MCP_Geometric

    inside = np.pad(mask != 0, 1)
    grey = np.pad(image, 1)[inside].astype(np.float64)
    to_edge: Any = ndimage.distance_transform_edt(inside)
    centre = np.unravel_index(np.argmax(to_edge), inside.shape)
    ways, _ = MCP_Geometric(np.where(inside, 1.0, np.inf)).find_costs([centre])
    near = ways[inside]
    y, x = (np.argwhere(inside) - centre).T
    good = np.isfinite(near)
    ring = (rings * near[good] / (near + to_edge[inside] + 0.001)[good]).astype(int)
    wedge = ((y > 0) + 2 * (x > 0) + 4 * (abs(y) > abs(x)))[good]
    sums = np.bincount(8 * ring + wedge, grey[good], 8 * rings).reshape(rings, 8)
    counts = np.bincount(8 * ring + wedge, minlength=8 * rings).reshape(rings, 8)
    fraction = sums.sum(1) / sums.sum()
    share = fraction / (counts.sum(1) / counts.sum() + np.finfo(float).eps)
    means: Any = np.ma.masked_array(sums / np.maximum(counts, 1), counts == 0)
    variation = np.ma.filled(means.std(1) / means.mean(1), 0.0)
    return np.concatenate([fraction, share, variation])


def _in_threads(images: np.ndarray, masks: np.ndarray | None, *, rings: int) -> Run:
    covers = np.ones(images.shape, np.uint8) if masks is None else masks

    def run() -> np.ndarray:
        rows = thread_pool().map(lambda *pair: distribution(*pair, rings=rings), images, covers)
        return np.array(list(rows))

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    apart = np.abs(ours[0] - theirs) - _RELATIVE * np.abs(theirs)
    worst = int(np.argmax(apart.max(axis=1)))
    return f"region {worst} differs by {apart.max()}" if apart.max() > _ABSOLUTE else ""


PEERS = (
    Peer(
        name="skimage.graph:MCP_Geometric",
        package="skimage",
        distribution="scikit-image",
        modes={"thread pool": _in_threads},
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("lesions-64x128x128", "uint16"), Row("cell-rois-1000x64x64", "uint16"))
