"""Speckle reducing anisotropic diffusion: smooths speckle, stops at edges, sharpens nothing.

    dI/dt = div(c grad I);  c = 1 / (1 + (q^2 - q0^2) / (q0^2 (1 + q0^2))), at most 1
    q^2 = (sum d^2 / 2 - (sum d)^2 / 16) / (I + sum d / 4)^2;  q0 = u exp(-decay t)

d are the differences to the four neighbours, u is the strength of the speckle. An explicit step
adds step / 4 times the flows to the four neighbours; what flows between two pixels, neighbours in
a column or row, has the c of the lower or right one, so the mean grey level is kept.

images  (n, h, w) uint8, uint16, int16 or float32; out has the same. domain="linear": amplitude or
        intensity, where speckle multiplies and u has no unit; domain="log": log-compressed
        images, as scanners show ultrasound, where speckle is added and u is in grey levels:
        q^2 is not divided, and c = q0^2 / q^2, at most 1
borders nothing flows across them. An edge whose step is several times the speckle keeps its width
cost    about 35 operations a pixel and iteration, one of them a division; the image stays in the
        second or third level cache meanwhile. Workspace: CPU one float32 image a thread (where
        threads share one image, 1.5 to 2.1 of them in all); GPU two for each image of a group:
        as many as keep it below three times images and out together, but at least one image,
        or 2^20 pixels. One uint8 image alone takes 4 times images and out
nan     pixels that are NaN or infinite stay as they are; nothing flows to or from them
source  Y. Yu, S. T. Acton, Speckle reducing anisotropic diffusion, IEEE Trans. Image Processing
        11, 2002
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._cuda import Cuda
from .._inner import inner
from .._kernel import Cost, Parameter
from .._pixels import load_tile, store_tile
from .._threads import run, threads
from ._grid import groups
from ._speckle_level import DOMAINS, SpeckleFilter, speckle_parameter


def reference(
    images: np.ndarray,
    *,
    iterations: int,
    step: float,
    decay: float,
    speckle: np.ndarray,
    domain: str,
) -> np.ndarray:
    """The explicit scheme in float64; differences that are not finite carry no flow."""
    image = images.astype(np.float64)
    for fade in fading(iterations, step, decay):
        south = _difference(image, axis=1)
        east = _difference(image, axis=2)
        north, west = -_shift(south, 1), -_shift(east, 2)
        laplacian = south + north + east + west
        q2 = (south**2 + north**2 + east**2 + west**2) / 2 - laplacian**2 / 16
        q02 = (speckle[:, None, None].astype(np.float64) * fade) ** 2
        if domain == "linear":
            mean2 = (image + laplacian / 4) ** 2
            top, bottom = (q02 + q02**2) * mean2, q2 + q02**2 * mean2
        else:
            top, bottom = np.broadcast_to(q02, q2.shape), q2
        c = np.where(top < bottom, top / np.where(bottom > 0, bottom, 1), 1)
        flow_south = np.concatenate([c[:, 1:], c[:, -1:]], axis=1) * south
        flow_east = np.concatenate([c[:, :, 1:], c[:, :, -1:]], axis=2) * east
        flow = flow_south - _shift(flow_south, 1) + flow_east - _shift(flow_east, 2)
        image = image + np.where(speckle[:, None, None] > 0, step / 4 * flow, 0)
    if images.dtype.kind == "f":
        return image.astype(images.dtype)
    info = np.iinfo(images.dtype)
    return np.clip(np.rint(image), info.min, info.max).astype(images.dtype)


def _difference(image: np.ndarray, axis: int) -> np.ndarray:
    """The next pixel along the axis minus this one; 0 at the end and where it is not finite."""
    last = np.take(image, [-1], axis)
    with np.errstate(invalid="ignore"):
        d = np.diff(image, axis=axis, append=last)
    return np.where(np.isfinite(d), d, 0)


def _shift(values: np.ndarray, axis: int) -> np.ndarray:
    """The value of the pixel before, 0 for the first."""
    return np.roll(values, 1, axis) * (np.indices(values.shape)[axis] > 0)


def fading(iterations: int, step: float, decay: float) -> np.ndarray:
    """q0 / u at each iteration."""
    return np.exp(-decay * step * np.arange(iterations)).astype(np.float32)


BLOCKED = 8  # iterations that a band of an image does on its own
BAND = 64  # rows of a band, at least


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    iterations: int,
    step: float,
    decay: float,
    speckle: np.ndarray,
    domain: str,
) -> None:
    """An image a thread; a single image in bands, which meet after every few iterations."""
    n, h, w = images.shape
    fade, log, share = fading(iterations, step, decay), domain == "log", np.float32(step / 4)
    if n >= threads() or h < 2 * BAND:
        run(_some_images, n, images, out, fade, share, speckle, log)
        return
    bands = min(h // BAND, 2 * threads())
    state = np.empty((h, w), np.float32)
    beside = np.empty((bands, 3 * BLOCKED, w), np.float32)
    for image in range(n):
        load_tile(state, images[image], 0, 0)
        for start in range(0, iterations, BLOCKED):
            now = fade[start : start + BLOCKED]
            run(_keep_beside, bands, state, beside)
            run(_some_bands, bands, state, beside, now, share, speckle[image], log)
        store_tile(out[image], 0, 0, state)


# ---- CPU


@inner
def _down(south, upper, lower):
    for i in range(south.size):
        d = lower[i] - upper[i]
        south[i] = d if abs(d) < np.inf else np.float32(0.0)


@inner
def _right(east, row, after):
    for i in range(after.size):
        d = after[i] - row[i]
        east[i] = d if abs(d) < np.inf else np.float32(0.0)


@inner
def _conductances(c, row, north, south, west, east, q02, log):
    """c of a row; `north` and `west` are the differences the other way round."""
    q04 = q02 * q02
    for i in range(c.size):
        laplacian = (south[i] - north[i]) + (east[i] - west[i])
        squares = (south[i] * south[i] + north[i] * north[i]) + (
            east[i] * east[i] + west[i] * west[i]
        )
        q2 = np.float32(0.5) * squares - np.float32(0.0625) * (laplacian * laplacian)
        mean = row[i] + np.float32(0.25) * laplacian
        mean2 = mean * mean
        top = q02 if log else (q02 + q04) * mean2
        bottom = q2 if log else q2 + q04 * mean2
        ratio = top / bottom
        c[i] = ratio if top < bottom else np.float32(1.0)


@inner
def _flow(row, c, c_south, c_east, north, south, west, east, share):
    """A row one step later; what flows in from the north and west has the c of this pixel."""
    for i in range(row.size):
        down = c_south[i] * south[i] - c[i] * north[i]
        right = c_east[i] * east[i] - c[i] * west[i]
        row[i] += share * (down + right)


@inner
def _diffuse(state, lines, fade, share, speckle, log):
    """All iterations in place. A row is renewed once the c of the next one is known, which needs
    the row after that: the differences of three rows and the c of two are in `lines`."""
    h, w = state.shape
    north, south, next_south = lines[0][:w], lines[1][:w], lines[2][:w]
    east, next_east, c, next_c = lines[3], lines[4], lines[5], lines[6]
    for i in range(w + 1):  # the column before the first, and after the last
        east[i] = next_east[i] = c[i] = next_c[i] = np.float32(0.0)
    if not speckle > 0:
        return
    for t in range(fade.size):
        q0 = speckle * fade[t]
        q02 = q0 * q0
        for i in range(w):
            north[i] = np.float32(0.0)
        _down(south, state[0], state[min(1, h - 1)])
        _right(east[1:], state[0], state[0][1:])
        _conductances(c[:w], state[0], north, south, east, east[1:], q02, log)
        for y in range(h):
            row, below = state[y], min(y + 1, h - 1)
            _down(next_south, state[below], state[min(y + 2, h - 1)])
            _right(next_east[1:], state[below], state[below][1:])
            _conductances(
                next_c[:w], state[below], south, next_south, next_east, next_east[1:], q02, log
            )
            _flow(row, c, next_c, c[1:], north, south, east, east[1:], share)
            north, south, next_south = south, next_south, north
            east, next_east, c, next_c = next_east, east, next_c, c


@compiled
def _some_images(first, stop, images, out, fade, share, speckle, log):
    _, h, w = images.shape
    state = np.empty((h, w), np.float32)
    lines = np.empty((7, w + 1), np.float32)
    for image in range(first, stop):
        load_tile(state, images[image], 0, 0)
        _diffuse(state, lines, fade, share, speckle[image], log)
        store_tile(out[image], 0, 0, state)


@compiled
def _keep_beside(first, stop, state, beside):
    """The rows above and below bands first .. stop - 1, before their owners renew them."""
    h, bands, reach = len(state), len(beside), beside.shape[1] // 3
    for band in range(first, stop):
        y, end = h * band // bands, h * (band + 1) // bands
        for j in range(3 * reach):
            source = y - reach + j if j < reach else end + j - reach
            if 0 <= source < h:
                line, row = beside[band, j], state[source]
                for i in range(row.size):
                    line[i] = row[i]


@compiled
def _some_bands(first, stop, state, beside, fade, share, speckle, log):
    """A few iterations of bands first .. stop - 1. Their surroundings come along: of those one row
    above and two below turn wrong in every iteration, for what lies beyond is missing."""
    (h, w), bands, reach = state.shape, len(beside), beside.shape[1] // 3
    lines = np.empty((7, w + 1), np.float32)
    for band in range(first, stop):
        y, end = h * band // bands, h * (band + 1) // bands
        above, below = min(reach, y), min(2 * reach, h - end)
        tile = np.empty((above + end - y + below, w), np.float32)
        load_tile(tile[:above], beside[band], reach - above, 0)
        load_tile(tile[above : above + end - y], state, y, 0)
        load_tile(tile[above + end - y :], beside[band], reach, 0)
        _diffuse(tile, lines, fade, share, speckle, log)
        store_tile(state, y, 0, tile[above : above + end - y])


# ---- GPU

_source = Cuda(__file__)
ROWS, COLUMNS, AT_ONCE = 32, 64, 4  # of a tile, and iterations that it does on its own
GRID = 65535


def gpu(
    images: Any,
    out: Any,
    *,
    iterations: int,
    step: float,
    decay: float,
    speckle: Any,
    domain: str,
) -> None:
    """A launch for every four iterations, from one float32 copy to another in between."""
    _, h, w = images.shape
    fade = fading(iterations, step, decay)
    rounds = -(-iterations // AT_ONCE)
    parts = [*groups(images, out, 2 * 4)]
    most = max((part.stop - part.start for part in parts), default=0)
    spare = [_cuda.empty(images, (most, h, w), np.float32) for _ in range(min(rounds - 1, 2))]
    macros = {"ROWS": ROWS, "COLUMNS": COLUMNS, "AT_ONCE": AT_ONCE, "LOG": int(domain == "log")}
    for part in parts:
        source, size = images[part], part.stop - part.start
        grid = (-(-w // COLUMNS), min(-(-h // ROWS), GRID), min(size, GRID))
        for k in range(rounds):
            target = out[part] if k == rounds - 1 else spare[k % 2]
            launch = _source.function("srad", SOURCE=source.dtype, TARGET=target.dtype, **macros)
            now = fade[k * AT_ONCE : (k + 1) * AT_ONCE]
            factors = np.zeros(AT_ONCE, np.float32)
            factors[: now.size] = now
            what = speckle[part], size, h, w, step / 4, now.size
            launch(grid, 256, source, target, *what, *factors)
            source = target


def _cost(itemsize: int, *, iterations: int, **_: Any) -> Cost:
    """Read and written once if all iterations run in the cache."""
    return Cost(bytes=2 * itemsize, operations=35 * iterations)


srad = SpeckleFilter(
    name="srad",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "iterations": Parameter(30, "explicit steps", 1, 10000),
        "step": Parameter(1.0, "time of a step", above=0, high=1),
        "decay": Parameter(0.15, "how fast q0 falls with time", 0),
        "speckle": speckle_parameter(),
        "domain": Parameter("log", "log-compressed or linear images", choices=DOMAINS),
    },
    cost=_cost,
    examples=(
        {"iterations": 5, "domain": "log"},
        {"iterations": 9, "step": 1.0, "speckle": 0.3, "domain": "linear"},
    ),
    tolerance=2e-5,
)
