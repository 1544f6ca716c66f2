"""Frost's speckle filter: a weighted mean whose weights fall faster where the window varies more.

    out = sum w image / sum w;  w = exp(-damping (c / u)^2 d);  c = s / m  or, domain="log",  c = s

d is the distance to the centre, m and s are mean and standard deviation of the window, u is the
strength of the speckle: where there is nothing but speckle, c is u and w = exp(-damping d). With
speckle=1 and domain="linear" these are Frost's own weights exp(-damping c^2 d).

images  (n, h, w) uint8, uint16, int16 or float32; out has the same. domain="log": log-compressed
        images, as scanners show ultrasound, where speckle is added and u is in grey levels;
        domain="linear": amplitude or intensity, where speckle multiplies and u has no unit
borders the nearest pixel is repeated. On an edge the weights fall steeply: it keeps its place
        and most of its width, and the noise on it stays
cost    a pixel is read and written once, plus one read for u = "auto"; an addition a pixel of the
        window, and an exponential for each of the distances 1, sqrt 2, sqrt 5 .. (five of them for
        radius 3). CPU: 16 bytes a pixel of a tile of 32 x 512 and its border, in the second level
        cache; GPU: the same in shared memory. No other workspace
nan     a window that holds NaN or an infinity gives NaN
source  V. S. Frost, J. A. Stiles, K. S. Shanmugan, J. C. Holtzman, A model for radar images and
        its application to adaptive digital filtering of multiplicative noise, IEEE Trans. PAMI
        4, 1982
"""

from itertools import groupby
from typing import Any

import numpy as np

from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Parameter
from .._pixels import exp32, to_pixel
from .._threads import run
from ._speckle_level import DOMAINS, SpeckleFilter, speckle_parameter
from ._speckle_windows import (
    TILES,
    WindowsCuda,
    launch_tiles,
    load_pixels,
    load_windows,
    reference_statistics,
    tiling,
    workspace,
)

LEAST = 1e-20  # (u m)^2 at least, so that a black window divides by something


def reference(
    images: np.ndarray, *, radius: int, damping: float, speckle: np.ndarray, domain: str
) -> np.ndarray:
    """The weighted mean of every window in float64, one neighbour after the other."""
    mean, variance = reference_statistics(images, radius)
    noise = (speckle.astype(np.float64)[:, None, None] * (mean if domain == "linear" else 1)) ** 2
    decay = damping * variance / np.maximum(noise, LEAST)
    _, h, w = images.shape
    padded = np.pad(images.astype(np.float64), ((0, 0), (radius,) * 2, (radius,) * 2), mode="edge")
    total, weights = np.zeros_like(decay), np.zeros_like(decay)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            weight = np.exp(-decay * np.hypot(dy, dx))
            weights += weight
            total += weight * padded[:, radius + dy :, radius + dx :][:, :h, :w]
    smooth = np.where(np.isfinite(mean), total / weights, np.nan)
    if images.dtype.kind == "f":
        return smooth.astype(images.dtype)
    info = np.iinfo(images.dtype)
    return np.clip(np.rint(smooth), info.min, info.max).astype(images.dtype)


def cpu(
    images: np.ndarray, out: np.ndarray, *, radius: int, damping: float, speckle: Any, domain: str
) -> None:
    """Tiles one after the other, each small enough for the second level cache."""
    rows, columns, tiles = tiling(images.shape)
    quads, log = _quads(radius), domain == "log"
    settings = (radius, np.float32(damping), speckle, log, quads, rows, columns)
    run(_some_tiles, tiles, images, out, *settings)


def _quads(radius: int) -> np.ndarray:
    """Neighbours in fours, as rows (a, b, root, count): (a, b) and its three quarter turns.

    Distances are m sqrt(root), root without a square in it: one exponential serves them all, as
    w(m sqrt(root)) = w(sqrt(root))^m. Rows are in the order of root and m. Only the first row of a
    root has it, and only the last of a distance the `count` of pixels there; else they are 0.
    """
    around = range(1, radius + 1)
    quads = [(*_parts(a * a + b * b), a, b) for a in around for b in (0, *around)]
    rows, seen = [], set()
    for (root, _), group in groupby(sorted(quads), lambda quad: quad[:2]):
        ring = [[a, b, 0, 0] for _, _, a, b in group]
        ring[0][2] = 0 if root in seen else root
        ring[-1][3] = 4 * len(ring)
        seen.add(root)
        rows += ring
    return np.array(rows, np.int64)


def _parts(square: int) -> tuple[int, int]:
    """Root and m of the distance sqrt(square) = m sqrt(root), m the largest possible."""
    m = max(m for m in range(1, square + 1) if square % (m * m) == 0)
    return square // (m * m), m


# ---- CPU


@inner
def _decays(decay, mean, spread, share, damping, noise, log):
    """How fast the weights fall, along a row."""
    for i in range(decay.size):
        chance = noise if log else noise * (mean[i] * mean[i])
        chance = chance if chance > np.float32(LEAST) else np.float32(LEAST)
        decay[i] = damping * ((spread[i] * share) / chance)


