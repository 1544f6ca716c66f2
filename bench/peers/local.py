"""Who else finds intensity peaks: SciPy's convolution with a sphere, image by image.

MIRP has the same and is not a dependency of the benchmarks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row
from .statistics import agreement, region_pool, same_columns

_RADIUS = 10 * (3 / (4 * np.pi)) ** (1 / 3)  # mm; a volume of 1 cm^3


def scipy_peaks(
    image: np.ndarray, mask: np.ndarray, *, spacing: tuple[float, ...], **_: Any
) -> list[float]:
    """Means by convolution of pixels and of ones: a sphere is cut off at the image's border."""
    from scipy.ndimage import convolve

    steps = spacing[-image.ndim :]
    reach = [int(_RADIUS / step) for step in steps]
    axes = np.meshgrid(*(np.arange(-n, n + 1) * s for n, s in zip(reach, steps, strict=True)),
                       indexing="ij")  # fmt: skip
    ball = (sum(axis**2 for axis in axes) <= _RADIUS**2).astype(np.float64)
    sums = convolve(image.astype(np.float64), ball, mode="constant")
    numbers = convolve(np.ones(image.shape), ball, mode="constant")
    peaks = (sums / numbers)[mask]
    inside = image[mask]
    return [peaks[inside == inside.max()].max(), peaks.max()]


PEERS = (
    Peer(
        name="scipy.ndimage:convolve",
        package="scipy",
        distribution="scipy",
        modes={
            "thread pool": region_pool(scipy_peaks, processes=False),
            "process pool": region_pool(scipy_peaks, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=same_columns(("local_peak", "global_peak")),
        agreement=agreement(2, 2),
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16"),
    Row("mr-head-128", "float32", {"spacing": (4.0, 4.0, 4.0)}),
)
