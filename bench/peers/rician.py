"""Who else stabilises magnitudes: NumPy, interpolating the same table."""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.denoise.rician import stabilise

from .peer import Peer, Row, image_pool, same_images


def _numpy(image: np.ndarray, out: np.ndarray, sigma: float) -> None:
    out[...] = stabilise(np.maximum(image * np.float32(1 / sigma), 0))


def _refuses(dtype: str, sigma: Any, **_: Any) -> str:
    if isinstance(sigma, str):
        return "sigma must be given"
    return "" if dtype == "float32" else "float32 only"


PEERS = (
    Peer(
        name="numpy:interp",
        package="numpy",
        distribution="numpy",
        modes={"image pool": image_pool(_numpy)},
        refuses=_refuses,
        difference=same_images(1e-4),
        agreement="within 0.0001 of a standard deviation",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"sigma": 0.02}),
    Row("mr-head-128", "float32", {"sigma": 0.02}),
    Row("ct-chest-64x512x512", "float32", {"sigma": 0.02}),
)
