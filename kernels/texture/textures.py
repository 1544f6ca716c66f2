"""Every family on grey levels of every region in one call: 118 IBSI features.

    values = histogram, glcm, glrlm, glszm, gldzm, ngtdm, ngldm of the same levels

The columns and their formulas are those of the families. A region is cropped and quantised once,
and all families measure it while its levels are in the cache.

images      (n, h, w), or volumes (n, d, h, w); uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 118); the values of the families' own kernels, bit for bit
binning     how intensities become levels 1..Ng: see `_levels.py`
slices, directions  see `_aggregation.py`
distance    of glcm, ngtdm and ngldm
borders     as of the families
cost        the sum of the families', but one quantisation. Workspace likewise: on the GPU that of
            one family at a time
nan         as of the families
source      IBSI reference manual (arXiv 1612.07003), sections 3.4 and 3.6 to 3.11
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Quality
from .._regions import RegionMeasure
from . import glcm, gldzm, glrlm, glszm, histogram, ngldm, ngtdm
from ._levels import measure, scale

MODULES = (histogram, glcm, glrlm, glszm, gldzm, ngtdm, ngldm)
FAMILIES: tuple[RegionMeasure, ...] = (
    histogram.histogram, glcm.glcm, glrlm.glrlm, glszm.glszm,
    gldzm.gldzm, ngtdm.ngtdm, ngldm.ngldm,
)  # fmt: skip
STARTS = np.cumsum([0, *(len(family.features) for family in FAMILIES)]).tolist()


def of(family: RegionMeasure, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that this family knows."""
    return {name: value for name, value in settings.items() if name in family.parameters}


def reference(images, where, **settings):
    """The families' definitions, side by side."""
    parts = [family.reference(images, where, **of(family, settings)) for family in FAMILIES]
    return np.concatenate(parts, axis=1)


def cpu(images, where, values, *, levels, binning, width, low, **settings):
    """All families over each block of regions."""
    parts = [
        module.part(images, start, levels=levels, **of(family, settings))
        for module, family, start in zip(MODULES, FAMILIES, STARTS[:-1], strict=True)
    ]
    rule = scale(levels, binning, width, low)
    measure(images, where, values, rule, settings["distance"], parts)


def gpu(images, where, values, **settings):
    """Each family's launches, one after another; nothing waits for the device."""
    for family, start in zip(FAMILIES, STARTS[:-1], strict=True):
        part = _cuda.empty(images, (len(where), len(family.features)), np.float32)
        family.gpu(images, where, part, **of(family, settings))
        values[:, start : start + part.shape[1]] = part


# ---- the kernel


def columns(**settings: Any) -> tuple[str, ...]:
    """The columns of the families, in their order."""
    return tuple(name for family in FAMILIES for name in family.names(**of(family, settings)))


def check(dtype: np.dtype, shape: tuple[int, ...], **settings: Any) -> None:
    """What the families refuse."""
    for family in FAMILIES:
        if family.validate:
            family.validate(dtype, shape, **of(family, settings))


textures = RegionMeasure(
    name="textures",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=tuple(feature for family in FAMILIES for feature in family.features),
    validate=check,
    made_of=tuple(family.name for family in FAMILIES),
    ndim=(3, 4),
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={name: p for family in FAMILIES for name, p in family.parameters.items()},
    examples=(
        {"levels": 8},
        {"levels": 4, "directions": "merged", "slices": "merged", "distance": 2, "coarseness": 1},
    ),
    tolerance=1e-6,
    cost=lambda itemsize, **p: Cost(
        bytes=itemsize + 1,
        operations=sum(family.cost(itemsize, **of(family, p)).operations for family in FAMILIES),
    ),
    peers=("radiomics:featureextractor", "nyxus:Nyxus"),
    quality=Quality(
        registers=max(family.quality.registers for family in FAMILIES),
        shared_bytes=max(family.quality.shared_bytes for family in FAMILIES),
        sector_efficiency=min(family.quality.sector_efficiency for family in FAMILIES),
        bank_conflicts=max(family.quality.bank_conflicts for family in FAMILIES),
        float64=True,
        excuse="the rules of its families, each of which gives its own reasons",
    ),
)
