"""Who else measures colocalisation: CellProfiler's steps with NumPy and SciPy, object by object.

CellProfiler is no library; its module takes the same sums and ranks of each object's pixels, and
Pearson's correlation at every trial of Costes' search.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.texture.colocalisation import scale

from .intensity import object_pool
from .peer import Peer, Row

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32


def colocalisations(regions: Any, labels: np.ndarray, *, threshold: float, **_: Any) -> np.ndarray:
    """(objects, 13)"""
    rows = []
    for region in regions:
        pixels = region.image_intensity[region.image]
        a, b = pixels.T.astype(np.float64)
        rows.append([*_together(a, b, threshold / 100), *_costes(a, b, *scale(pixels.dtype, 0))])
    return np.array(rows, np.float64).reshape(-1, 13)


def _together(a: np.ndarray, b: np.ndarray, share: float) -> list[Any]:
    from scipy.stats import rankdata

    (of_a, mixed), (_, of_b) = np.cov(a, b)
    bright_a, bright_b = a >= share * a.max(), b >= share * b.max()
    both, all_a, all_b = bright_a & bright_b, a[bright_a].sum(), b[bright_b].sum()
    rank_a, rank_b = rankdata(a, "dense"), rankdata(b, "dense")
    weight = (1 - np.abs(rank_a - rank_b) / max(rank_a.max(), rank_b.max()))[both]
    a, b = a[both], b[both]
    return [
        mixed / np.sqrt(of_a * of_b), mixed / of_a, a.sum() / all_a, b.sum() / all_b,
        a @ b / np.sqrt((a @ a) * (b @ b)), a @ b / (a @ a), a @ b / (b @ b),
        weight @ a / all_a, weight @ b / all_b,
    ]  # fmt: skip


def _costes(a: np.ndarray, b: np.ndarray, steps: int, unit: float) -> list[float]:
    """Coefficients and thresholds; the same bisection of levels."""
    there = (a > 0) | (b > 0)
    (of_a, mixed), (_, of_b) = np.cov(a[there], b[there])
    slope = (of_b - of_a + np.sqrt((of_b - of_a) ** 2 + 4 * mixed**2)) / (2 * mixed)
    rest = b[there].mean() - slope * a[there].mean()
    left, right, last, valid = 1, steps, 0, None
    middle = (right - left) * 5 // 6 + left
    while last != middle:
        low = middle * unit
        some = (a < low) | (b < slope * low + rest)
        if some.sum() > 2 and np.corrcoef(a[some], b[some])[0, 1] >= 0:
            right, valid = middle + 1, middle
        else:
            left = middle - 1
        last, wide = middle, right - left
        middle = left + (wide * 5 // 6 if wide > 6 else wide // 2)
    if valid is None:
        return [np.nan] * 4
    low = (valid - 1) * unit
    high = slope * low + rest
    some = (a < low) | (b < high)
    if some.sum() < 3 or np.ptp(a[some]) == 0 or np.ptp(b[some]) == 0:
        return [np.nan] * 4
    both = (a > low) & (b > high)
    return [a[both].sum() / a[a >= low].sum(), b[both].sum() / b[b >= high].sum(), low, high]


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0].astype(np.float64)
    apart = np.abs(own - theirs) - _RELATIVE * np.abs(theirs)
    wrong = (apart > _ABSOLUTE) | (np.isnan(own) != np.isnan(theirs))
    rows = np.flatnonzero(wrong.any(axis=1))
    return f"region {rows[0]} of {len(wrong)} differs" if len(rows) else ""


PEERS = (
    Peer(
        name="numpy:corrcoef, scipy.stats:rankdata",
        package="scipy",
        distribution="scipy",
        modes={
            "thread pool": object_pool(colocalisations, processes=False),
            "process pool": object_pool(colocalisations, processes=True),
        },
        refuses=lambda dtype, full_scale=0.0, **_: (
            "" if full_scale == 0 else "written for the full scale of a dtype"
        ),
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cells-1x1024x1024", "uint16"),)
