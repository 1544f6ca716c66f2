"""Who else finds zones of one level: scikit-image, which labels them; NumPy measures its labels.

PyRadiomics, MIRP and Nyxus measure the same; none of them is a dependency of the benchmarks. The
peer gets the regions already quantised; our time includes the quantisation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from medkern.kernels.texture.glszm import FEATURES

from ..machine import cores
from .glcm import quantised, same_features
from .peer import Mode, Peer, Row, Run, thread_pool

AGREEMENT = "16 features, relative 1e-4, absolute 1e-5: our features are float32"


def emphases(i: np.ndarray, j: np.ndarray, voxels: int) -> list[float]:
    """The 16 features of zones with levels i and sizes j, with NumPy."""
    n, dim, bright = len(i), 1.0 / i**2.0, i**2.0
    small, large = 1.0 / j**2.0, j**2.0
    of_level, of_size = np.bincount(i), np.unique(j, return_counts=True)[1]
    p = np.unique(i * (j.max() + 1) + j, return_counts=True)[1] / n
    means = (small, large, dim, bright)
    means += (small * dim, small * bright, large * dim, large * bright)
    uneven = [(counts.astype(float) ** 2).sum() for counts in (of_level, of_size)]
    return [
        *(mean.mean() for mean in means),
        *(x for square in uneven for x in (square / n, square / n**2)),
        n / voxels, i.var(), j.var(), -(p * np.log2(p)).sum(),
    ]  # fmt: skip


def zones(region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the zones of a quantised region, 0 outside, and the level of each label."""
    from skimage.measure import label

    labels = np.asarray(label(region, connectivity=region.ndim, background=0))
    levels = np.zeros(labels.max() + 1, np.int64)
    levels[labels] = region
    return labels, levels[1:]


def skimage_sizes(regions: np.ndarray) -> np.ndarray:
    """(n, 16) features of size zones."""
    rows = []
    for region in regions:
        labels, levels = zones(region)
        sizes = np.bincount(labels.ravel())[1:]
        rows.append(emphases(levels, sizes, int(np.count_nonzero(region))))
    return np.array(rows)


def modes(measure: Callable[[np.ndarray], np.ndarray]) -> Mapping[str, Mode]:
    """Both ways to share quantised regions out to the cores."""

    def chunks(images: np.ndarray, masks: np.ndarray | None, levels: int) -> list[np.ndarray]:
        inside = np.ones(images.shape, np.uint8) if masks is None else masks
        regions = quantised(images, inside, levels)
        return np.array_split(regions, min(len(regions), 4 * cores()))

    def threads(images: np.ndarray, masks: Any, *, levels: int, **_: Any) -> Run:
        pieces = chunks(images, masks, levels)
        return lambda: np.concatenate(list(thread_pool().map(measure, pieces)))

    def processes(images: np.ndarray, masks: Any, *, levels: int, **_: Any) -> Run:
        from joblib import Parallel, delayed

        pieces, pool = chunks(images, masks, levels), Parallel(n_jobs=cores())

        def run() -> np.ndarray:
            rows: Any = pool(delayed(measure)(piece) for piece in pieces)
            return np.concatenate(rows)

        return run

    return {"thread pool": threads, "process pool": processes}


def refuses(dtype: str, *, binning: str, slices: str, **_: Any) -> str:
    """Why the adapters cannot do this very job."""
    if binning != "count":
        return f"scikit-image gets levels by fixed bin number here, not by {binning!r}"
    if slices != "volume":
        return "scikit-image labels whole volumes here, not slices"
    return ""


PEERS = (
    Peer(
        name="skimage.measure:label",
        package="skimage",
        distribution="scikit-image",
        modes=modes(skimage_sizes),
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
