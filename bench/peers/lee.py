"""Who else has Lee's speckle filter: nobody compiled; people write it with SciPy's box filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, image_pool, same_images


def box_statistics(image: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """float32 pixels, and mean and variance of the windows, by two of SciPy's box filters."""
    from scipy import ndimage

    pixels, side = image.astype(np.float32), 2 * radius + 1
    mean = ndimage.uniform_filter(pixels, side, mode="nearest")
    variance = ndimage.uniform_filter(pixels * pixels, side, mode="nearest")
    variance -= mean * mean
    return pixels, mean, variance


def store(out: np.ndarray, values: np.ndarray) -> None:
    """Rounded and clipped where the pixels are integers."""
    if out.dtype.kind != "f":
        info = np.iinfo(out.dtype)
        values = np.clip(np.rint(values), info.min, info.max)
    out[...] = values


def _scipy(image: np.ndarray, out: np.ndarray, radius: int, speckle: float, domain: str) -> None:
    pixels, mean, variance = box_statistics(image, radius)
    noise = np.float32(speckle) ** 2 * (1 if domain == "log" else mean * mean)
    gain = np.maximum(1 - noise / np.maximum(variance, 1e-12), 0)
    store(out, mean + gain * (pixels - mean))


def refuses(dtype: str, speckle: Any, **_: Any) -> str:
    """Only a strength that is given: nobody estimates it."""
    return "the strength of the speckle must be given" if isinstance(speckle, str) else ""


AGREEMENT = "float32: 0.001 of a range of 1 (its variance cancels); integers: one level"


def difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    """As `AGREEMENT` says."""
    return same_images(1e-3 if ours.dtype.kind == "f" else 1.0)(ours, theirs, **parameters)


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

LINEAR = {"radius": 3, "speckle": 0.2, "domain": "linear"}
ROWS = (
    Row("ultrasound-64x256x256", "uint8", {"radius": 3, "speckle": 20.0, "domain": "log"}),
    Row("image-1024", "float32", LINEAR),
    Row("ct-chest-64x512x512", "uint16", LINEAR),
)
