"""Kuan's speckle filter: the best linear estimate from the window when speckle multiplies.

    out = m + k (image - m);  k = max(0, 1 - u^2 / c^2) / (1 + u^2);  c = s / m

m and s are mean and standard deviation of the window, u is the strength of the speckle.

images  (n, h, w) uint8, uint16, int16 or float32 of linear amplitude or intensity; out has the
        same. For log-compressed images, as scanners show ultrasound, the best linear estimate is
        lee(domain="log"): speckle is added there, and the factor 1 + u^2 is gone
borders the nearest pixel is repeated. Within `radius` of an edge little is smoothed: k is near
        1 / (1 + u^2) there, so edges keep their width and most of their noise
cost    a pixel is read and written once, plus one read for u = "auto"; 7 operations for each of
        2 log2(2r+1) to 4 log2(2r+1) doublings. CPU: 16 bytes a pixel of a tile of 32 x 512 and
        its border, in the second level cache; GPU: the same in shared memory. No other workspace
nan     a window that holds NaN or an infinity gives NaN
source  D. T. Kuan, A. A. Sawchuk, T. C. Strand, P. Chavel, Adaptive noise smoothing filter for
        images with signal-dependent noise, IEEE Trans. PAMI 7, 1985
"""

from typing import Any

import numpy as np

from .._kernel import Parameter
from .._threads import run
from ._speckle_level import SpeckleFilter, speckle_parameter
from ._speckle_windows import TILES, WindowsCuda, launch_tiles, reference_statistics, tiling
from .lee import cost, some_tiles


def reference(images: np.ndarray, *, radius: int, speckle: np.ndarray) -> np.ndarray:
    """Mean, variance and gain of every window in float64."""
    mean, variance = reference_statistics(images, radius)
    u2 = speckle.astype(np.float64)[:, None, None] ** 2
    noise = u2 * mean**2
    gain = (1 - noise / np.where(variance > 0, variance, np.inf)) / (1 + u2)
    with np.errstate(invalid="ignore"):
        smooth = mean + np.where(variance > noise, gain, 0) * (images - mean)
    if images.dtype.kind == "f":
        return smooth.astype(images.dtype)
    info = np.iinfo(images.dtype)
    return np.clip(np.rint(smooth), info.min, info.max).astype(images.dtype)


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int, speckle: np.ndarray) -> None:
    """The tiles of `lee`, with another factor on the gain."""
    rows, columns, tiles = tiling(images.shape)
    run(some_tiles, tiles, images, out, radius, speckle, False, True, rows, columns)


# ---- GPU

_source = WindowsCuda(__file__)


def gpu(images: Any, out: Any, *, radius: int, speckle: Any) -> None:
    """One launch; the windows in shared memory."""
    launch_tiles("kuan", _source, images, radius, out, speckle)


kuan = SpeckleFilter(
    name="kuan",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(3, "half the side of the window, 2 * radius + 1", 1, 15, unit="pixels"),
        "speckle": speckle_parameter(),
    },
    cost=cost,
    examples=({"radius": 2}, {"radius": 3, "speckle": 0.5}, {"radius": 9, "speckle": 0.25}),
    tolerance=1e-5,
    quality=TILES,
    peers=("scipy.ndimage:uniform_filter",),
)
