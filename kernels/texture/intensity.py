"""Intensity and location of objects: sums, spreads and quartiles, at their edges and within.

    std = sqrt(sum (v - mean)^2 / N)      MAD = median |v - median|      centre = sum p / N
    mass centre = sum v p / sum v         mass_displacement = |mass centre - centre|

over the pixels p of an object and their intensities v. Its edge are the pixels that have a side
(in volumes a face) on a pixel of the image that is not the object's; the ends of the image are no
edge. Quartile number k lies k (N - 1) / 4 steps up in the sorted intensities, between two of them
in proportion, as NumPy's; CellProfiler's lies k N / 4 up, so that its median is half a step high.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 24), computed in float64; places count pixels from the image's first,
            z is 0 in images (n, h, w)
borders     beyond the image nothing is known: a side there makes no edge
cost        60 operations a pixel. Workspace: on the CPU, a thread, 3 MB or 21 bytes a pixel of
            one region; on the GPU 12 bytes a pixel of all boxes
nan         NaN and infinite pixels leave the object, but edges are those of its label. No pixel:
            all NaN. No edge, as in a whole image: its five columns NaN. A sum of 0: no mass centre,
            NaN
source      Carpenter et al. 2006, Genome Biology 7:R100 (CellProfiler: MeasureObjectIntensity; the
            centre of MeasureObjectSizeShape)
"""

from typing import Any

import numpy as np
from scipy import ndimage

from .. import _cuda
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import ANY, RegionMeasure, Regions, volumes
from ._gathered import labels_of, measure
from ._levels import BLOCKS, on_device
from ._objects import mark
from ._values import LANES, START, extent, fold, layout, order_statistics

_source = _cuda.Cuda(__file__)

FIVE = ("integrated", "mean", "std", "min", "max")
FEATURES = tuple(
    Feature(*row)
    for row in (
        ("integrated_intensity", "", "sum of v", "intensity"),
        ("mean_intensity", "", "sum of v / N", "intensity"),
        ("std_intensity", "", "sqrt(sum (v - mean)^2 / N)", "intensity"),
        ("min_intensity", "", "least v", "intensity"),
        ("max_intensity", "", "greatest v", "intensity"),
        *((f"{name}_intensity_edge", "", f"{name}_intensity of the edge", "intensity")
          for name in FIVE),
        ("mass_displacement", "", "|center_mass_intensity - center|", "px"),
        ("lower_quartile_intensity", "", "a quarter up in the sorted v", "intensity"),
        ("median_intensity", "", "half up", "intensity"),
        ("mad_intensity", "", "median of |v - median|", "intensity"),
        ("upper_quartile_intensity", "", "three quarters up", "intensity"),
        *((f"center_mass_intensity_{axis}", "", f"sum v {axis} / sum v", "px") for axis in "xyz"),
        *((f"max_intensity_{axis}", "", f"{axis} of the first pixel of the greatest v", "px")
          for axis in "xyz"),
        *((f"center_{axis}", "", f"sum {axis} / N", "px") for axis in "xyz"),
    )
)  # fmt: skip
QUARTILES = {"linear": 1, "cellprofiler": 0}  # quartile k lies k (N - this) / 4 steps up


# ---- the definition


def reference(images, where, *, quartiles):
    """The definition in plain NumPy and SciPy, float64."""
    values, shape = np.full((len(where), len(FEATURES)), np.nan), volumes(images).shape[1:]
    for (crop, inside), box, out in zip(where.crops(images), where.table, values, strict=True):
        good = inside & np.isfinite(crop)
        if good.any():
            with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN
                out[:] = formulas(crop, inside, good, box[2:], shape, QUARTILES[quartiles])
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def formulas(crop, inside, good, box, shape, less):
    """The features of one object in a box z0 z1 y0 y1 x0 x1 of an image of this shape."""
    v, places = crop[good].astype(np.float64), np.argwhere(good) + box[::2]
    centre, greatest = places.mean(axis=0), places[np.argmax(v)]
    mass_centre = centre + v @ (places - centre) / v.sum()
    lower, median, upper = (quartile(v, k, less) for k in (1, 2, 3))
    rim = crop[good & edge(inside, box, shape)].astype(np.float64)
    return [
        *five(v), *(five(rim) if rim.size else [np.nan] * 5),
        np.linalg.norm(mass_centre - centre),
        lower, median, quartile(abs(v - median), 2, less), upper,
        *mass_centre[::-1], *greatest[::-1], *centre[::-1],
    ]  # fmt: skip


def five(v):
    """Sum, mean, standard deviation, least and greatest."""
    return [v.sum(), v.mean(), v.std(), v.min(), v.max()]


