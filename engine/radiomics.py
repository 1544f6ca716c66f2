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
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from medkern import kernels
from medkern.kernels.texture import textures

from .errors import UserError
from .features import Features

FAMILIES = (
    "morphology", "local", "statistics", "histogram", "ivh",
    "glcm", "glrlm", "glszm", "gldzm", "ngtdm", "ngldm",
)  # fmt: skip
AS_DRAWN = {"morphology", "gldzm"}  # families that are measured on the morphological mask
ORDER = {"nearest": 0, "linear": 1, "cubic": 3}  # of the spline
ALIGNMENTS = ("centre", "corner")
MARGIN = 24  # old voxels around the region: a cubic spline forgets what is further away
REACH = 7.0  # mm around the region that stay: the local peak is a mean over 6.2 mm
ROUNDING = 5e-7  # of the share of a voxel: a half that was computed as 0.4999999 is a half
MEASURED, EMPTY, SINGLE, FLAT = range(4)  # region.status
REGION = {  # unit and meaning of its columns
    "voxels": ("voxels", "in the region"),
    "status": ("", "0 measured, 1 empty, 2 a single voxel, 3 flat"),
}


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


class Region(NamedTuple):
    """What the chain makes of a case: the kernels' input."""

    image: np.ndarray  # float32
    drawn: np.ndarray  # the morphological mask
    inside: np.ndarray  # the intensity mask
    spacing: tuple[float, ...]  # mm


