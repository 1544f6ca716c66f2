"""Anisotropic diffusion: smooths within regions and not across edges higher than kappa.

    u_t = div(c(|Du|) Du)             conductance "exp": c(g) = exp(-(g / kappa)^2)
                                      "rational": c(g) = 1 / (1 + (g / kappa)^2)
    u_t = c(|Du|) |Du| div(Du / |Du|) "curvature", c as for "exp";  kappa = strength * sigma

images  (n, h, w), or volumes (n, d, h, w), uint8, uint16, int16 or float32; out has the same
borders nothing flows across the edge (the nearest pixel is repeated)
cost    an iteration takes 55, 18 or 90 (3D: 80, 27 or 170) operations a pixel; 8 iterations (GPU:
        4, 3D: 1) go through memory together. Workspace: CPU 4 bytes a pixel of one image a thread
        (none for whole float32 images) and 8 slices, or 24 for "curvature"; GPU 8 bytes a pixel
        of a group of images: as many as keep it below three times images and out together, but
        at least one image, or 2^20 pixels. One uint8 image alone takes 4 times images and out
nan     NaN and infinite pixels stay as they are and are borders to their neighbours; where sigma
        is 0 or not a number the image is unchanged
source  P. Perona, J. Malik, Scale-space and edge detection using anisotropic diffusion, PAMI 12,
        1990; L. Alvarez, P.-L. Lions, J.-M. Morel, Image selective smoothing and edge detection
        by nonlinear diffusion II, SIAM J. Numer. Anal. 29, 1992

Time steps are explicit. "exp" and "rational" take the difference between two neighbours for the
gradient between them, as in the paper. "curvature" moves level lines by their curvature, with
central differences, slower at edges; where |Du| is below 0.05 kappa, a line has no direction, and
the motion fades. Edges much higher than kappa stay as they are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Filter, Parameter, Quality
from .._threads import run, threads
from ._diffusion_rows import FLAT, advance, workspace
from ._grid import THREADS, Tiling, groups, to_pixels
from .noise import SIGMA

CONDUCTANCES = ("exp", "rational", "curvature")


def reference(
    images: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    conductance: str,
    iterations: int,
    step: float,
) -> np.ndarray:
    """Explicit steps in float64; one axis after the other."""
    out = images.copy()
    change = _curvature if conductance == "curvature" else _perona_malik
    for i, noise in enumerate(sigma.astype(np.float64)):
        kappa = strength * noise
        if not 0 < kappa < np.inf:
            continue
        u = images[i].astype(np.float64)
        for _ in range(iterations):
            u = u + step * change(u, kappa, conductance)
        out[i] = to_pixels(u, out.dtype)
    return out


def _perona_malik(u: np.ndarray, kappa: float, conductance: str) -> np.ndarray:
    change = np.zeros_like(u)
    for axis in range(u.ndim):
        d = _ahead(u, axis)
        squares = (d / kappa) ** 2
        flux = d * (np.exp(-squares) if conductance == "exp" else 1 / (1 + squares))
        change += flux - _behind(flux, axis)
    return change


def _curvature(u: np.ndarray, kappa: float, _: str) -> np.ndarray:
    """|Du| div(Du / |Du|) = sum of u_aa - u_a u_b u_ab / |Du|^2 over the axes a and b."""
    axes = range(u.ndim)
    faces = [(_ahead(u / kappa, axis), _behind(_ahead(u / kappa, axis), axis)) for axis in axes]
    slopes = [np.where(np.isfinite(u), (ahead + behind) / 2, np.nan) for ahead, behind in faces]
    squares = sum(g**2 for g in slopes)
    change = np.zeros_like(u)
    for a in axes:
        change += (faces[a][0] - faces[a][1]) * (squares - slopes[a] ** 2)
        for b in range(a):
            mixed = _ahead(slopes[a], b)
            change -= slopes[a] * slopes[b] * (mixed + _behind(mixed, b))
    change *= kappa * np.exp(-squares) / (squares + FLAT)
    return np.where(np.isfinite(change), change, 0)


def _ahead(u: np.ndarray, axis: int) -> np.ndarray:
    """The difference to the next pixel; zero at the edge and where one of them is no number."""
    d = _next(u, axis) - u
    return np.where(np.isfinite(d), d, 0)


def _behind(faces: np.ndarray, axis: int) -> np.ndarray:
    """What belongs to the face behind each pixel, zero at the edge."""
    return np.delete(np.insert(faces, 0, 0, axis), -1, axis)


def _next(u: np.ndarray, axis: int) -> np.ndarray:
    return np.take(u, np.minimum(np.arange(u.shape[axis]) + 1, u.shape[axis] - 1), axis)


# ---- CPU
#
# Both ranks are worked on as (slices, rows, columns): an image of h rows is h slices of one row.
# An image may be cut into bands of slices that are worked on side by side; each band holds some
# slices of its neighbours, as many as iterations are made before they meet.

TOGETHER = 8  # iterations between two meetings
SLICES = 4 * TOGETHER  # of a band, at least


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    conductance: str,
    iterations: int,
    step: float,
) -> None:
    """An image a thread; large ones, where they are few, in bands."""
    shape = images.shape if images.ndim == 4 else (*images.shape[:2], 1, images.shape[2])
    n, slices, rows, columns = shape
    volumes, results = images.reshape(shape), out.reshape(shape)
    count = max(min(-(-threads() // n), slices // SLICES), 1)
    edges = [slices * b // count for b in range(count + 1)]
    kappas = np.float32(strength) * sigma
    how = conductance, np.float32(step)

    def whole(first: int, stop: int) -> None:
        work = workspace(TOGETHER, rows, columns, conductance)
        buffer = None if out.dtype == np.float32 else np.empty(shape[1:], np.float32)
        for i in range(first, stop):
            u = results[i] if buffer is None else buffer
            u[...] = volumes[i]
            for k in range(0, iterations, TOGETHER):
                advance(u, work, min(TOGETHER, iterations - k), kappas[i], *how)
            if buffer is not None:
                results[i] = to_pixels(u, out.dtype)

    if count == 1:
        run(whole, n)
        return
    for volume, result, kappa in zip(volumes, results, kappas, strict=True):
        _in_bands(volume, result, edges, iterations, kappa, *how)


def _in_bands(
    volume: np.ndarray,
    result: np.ndarray,
    edges: list[int],
    iterations: int,
    kappa: np.float32,
    conductance: str,
    step: np.float32,
) -> None:
    """One image, its bands side by side; between two meetings they know nothing of each other."""
    bands = [_Band(a, b, volume.shape, conductance) for a, b in pairwise(edges)]

    def begin(first: int, stop: int) -> None:
        for band in bands[first:stop]:
            band.u[...] = volume[band.covers]

    def onwards(first: int, stop: int) -> None:
        for band in bands[first:stop]:
            advance(band.u, band.work, now, kappa, conductance, step)

    def finish(first: int, stop: int) -> None:
        for band in bands[first:stop]:
            result[band.own] = to_pixels(band.u[band.inside], result.dtype)

    run(begin, len(bands))
    for k in range(0, iterations, TOGETHER):
        now = min(TOGETHER, iterations - k)
        run(onwards, len(bands))
        for upper, lower in pairwise(bands):
            upper.u[-TOGETHER:] = lower.u[TOGETHER : 2 * TOGETHER]
            lower.u[:TOGETHER] = upper.u[-2 * TOGETHER : -TOGETHER]
    run(finish, len(bands))


class _Band:
    """The slices first .. stop - 1 of an image and TOGETHER more on each side."""

    def __init__(self, first: int, stop: int, shape: tuple[int, ...], conductance: str):
        slices, rows, columns = shape
        start, end = max(first - TOGETHER, 0), min(stop + TOGETHER, slices)
        self.covers, self.own = slice(start, end), slice(first, stop)
        self.inside = slice(first - start, stop - start)
        self.u = np.empty((end - start, rows, columns), np.float32)
        self.work = workspace(TOGETHER, rows, columns, conductance)


# ---- GPU

_source = _cuda.Cuda(__file__)


def gpu(
    images: Any,
    out: Any,
    *,
    sigma: Any,
    strength: float,
    conductance: str,
    iterations: int,
    step: float,
) -> None:
    """Tiles of all images at once, a few iterations a launch."""
    tiling, (d, h, w) = Tiling.of(images), (1, *images.shape[1:])[-3:]
    macros = {"CONDUCTANCE": CONDUCTANCES.index(conductance), **tiling.macros}
    diffuse = _source.function("diffuse", PIXEL=images.dtype, **macros)
    parts = [*groups(images, out, 2 * 4)]
    most = max((part.stop - part.start for part in parts), default=0)
    now, then = (_cuda.empty(images, (most, d * h * w), np.float32) for _ in range(2))
    for part in parts:
        grid = tiling.blocks, part.stop - part.start
        for k in range(0, iterations, tiling.halo):
            several, last = min(tiling.halo, iterations - k), k + tiling.halo >= iterations
            where = images[part], now, then, out[part], sigma[part], d, h, w
            diffuse(grid, THREADS, *where, several, int(k == 0), int(last), strength, step)
            now, then = then, now


def _cost(itemsize: int, *, conductance: str, iterations: int, **_: Any) -> Cost:
    """In and out once; operations of an image (volumes take twice as many)."""
    each = {"exp": 55, "rational": 18, "curvature": 90}[conductance]
    return Cost(bytes=2 * itemsize, operations=each * iterations)


def _validate(dtype: np.dtype, shape: tuple[int, ...], *, step: float, **_: Any) -> None:
    """An explicit step of more than 1 / (2 axes) is not stable."""
    most = 1 / (2 * (len(shape) - 1))
    if step > most:
        kind = "volumes" if len(shape) == 4 else "images"
        raise ValueError(f"diffusion: step must be at most {most:.4g} for {kind}, got {step}")


diffusion = Filter(
    name="diffusion",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={
        "sigma": SIGMA,
        "strength": Parameter(2.2, "kappa: edges above it stay", above=0, unit="sigma"),
        "conductance": Parameter("exp", "what flows where", choices=CONDUCTANCES),
        "iterations": Parameter(10, "time steps", 1, 100_000),
        "step": Parameter(
            0.125, "length of a time step; at most 1/4, for volumes 1/6", above=0, high=0.25
        ),
    },
    cost=_cost,
    validate=_validate,
    examples=(
        {"iterations": 3},
        {"conductance": "rational", "iterations": 9},
        {"conductance": "curvature", "iterations": 2},
    ),
    tolerance=1e-5,
    quality=Quality(
        sector_efficiency=0.45,
        excuse="rows of a tile of bytes, with 4 pixels more at both ends, cut sectors; only the "
        "first launch reads and only the last writes pixels, which here are one",
    ),
)