@inner
def _add_quad(ring, north, east, south, west):
    for i in range(ring.size):
        ring[i] += (north[i] + south[i]) + (east[i] + west[i])


@inner
def _start_root(base, power, decay, root):
    for i in range(base.size):
        base[i] = exp32(-(decay[i] * root))
        power[i] = np.float32(1.0)


@inner
def _weigh_ring(total, weights, ring, power, base, count):
    """The `count` pixels of the next multiple of a root, summed in `ring`, join the sums."""
    for i in range(power.size):  # loops of few arrays each: more, and they would not be vectors
        power[i] *= base[i]
    for i in range(total.size):
        total[i] += power[i] * ring[i]
        weights[i] += power[i] * count
    for i in range(ring.size):
        ring[i] = np.float32(0.0)


@inner
def _average(out, total, weights, mean):
    """A row of the result; m - m is 0, or NaN where the window holds what is not finite."""
    for i in range(out.size):
        out[i] = to_pixel(total[i] / weights[i] + (mean[i] - mean[i]), out)


@inner
def _sum_windows(lines, pixels, y, radius, quads):
    """The weighted sums of the windows in row y of the tile; their decays are in lines[3]."""
    total, weights, ring, decay, base, power = lines
    size, y, x = ring.size, y + radius, radius
    centre = pixels[y][x : x + size]
    for i in range(size):
        total[i] = centre[i]
        weights[i] = np.float32(1.0)
        ring[i] = np.float32(0.0)
    for k in range(len(quads)):
        a, b, root, count = quads[k]
        if root:
            _start_root(base, power, decay, np.sqrt(np.float32(root)))
        north, south = pixels[y - a][x - b : x - b + size], pixels[y + a][x + b : x + b + size]
        west, east = pixels[y + b][x - a : x - a + size], pixels[y - b][x + a : x + a + size]
        _add_quad(ring, north, east, south, west)
        if count:
            _weigh_ring(total, weights, ring, power, base, np.float32(count))


@compiled
def _some_tiles(first, stop, images, out, radius, damping, speckle, log, quads, rows, columns):
    """Tiles first .. stop - 1 of the batch, counted along rows, then down, then images."""
    _, h, w = images.shape
    down, across = -(-h // rows), -(-w // columns)
    memory = workspace(rows, columns, radius)
    spare = np.empty((6, columns), np.float32)
    lines = (spare[0], spare[1], spare[2], spare[3], spare[4], spare[5])
    share = np.float32(1.0) / np.float32((2 * radius + 1) ** 2)
    for tile in range(first, stop):
        band, column = divmod(tile, across)
        image, row = divmod(band, down)
        y, x = row * rows, column * columns
        width = min(columns, w - x)
        load_windows(memory, images[image], y, x, radius)
        load_pixels(memory[2], images[image], y - radius, x - radius)
        noise = speckle[image] * speckle[image]
        for j in range(min(rows, h - y)):
            mean, spread = memory[0][j], memory[1][j]
            _decays(lines[3], mean, spread, share, damping, noise, log)
            _sum_windows(lines, memory[2], j, radius, quads)
            _average(out[image, y + j][x : x + width], lines[0], lines[1], mean)


# ---- GPU

_source = WindowsCuda(__file__)


def gpu(images: Any, out: Any, *, radius: int, damping: float, speckle: Any, domain: str) -> None:
    """One launch; the windows in shared memory, the neighbours as a list of macros."""
    calls = []
    for a, b, root, count in _quads(radius).tolist():
        calls += [f"ROOT({root})"] if root else []
        calls += [f"QUAD({a},{b})"]
        calls += [f"RING({count})"] if count else []
    settings = (out, speckle, damping, int(domain == "log"))
    launch_tiles("frost", _source, images, radius, *settings, WINDOW=" ".join(calls))


def _cost(itemsize: int, *, radius: int, **_: Any) -> Cost:
    """Read and written once; an addition a neighbour, about 25 operations a distance."""
    quads = _quads(radius)
    roots, rings = (int((quads[:, k] > 0).sum()) for k in (2, 3))
    return Cost(bytes=2 * itemsize, operations=4 * len(quads) + 25 * roots + 4 * rings + 60)


frost = SpeckleFilter(
    name="frost",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "radius": Parameter(3, "half the side of the window, 2 * radius + 1", 1, 7, unit="pixels"),
        "damping": Parameter(0.5, "how fast weights fall in mere speckle", 0, unit="1/pixel"),
        "speckle": speckle_parameter(),
        "domain": Parameter("log", "log-compressed or linear images", choices=DOMAINS),
    },
    cost=_cost,
    examples=(
        {"radius": 2, "domain": "log"},
        {"radius": 1, "damping": 1.0, "speckle": 0.3, "domain": "linear"},
        {"radius": 5, "speckle": 20.0, "domain": "log"},
    ),
    tolerance=1e-5,
    quality=TILES,
)
