"""Total variation (ROF): the image of least variation that stays close to the noisy one.

    u = argmin  |u - f|^2 / 2 + weight TV(u),   weight = strength * sigma
    TV(u) = sum of |Du| (isotropic) or of |Dx u| + |Dy u| (+ |Dz u|);  D: forward differences

images  (n, h, w), or volumes (n, d, h, w), uint8, uint16, int16 or float32; out has the same
borders nothing flows across the edge: differences to pixels outside are zero
cost    an iteration takes 33 (3D: 45) operations a pixel; CPU: 8 iterations go through memory
        together; GPU: 4 (1). Workspace: CPU 20 (24) bytes a pixel of one image a thread, GPU 32
        (40) of a group of images: as many as keep it below three times images and out together,
        but at least one image, or 2^20 pixels. One image alone takes 4 (5) times both where it
        is float32, 16 (20) times where it is uint8; on the CPU 2.5 (3) and 10 (12) times
nan     NaN and infinite pixels stay as they are and are borders to their neighbours; where sigma
        is 0 or not a number the image is unchanged
source  L. I. Rudin, S. Osher, E. Fatemi, Physica D 60, 1992; A. Chambolle, T. Pock, A first-order
        primal-dual algorithm, JMIV 40, 2011, algorithm 2

The minimiser u* is approached until the duality gap, looked at every 8 iterations, is at most
`gap` sigma^2 a pixel; the root mean square of u - u* is then at most sqrt(2 gap) sigma. With p
of |p| <= 1 and v = f - weight D'p every pixel's part of the gap is at least 0:

    (u - v)^2 / 2 + weight (|Du| - <Du, p>)

Steps between flat regions stay steps; a region loses contrast by weight * perimeter / area.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Filter, Parameter
from .._threads import run, threads
from ._grid import THREADS, Tiling, groups, to_pixels
from ._tv_rows import UNIT, advance
from .noise import SIGMA

CHECK = 8  # iterations between two looks at the gap


def reference(
    images: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    isotropic: bool,
    gap: float,
    iterations: int,
) -> np.ndarray:
    """The primal-dual iteration of the CPU and GPU code, as it stands in the paper."""
    out = images.copy()
    steps = schedule(images.ndim - 1, iterations).astype(np.float64)
    for i, (image, noise) in enumerate(zip(images, sigma.astype(np.float64), strict=True)):
        weight = strength * noise
        if not 0 < weight < np.inf:
            continue
        f = image.astype(np.float64)
        u, v, p = f, f, np.zeros((f.ndim, *f.shape))
        for k, (dual, primal, extra) in enumerate(steps, 1):
            p = _project(p + dual / weight * _gradient(v), isotropic)
            new = (u + primal * (f - weight * _adjoint(p))) / (1 + primal)
            u, v = new, new + extra * (new - u)
            if k % CHECK == 0:
                du, rest = _gradient(u), u - f + weight * _adjoint(p)
                parts = rest**2 / 2 + weight * (_lengths(du, isotropic) - (du * p).sum(0))
                if np.nansum(parts) <= gap * noise**2 * f.size:
                    break
        out[i] = to_pixels(u, out.dtype)
    return out


def _gradient(u: np.ndarray) -> np.ndarray:
    """Forward differences, x first; zero beyond the edge and at pixels that are no numbers."""
    axes = range(u.ndim - 1, -1, -1)
    steps = [np.diff(u, axis=a, append=np.take(u, [-1], a)) for a in axes]
    return np.where(np.isfinite(steps), steps, 0)


def _adjoint(p: np.ndarray) -> np.ndarray:
    """D'p, the negative divergence."""
    steps = [np.diff(q, axis=-1 - a, prepend=0) for a, q in enumerate(p)]
    return -np.sum(steps, axis=0)


def _lengths(g: np.ndarray, isotropic: bool) -> np.ndarray:
    return np.sqrt((g**2).sum(0)) if isotropic else np.abs(g).sum(0)


def _project(p: np.ndarray, isotropic: bool) -> np.ndarray:
    return p / np.maximum(_lengths(p, True), 1) if isotropic else np.clip(p, -1, 1)