@dataclass(frozen=True, kw_only=True)
class Radiomics:
    """The settings of the chain; what is None or 0 is left out.

    normalise      standard deviation to which the whole image is brought, its mean to 0
    spacing        mm (z, y, x) to resample to; 0 keeps an axis, and 2D chains keep their slices
    align          of the new grid: centre to centre, or corner to corner with the old one
    interpolation  of intensities: nearest, linear or cubic (B-spline)
    mask_interpolation  likewise, of the region
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

    normalise: float = 0.0
    spacing: tuple[float, float, float] | None = None
    align: str = "centre"
    interpolation: str = "linear"
    mask_interpolation: str = "linear"
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
        for name in ("interpolation", "mask_interpolation"):
            if (found := getattr(self, name)) not in ORDER:
                raise UserError(f"{name} must be {', '.join(ORDER)}, got {found!r}")
        if self.align not in ALIGNMENTS:
            raise UserError(f"align must be {' or '.join(ALIGNMENTS)}, got {self.align!r}")
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
        """The features of one case."""
        columns = self.columns(self.prepare(case))
        return Features(np.array([list(columns.values())]), tuple(columns), (case.id,))

    def columns(self, region: Region) -> dict[str, float]:
        """The families' columns, region.voxels and region.status before them.

        status  0 measured, 1 empty, 2 a single voxel, 3 flat: then some features have no value
        """
        image, drawn, inside, spacing = region
        intensities = image[inside]
        found = {"region.voxels": float(intensities.size)}
        found["region.status"] = float(status(image, inside))
        columns: dict[str, dict[str, float]] = {family: {} for family in self.families}
        for families in self.calls():
            kernel, chosen = kernel_of(families), {}
            for family in families:
                chosen |= self.arguments(family, intensities, spacing)
            pixels, mask = image, inside
            if not AS_DRAWN.isdisjoint(families):  # what re-segmentation took has no intensity
                pixels, mask = np.where(inside, image, np.float32(np.nan)), drawn
            values, names = kernel(pixels[None], mask[None], **chosen)
            for name, value in zip(names, values[0].tolist(), strict=True):
                columns[name.partition(".")[0]][name] = value
        for of_family in columns.values():
            found |= of_family
        return found

    def calls(self) -> list[tuple[str, ...]]:
        """The families of each kernel call: those that share their settings share grey levels."""
        texture = (family for family in self.families if family in textures.FAMILIES)
        sharing = tuple(family for family in texture if family not in self.parameters)
        alone = [(family,) for family in self.families if family not in sharing]
        return [*alone, sharing] if sharing else alone

    def prepare(self, case: Case) -> Region:
        """The region at the wanted spacing, and what re-segmentation leaves of it."""
        drawn, spacing = case.mask != 0, case.spacing
        if self.spacing:
            wanted = zip(self.spacing, case.spacing, strict=True)
            spacing = tuple(new or old for new, old in wanted)
        grid = Grid.of(drawn, case.spacing, spacing, self.align)
        image = self.resampled(grid, case.image)
        share = grid.sample(drawn, ORDER[self.mask_interpolation])
        drawn = share > self.partial - ROUNDING
        inside = drawn & np.isfinite(image)
        if self.range:
            inside &= (image >= self.range[0]) & (image <= self.range[1])
        if self.outliers and inside.any():
            mean, sd = image[inside].mean(), image[inside].std()
            inside &= np.abs(image - mean) <= self.outliers * sd
        return Region(image.astype(np.float32), drawn, inside, spacing)

    def resampled(self, grid: Grid, volume: np.ndarray) -> np.ndarray:
        """Intensities on the grid, float64."""
        image = grid.sample(volume, ORDER[self.interpolation])
        if self.normalise:  # linear, as resampling is: their order does not matter
            image = self.normalise * (image - volume.mean()) / (volume.std(ddof=1) or 1.0)
        return np.rint(image) if self.whole else image

    def arguments(
        self, family: str, intensities: np.ndarray, spacing: tuple[float, ...]
    ) -> dict[str, Any]:
        """What this family's kernel is given."""
        known = kernels.catalogue()[family].parameters
        wanted: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        wanted["spacing"] = spacing
        if self.binning in ("width", "aligned") and intensities.size:
            low, high = intensities.min(), intensities.max()
            if self.binning == "width" and self.range:
                low, high = self.range
            elif self.binning == "aligned":
                low = low // self.width * self.width
            wanted["low"] = float(low)
            wanted["levels"] = max(2, int((high - low) // self.width) + 1)
        wanted |= self.parameters.get(family, {})
        most = known["levels"].high if "levels" in known else None
        if most and wanted["levels"] > most:
            raise UserError(f"bins of {self.width} are {wanted['levels']} levels: at most {most}")
        return {name: wanted[name] for name in known if name in wanted}

    # ---- what the columns mean

    def facts(self, names: Iterable[str], preset: str) -> dict[str, dict[str, Any]]:
        """Metadata of columns: family, feature, tag, unit, formula, preset, settings, version."""
        settings = json.dumps(asdict(self), sort_keys=True)
        common = {"preset": preset, "settings": settings, "version": version("medkern")}
        return {name: self.meaning(name) | common for name in names}

    def meaning(self, name: str) -> dict[str, Any]:
        """Of one column."""
        family, feature = name.split(".")[:2]
        if family == "region":
            unit, formula = REGION[feature]
            return {"family": family, "feature": feature, "unit": unit, "formula": formula}
        kernel: Any = kernels.catalogue()[family]
        found = next(f for f in kernel.features if f.name == feature)
        return {
            "family": family, "feature": feature, "tag": found.tag, "unit": found.unit,
            "formula": found.formula,
        }  # fmt: skip


def kernel_of(families: tuple[str, ...]) -> Any:
    """The kernel that measures these families in one call."""
    if families[0] in textures.FAMILIES:
        return textures.together(*families)
    return kernels.catalogue()[families[0]]


def status(image: np.ndarray, inside: np.ndarray) -> int:
    """How much there is to measure."""
    found = image[inside]
    if found.size < 2:
        return SINGLE if found.size else EMPTY
    return FLAT if found.min() == found.max() else MEASURED


@dataclass(frozen=True)
class Grid:
    """The part of a resampled grid that surrounds a region.

    The new grid has ceil(n old / new) voxels on an axis and the old grid's centre, or its corner;
    voxel k of it lies at old voxel `start + k * step`. Of the old volume only `box` is needed.
    """

    box: tuple[slice, ...]
    start: tuple[float, ...]
    step: tuple[float, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls, drawn: np.ndarray, old: tuple[float, ...], new: tuple[float, ...],
        align: str = "centre",
    ) -> Grid:  # fmt: skip
        axes = [
            _axis(n, inside, b / a, int(np.ceil(REACH / b)), align)
            for n, inside, a, b in zip(drawn.shape, _box(drawn), old, new, strict=True)
        ]
        return cls(*(tuple(column) for column in zip(*axes, strict=True)))

    def sample(self, volume: np.ndarray, order: int) -> np.ndarray:
        """The volume's values on the grid, float64; beyond its edge those of the edge."""
        needed = volume[self.box].astype(np.float64)
        if all(step == 1 for step in self.step):
            places = zip(self.start, self.shape, strict=True)
            return needed[tuple(slice(int(at), int(at) + n) for at, n in places)]
        start: Any = self.start  # the stub of SciPy knows one number only
        beyond = "mirror" if order > 1 else "nearest"  # B-splines are continued by their mirror
        return ndimage.affine_transform(
            needed, np.array(self.step), start, self.shape, order=order, mode=beyond
        )


def _box(drawn: np.ndarray) -> list[slice]:
    """Where the region lies; the first voxel where it is empty."""
    planes = (np.flatnonzero(drawn.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    return [slice(p[0], p[-1] + 1) if p.size else slice(0, 1) for p in planes]


def _axis(
    n: int, inside: slice, step: float, around: int, align: str
) -> tuple[slice, float, float, int]:
    """One axis: `inside` are the voxels of the region, `step` is new / old spacing."""
    count = int(np.ceil(np.round(n / step, 9)))
    origin = (n - 1) / 2 - (count - 1) / 2 * step if align == "centre" else (step - 1) / 2
    first = max(int((inside.start - 1 - origin) // step) - around, 0)
    last = min(int((inside.stop - origin) // step) + 1 + around, count - 1)
    margin = MARGIN + int(np.ceil(around * step))
    low = max(inside.start - margin, 0)
    box = slice(low, min(inside.stop + margin, n))
    return box, origin + first * step - low, step, last - first + 1
