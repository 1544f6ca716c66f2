"""Who else has the exact unbiased inverse: NumPy, interpolating a table of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from medkern.kernels.denoise.anscombe import mean_root

from .peer import Peer, Row, image_pool, same_images


@cache
def _table(s: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of z and counts, up to 1600 counts."""
    counts = np.linspace(0, 40, 2001) ** 2
    return mean_root(counts, s), counts


def _numpy(
    image: np.ndarray, out: np.ndarray, gain: float, sigma: float, offset: float, to: str
) -> None:
    out[...] = np.interp(image, *_table(sigma / gain)) * gain + offset


def _refuses(dtype: str, gain: Any, sigma: Any, to: str, **_: Any) -> str:
    if isinstance(gain, str) or isinstance(sigma, str):
        return "gain and sigma must be given"
    return "" if to == "float32" else "float32 only"


PEERS = (
    Peer(
        name="numpy:interp",
        package="numpy",
        distribution="numpy",
        modes={"image pool": image_pool(_numpy)},
        refuses=_refuses,
        difference=same_images(2e-3),
        agreement="within 0.002 counts",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"gain": 1.0, "sigma": 0.5}),
    Row("ct-chest-64x512x512", "float32", {"gain": 1.0, "sigma": 0.5}),
)