def schedule(axes: int, iterations: int) -> np.ndarray:
    """(iterations, 3) float32: dual step, primal step, extrapolation.

    The data term is strongly convex with modulus 1 whatever the grey levels are; the algorithm
    accelerates with any number up to that. 0.5 and a first primal step of 0.5 were the fastest on
    CT, MR and test images. |D|^2 <= 4 axes, so that dual * primal = 1 / (4 axes) is allowed.
    """
    one, primal, rows = np.float32(1), np.float32(0.5), np.empty((iterations, 3), np.float32)
    for row in rows:
        extra = one / np.sqrt(one + primal)
        row[:] = one / (np.float32(4 * axes) * primal), primal, extra
        primal *= extra
    return rows


# ---- CPU
#
# Both ranks are worked on as (slices, rows, columns): an image of h rows is h slices of one row.
# An image may be cut into bands of slices that are worked on side by side; each band holds some
# slices of its neighbours, as many as iterations are made before they meet.

GHOST = CHECK + 1  # slices of its neighbours that a band needs for CHECK iterations and the gap
SLICES = 4 * GHOST  # of a band, at least


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    isotropic: bool,
    gap: float,
    iterations: int,
) -> None:
    """An image a thread; large ones, where they are few, in bands."""
    shape = images.shape if images.ndim == 4 else (*images.shape[:2], 1, images.shape[2])
    n, slices, rows, columns = shape
    volumes, results = images.reshape(shape), out.reshape(shape)
    steps = schedule(images.ndim - 1, iterations)
    how = (np.float32(strength), np.float32(gap), isotropic)
    count = max(min(-(-threads() // n), slices // SLICES), 1)
    edges = [slices * b // count for b in range(count + 1)]

    def solve(first: int, stop: int) -> None:
        bands = [Band(a, b, slices, rows, columns) for a, b in pairwise(edges)]
        for i in range(first, stop):
            _solve(volumes[i], results[i], bands, steps, sigma[i], *how)

    if count == 1:
        run(solve, n)
    else:
        solve(0, n)


def _solve(
    volume: np.ndarray, out: np.ndarray, bands: list[Band], steps: np.ndarray, *how: Any
) -> None:
    """One image; the bands meet every CHECK iterations."""
    gaps = [0] * len(bands)

    def begin(first: int, stop: int) -> None:
        for band in bands[first:stop]:
            band.begin(volume)

    def advance(first: int, stop: int) -> None:
        for b in range(first, stop):
            gaps[b] = bands[b].advance(now, *how)

    def finish(first: int, stop: int) -> None:
        for band in bands[first:stop]:
            band.finish(out)

    run(begin, len(bands))
    for k in range(0, len(steps), CHECK):
        now = steps[k : k + CHECK]
        run(advance, len(bands))
        if sum(gaps) <= UNIT * volume.size:
            break
        for upper, lower in pairwise(bands):
            upper.exchange(lower)
    run(finish, len(bands))


class Band:
    """f, u, v and p of the slices first .. stop - 1 of an image and of GHOST more on each side.

    p has a component along x, along the slices and, in volumes, along the rows. Rows have a column
    more than the image: v goes on with its last pixel, p along x begins with 0.
    """

    def __init__(self, first: int, stop: int, slices: int, rows: int, columns: int):
        start, end = max(first - GHOST, 0), min(stop + GHOST, slices)
        shape = (end - start, rows, columns + 1)
        self.covers = slice(start, end)
        self.own = slice(first, stop)
        self.inside = first - start, stop - start
        self.f, self.u, self.v, self.x, self.s = (np.empty(shape, np.float32) for _ in range(5))
        self.r = np.empty(shape, np.float32) if rows > 1 else None

    def dual(self) -> tuple[np.ndarray, ...]:
        return (self.x, self.s) if self.r is None else (self.x, self.r, self.s)

    def begin(self, volume: np.ndarray) -> None:
        """u = v = f, p = 0."""
        for plane in (self.f, self.u, self.v):
            plane[:, :, :-1] = volume[self.covers]
        for plane in self.dual():
            plane.fill(0)

    def advance(self, steps: np.ndarray, *how: Any) -> int:
        """The next iterations; the gap of the band's own slices, in units."""
        planes = self.f, self.u, self.v, self.x, self.r, self.s
        return advance(*planes, *self.inside, steps, *how)

    def exchange(self, below: Band) -> None:
        """Each gets the other's own slices among those that both have."""
        mine, its = (self.u, self.v, *self.dual()), (below.u, below.v, *below.dual())
        for upper, lower in zip(mine, its, strict=True):
            upper[-GHOST:] = lower[GHOST : 2 * GHOST]
            lower[:GHOST] = upper[-2 * GHOST : -GHOST]

    def finish(self, out: np.ndarray) -> None:
        out[self.own] = to_pixels(self.u[slice(*self.inside), :, :-1], out.dtype)


# ---- GPU

_source = _cuda.Cuda(__file__)


def gpu(
    images: Any,
    out: Any,
    *,
    sigma: Any,
    strength: float,
    isotropic: bool,
    gap: float,
    iterations: int,
) -> None:
    """Tiles of all images at once. The gap stays on the device: a finished image's blocks end."""
    tiling, (d, h, w) = Tiling.of(images), (1, *images.shape[1:])[-3:]
    pixels, planes = d * h * w, images.ndim + 1
    macros = {"PIXEL": images.dtype, "ISOTROPIC": isotropic, **tiling.macros}
    iterate, measure, finish = (
        _source.function(name, **macros) for name in ("tv_iterate", "tv_gap", "tv_finish")
    )
    primals = schedule(images.ndim - 1, iterations)[:, 1]
    parts = [*groups(images, out, 2 * 4 * planes)]
    most = max((part.stop - part.start for part in parts), default=0)
    now, then = (_cuda.empty(images, (planes, most, pixels), np.float32) for _ in range(2))
    gaps = _cuda.empty(images, (-(-iterations // CHECK) + 1, most), np.uint64)
    for group in parts:
        part, noise, size = images[group], sigma[group], (most, d, h, w)
        gaps[:1] = 2**63  # of images not looked at
        gaps[1:] = 0
        grid = min(-(-pixels // (4 * THREADS)), 1024), len(part)
        for check, k in enumerate(range(0, iterations, CHECK)):
            last = min(k + CHECK, iterations)
            for first in even(range(k, last, tiling.halo)):
                several, fresh = max(min(tiling.halo, last - first), 0), int(first == 0)
                primal = primals[min(first, iterations - 1)]
                what = part, now, then, noise, gaps[check], *size, several, fresh, primal
                iterate((tiling.blocks, len(part)), THREADS, *what, strength, gap)
                now, then = then, now
            if last < iterations:
                what = part, now, noise, gaps[check], gaps[check + 1], *size
                measure(grid, THREADS, *what, strength, gap)
        finish(grid, THREADS, part, now, noise, out[group], pixels, strength)


def even(launches: range) -> range:
    """One more, of no iterations, after an odd number: `now` holds all results, old and new."""
    odd = len(launches) % 2
    return range(launches.start, launches.stop + odd * launches.step, launches.step)


def _cost(itemsize: int, *, iterations: int, **_: Any) -> Cost:
    """In and out once; operations as if no image stopped early."""
    return Cost(bytes=2 * itemsize, operations=33 * iterations)


tv = Filter(
    name="tv",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={
        "sigma": SIGMA,
        "strength": Parameter(1.0, "weight of the variation", above=0, unit="sigma"),
        "isotropic": Parameter(True, "lengths of gradients; else the sum of their components"),
        "gap": Parameter(0.0005, "duality gap a pixel at which it stops", above=0, unit="sigma^2"),
        "iterations": Parameter(500, "most iterations", 1, 100_000),
    },
    cost=_cost,
    examples=(
        {"iterations": 2},
        {"iterations": 9, "isotropic": False, "gap": 0.5},
    ),
    tolerance=1e-5,
    peers=("skimage.restoration:denoise_tv_chambolle",),
)
