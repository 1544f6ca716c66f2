"""Lee's speckle filter: smooths where the window varies as speckle does, keeps what varies more.

    out = m + k (image - m);  k = max(0, 1 - u^2 / c^2);  c = s / m  or, domain="log",  c = s

m and s are mean and standard deviation of the window, u is the strength of the speckle.

images  (n, h, w) uint8, uint16, int16 or float32; out has the same. domain="log": log-compressed
        images, as scanners show ultrasound, where speckle is added and u is in grey levels;
        domain="linear": amplitude or intensity, where speckle multiplies and u has no unit
borders the nearest pixel is repeated. Within `radius` of an edge nothing is smoothed: k is
        near 1 there, so edges keep their width and their noise
cost    a pixel is read and written once, plus one read for u = "auto"; 7 operations for each of
        2 log2(2r+1) to 4 log2(2r+1) doublings. CPU: 16 bytes a pixel of a tile of 32 x 512 and
        its border, in the second level cache; GPU: the same in shared memory. No other workspace
nan     a window that holds NaN or an infinity gives NaN
source  J.-S. Lee, Digital image enhancement and noise filtering by use of local statistics, IEEE
        Trans. PAMI 2, 1980; this form: A. Lopes et al., Adaptive speckle filters and scene
        heterogeneity, IEEE Trans. Geosci. Remote Sensing 28, 1990
"""

from typing import Any

import numpy as np

from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Parameter
from .._pixels import to_pixel
from .._threads import run
from ._speckle_level import DOMAINS, SpeckleFilter, speckle_parameter
from ._speckle_windows import (
    TILES,
    WindowsCuda,
    launch_tiles,
    load_windows,
    reference_statistics,
    tiling,
    workspace,
)


def reference(images: np.ndarray, *, radius: int, speckle: np.ndarray, domain: str) -> np.ndarray:
    """Mean, variance and gain of every window in float64."""
    mean, variance = reference_statistics(images, radius)
    level = mean if domain == "linear" else np.ones_like(mean)
    noise = (speckle.astype(np.float64)[:, None, None] * level) ** 2
    gain = np.maximum(0, 1 - noise / np.where(variance > 0, variance, np.inf))
    with np.errstate(invalid="ignore"):
        smooth = mean + np.where(variance > noise, gain, 0) * (images - mean)
    if images.dtype.kind == "f":
        return smooth.astype(images.dtype)
    info = np.iinfo(images.dtype)
    return np.clip(np.rint(smooth), info.min, info.max).astype(images.dtype)


def cpu(images: np.ndarray, out: np.ndarray, *, radius: int, speckle: Any, domain: str) -> None:
    """Tiles one after the other, each small enough for the second level cache."""
    rows, columns, tiles = tiling(images.shape)
    run(some_tiles, tiles, images, out, radius, speckle, domain == "log", False, rows, columns)


# ---- CPU


@inner
def _shrink(out, pixels, mean, spread, share, noise, log, scale):
    """A row: mean + k (pixel - mean); `noise` is u^2, `scale` multiplies k."""
    for i in range(out.size):
        variance, m = spread[i] * share, mean[i]
        chance = noise if log else noise * (m * m)
        gain = scale * (np.float32(1.0) - chance / variance)
        gain = gain if variance > chance else np.float32(0.0)
        out[i] = to_pixel(m + gain * (np.float32(pixels[i]) - m), out)


@compiled
def some_tiles(first, stop, images, out, radius, speckle, log, kuan, rows, columns):
    """Tiles first .. stop - 1 of the batch, counted along rows, then down, then images."""
    _, h, w = images.shape
    down, across = -(-h // rows), -(-w // columns)
    memory = workspace(rows, columns, radius)
    share = np.float32(1.0) / np.float32((2 * radius + 1) ** 2)
    for tile in range(first, stop):
        band, column = divmod(tile, across)
        image, row = divmod(band, down)
        y, x = row * rows, column * columns
        load_windows(memory, images[image], y, x, radius)
        noise = speckle[image] * speckle[image]
        scale = np.float32(1.0) / (np.float32(1.0) + noise) if kuan else np.float32(1.0)
        for j in range(min(rows, h - y)):
            pixels = images[image, y + j][x : x + columns]
            line = out[image, y + j][x : x + columns]
            _shrink(line, pixels, memory[0][j], memory[1][j], share, noise, log, scale)


# ---- GPU

_source = WindowsCuda(__file__)


def gpu(images: Any, out: Any, *, radius: int, speckle: Any, domain: str) -> None:
    """One launch; the windows in shared memory."""
    launch_tiles("lee", _source, images, radius, out, speckle, int(domain == "log"))


def cost(itemsize: int, *, radius: int, **_: Any) -> Cost:
    """Read and written once; a merge of 7 operations for each doubling and each bit of the side."""
    side = 2 * radius + 1
    merges = 2 * (side.bit_length() - 1 + side.bit_count() - 1)
    return Cost(bytes=2 * itemsize, operations=7 * merges + 8)


lee = SpeckleFilter(
    name="lee",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(3, "half the side of the window, 2 * radius + 1", 1, 15, unit="pixels"),
        "speckle": speckle_parameter(),
        "domain": Parameter("log", "log-compressed or linear images", choices=DOMAINS),
    },
    cost=cost,
    examples=(
        {"radius": 2, "domain": "log"},
        {"radius": 1, "speckle": 0.3, "domain": "linear"},
        {"radius": 5, "speckle": 20.0, "domain": "log"},
    ),
    tolerance=1e-5,
    quality=TILES,
    peers=("scipy.ndimage:uniform_filter",),
)
