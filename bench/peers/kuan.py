"""Who else has Kuan's speckle filter: nobody compiled; people write it with SciPy's box filter."""

from __future__ import annotations

import numpy as np

from .lee import AGREEMENT, box_statistics, difference, refuses, store
from .peer import Peer, Row, image_pool


def _scipy(image: np.ndarray, out: np.ndarray, radius: int, speckle: float) -> None:
    pixels, mean, variance = box_statistics(image, radius)
    u2 = np.float32(speckle) ** 2
    gain = np.maximum(1 - u2 * mean * mean / np.maximum(variance, 1e-12), 0) / (1 + u2)
    store(out, mean + gain * (pixels - mean))


PEERS = (
    Peer(
        name="scipy.ndimage:uniform_filter",
        package="scipy",
        distribution="scipy",
        modes={"image pool": image_pool(_scipy)},
        refuses=refuses,
        difference=difference,
        agreement=AGREEMENT,
    ),
)

LINEAR = {"radius": 3, "speckle": 0.2}
ROWS = (
    Row("ultrasound-64x256x256", "uint8", LINEAR),
    Row("image-1024", "float32", LINEAR),
    Row("ct-chest-64x512x512", "uint16", LINEAR),
)
