"""Grey level size zones: the 16 IBSI features of every region.

    n_ij = zones of j pixels of level i: all that touch, 8-connected in slices, 26-connected in 3D

The columns are the table `FEATURES`, their formulas those of `_emphasis.py`, with V the pixels of
the region.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 16); levels, pixels and bits as units, computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices      zones of volumes, or of slices: their features averaged, or matrices merged. Slices
            without a pixel take no part in a mean
borders     a zone ends where the image or the region ends
cost        4 or 13 comparisons and about 30 operations a pixel. Workspace: on the CPU, a thread,
            2 bytes a pixel of a block of 128 K pixels or of one region, 12 to 24 a zone, 8 a pixel
            of a slice, and 260 (Ng + 1); on the GPU 10 bytes a pixel of all boxes, and up to 256 MB
            for tables and lists. Zones of more than 64 pixels are listed, in 1/8 byte a pixel of
            one region
nan         NaN and infinite pixels leave the region. Empty regions: all columns NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.8; Thibault, Angulo and Meyer 2014,
            IEEE TBE 61(3)
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, MERGED, SLICES, VOLUME, steps, suffix
from ._emphasis import TABLED, declare, formulas, gpu_tables
from ._levels import PARAMETERS, gpu_crops, levels_of, measure, on_device, scale
from ._zone_features import part
from ._zones import links, zones

_source = _cuda.Cuda(__file__)

FEATURES = declare(
    (
        ("small_zone_emphasis", "5QRC"),
        ("large_zone_emphasis", "48P8"),
        ("low_grey_level_zone_emphasis", "XMSY"),
        ("high_grey_level_zone_emphasis", "5GN9"),
        ("small_zone_low_grey_level_emphasis", "5RAI"),
        ("small_zone_high_grey_level_emphasis", "HW1V"),
        ("large_zone_low_grey_level_emphasis", "YH51"),
        ("large_zone_high_grey_level_emphasis", "J17V"),
        ("grey_level_non_uniformity", "JNSA"),
        ("normalised_grey_level_non_uniformity", "Y1RO"),
        ("zone_size_non_uniformity", "4JP3"),
        ("normalised_zone_size_non_uniformity", "VB3A"),
        ("zone_percentage", "P30P"),
        ("grey_level_variance", "BYLV"),
        ("zone_size_variance", "3NSA"),
        ("zone_size_entropy", "GU8N"),
    )
)


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0, slices=VOLUME):
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        grey = levels_of(image, mask, rule)
        pieces = [grey] if images.ndim == 4 and slices == VOLUME else list(grey)
        counts = [zone_sizes(piece, grey.max(initial=0), grey.size) for piece in pieces]
        voxels = [np.count_nonzero(piece) for piece in pieces]
        if slices == MERGED:
            counts, voxels = [np.sum(counts, axis=0)], [np.sum(voxels)]
        found = [formulas(m, v) for m, v in zip(counts, voxels, strict=True) if v]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def zone_sizes(grey, top, largest):
    """Counts (top, largest) of the zones of levels of any rank, 0 outside."""
    counts = np.zeros((top, largest), np.int64)
    for level, numbered in zones(grey):
        sizes = np.bincount(numbered[numbered > 0])[1:]
        counts[level - 1] = np.bincount(sizes - 1, minlength=largest)
    return counts


# ---- CPU


def cpu(images, where, values, *, levels, binning, width, low, slices):
    """`reference`, compiled; see `_zone_features.py`."""
    rule = scale(levels, binning, width, low)
    zones = part(images, 0, levels=levels, slices=slices, families=("glszm",))
    measure(images, where, values, rule, 1, [zones])


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, slices):
    """`reference` on the GPU: one launch for the levels, one for zones and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), 1)
    touching = links(steps(images, slices))
    largest = int(where.sizes.prod(axis=1).max())
    tables = gpu_tables(images, len(where), levels, TABLED, largest // (TABLED + 1))
    parents, sizes = (_cuda.empty(images, grey.shape, np.uint32) for _ in range(2))
    _source.function("measure", TABLED=TABLED, **tables.macros)(
        tables.blocks, 256, grey, crops, on_device(images, touching.steps),
        on_device(images, touching.rest), parents, sizes, tables.counts, tables.beyond, values,
        len(where), levels, tables.room, len(touching.steps), slices == AVERAGED,
        smem=tables.smem,
    )  # fmt: skip


# ---- the kernel


def columns(*, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"glszm.{feature.name}{suffix(slices)}" for feature in FEATURES)


glszm = RegionMeasure(
    name="glszm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("glszm"),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={**PARAMETERS, "slices": SLICES},
    examples=(
        {},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70, "slices": "averaged"},
        {"binning": "aligned", "width": 90.0, "levels": 4, "slices": "merged"},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=4 + 30),
    peers=("skimage.measure:label",),
    quality=Quality(
        registers=104,
        sector_efficiency=0.5,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64, the values of the CPU; "
        "the root of a zone lies where the image has it",
    ),
)
