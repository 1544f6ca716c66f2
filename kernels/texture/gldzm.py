"""Grey level distance zones: the 16 IBSI features of every region.

    n_ij = zones of level i whose pixel nearest to the region's border is j steps inside it

Zones are those of size zones: 8-connected in slices, 26-connected in volumes. A step goes to one of
4 neighbours, or 6 in volumes, and pixels at the border have j = 1. The columns are the table
`FEATURES`, their formulas those of `_emphasis.py`, with V the pixels of the region.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 16); levels, steps and bits as units, computed in float64
binning     how intensities become levels 1..Ng: see `_levels.py`
slices      zones and steps in volumes, or in slices: their features averaged, or matrices merged.
            Slices without a pixel take no part in a mean
borders     outside the image is outside the region. Pixels that re-segmentation removes belong to
            no zone, but steps are those in the region as it was before
cost        4 or 13 comparisons and about 40 operations a pixel. Workspace: on the CPU, a thread,
            4 bytes a pixel of a block of 128 K pixels or of one region, 12 to 24 a zone, and
            2 (Ng + 1) for each pixel of the region's shortest side; on the GPU 10 bytes a pixel of
            all boxes, and up to 256 MB for more than 64 levels or for shortest sides of more than
            128 pixels
nan         NaN and infinite pixels are removed likewise. Regions without a pixel left: all columns
            NaN
source      IBSI reference manual (arXiv 1612.07003), section 3.9; Thibault, Angulo and Meyer 2014,
            IEEE TBE 61(3)
"""

from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_cdt, minimum

from .. import _cuda
from .._kernel import Cost, Quality
from .._regions import RegionMeasure, at_most
from ._aggregation import AVERAGED, MERGED, SLICES, VOLUME, steps, suffix
from ._emphasis import declare, formulas, gpu_tables
from ._levels import PARAMETERS, gpu_crops, levels_of, measure, on_device, scale
from ._zone_features import REMOVED, part
from ._zones import links, zones

_source = _cuda.Cuda(__file__)

FEATURES = declare(
    (
        ("small_distance_emphasis", "0GBI"),
        ("large_distance_emphasis", "MB4I"),
        ("low_grey_level_zone_emphasis", "S1RA"),
        ("high_grey_level_zone_emphasis", "K26C"),
        ("small_distance_low_grey_level_emphasis", "RUVG"),
        ("small_distance_high_grey_level_emphasis", "DKNJ"),
        ("large_distance_low_grey_level_emphasis", "A7WM"),
        ("large_distance_high_grey_level_emphasis", "KLTH"),
        ("grey_level_non_uniformity", "VFT7"),
        ("normalised_grey_level_non_uniformity", "7HP3"),
        ("zone_distance_non_uniformity", "V294"),
        ("normalised_zone_distance_non_uniformity", "IATH"),
        ("zone_percentage", "VIWW"),
        ("grey_level_variance", "QK93"),
        ("zone_distance_variance", "7WT1"),
        ("zone_distance_entropy", "GBDU"),
    )
)


# ---- the definition


def reference(images, where, *, levels=32, binning="count", width=25.0, low=0.0, slices=VOLUME):
    """The definition in plain NumPy, float64 up to the last step."""
    rule = scale(levels, binning, width, low)
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (image, mask), out in zip(where.crops(images), values, strict=True):
        grey = levels_of(image, mask, rule)
        whole = images.ndim == 4 and slices == VOLUME
        pieces = [(grey, mask)] if whole else list(zip(grey, mask, strict=True))
        counts = [zone_distances(*piece, grey.max(initial=0), max(grey.shape)) for piece in pieces]
        voxels = [np.count_nonzero(piece) for piece, _ in pieces]
        if slices == MERGED:
            counts, voxels = [np.sum(counts, axis=0)], [np.sum(voxels)]
        found = [formulas(m, v) for m, v in zip(counts, voxels, strict=True) if v]
        if found:
            out[:] = np.mean(found, axis=0)
    return values.astype(np.float32)


def zone_distances(grey, mask, top, largest):
    """Counts (top, largest) of the zones of levels of any rank, 0 outside, in a region `mask`."""
    counts = np.zeros((top, largest), np.int64)
    distances = border_distances(mask)
    for level, numbered in zones(grey):
        found = minimum(distances, numbered, np.arange(numbered.max()) + 1).astype(np.int64)
        counts[level - 1] = np.bincount(found - 1, minlength=largest)
    return counts


def border_distances(mask):
    """Steps from each pixel of a region to the nearest one outside."""
    inside = (slice(1, -1),) * mask.ndim
    return np.asarray(distance_transform_cdt(np.pad(mask, 1), metric="taxicab"))[inside]


# ---- CPU


def cpu(images, where, values, *, levels, binning, width, low, slices):
    """`reference`, compiled; see `_zone_features.py`."""
    rule = scale(levels, binning, width, low)
    zones = part(images, 0, levels=levels, slices=slices, families=("gldzm",))
    measure(images, where, values, rule, 1, [zones])


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, levels, binning, width, low, slices):
    """`reference` on the GPU: one launch for the levels, one for zones and features."""
    grey, crops = gpu_crops(images, where, scale(levels, binning, width, low), 1, REMOVED)
    touching, deep = links(steps(images, slices)), images.ndim == 4 and slices == VOLUME
    shortest = where.sizes[:, 0 if deep else 1 :].min(axis=1).max()
    rows = max((int(shortest) + 1) // 2, 1)
    tables = gpu_tables(images, len(where), levels, rows, 0)
    parents, distances = (_cuda.empty(images, grey.shape, np.uint32) for _ in range(2))
    _source.function("measure", **tables.macros)(
        tables.blocks, 256, grey, crops, on_device(images, touching.steps),
        on_device(images, touching.rest), parents, distances, tables.counts, values, len(where),
        levels, rows, len(touching.steps), deep, slices == AVERAGED,
        smem=tables.smem,
    )  # fmt: skip


# ---- the kernel


def columns(*, slices: str, **_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"gldzm.{feature.name}{suffix(slices)}" for feature in FEATURES)


gldzm = RegionMeasure(
    name="gldzm",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=at_most("gldzm"),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={**PARAMETERS, "slices": SLICES},
    examples=(
        {},
        {"binning": "width", "width": 20.5, "low": 3.0, "levels": 70, "slices": "averaged"},
        {"binning": "aligned", "width": 90.0, "levels": 4, "slices": "merged"},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(bytes=itemsize + 1, operations=4 + 40),
    peers=("skimage.measure:label",),
    quality=Quality(
        registers=104,
        sector_efficiency=0.3,
        float64=True,
        excuse="quantisation and the last O(Ng) of a matrix are float64, the values of the CPU; "
        "the root of a zone lies where the image has it, and a thread follows a line to the border",
    ),
)
