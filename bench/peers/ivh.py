"""Who else draws intensity-volume histograms: NumPy, region by region, by sorting.

PyRadiomics has none; MIRP has the same and is not a dependency of the benchmarks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row
from .statistics import agreement, region_pool, same_columns

_FEATURES = (
    "volume_at_intensity_fraction_10", "volume_at_intensity_fraction_90",
    "intensity_at_volume_fraction_10", "intensity_at_volume_fraction_90",
    "volume_fraction_difference", "intensity_difference", "area_under_curve",
)  # fmt: skip


def numpy_ivh(image: np.ndarray, mask: np.ndarray, *, units: str, **_: Any) -> list[float]:
    """The curve at every step of its range, from one sort."""
    v = np.sort(image[mask].astype(np.float64))
    steps = np.ptp(v)
    if units == "arbitrary":
        v = np.minimum(np.floor(1000 * (v - v[0]) / (np.ptp(v) or 1)), 999) + 1
        first, steps = 1.0, 999.0
    else:
        first = v[0]
        v = np.floor(v - first) + first
    grid = first + np.arange(int(steps) + 2)
    above = len(v) - np.searchsorted(v, grid)
    v10, v90 = (above[10 * (grid - first) >= tenths * steps].max() / len(v) for tenths in (1, 9))
    i10, i90 = (grid[10 * above <= tenths * len(v)].min() for tenths in (1, 9))
    nu = above[:-1] / len(v)
    area = (nu[1:] + nu[:-1]).sum() / 2 / steps if steps >= 1 and v[0] < v[-1] else 0.0
    return [v10, v90, i10, i90, v10 - v90, i10 - i90, area]


def _refuses(dtype: str, *, units: str, bounds: str, **_: Any) -> str:
    if units == "continuous" or bounds != "region":
        return "the adapter draws the region's own range, in steps of 1 or in 1000 bins"
    return ""


PEERS = (
    Peer(
        name="numpy:sort, numpy:searchsorted",
        package="numpy",
        distribution="numpy",
        modes={
            "thread pool": region_pool(numpy_ivh, processes=False),
            "process pool": region_pool(numpy_ivh, processes=True),
        },
        refuses=_refuses,
        difference=same_columns(_FEATURES),
        agreement=agreement(7, 7),
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16"),
    Row("cell-rois-1000x64x64", "uint16", {"units": "arbitrary"}),
    Row("mr-head-128", "float32", {"units": "arbitrary"}),
)
