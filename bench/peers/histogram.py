"""Who else measures histograms of grey levels: NumPy and SciPy, region by region.

PyRadiomics, MIRP and Nyxus measure some of the same; none of them is a dependency of the
benchmarks. The levels are made within the time, as ours are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row
from .statistics import agreement, region_pool, same_columns

_FEATURES = (
    "mean", "variance", "skewness", "kurtosis", "median", "minimum", "percentile_10",
    "percentile_90", "maximum", "interquartile_range", "range", "mean_absolute_deviation",
    "robust_mean_absolute_deviation", "median_absolute_deviation", "coefficient_of_variation",
    "quartile_coefficient_of_dispersion", "entropy", "uniformity", "maximum_gradient",
    "minimum_gradient",
)  # fmt: skip


def scipy_histogram(image: np.ndarray, mask: np.ndarray, *, levels: int, **_: Any) -> list[float]:
    """20 of the 23 features; left out are the levels that ties decide."""
    from scipy import stats

    grey = image[mask].astype(np.float64)
    scaled = levels * (grey - grey.min()) / (np.ptp(grey) or 1)
    v = np.minimum(np.floor(scaled), levels - 1).astype(np.int64) + 1
    n = np.bincount(v)[1:]
    p10, p25, p50, p75, p90 = np.percentile(v, (10, 25, 50, 75, 90))
    middle = v[(v >= p10) & (v <= p90)]
    mean, variance, low, high = v.mean(), v.var(), v.min(), v.max()
    gradient = np.gradient(n)
    return [
        mean, variance, stats.skew(v), stats.kurtosis(v), p50, low, p10, p90, high, p75 - p25,
        high - low, np.abs(v - mean).mean(), np.abs(middle - middle.mean()).mean(),
        np.abs(v - p50).mean(), np.sqrt(variance) / mean, (p75 - p25) / (p75 + p25),
        float(stats.entropy(n, base=2)), ((n / len(v)) ** 2).sum(), gradient.max(), gradient.min(),
    ]  # fmt: skip


def _refuses(dtype: str, *, binning: str, **_: Any) -> str:
    return "" if binning == "count" else f"levels are bins of the range here, not by {binning!r}"


PEERS = (
    Peer(
        name="scipy.stats:skew, numpy:bincount",
        package="scipy",
        distribution="scipy",
        modes={
            "thread pool": region_pool(scipy_histogram, processes=False),
            "process pool": region_pool(scipy_histogram, processes=True),
        },
        refuses=_refuses,
        difference=same_columns(_FEATURES),
        agreement=agreement(20, 23),
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16", {"levels": 32}),
    Row("cell-rois-1000x64x64", "uint16", {"levels": 64}),
    Row("mr-head-128", "float32", {"levels": 32}),
)
