"""Who else has the exact unbiased inverse: NumPy, interpolating a table of it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from medkern.kernels.denoise.rician import Z, density_of, stabilise

from .peer import Peer, Row, image_pool, same_images


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Means of z and squared true levels, up to 20."""
    levels = np.linspace(0, 20, 1001)
    return density_of(levels) @ stabilise(Z), levels**2


def _numpy(image: np.ndarray, out: np.ndarray, sigma: float, to: str) -> None:
    out[...] = sigma * np.sqrt(np.interp(image, *_table()))


def _refuses(dtype: str, sigma: Any, to: str, **_: Any) -> str:
    if isinstance(sigma, str):
        return "sigma must be given"
    return "" if to == "float32" else "float32 only"


PEERS = (
    Peer(
        name="numpy:interp",
        package="numpy",
        distribution="numpy",
        modes={"image pool": image_pool(_numpy)},
        refuses=_refuses,
        difference=same_images(0.02),
        agreement="within 0.02 sigma (its table is coarse near 0)",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"sigma": 1.0}),
    Row("ct-chest-64x512x512", "float32", {"sigma": 1.0}),
)
