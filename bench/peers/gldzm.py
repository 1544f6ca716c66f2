"""Who else finds zones and their distances to the border: scikit-image and SciPy, with NumPy.

MIRP, Nyxus and RadiomicsJ measure the same; none of them is a dependency of the benchmarks. The
peer gets the regions already quantised; our time includes the quantisation.
"""

from __future__ import annotations

import numpy as np

from medkern.kernels.texture.gldzm import FEATURES

from .glcm import same_features
from .glszm import AGREEMENT, emphases, modes, refuses, zones
from .peer import Peer, Row


def skimage_distances(regions: np.ndarray) -> np.ndarray:
    """(n, 16) features of distance zones."""
    from scipy.ndimage import distance_transform_cdt, minimum

    rows = []
    for region in regions:
        labels, levels = zones(region)
        inside = np.pad(region > 0, 1)
        steps = np.asarray(distance_transform_cdt(inside, metric="taxicab"))
        steps = steps[(slice(1, -1),) * region.ndim]
        nearest = minimum(steps, labels, np.arange(1, len(levels) + 1)).astype(np.int64)
        rows.append(emphases(levels, nearest, int(np.count_nonzero(region))))
    return np.array(rows)


PEERS = (
    Peer(
        name="skimage.measure:label",
        package="skimage",
        distribution="scikit-image",
        modes=modes(skimage_distances),
        refuses=refuses,
        difference=same_features(tuple(feature.name for feature in FEATURES)),
        agreement=AGREEMENT,
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16", {"levels": 32}),
    Row("cell-rois-1000x64x64", "uint16", {"levels": 64}),
    Row("mr-head-128", "float32", {"levels": 32}),
)
