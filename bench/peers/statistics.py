"""Who else measures the intensities of regions: NumPy and SciPy, region by region; scikit-image.

PyRadiomics, MIRP and Nyxus measure the same; none of them is a dependency of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

Region = tuple[np.ndarray, np.ndarray]  # image, bool mask
Measure = Callable[..., list[Any]]  # (image, mask, **parameters) -> values of one region

_CHUNKS = 4  # pieces of work a core: evens out regions of different sizes
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # our values are float32


# ---- for all intensity families: one region after another, in threads or processes


def region_pool(measure: Measure, processes: bool) -> Mode:
    """A mode: regions spread over a pool of all cores."""

    def prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        inside = np.ones(images.shape, bool) if masks is None else masks != 0
        each = list(zip(images, inside, strict=True))
        size = -(-len(each) // (_CHUNKS * cores()))
        chunks = [each[first : first + size] for first in range(0, len(each), size)]
        if processes:
            from joblib import Parallel, delayed

            pool = Parallel(n_jobs=cores())
            return lambda: _stacked(pool(delayed(_some)(measure, c, parameters) for c in chunks))
        return lambda: _stacked(
            thread_pool().map(lambda chunk: _some(measure, chunk, parameters), chunks)
        )

    return prepare


def _some(measure: Measure, chunk: list[Region], parameters: dict[str, Any]) -> np.ndarray:
    return np.array([measure(image, mask, **parameters) for image, mask in chunk])


def _stacked(parts: Any) -> np.ndarray:
    return np.concatenate(list(parts))


def same_columns(features: tuple[str, ...]) -> Callable[..., str]:
    """A `difference` for measures: the peer's columns against ours of the same definition."""

    def difference(ours: tuple[np.ndarray, tuple[str, ...]], theirs: np.ndarray, **_: Any) -> str:
        values, names = ours
        short = [name.split(".")[1] for name in names]
        for column, feature in enumerate(features):
            own = values[:, short.index(feature)].astype(np.float64)
            apart = np.abs(own - theirs[:, column])
            worst = int(np.argmax(apart - RELATIVE * np.abs(own)))
            if not apart[worst] <= RELATIVE * abs(own[worst]) + ABSOLUTE:
                return f"{feature} of region {worst}: ours {own[worst]}, {theirs[worst, column]}"
        return ""

    return difference


def agreement(some: int, of: int) -> str:
    return f"{some} of {of} features, relative {RELATIVE:g}, absolute {ABSOLUTE:g}"


# ---- intensity statistics

_SCIPY = (
    "mean", "variance", "skewness", "kurtosis", "median", "minimum", "percentile_10",
    "percentile_90", "maximum", "interquartile_range", "range", "mean_absolute_deviation",
    "robust_mean_absolute_deviation", "median_absolute_deviation", "coefficient_of_variation",
    "quartile_coefficient_of_dispersion", "energy", "root_mean_square",
)  # fmt: skip
_SKIMAGE = ("mean", "maximum", "minimum")


def scipy_statistics(image: np.ndarray, mask: np.ndarray, **_: Any) -> list[Any]:
    """All 18, by the functions made for it; percentiles in one call."""
    from scipy import stats

    v = image[mask].astype(np.float64)
    p10, p25, p50, p75, p90 = np.percentile(v, (10, 25, 50, 75, 90))
    middle = v[(v >= p10) & (v <= p90)]
    mean, variance, low, high, energy = v.mean(), v.var(), v.min(), v.max(), v @ v
    return [
        mean, variance, stats.skew(v), stats.kurtosis(v), p50, low, p10, p90, high, p75 - p25,
        high - low, np.abs(v - mean).mean(), np.abs(middle - middle.mean()).mean(),
        np.abs(v - p50).mean(), np.sqrt(variance) / mean, (p75 - p25) / (p75 + p25), energy,
        np.sqrt(energy / len(v)),
    ]  # fmt: skip


def skimage_statistics(image: np.ndarray, mask: np.ndarray, **_: Any) -> list[float]:
    from skimage.measure import regionprops_table

    wanted = ("intensity_mean", "intensity_max", "intensity_min")
    table = regionprops_table(mask.astype(np.uint8), image, properties=wanted)
    return [float(table[name][0]) for name in wanted]


PEERS = (
    Peer(
        name="scipy.stats:skew, numpy:percentile",
        package="scipy",
        distribution="scipy",
        modes={
            "thread pool": region_pool(scipy_statistics, processes=False),
            "process pool": region_pool(scipy_statistics, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=same_columns(_SCIPY),
        agreement=agreement(18, 18),
    ),
    Peer(
        name="skimage.measure:regionprops_table",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": region_pool(skimage_statistics, processes=False),
            "process pool": region_pool(skimage_statistics, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=same_columns(_SKIMAGE),
        agreement=agreement(3, 18),
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16"),
    Row("cell-rois-1000x64x64", "float32"),
    Row("mr-head-128", "float32"),
)
