"""Every family on grey levels of every region in one call: 118 IBSI features.

    values = histogram, glcm, glrlm, glszm, gldzm, ngtdm, ngldm of the same levels

The columns and their formulas are those of the families. A region is cropped and quantised once,
and all families measure it while its levels are in the cache. `together` gives a kernel of some of
the families alone.

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

from functools import cache, partial
from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Quality
from .._regions import RegionMeasure
from . import _zone_features, glcm, gldzm, glrlm, glszm, histogram, ngldm, ngtdm
from ._levels import measure, scale

FAMILIES: dict[str, RegionMeasure] = {
    "histogram": histogram.histogram,
    "glcm": glcm.glcm,
    "glrlm": glrlm.glrlm,
    "glszm": glszm.glszm,
    "gldzm": gldzm.gldzm,
    "ngtdm": ngtdm.ngtdm,
    "ngldm": ngldm.ngldm,
}
PARTS = (  # the dearest first: threads that share a region then end together
    (("glszm", "gldzm"), _zone_features.part),
    (("glrlm",), glrlm.part),
    (("glcm",), glcm.part),
    (("ngtdm",), ngtdm.part),
    (("ngldm",), ngldm.part),
    (("histogram",), histogram.part),
)

Some = tuple[RegionMeasure, ...]  # of the families, in their order


def of(family: RegionMeasure, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that this family knows."""
    return {name: value for name, value in settings.items() if name in family.parameters}


def reference(families: Some, images, where, **settings):
    """The families' definitions, side by side."""
    parts = [family.reference(images, where, **of(family, settings)) for family in families]
    return np.concatenate(parts, axis=1)


def starts(families: Some) -> dict[str, int]:
    """The first column of each family."""
    ends = np.cumsum([0, *(len(family.features) for family in families)]).tolist()
    return {family.name: start for family, start in zip(families, ends, strict=False)}


def cpu(families: Some, images, where, values, *, levels, binning, width, low, **settings):
    """All families over each block of regions."""
    first = starts(families)
    parts = []
    for names, part in PARTS:
        if chosen := [name for name in names if name in first]:
            parts += [part(images, first[chosen[0]], levels=levels, families=chosen, **settings)]
    rule = scale(levels, binning, width, low)
    measure(images, where, values, rule, settings.get("distance", 1), parts)


def gpu(families: Some, images, where, values, **settings):
    """Each family's launches, one after another; nothing waits for the device."""
    for family, start in zip(families, starts(families).values(), strict=True):
        part = _cuda.empty(images, (len(where), len(family.features)), np.float32)
        family.gpu(images, where, part, **of(family, settings))
        values[:, start : start + part.shape[1]] = part


# ---- the kernel


def columns(families: Some, **settings: Any) -> tuple[str, ...]:
    """The columns of the families, in their order."""
    return tuple(name for family in families for name in family.names(**of(family, settings)))


def check(families: Some, dtype: np.dtype, shape: tuple[int, ...], **settings: Any) -> None:
    """What the families refuse."""
    for family in families:
        if family.validate:
            family.validate(dtype, shape, **of(family, settings))


def cost(families: Some, itemsize: int, **settings: Any) -> Cost:
    """One reading of the images, and the families' operations."""
    each = [family.cost(itemsize, **of(family, settings)).operations for family in families]
    return Cost(bytes=itemsize + 1, operations=sum(each))


@cache
def together(*names: str) -> RegionMeasure:
    """The kernel that measures some of the families, in the order of `FAMILIES`, in one call."""
    families = tuple(family for name, family in FAMILIES.items() if name in names)
    rules = [family.quality for family in families]

    def definition(images, where, **settings):
        """`reference`; a kernel is described by the module of this function."""
        return reference(families, images, where, **settings)

    return RegionMeasure(
        name="textures",
        family="texture",
        reference=definition,
        cpu=partial(cpu, families),
        gpu=partial(gpu, families),
        names=partial(columns, families),
        features=tuple(feature for family in families for feature in family.features),
        validate=partial(check, families),
        made_of=tuple(family.name for family in families),
        ndim=(3, 4),
        dtypes=("uint8", "uint16", "int16", "float32"),
        parameters={name: p for family in families for name, p in family.parameters.items()},
        examples=(
            {"levels": 8},
            {"levels": 4, "directions": "merged", "slices": "merged", "distance": 2,
             "coarseness": 1},
        ),
        tolerance=1e-6,
        cost=partial(cost, families),
        peers=("radiomics:featureextractor", "nyxus:Nyxus"),
        quality=Quality(
            registers=max(rule.registers for rule in rules),
            shared_bytes=max(rule.shared_bytes for rule in rules),
            sector_efficiency=min(rule.sector_efficiency for rule in rules),
            bank_conflicts=max(rule.bank_conflicts for rule in rules),
            float64=True,
            excuse="the rules of its families, each of which gives its own reasons",
        ),
    )  # fmt: skip


textures = together(*FAMILIES)
