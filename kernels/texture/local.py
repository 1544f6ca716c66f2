"""Local intensity: the highest mean of a sphere of 1 cm^3, at the maximum and anywhere in a region.

    peak(p) = mean of v(q) over |q - p| <= r,    r = (3 / (4 pi))^(1/3) cm = 6.2 mm

The centre p lies in the region, the neighbours q anywhere in the image. The global peak is that of
any p, the local peak that of the p of the greatest intensity, of several the highest. Images are
one slice thick: the sphere is a disc there.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 2), computed in float64
spacing     between pixels, along z, y and x, in mm; the same for all images
borders     a sphere is cut off at the image's border: its mean is that of the pixels that there are
cost        two additions a pixel for each row of pixels that the sphere has: 113 rows in volumes of
            1 mm, 13 in images. On the GPU as many as the sphere has pixels. Workspace: on the CPU,
            a thread, 12 bytes a pixel of as many slices of one region as the sphere has; on the GPU
            none
nan         NaN and infinite pixels leave the region, and count nowhere. An empty region: NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.2; Wahl, Jacene, Kasamon and Lodge
            2009, J Nucl Med 50 suppl. 1 (SUV peak)
"""

from typing import Any

import numpy as np
from scipy.ndimage import convolve

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import ANY, RegionMeasure, volumes
from .._threads import run, threads
from ._levels import BLOCKS, WORTH_A_THREAD, on_device

_source = _cuda.Cuda(__file__)

RADIUS = 10.0 * (3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)  # mm
LEAST_ROWS = 32  # of a piece of a region that a thread gets

FEATURES = (
    Feature("local_peak", "VJGA", "peak(p) at the greatest v(p)", "intensity"),
    Feature("global_peak", "0F91", "max over p of peak(p)", "intensity"),
)


# ---- the definition


def reference(images, where, *, spacing=(1.0, 1.0, 1.0)):
    """The definition in plain NumPy and SciPy, float64 up to the last step."""
    ball = sphere(spacing, volumes(images).shape[1:])
    peaks = np.array([means(volume, ball) for volume in volumes(images)]).reshape(images.shape)
    values = np.full((len(where), 2), np.nan)
    crops = zip(where.crops(images), where.crops(peaks), values, strict=True)
    for (image, mask), (peak, _), out in crops:
        mask = mask & np.isfinite(image)
        if mask.any():
            greatest = image == image[mask].max()
            out[:] = peak[mask & greatest].max(), peak[mask].max()
    return values.astype(np.float32)


def sphere(spacing, shape):
    """Which neighbours (z, y, x) belong to a sphere, bool; not larger than images of this shape."""
    reach = [min(int(RADIUS / step), side - 1) for step, side in zip(spacing, shape, strict=True)]
    z, y, x = (np.arange(-n, n + 1) * step for n, step in zip(reach, spacing, strict=True))
    return z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= RADIUS**2


def means(volume, ball):
    """The mean of the finite pixels of the sphere around every pixel."""
    known = np.isfinite(volume)
    finite = np.where(known, volume, 0).astype(np.float64)
    sums, numbers = (
        convolve(a, ball.astype(float), mode="constant") for a in (finite, known.astype(float))
    )
    return sums / np.maximum(numbers.round(), 1)