def quartile(v, k, less):
    """Of numbers in any order; where it lies is exact, as whole steps and fourths of one."""
    ordered = np.sort(v)
    at, fourths = divmod(k * (len(v) - less), 4)
    low, high = ordered[at], ordered[min(at + 1, len(v) - 1)]
    return low + fourths / 4 * (high - low)


def edge(inside, box, shape):
    """The pixels of an object that have a side on a pixel of the image outside it."""
    around = np.zeros(np.add(inside.shape, 2), bool)
    for axis in range(3):
        across = np.moveaxis(around, axis, 0)
        across[0] |= box[2 * axis] == 0
        across[-1] |= box[2 * axis + 1] == shape[axis]
    around[1:-1, 1:-1, 1:-1] = inside
    core: Any = ndimage.binary_erosion(around)
    return inside & ~core[1:-1, 1:-1, 1:-1]


# ---- CPU: the pixels of one object


@inner
def cover(labels, label, box, shape, around):
    """around (d + 2, h + 2, w + 2) uint8: 1 on the object and beyond the image, 0 beside it."""
    d, h, w = around.shape
    left, right = np.uint8(box[4] == 0), np.uint8(box[5] == shape[2])
    for z in range(d):
        beyond_z = (z == 0 and box[0] == 0) or (z == d - 1 and box[1] == shape[0])
        for y in range(h):
            beyond = (y == 0 and box[2] == 0) or (y == h - 1 and box[3] == shape[1])
            row = around[z, y]
            if z in (0, d - 1) or y in (0, h - 1):
                row[:] = np.uint8(beyond or beyond_z)
                continue
            row[0], row[w - 1] = left, right
            if labels.size == 0:
                row[1 : w - 1] = np.uint8(1)
                continue
            own = labels[box[0] + z - 1, box[2] + y - 1, box[4] : box[5]]
            for x in range(w - 2):
                row[x + 1] = own[x] != 0 if label == ANY else own[x] == label


@compiled
def gather(images, labels, table, starts, values, rim, places, counts):
    """Appends the pixels of each region's box that count, from its place in `starts` on.

    values, rim   float32: intensities of the object and of its edge; places int32 (3, pixels)
    counts        int64 (regions, 2): how many there are, and how many of them on the edge
    Every pixel is stored, and the next one upon it unless it counts: no branch to mispredict.
    """
    for k in range(len(table)):
        image, label, box = images[table[k, 0]], table[k, 1], table[k, 2:]
        own = labels[table[k, 0] if labels.size else 0]
        d, h, w = box[1] - box[0], box[3] - box[2], box[5] - box[4]
        around, flags = np.empty((d + 2, h + 2, w + 2), np.uint8), np.empty(w, np.uint8)
        cover(own, label, box, image.shape, around)
        found = on_rim = starts[k]
        for z in range(d):
            for y in range(h):
                pixels = image[box[0] + z, box[2] + y, box[4] : box[5]]
                beside = own[0, 0]
                if labels.size:
                    beside = own[box[0] + z, box[2] + y, box[4] : box[5]]
                mark(flags, pixels, beside, label)
                row, above, below = around[z + 1, y + 1], around[z + 1, y], around[z + 1, y + 2]
                before, behind = around[z, y + 1], around[z + 2, y + 1]
                for x in range(w):
                    core = above[x + 1] & below[x + 1] & before[x + 1] & behind[x + 1]
                    core &= row[x] & row[x + 2]
                    v = np.float32(pixels[x]) + np.float32(0.0)  # -0 becomes 0
                    values[found] = rim[on_rim] = v
                    places[0, found] = box[0] + z
                    places[1, found] = box[2] + y
                    places[2, found] = box[4] + x
                    found += np.int64(flags[x])
                    on_rim += np.int64(flags[x] & (1 - core))
        counts[k, 0], counts[k, 1] = found - starts[k], on_rim - starts[k]


# ---- CPU: what is measured of them; float sums are those of 256 lanes, see _values.py


@compiled
def describe_five(values, out):
    """out[:5] = sum, mean, standard deviation, least and greatest; NaN of no value."""
    if values.size == 0:
        out[:5] = np.nan
        return
    lanes = np.zeros(LANES)
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        for x in range(chunk.size):
            lanes[x] += np.float64(chunk[x])
    out[0] = fold(lanes)
    out[1] = mean = out[0] / values.size
    lanes[:] = 0.0
    for first in range(0, values.size, LANES):
        chunk = values[first : first + LANES]
        for x in range(chunk.size):
            apart = np.float64(chunk[x]) - mean
            lanes[x] += apart * apart
    out[2] = np.sqrt(fold(lanes) / values.size)
    out[3], out[4] = extent(values)


