"""Colour coherence vector: how much of each colour lies in large connected patches, how much not.

    alpha_k = pixels of colour k in components of at least tau N pixels / N
    beta_k  = the other pixels of colour k / N

of a region of N pixels. A component is a set of pixels of one colour that touch, 8-connected. The
colours are L^3 cubes of RGB, k = (r L + g) L + b with r = min(floor(L v / 2^bits), L - 1), L being
`levels`; v is the red intensity, or with `blur` its mean over the 3x3 pixels around, as the paper
has it. Two images of one colour histogram differ in how it is spread: in patches, or in specks.

images      (n, h, w, 3) RGB; uint8, or uint16 of `bits` bits
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 2 L^3 + 4): alpha of all colours, beta of all colours, named by their
            levels r, g and b; then the columns of the region as a whole
borders     a component ends where the image or the region ends. The mean sees the image around the
            region; outside the image its nearest pixel
cost        about 12 operations a sample, one step a pixel, about 20 operations a run of one colour.
            Workspace: on the CPU, a thread, 14 bytes a run of the region; on the GPU 9 bytes a
            pixel of all boxes
nan         empty regions: all columns NaN
source      Pass, Zabih and Miller 1996, Comparing images using color coherence vectors, ACM
            Multimedia 96
"""

from typing import Any

import numpy as np
from scipy.ndimage import label

from .. import _cuda
from .._cpu import compiled, frozen_view
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure
from .._threads import run
from ._levels import BLOCKS, on_device
from ._objects import mark

_source = _cuda.Cuda(__file__)

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("coherent", "", "alpha_k, the share of the pixels in large components of colour k"),
        ("incoherent", "", "beta_k, the share of the other pixels of colour k"),
        ("coherent_share", "", "sum alpha_k"),
        ("components", "", "number of components of any size"),
        ("largest_component", "", "share of the pixels in the largest component"),
        ("frequent_colours", "", "colours of at least 1 % of the pixels"),
    )
)
EACH = 2  # of these are of each colour, the others of the region
ONE_PERCENT = 100  # so many of them make the whole
EIGHT = 8  # bytes of a word: flags that are looked at in one step
WORTH_A_THREAD = 1 << 14  # pixels
STRIP = 1 << 12  # pixels of a region that are worth a block of GPU threads
STRIPS = 256  # blocks in a row, at most


# ---- the definition


def reference(images, where, *, levels=4, blur=True, tau=0.01, bits=8):
    """The definition in plain NumPy and SciPy, on integers up to the last division."""
    values = np.full((len(where), len(columns(levels=levels))), np.nan)
    colours = colours_of(images, levels, blur, bits)
    for (colour, inside), out in zip(where.crops(colours), values, strict=True):
        if inside.any():
            out[:] = formulas(colour[0], inside[0], levels, tau)
    return values.astype(np.float32)


