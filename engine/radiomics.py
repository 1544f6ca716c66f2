"""Radiomics: from a volume and its region, in the standard's order, to one row of features.

    image, mask -> same spacing -> whole intensities -> re-segmentation -> kernels

    chain = Radiomics(spacing=(2, 2, 2), range=(-1000, 400), binning="width", width=25)
    table = chain.table([Case("patient 1", image, mask, (3.0, 0.98, 0.98))])

Two masks come out of the chain: the morphological mask is the region as drawn, the intensity mask
is what re-segmentation leaves of it. Shape is measured on the first, everything else on the second.

source  IBSI reference manual (arXiv 1612.07003), chapter 2, the image processing scheme
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from typing import Any

import numpy as np
from scipy import ndimage

from medkern import kernels

from .errors import UserError
from .features import Features

FAMILIES = tuple(
    name for name in (
        "morphology", "local", "statistics", "histogram", "ivh",
        "glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm",
    )
    if name in kernels.catalogue()
)  # fmt: skip
AS_DRAWN = ("morphology",)  # families that are measured on the morphological mask
ORDER = {"nearest": 0, "linear": 1, "cubic": 3}  # of the spline
MARGIN = 24  # old voxels around the region: a cubic spline forgets what is further away
REACH = 7.0  # mm around the region that stay: the local peak is a mean over 6.2 mm
MEASURED, EMPTY, SINGLE, FLAT = range(4)  # region.status


@dataclass(frozen=True, eq=False)
class Case:
    """One region of one volume.

    image    (d, h, w), any number type, in the units of the modality
    mask     (d, h, w), the region where it is not 0
    spacing  mm between slices, rows and columns
    """

    id: str
    image: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape != self.mask.shape:
            raise UserError(
                f"{self.id}: image and mask must be volumes (d, h, w) of the same shape, "
                f"got {self.image.shape} and {self.mask.shape}"
            )
        if len(self.spacing) != 3 or not all(0 < s < np.inf for s in self.spacing):
            raise UserError(f"{self.id}: spacing must be three positive mm, got {self.spacing}")


@dataclass(frozen=True, kw_only=True)
class Radiomics:
    """The settings of the chain; what is None or 0 is left out.

    spacing        mm (z, y, x) to resample to; 0 keeps an axis, and 2D chains keep their slices
    interpolation  of intensities: nearest, linear or cubic (B-spline)
    partial        share of a voxel that belongs to the region from which on it is inside
    whole          intensities are rounded after resampling, as Hounsfield units are
    range          (low, high): intensities outside leave the region
    outliers       standard deviations from the mean, beyond which intensities leave the region
    binning, levels, width  discretisation, see the kernels. Bins of a width begin at the range's
                   low end, or without a range at the region's lowest intensity
    slices, directions, distance  of the texture families, see the kernels
    families       which to measure
    parameters     further parameters of single families: {"ivh": {"units": "continuous"}}
    """

    spacing: tuple[float, float, float] | None = None
    interpolation: str = "linear"
    partial: float = 0.5
    whole: bool = True
    range: tuple[float, float] | None = None
    outliers: float = 0.0
    binning: str = "count"
    levels: int = 32
    width: float = 25.0
    slices: str = "volume"
    directions: str = "averaged"
    distance: int = 1
    families: tuple[str, ...] = FAMILIES
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.interpolation not in ORDER:
            raise UserError(f"interpolation must be {', '.join(ORDER)}, got {self.interpolation!r}")
        if not 0 < self.partial <= 1:
            raise UserError(f"partial must be above 0, at most 1, got {self.partial}")
        if self.range and not self.range[0] < self.range[1]:
            raise UserError(f"range must rise, got {self.range}")
        if unknown := [n for n in (*self.families, *self.parameters) if n not in FAMILIES]:
            raise UserError(f"no family {unknown[0]!r}; known are {', '.join(FAMILIES)}")

    def table(self, cases: Iterable[Case]) -> Features:
        """One row a case."""
        return Features.concat(self.row(case) for case in cases)

    def row(self, case: Case) -> Features:
        """The features of one case, with region.voxels and region.status before them.

        status  0 measured, 1 empty, 2 a single voxel, 3 flat: then some features have no value
        """
        image, drawn, inside, spacing = self.prepare(case)
        measured = np.where(inside, image, np.float32(np.nan))
        values = [np.array([inside.sum(), status(image, inside)], np.float32)]
        names = ["region.voxels", "region.status"]
        for family in self.families:
            kernel: Any = kernels.catalogue()[family]
            shape = family in AS_DRAWN  # what re-segmentation took has no intensity there
            pixels, mask = (measured, drawn) if shape else (image, inside)
            chosen = self.arguments(family, image[inside], spacing)
            found, columns = kernel(pixels[None], mask[None], **chosen)
            values.append(found[0])
            names += columns
        return Features(np.concatenate(values)[None], tuple(names), (case.id,))

    def prepare(self, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]:
        """image float32, morphological mask, intensity mask, and the spacing they have now."""
        drawn, spacing = case.mask != 0, case.spacing
        if self.spacing:
            wanted = zip(self.spacing, case.spacing, strict=True)
            spacing = tuple(new or old for new, old in wanted)
        grid = Grid.of(drawn, case.spacing, spacing)
        image = grid.sample(case.image, ORDER[self.interpolation])
        # a half that was computed as 0.4999999 is a half
        drawn = np.round(grid.sample(drawn, 1), 6) >= self.partial
        if self.whole:
            image = np.rint(image)
        inside = drawn & np.isfinite(image)
        if self.range:
            inside &= (image >= self.range[0]) & (image <= self.range[1])
        if self.outliers and inside.any():
            mean, sd = image[inside].mean(), image[inside].std()
            inside &= np.abs(image - mean) <= self.outliers * sd
        return image.astype(np.float32), drawn, inside, spacing

    def arguments(
        self, family: str, intensities: np.ndarray, spacing: tuple[float, ...]
    ) -> dict[str, Any]:
        """What this family's kernel is given."""
        known = kernels.catalogue()[family].parameters
        wanted = {f.name: getattr(self, f.name) for f in fields(self)} | {"spacing": spacing}
        if self.binning == "width" and intensities.size:
            low, high = self.range or (intensities.min(), intensities.max())
            wanted["low"] = float(low)
            wanted["levels"] = max(2, int((high - low) // self.width) + 1)
        wanted |= self.parameters.get(family, {})
        return {name: wanted[name] for name in known if name in wanted}


def status(image: np.ndarray, inside: np.ndarray) -> int:
    """How much there is to measure."""
    found = image[inside]
    if found.size < 2:
        return SINGLE if found.size else EMPTY
    return FLAT if found.min() == found.max() else MEASURED


@dataclass(frozen=True)
class Grid:
    """The part of a resampled grid that surrounds a region.

    The new grid has ceil(n old / new) voxels on an axis and the old grid's centre; voxel k of it
    lies at old voxel `start + k * step`. Of the old volume only `box` is needed.
    """

    box: tuple[slice, ...]
    start: tuple[float, ...]
    step: tuple[float, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, drawn: np.ndarray, old: tuple[float, ...], new: tuple[float, ...]) -> Grid:
        boxes = ndimage.find_objects(drawn.astype(np.uint8)) or [(slice(0, 1),) * 3]
        axes = [
            _axis(n, inside, b / a, int(np.ceil(REACH / b)))
            for n, inside, a, b in zip(drawn.shape, boxes[0], old, new, strict=True)
        ]
        return cls(*(tuple(column) for column in zip(*axes, strict=True)))

    def sample(self, volume: np.ndarray, order: int) -> np.ndarray:
        """The volume's values on the grid, float64; outside of it those of its edge."""
        needed = volume[self.box].astype(np.float64)
        if all(step == 1 for step in self.step):
            places = zip(self.start, self.shape, strict=True)
            return needed[tuple(slice(int(at), int(at) + n) for at, n in places)]
        start: Any = self.start  # the stub of SciPy knows one number only
        return ndimage.affine_transform(
            needed, np.array(self.step), start, self.shape, order=order, mode="nearest"
        )


def _axis(n: int, inside: slice, step: float, around: int) -> tuple[slice, float, float, int]:
    """One axis: `inside` are the voxels of the region, `step` is new / old spacing."""
    count = int(np.ceil(np.round(n / step, 9)))
    origin = (n - 1) / 2 - (count - 1) / 2 * step
    first = max(int((inside.start - 1 - origin) // step) - around, 0)
    last = min(int((inside.stop - origin) // step) + 1 + around, count - 1)
    margin = MARGIN + int(np.ceil(around * step))
    low = max(inside.start - margin, 0)
    box = slice(low, min(inside.stop + margin, n))
    return box, origin + first * step - low, step, last - first + 1


# ---- presets, and what the columns mean

PRESETS = {"ibsi": Radiomics()}

STATUS = "0 measured, 1 empty, 2 a single voxel, 3 flat"


def column_facts(chain: Radiomics, names: Iterable[str], preset: str) -> dict[str, dict[str, Any]]:
    """Metadata of each column: family, feature, tag, unit, formula, preset, settings, version."""
    settings = json.dumps(asdict(chain), sort_keys=True)
    common = {"preset": preset, "settings": settings, "version": version("medkern")}
    facts: dict[str, dict[str, Any]] = {}
    for name in names:
        family, feature = name.split(".")[:2]
        if family == "region":
            unit, formula = ("", STATUS) if feature == "status" else ("voxels", "in the region")
            facts[name] = {"family": family, "feature": feature, "unit": unit, "formula": formula}
        else:
            kernel: Any = kernels.catalogue()[family]
            found = next(f for f in kernel.features if f.name == feature)
            facts[name] = {
                "family": family, "feature": feature, "tag": found.tag, "unit": found.unit,
                "formula": found.formula,
            }  # fmt: skip
        facts[name] |= common
    return facts
