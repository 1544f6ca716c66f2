"""Non-local means: the mean of all pixels whose surroundings look alike; 2D, 3D, Rician.

    out(p) = sum of w(p, q) v(q) / sum of w(p, q),   w = exp(-max(D - 2 sigma^2, 0) / h^2)
    D      = mean of (v(p + k) - v(q + k))^2 over the patch,   h = strength * sigma

q runs over the search window around p. Two patches that differ by noise alone have D = 2 sigma^2.
With noise="rician" (magnitude MR images) the squares are averaged and their bias is taken off:
out(p) = sqrt(max(mean of v^2 - 2 sigma^2, 0)).

images  (n, h, w), or volumes (n, d, h, w) with windows and patches of three dimensions; uint8,
        uint16, int16 or float32, any intensity unit; out has the same
borders the search window ends at the border; patches reach over it, there the nearest pixel is
        repeated
cost    a pixel is read and written once. Of o and -o the CPU weighs one, 220 offsets of a window
        of 21 x 21: 24 additions, multiplications, minima and the like for each, and 2 for every
        addition in the sum of a side (7: 6); the GPU weighs both. CPU: 1 MB a thread for images
        (1.1 MB for float32 and Rician noise), up to 2 MB for volumes. GPU: no workspace
nan     NaN, infinity and pixels of 1e18 and more stay as they are and weigh nothing; so does a
        pixel with one of them in its patch, which is like no other patch
source  A. Buades, B. Coll, J.-M. Morel, Non-local means denoising, Image Processing On Line 1,
        2011; Rician: N. Wiest-Daessle et al., Rician noise removal by non-local means filtering
        for low signal-to-noise ratio MRI, MICCAI 2008; symmetric weights and sums of squared
        differences: J. Darbon et al., Fast nonlocal filtering, ISBI 2008

Edges between regions stay where they are, sharp, if either side has its like in the window; what
has none, a single small structure, keeps its noise. The noise must be the same everywhere: Poisson
noise is to be made so first. Weights are within 3e-6 of the formula; Rician results near 0 are the
root of a small difference, and so less exact.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .._cpu import aligned_empty, compiled
from .._cuda import Cuda
from .._kernel import Cost, Filter, Parameter, Quality
from .._pixels import load_block, store_tile
from .._threads import run
from ._nlm_tile import GROUP, KNOWN, LANES, PAD, Memory, Plan, Three, border, box_of, smooth
from .noise import SIGMA


def radii(ndim: int, search: int, patch: int) -> tuple[Three, Three]:
    """Search window and patch along z, y and x; 0 stands for the usual ones."""
    planes = ndim == 3
    search, patch = search or (10 if planes else 3), patch or (2 if planes else 1)
    return (0 if planes else search, search, search), (0 if planes else patch, patch, patch)


def reference(
    images: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    search: int = 0,
    patch: int = 0,
    noise: str = "gaussian",
) -> np.ndarray:
    """Offset after offset: the distances of all patches, the weights, the weighted sums."""
    window, surround = radii(images.ndim, search, patch)
    volumes = (images if images.ndim == 4 else images[:, None]).astype(np.float64)
    whole = volumes.shape[1:]
    missing = ~(np.abs(volumes) < KNOWN)
    values = np.where(missing, 0, volumes**2 if noise == "rician" else volumes)
    variance = sigma.astype(np.float64).reshape(-1, 1, 1, 1) ** 2
    h2 = np.maximum(strength**2 * variance, 1e-60)
    around = np.pad(volumes, [(0, 0), *((r, r) for r in surround)], mode="edge")
    sums, totals = values.copy(), np.ones(volumes.shape)  # a pixel weighs 1 for itself
    for o in np.ndindex(*(2 * r + 1 for r in window)):
        offset = [int(k) - r for k, r in zip(o, window, strict=True)]
        if not any(offset) or any(abs(k) >= n for k, n in zip(offset, whole, strict=True)):
            continue
        p, q = _pairs(offset, whole, (0, 0, 0))
        a, b = _pairs(offset, whole, surround)
        distance = _patch_means((around[a] - around[b]) ** 2, surround)
        weight = np.exp(-np.maximum(np.nan_to_num(distance, nan=np.inf) - 2 * variance, 0) / h2)
        sums[p] += weight * values[q]
        totals[p] += weight
    mean = sums / totals
    if noise == "rician":
        mean = np.sqrt(np.maximum(mean - 2 * variance, 0))
    result = np.where(missing | ~(variance > 0), volumes, mean).reshape(images.shape)
    if images.dtype.kind == "f":
        return result.astype(images.dtype)
    info = np.iinfo(images.dtype)
    return np.rint(result).clip(info.min, info.max).astype(images.dtype)


def _pairs(offset: list[int], whole: Three, surround: Three) -> tuple[tuple, tuple]:
    """All p and all q = p + offset that are in the image, with what surrounds them."""
    every, p, q = slice(None), [], []
    for k, n, r in zip(offset, whole, surround, strict=True):
        p.append(slice(max(0, -k), min(n, n - k) + 2 * r))
        q.append(slice(max(0, k), min(n, n + k) + 2 * r))
    return (every, *p), (every, *q)


def _patch_means(values: np.ndarray, surround: Three) -> np.ndarray:
    """Means over all patches that `values` (n, d, h, w) hold whole."""
    for axis, r in enumerate(surround, 1):
        size = values.shape[axis] - 2 * r
        every = (slice(None),) * axis
        shifted = [values[(*every, slice(k, k + size))] for k in range(2 * r + 1)]
        values = np.mean(shifted, axis=0)
    return values


# ---- CPU

BAND = 16384  # pixels: few enough to stay in the second level cache with a tile
TOGETHER = 1 << 16  # pixels of the tiles that are worked on between two calls of compiled code


def cpu(
    images: np.ndarray,
    out: np.ndarray,
    *,
    sigma: np.ndarray,
    strength: float,
    search: int,
    patch: int,
    noise: str,
) -> None:
    """Tiles of equal size, each with all its pairs."""
    window, surround = radii(images.ndim, search, patch)
    if images.ndim == 3:
        images, out = images[:, None], out[:, None]
    plan = plan_of(images.shape[1:], window, surround)
    rician = noise == "rician"
    plain = images.dtype.kind != "f" and not rician  # what is averaged are the pixels
    side = (1,) * (2 * max(surround) + 1)  # as a type it is known when the loops are compiled
    formula = (side, sigma, np.float32(strength), rician, plain)
    run(_some_tiles, len(images) * math.prod(plan.grid), images, out, plan, formula)


def plan_of(whole: Three, search: Three, patch: Three) -> Plan:
    """Equal tiles, as large as the second level cache takes; bands that the first one takes."""
    most = (1, 128, 256) if whole[0] == 1 else (16, 16, 128)
    nz, ny, nx = (-(-n // m) for n, m in zip(whole, most, strict=True))
    d, h, w = -(-whole[0] // nz), -(-whole[1] // ny), -(-whole[2] // nx)
    down = h + 2 * (search[1] + patch[1]) + 1  # what a loop reads past its last row
    step = -(-(w + 2 * (search[2] + patch[2])) // LANES) * LANES
    band = min(h + search[1], max(1, BAND // step))
    return Plan(whole, (nz, ny, nx), (d, h, w), search, patch, down, step, band)


def _some_tiles(
    first: int, stop: int, images: np.ndarray, out: np.ndarray, plan: Plan, formula: tuple
) -> None:
    """Tiles first .. stop - 1 of the batch. Only the first and the last step depend on the dtype;
    what lies between is compiled once for all."""
    together = min(stop - first, max(1, TOGETHER // math.prod(plan.tile)))
    memory = _memory(plan, together, plain=formula[-1])
    for k in range(first, stop, together):
        count = min(together, stop - k)
        _load(k, count, images, memory.tiles, plan)
        smooth(k, count, plan, memory, *formula)
        _store(k, count, out, memory.sums, plan)


def _memory(plan: Plan, together: int, plain: bool) -> Memory:
    (d, h, _), step, band = plan.tile, plan.step, plan.band
    above = 2 * plan.patch[1]
    pixels = _zeros(together, d + 2 * (plan.search[0] + plan.patch[0]), plan.down, step)
    return Memory(
        tiles=pixels,
        values=pixels if plain else _zeros(*pixels.shape),
        sums=_zeros(together, d, h, step),
        totals=_zeros(d * h * step),
        squares=_zeros((band + above) * step + 2 * PAD),
        along=_zeros(GROUP, (band + above) * step),
        weights=_zeros(GROUP, band * step + 2 * PAD),
    )


def _zeros(*shape: int) -> np.ndarray:
    array = aligned_empty(shape, np.float32)
    array[...] = 0
    return array


@compiled
def _load(first, count, images, tiles, plan):
    bz, by, bx = border(plan)
    for k in range(count):
        image, (z, y, x), _ = box_of(first + k, plan)
        load_block(tiles[k], images[image], z - bz, y - by, x - bx)


@compiled
def _store(first, count, out, means, plan):
    bx = border(plan)[2]
    for k in range(count):
        image, (z, y, x), (d, h, w) = box_of(first + k, plan)
        for j in range(d):
            store_tile(out[image, z + j], y, x, means[k, j][:h, bx : bx + w])


# ---- GPU

_source = Cuda(__file__)
GRID = 65535  # most blocks in y and z; they go on with the next tile or plane
SHARED = 48 * 1024


def gpu(
    images: Any,
    out: Any,
    *,
    sigma: Any,
    strength: float,
    search: int,
    patch: int,
    noise: str,
) -> None:
    """A thread block a tile of a plane."""
    window, surround = radii(images.ndim, search, patch)
    n, d, h, w = images.shape if images.ndim == 4 else (images.shape[0], 1, *images.shape[1:])
    tile = _gpu_tile(window, surround)
    nlm_of_a_tile = _source.function(
        "nlm",
        PIXEL=images.dtype,
        SEARCH=window[2],
        PATCH=surround[2],
        DEPTH=surround[0],
        RICIAN=int(noise == "rician"),
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        SEGMENT=tile.segment,
    )
    height = tile.rows - 2 * surround[1]
    grid = (-(-w // tile.columns), min(-(-h // height), GRID), min(n * d, GRID))
    arrays = (images, out, sigma, strength, n, d, h, w)
    nlm_of_a_tile(grid, tile.threads, *arrays, smem=tile.shared(window, surround))


class _GpuTile(NamedTuple):
    """`rows` are summed along x, by a thread for `segment` of `columns`."""

    rows: int
    columns: int
    segment: int

    @property
    def threads(self) -> int:
        return self.rows * self.columns // self.segment

    def shared(self, search: Three, patch: Three) -> int:
        """Bytes of shared memory: planes around the tile, for volumes above and below, and sums."""
        groups = self.threads // self.columns
        height = self.rows - 2 * patch[1]
        step = (self.columns + 2 * (search[2] + patch[2])) | 1
        planes = (2 if patch[0] else 1) * (2 * patch[0] + 1)
        pixels = planes * (self.rows + 2 * search[1]) * step
        sums = (-(-height // groups) * groups + 2 * patch[1]) * (self.columns | 1)
        return 4 * (pixels + sums)


def _gpu_tile(search: Three, patch: Three) -> _GpuTile:
    """The more rows, the fewer are summed twice; a volume has several planes to hold."""
    if patch[0]:
        return _GpuTile(rows=32, columns=32, segment=8 if patch[0] == 1 else 4)
    large = _GpuTile(rows=64, columns=64, segment=16)
    return large if large.shared(search, patch) <= SHARED else _GpuTile(32, 64, 8)


def _cost(itemsize: int, *, search: int, patch: int, **_: Any) -> Cost:
    """Of an image; each pair is weighed once."""
    window, surround = radii(3, search, patch)
    pairs, side = (math.prod(2 * r + 1 for r in window) - 1) // 2, 2 * max(surround) + 1
    return Cost(bytes=2 * itemsize, operations=pairs * (24 + 2 * (side - 1)))


def _validate(dtype: Any, shape: tuple[int, ...], *, search: int, patch: int, **_: Any) -> None:
    if len(shape) == 4 and (search > 7 or patch > 2):
        raise ValueError(
            f"nlm: volumes take search up to 7 and patch up to 2, got {search} and {patch}: a "
            f"window of {2 * search + 1}^3 voxels or patches of {2 * patch + 1}^3 never pay"
        )


nlm = Filter(
    name="nlm",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    ndim=(3, 4),
    parameters={
        "sigma": SIGMA,
        "strength": Parameter(0.8, "h in units of sigma: more smooths more", above=0),
        "search": Parameter(
            0, "radius of the search window; 0: 10 in images, 3 in volumes", 0, 15, unit="pixels"
        ),
        "patch": Parameter(
            0, "radius of the patches; 0: 2 in images, 1 in volumes", 0, 5, unit="pixels"
        ),
        "noise": Parameter("gaussian", "how noise enters", choices=("gaussian", "rician")),
    },
    cost=_cost,
    validate=_validate,
    examples=(
        {"search": 1, "patch": 1},
        {"search": 1, "patch": 2, "noise": "rician"},
        {"search": 2, "patch": 3, "sigma": 20.0},
    ),
    peers=(
        "cv2:fastNlMeansDenoising",
        "skimage.restoration:denoise_nl_means",
        "dipy.denoise:nlmeans",
    ),
    tolerance=1e-5,
    quality=Quality(
        registers=128,
        shared_bytes=98 * 1024,
        sector_efficiency=0.3,
        excuse="the pixels that a thread compares and sums stay in its registers for hundreds of "
        "passes over a tile; the tile is loaded once, in rows that begin anywhere; volumes hold "
        "the planes above and below, for windows of 9^3 and more in over 48 KB",
    ),
)