def colours_of(images, levels, blur, bits):
    """The colour of each pixel, 0 .. levels^3 - 1."""
    sums, weight = images.astype(np.int64), 1
    if blur:
        h, w = images.shape[1:3]
        padded = np.pad(sums, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
        sums = sum(padded[:, y : y + h, x : x + w] for y in range(3) for x in range(3))
        weight = 9
    level = np.minimum(sums * levels // (weight << bits), levels - 1)
    return level @ (levels**2, levels, 1)


def formulas(colour, inside, levels, tau):
    """The columns of one region."""
    counts = np.zeros((2, levels**3))
    sizes, total = [], inside.sum()
    for k in np.unique(colour[inside]):
        numbered, _ = label((colour == k) & inside, np.ones((3, 3)))  # pyright: ignore
        of_colour = np.bincount(numbered.ravel())[1:]
        large = of_colour >= tau * total
        counts[:, k] = of_colour[large].sum(), of_colour[~large].sum()
        sizes.extend(of_colour)
    frequent = np.count_nonzero(ONE_PERCENT * counts.sum(axis=0) >= total)
    share = counts / total
    return [*share.ravel(), counts[0].sum() / total, len(sizes), max(sizes) / total, frequent]


# ---- CPU: a row of colours at a time, and its runs of one colour


@compiled
def sum_around(rows, y, x0, x1, columns, sums):
    """sums[k] = the sum of 3x3 samples, for the samples of the pixels x0 .. x1 - 1 of row y.

    rows (h, 3 w): red, green and blue of a pixel side by side; columns: scratch, 2 pixels wider
    """
    h, w = rows.shape[0], rows.shape[1] // 3
    above, here, below = rows[max(y - 1, 0)], rows[y], rows[min(y + 1, h - 1)]
    first, last = 3 * max(x0 - 1, 0), 3 * min(x1 + 1, w)
    above, here, below = above[first:last], here[first:last], below[first:last]
    middle = columns[3:] if x0 == 0 else columns
    for k in range(here.size):
        middle[k] = above[k] + here[k] + below[k]
    for k in range(3):
        if x0 == 0:
            columns[k] = columns[3 + k]
        if x1 == w:
            columns[sums.size + 3 + k] = columns[sums.size + k]
    left, middle, right = columns, columns[3:], columns[6:]
    for k in range(sums.size):
        sums[k] = left[k] + middle[k] + right[k]


@compiled
def colour_row(sums, edges, levels, side, colours):
    """colours[x] = 1 + the colour of a pixel whose samples, or sums of them, are given.

    edges: the least sum of level 1, 2, ...; levels: scratch, one a sample
    """
    for k in range(sums.size):
        levels[k] = 0
    for edge in edges:
        for k in range(sums.size):
            levels[k] += sums[k] >= edge
    for x in range(colours.size):
        colours[x] = (levels[3 * x] * side + levels[3 * x + 1]) * side + levels[3 * x + 2] + 1


@compiled
def root_of(parents, k):
    """The first run of the component of run k so far; halves the way there."""
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


@compiled
def find_stops(row, changes, stops):
    """stops = where the runs of one colour in a row stop; returns how many there are.

    row: one more pixel at the end is of no colour; changes: scratch, a multiple of EIGHT. Eight
    pixels without a change are passed in one step; of eight others each is stored, and the next one
    upon it unless it is a stop: no branch to mispredict.
    """
    after, words = row[1:], changes.view(np.uint64)
    for x in range(after.size):
        changes[x] = row[x] != after[x]
    for x in range(after.size, changes.size):
        changes[x] = np.uint8(0)
    found = np.uint64(0)
    for word in range(words.size):
        if words[word]:
            for x in range(EIGHT * word, EIGHT * word + EIGHT):
                stops[found] = x + 1
                found += np.uint64(changes[x])
    return np.int64(found)


@compiled
def add_runs(row, above, here, end, stops, colours, parents, sizes):
    """Joins runs here .. end - 1, those of a row, with runs above .. here - 1, those above it.

    The runs of a row fill it: each starts where the one before stops. Those of colour 0 lie outside
    the region and stay alone.
    """
    start, touching = 0, above
    for number in range(here, end):
        stop, root = stops[number], np.uint32(number)
        colour = row[stop - 1]
        colours[number], parents[number], sizes[number] = colour, root, stop - start
        while touching < here and stops[touching] < start:
            touching += 1
        other = touching if colour else here
        while other < here:
            if colours[other] == colour:
                met = root_of(parents, np.uint32(other))
                low, high = min(met, root), max(met, root)
                if low != high:
                    parents[high] = low
                    sizes[low] += sizes[high]
                    root = low
            if stops[other] > stop:
                break
            other += 1
        start = stop


@compiled
def summarise(parents, sizes, colours, runs, tau, counts, values):
    """The columns of a region from its runs; counts int64 (2, levels^3): scratch."""
    total, components, largest = np.int64(0), 0, np.uint32(0)
    for k in range(runs):
        if parents[k] == k and colours[k]:
            total += sizes[k]
            components += 1
            largest = max(largest, sizes[k])
    if total == 0:
        values[:] = np.nan
        return
    counts[:] = 0
    for k in range(runs):
        if parents[k] == k and colours[k]:
            large = np.float64(sizes[k]) >= tau * np.float64(total)
            counts[0 if large else 1, colours[k] - 1] += np.int64(sizes[k])
    coherent, frequent, number = np.int64(0), 0, counts.shape[1]
    for k in range(number):
        coherent += counts[0, k]
        frequent += ONE_PERCENT * (counts[0, k] + counts[1, k]) >= total
        values[k] = counts[0, k] / total
        values[number + k] = counts[1, k] / total
    values[2 * number] = coherent / total
    values[2 * number + 1] = components
    values[2 * number + 2] = largest / total
    values[2 * number + 3] = frequent


@compiled
def measure(first, stop, images, labels, regions, side, edges, blur, tau, values):
    """Regions first .. stop - 1 of images (n, h, 3 w); `edges` has the type of their sums."""
    widest, largest = np.int64(0), np.int64(0)
    for m in range(first, stop):
        width = regions[m, 7] - regions[m, 6]
        widest, largest = max(widest, width), max(largest, width * (regions[m, 5] - regions[m, 4]))
    columns = np.empty(3 * widest + 6, edges.dtype)
    samples, levels = np.empty(3 * widest, edges.dtype), np.empty(3 * widest, np.uint8)
    row, flags = np.empty(widest + 1, np.uint16), np.empty(widest + EIGHT, np.uint8)
    stops, colours = np.empty(largest + 1, np.int32), np.empty(largest, np.uint16)
    parents, sizes = np.empty(largest, np.uint32), np.empty(largest, np.uint32)
    counts = np.empty((2, side**3), np.int64)
    for m in range(first, stop):
        image, name, _, _, y0, y1, x0, x1 = regions[m]
        width = x1 - x0
        whole = -(-width // EIGHT) * EIGHT
        sums, inside = samples[: 3 * width], row[:width]
        row[width] = 0xFFFF
        above = here = 0
        for y in range(y0, y1):
            if blur:
                sum_around(images[image], y, x0, x1, columns, sums)
            else:
                sums[:] = images[image, y, 3 * x0 : 3 * x1]
            colour_row(sums, edges, levels, side, inside)
            if labels.size:
                mark(flags, inside, labels[image, y, x0:x1], name)
                for x in range(width):
                    inside[x] *= flags[x]
            end = here + find_stops(row[: width + 1], flags[:whole], stops[here:])
            add_runs(row, above, here, end, stops, colours, parents, sizes)
            above, here = here, end
        summarise(parents, sizes, colours, here, tau, counts, values[m])


def cpu(images, where, values, *, levels, blur, tau, bits):
    """`reference`, compiled."""
    weight = 9 if blur else 1
    edges = -(-np.arange(1, levels) * (weight << bits) // levels)
    sums = np.uint16 if images.dtype == np.uint8 else np.uint32
    labels = np.empty((1, 1, 0), np.uint8) if where.labels is None else where.labels
    run(
        measure, len(where), images.reshape(*images.shape[:2], -1), frozen_view(labels),
        where.table, levels, edges.astype(sums), blur, tau, values,
        least=1 + WORTH_A_THREAD // max(1, int(where.sizes.prod(axis=1).mean())),
    )  # fmt: skip


# ---- GPU: a row of blocks a region, a launch a step


def gpu(images, where, values, *, levels, blur, tau, bits):
    """`reference` on the GPU."""
    boxes, regions = where.sizes.prod(axis=1), len(where)
    place = on_device(images, where.table), on_device(images, np.cumsum(boxes) - boxes)
    cells = max(int(boxes.sum()), 1)
    colours = _cuda.empty(images, (cells,), np.uint8)
    parents, sizes = (_cuda.empty(images, (cells,), np.uint32) for _ in range(2))
    sums = _cuda.empty(images, (regions, values.shape[1] + 1), np.uint32)
    sums[...] = 0
    labels = images if where.labels is None else where.labels
    rows = min(regions, BLOCKS)
    all_pixels = rows, min(-(-int(boxes.max()) // STRIP), STRIPS)

    def launch(step: str, blocks: Any, *args: Any) -> None:
        _source.function(
            step, PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None, SIDE=levels,
            BLUR=blur,
        )(blocks, 256, *args)  # fmt: skip

    launch("paint", all_pixels, images, labels, *place, colours, parents, sizes, regions,
           *images.shape[1:3], bits)  # fmt: skip
    launch("connect", all_pixels, *place, colours, parents, regions)
    launch("weigh", all_pixels, *place, colours, parents, sizes, regions)
    launch("survey", all_pixels, *place, sizes, sums, regions)
    launch("classify", all_pixels, *place, colours, sizes, sums, regions, tau)
    launch("divide", rows, sums, values, regions)


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], *, bits: int, **_: Any) -> None:
    """uint8 has 8 bits; counts are 32-bit."""
    if dtype == np.uint8 and bits != 8:
        raise ValueError(f"coherence: bits must be 8 for uint8, got {bits}")
    if np.prod(shape[1:], dtype=np.int64) > 2**31:
        raise ValueError(f"coherence: a region may have 2^31 pixels, got one of {shape[1:]}")


def columns(*, levels: int, **_: Any) -> tuple[str, ...]:
    """`coherence.coherent.r0g1b3`, ..., then those of the region as a whole."""
    colours = [f"r{r}g{g}b{b}" for r, g, b in np.ndindex(levels, levels, levels)]
    of_each = [f"coherence.{f.name}.{colour}" for f in FEATURES[:EACH] for colour in colours]
    return *of_each, *(f"coherence.{feature.name}" for feature in FEATURES[EACH:])


coherence = RegionMeasure(
    name="coherence",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    channels=3,
    dtypes=("uint8", "uint16"),
    parameters={
        "levels": Parameter(4, "levels a channel: L^3 colours", low=2, high=6),
        "blur": Parameter(True, "colours of the mean over 3x3 pixels"),
        "tau": Parameter(0.01, "least share of the region in a coherent component", 0.0, 1.0),
        "bits": Parameter(8, "intensities are 0 to 2**bits - 1; 8 for uint8", 8, 16),
    },
    examples=({}, {"levels": 3, "blur": False, "tau": 0.1}, {"levels": 5, "bits": 16}),
    tolerance=0.0,
    cost=lambda itemsize, **p: Cost(bytes=3 * itemsize + 1, operations=3 * 12 + 4),
    peers=("skimage.measure:label",),
    quality=Quality(
        sector_efficiency=0.3,
        float64=True,
        excuse="a pixel's colours lie side by side, so that a request for one of them uses a third "
        "of its sectors; the last division is float64, as on the CPU",
    ),
)