def rows_of(ball):
    """The rows of a sphere: int64 (m, 3) of z, y and half the length, in the order of z and y."""
    length = ball.sum(axis=2)
    z, y = np.nonzero(length)
    middle = np.array(ball.shape) // 2
    return np.column_stack([z - middle[0], y - middle[1], length[z, y] // 2]).astype(np.int64)


# ---- CPU: row after row of the image is added to the sums of all the spheres that it crosses


@compiled
def load_row(pixels, first, values, known):
    """values[k] = pixel first + k and known[k] = 1; both 0 if it is outside or not finite."""
    values[:], known[:] = 0.0, 0
    start, stop = max(first, 0), min(first + values.size, pixels.size)
    there, to, mark = pixels[start:stop], values[start - first :], known[start - first :]
    for x in range(there.size):
        v = np.float64(there[x])
        finite = abs(v) < np.inf
        to[x] = v if finite else 0.0
        mark[x] = finite


@compiled
def widen(values, sums):
    """sums[k, x] = values[x - k] + .. + values[x + k], x counted from the widest one's reach."""
    reach, width = sums.shape[0] - 1, sums.shape[1]
    middle, narrow = values[reach:], sums[0]
    for x in range(width):
        narrow[x] = middle[x]
    for k in range(1, reach + 1):
        before, wide, left, right = sums[k - 1], sums[k], values[reach - k :], values[reach + k :]
        for x in range(width):
            wide[x] = before[x] + (left[x] + right[x])


@compiled
def add(to, row):
    """to += row, compiled once for each dtype."""
    for x in range(row.size):
        to[x] += row[x]


@compiled
def find_peaks(pixels, labels, label, sums, numbers, out):
    """Takes a row of spheres into the greatest intensity, its peak and the greatest peak so far."""
    greatest, local_peak, global_peak = out[0], out[1], out[2]
    for x in range(pixels.size):
        v = np.float64(pixels[x])
        inside = abs(v) < np.inf
        if labels.size:
            inside &= labels[x] != 0 if label == ANY else labels[x] == label
        if inside:
            peak = sums[x] / numbers[x]
            global_peak = max(global_peak, peak)
            if v > greatest:
                greatest, local_peak = v, peak
            elif v == greatest:
                local_peak = max(local_peak, peak)
    out[0], out[1], out[2] = greatest, local_peak, global_peak


@compiled
def search(images, labels, box, rows, reach, out):
    """out = the greatest intensity in a box, its peak, the greatest peak; -inf without a pixel.

    rows    of the sphere, see `rows_of`; reach int64 (3,): how far it goes
    """
    image, label, z0, z1, y0, y1, x0, x1 = box
    d, h = images.shape[1:3]
    rz, ry, rx = reach
    slices, width = 2 * rz + 1, x1 - x0
    sums, numbers = np.empty((slices, y1 - y0, width)), np.empty((slices, y1 - y0, width), np.int32)
    values, known = np.empty(width + 2 * rx), np.empty(width + 2 * rx, np.int32)
    run_sums, run_numbers = np.empty((rx + 1, width)), np.empty((rx + 1, width), np.int32)
    out[:] = -np.inf
    for z in range(z0 - rz, z1 + rz):
        if z + rz < z1:  # the spheres around this slice begin
            sums[(z + rz) % slices], numbers[(z + rz) % slices] = 0.0, 0
        for y in range(max(y0 - ry, 0), min(y1 + ry, h) if 0 <= z < d else 0):
            load_row(images[image, z, y], x0 - rx, values, known)
            widen(values, run_sums)
            widen(known, run_numbers)
            for dz, dy, half in rows:
                if z0 <= z - dz < z1 and y0 <= y - dy < y1:
                    add(sums[(z - dz) % slices, y - dy - y0], run_sums[half])
                    add(numbers[(z - dz) % slices, y - dy - y0], run_numbers[half])
        at = z - rz
        for y in range(y0, y1 if at >= z0 else y0):  # the spheres around that slice are complete
            area = labels[image, at, y, x0:x1] if labels.size else labels[0, 0, 0]
            found = sums[at % slices, y - y0], numbers[at % slices, y - y0]
            find_peaks(images[image, at, y, x0:x1], area, label, found[0], found[1], out)


@compiled
def search_some(first, stop, images, labels, boxes, rows, reach, found):
    """`search` in the boxes first .. stop - 1."""
    for k in range(first, stop):
        search(images, labels, boxes[k], rows, reach, found[k])


def cpu(images, where, values, *, spacing):
    """`reference`, compiled; large regions in pieces, which is why a piece tells its maximum."""
    ball = sphere(spacing, volumes(images).shape[1:])
    boxes, starts = pieces(where.table)
    labels = np.empty((1, 1, 1, 0), np.uint8) if where.labels is None else volumes(where.labels)
    found = np.empty((len(boxes), 3))
    pixels = where.sizes.prod(axis=1).sum() // len(boxes)
    run(
        search_some, len(boxes), volumes(images), frozen_view(labels), boxes, rows_of(ball),
        np.array(ball.shape) // 2, found, least=1 + WORTH_A_THREAD // (1 + pixels),
    )  # fmt: skip
    greatest = np.maximum.reduceat(found[:, 0], starts)
    at_greatest = found[:, 0] == np.repeat(greatest, np.diff(starts, append=len(boxes)))
    values[:, 0] = np.maximum.reduceat(np.where(at_greatest, found[:, 1], -np.inf), starts)
    values[:, 1] = np.maximum.reduceat(found[:, 2], starts)
    values[greatest == -np.inf] = np.nan


def pieces(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of regions cut along y, so that all threads have work, and where each one's start."""
    many = 1 if len(table) > threads() else 2 * threads()
    height = table[:, 5] - table[:, 4]
    cuts = np.clip(height // LEAST_ROWS, 1, many)
    starts = np.cumsum(cuts) - cuts
    region = np.repeat(np.arange(len(table)), cuts)
    k = np.arange(len(region)) - starts[region]
    boxes = table[region]
    boxes[:, 5] = boxes[:, 4] + height[region] * (k + 1) // cuts[region]
    boxes[:, 4] += height[region] * k // cuts[region]
    return boxes, starts


# ---- GPU: a block of threads a region, a thread a pixel


def gpu(images, where, values, *, spacing):
    """`reference` on the GPU, in one launch."""
    ball = sphere(spacing, volumes(images).shape[1:])
    rows = rows_of(ball).astype(np.int32)
    labels = images if where.labels is None else where.labels
    boxes = where.labels is None
    _source.function("measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=boxes)(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, rows), values, len(where), len(rows), *volumes(images).shape[1:],
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], *, spacing: tuple[float, ...], **_: Any) -> None:
    """Distances are above 0, and pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"local: an image may have 2^30 voxels, got one of {shape[1:]}")
    if not all(0 < step <= 1e3 for step in spacing):
        raise ValueError(f"local: spacing must be above 0, at most 1000 mm, got {spacing}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"local.{feature.name}" for feature in FEATURES)


local = RegionMeasure(
    name="local",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "spacing": Parameter(
            (1.0, 1.0, 1.0), "distance of pixels along z, y and x", low=0.0, high=1e3, unit="mm"
        ),
    },
    examples=({"spacing": (4.0, 4.0, 4.0)}, {"spacing": (5.0, 2.0, 1.5)}),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=226),
    peers=("scipy.ndimage:convolve",),
    quality=Quality(
        sector_efficiency=0.3,
        float64=True,
        excuse="all threads read the same row of the sphere at once, and neighbours begin anywhere "
        "in a sector; sums are float64, as on the CPU",
    ),
)
