"""Who else has the Laplacian of a Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, same_images

MODES: dict[str, Any] = {"mirror": "reflect", "periodic": "wrap", "zero": "constant"}


def _scipy(image: np.ndarray, out: np.ndarray, sigma: float, truncate: float, borders: str) -> None:
    from scipy import ndimage

    mode = MODES.get(borders, borders)
    ndimage.gaussian_laplace(image, sigma, mode=mode, truncate=truncate, output=out)


def _refuses(dtype: str, **_: Any) -> str:
    return "" if dtype == "float32" else f"a result of two signs is not made from {dtype}"


PEERS = (
    Peer(
        name="scipy.ndimage:gaussian_laplace",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=_refuses,
        difference=same_images(2e-3),
        agreement="2e-3 of the range: theirs is not corrected for what the window cuts off",
    ),
)

ROWS = (
    Row("image-1024", "float32", {"sigma": 1.5}),
    Row("ct-chest-64x512x512", "float32", {"sigma": 1.5}),
    Row("mr-head-128", "float32", {"sigma": 1.5}),
)