@inner
def weigh(values, places, origin):
    """Sum of v (p - origin) on one axis."""
    lanes = np.zeros(LANES)
    for first in range(0, values.size, LANES):
        chunk, axis = values[first : first + LANES], places[first : first + LANES]
        for x in range(chunk.size):
            lanes[x] += np.float64(chunk[x]) * np.float64(axis[x] - origin)
    return fold(lanes)


@inner
def describe_places(values, places, out):
    """Displacement, mass centre, place of the greatest intensity, centre: see `FEATURES`."""
    first = 0
    while np.float64(values[first]) != out[4]:
        first += 1
    square = 0.0
    for axis in range(3):
        total = np.int64(0)
        for k in range(values.size):
            total += places[axis, k]
        origin = total // values.size  # near the centre: no digit is lost to a far origin
        centre = np.float64(total - origin * values.size) / values.size
        mass = weigh(values, places[axis], np.int32(origin)) / out[0] if out[0] != 0.0 else np.nan
        square += (mass - centre) * (mass - centre)
        out[17 - axis] = origin + mass
        out[20 - axis] = places[axis, first]
        out[23 - axis] = origin + centre
    out[10] = np.sqrt(square)


@inner
def quartile_ranks(ranks, count, less):
    """ranks[2k], ranks[2k + 1] = the order statistics between which quartile number k + 1 lies."""
    for k in range(ranks.size // 2):
        ranks[2 * k] = (k + 1) * (count - less) // 4
        ranks[2 * k + 1] = min(ranks[2 * k] + 1, count - 1)


@inner
def between(low, high, k, count, less):
    """Quartile number k between two order statistics."""
    fourths = k * (count - less) % 4
    return np.float64(low) + fourths / 4.0 * (np.float64(high) - np.float64(low))


@inner
def describe_order(values, less, ranks, found, out):
    """Quartiles, and the median distance from the median; `values` become these distances."""
    count = values.size
    quartile_ranks(ranks, count, less)
    order_statistics(values, out[3], out[4], ranks, found)
    out[11] = between(found[0], found[1], 1, count, less)
    out[12] = median = between(found[2], found[3], 2, count, less)
    out[14] = between(found[4], found[5], 3, count, less)
    for x in range(count):
        values[x] = np.float32(abs(np.float64(values[x]) - median))
    least, greatest = extent(values)
    order_statistics(values, least, greatest, ranks, found)
    out[13] = between(found[2], found[3], 2, count, less)


@compiled
def describe(values, rim, places, starts, counts, less, out):
    """The features of a block of regions."""
    ranks, found = np.empty(6, np.int64), np.empty(6, np.float32)
    for k in range(len(starts)):
        start, features = starts[k], out[k]
        stop, on_rim = start + counts[k, 0], start + counts[k, 1]
        if start == stop:
            features[:] = np.nan
            continue
        describe_five(values[start:stop], features)
        describe_five(rim[start:on_rim], features[5:])
        describe_places(values[start:stop], places[:, start:stop], features)
        describe_order(values[start:stop], less, ranks, found, features)


def cpu(images, where, values, *, quartiles):
    """`reference`, compiled."""

    def work(part: Regions) -> np.ndarray:
        spans, cells = layout(part)
        taken, rim = np.empty(cells + 1, np.float32), np.empty(cells + 1, np.float32)
        places, counts = np.empty((3, cells + 1), np.int32), np.empty((len(part), 2), np.int64)
        starts, out = spans[:, START].copy(), np.empty((len(part), len(FEATURES)))
        gather(volumes(images), labels_of(part), part.table, starts, taken, rim, places, counts)
        describe(taken, rim, places, starts, counts, QUARTILES[quartiles], out)
        return out

    measure(where, values, work)


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, quartiles):
    """`reference` on the GPU: one launch."""
    sizes = where.sizes.prod(axis=1)
    starts, total = np.cumsum(sizes) - sizes, max(int(sizes.sum()), 1)
    taken, rim = (_cuda.empty(images, (total,), np.float32) for _ in range(2))
    places = _cuda.empty(images, (total,), np.uint32)
    labels = images if where.labels is None else where.labels
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None
    )(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, starts), taken, rim, places, values, len(where),
        *volumes(images).shape[1:], QUARTILES[quartiles],
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
    """Pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"intensity: an image may have 2^30 voxels, got one of {shape[1:]}")


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"intensity.{feature.name}" for feature in FEATURES)


intensity = RegionMeasure(
    name="intensity",
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
        "quartiles": Parameter(
            "linear", "where quartiles lie, see above", choices=tuple(QUARTILES)
        ),
    },
    tolerance=1e-6,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 1, operations=60),
    peers=("skimage.measure:regionprops",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.5,
        float64=True,
        excuse="sums are float64 in the order of the CPU, the same bits; a row of a small object "
        "is less than a sector, and edges look at rows above and below",
    ),
)
