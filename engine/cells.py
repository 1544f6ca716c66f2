"""Cells: every labelled object of an image measured at once, under CellProfiler's names.

    image (h, w), labels (h, w) -> intensities 0 .. 1 -> kernels -> one row an object

    chain = Cells(scales=(1, 3, 5), families=("haralick",))
    table = chain.table(Objects("B02 site 1", image, labels, white=65535))

The table `NAMES` says what each kernel's columns are called; the name of the image, which
CellProfiler puts into the names of what is measured on it, is left out. Columns that CellProfiler
defines in another way have no such name and are left out, too:

    FeretDiameter     our widths are those of whole pixels, CellProfiler's those of their centres
    weighted moments  have no name there
    Location_*_Z      an image has no depth

What differs under the same name:

    Zernike     a pixel on the very circle around an object always counts; there it is lost where
                rounding puts it outside
    Intensity   quartiles are CellProfiler's, k N / 4 up in the sorted intensities
    NaN         stands where an object has no value; CellProfiler writes 0 for some

source  Carpenter et al. 2006, Genome Biology 7:R100; CellProfiler's manual, measurement modules
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .errors import UserError
from .objects import Chain, Objects

# ---- CellProfiler's names of our columns


def _camel(name: str, **exceptions: str) -> str:
    """mass_displacement -> MassDisplacement, hu_moment_0 -> HuMoment_0."""
    return "".join(
        f"_{word}" if word.isdigit() else exceptions.get(word, word.capitalize())
        for word in name.split("_")
    )


SHAPES = {
    name: _camel(name)
    for name in (
        "area", "perimeter", "equivalent_diameter", "extent", "form_factor", "major_axis_length",
        "minor_axis_length", "eccentricity", "orientation", "convex_area", "solidity",
        "euler_number",
    )
} | {
    "bounding_box_left": "BoundingBoxMinimum_X", "bounding_box_top": "BoundingBoxMinimum_Y",
    "bounding_box_right": "BoundingBoxMaximum_X", "bounding_box_bottom": "BoundingBoxMaximum_Y",
}  # fmt: skip
TEXTURES = {
    "information_1": "InfoMeas1",
    "information_2": "InfoMeas2",
}
DEGREES = {"AreaShape_Orientation"}  # ours are radians
RADIAL = {"frac_at_d": "FracAtD", "mean_frac": "MeanFrac", "radial_cv": "RadialCV"}
ZERNIKE = {
    "shape": "AreaShape_Zernike",
    "magnitude": "RadialDistribution_ZernikeMagnitude",
    "phase": "RadialDistribution_ZernikePhase",
}


def _shape(feature: str, rest: list[str], chain: Cells) -> str:
    return f"AreaShape_{SHAPES[feature]}" if feature in SHAPES else ""


def _moment(feature: str, rest: list[str], chain: Cells) -> str:
    return "" if feature.startswith("weighted") else f"AreaShape_{_camel(feature)}"


def _neighbours(feature: str, rest: list[str], chain: Cells) -> str:
    return f"Neighbors_{_camel(feature, of='Of')}_{chain.near}"


def _intensity(feature: str, rest: list[str], chain: Cells) -> str:
    *words, axis = feature.split("_")
    if axis == "z":
        return ""
    if axis in "xy":
        return f"Location_{_camel('_'.join(words))}_{axis.upper()}"
    return f"Intensity_{_camel(feature, mad='MAD')}"


def _texture(feature: str, rest: list[str], chain: Cells) -> str:
    distance, direction = rest
    name = TEXTURES.get(feature) or _camel(feature)
    return f"Texture_{name}_{distance[1:]}_{direction}_{chain.levels}"


NAMES: dict[str, Callable[[str, list[str], Cells], str]] = {
    "shape2d": _shape,
    "moments": _moment,
    "zernike": lambda feature, rest, chain: "_".join([ZERNIKE[feature], *rest]),
    "intensity": _intensity,
    "haralick": _texture,
    "granularity": lambda feature, rest, chain: f"Granularity_{rest[0]}",
    "radial": lambda feature, rest, chain: f"RadialDistribution_{RADIAL[feature]}_{rest[0]}",
    "neighbours": _neighbours,
}


# ---- the chain


@dataclass(frozen=True, kw_only=True)
class Cells(Chain):
    """The settings.

    families  which kernels measure
    scales    pixels between the pairs of Texture: a set of columns each
    levels    greys of Texture, that of black with them
    rings     of RadialDistribution
    near      pixels to a neighbour, at most: Neighbors within a distance
    white     intensity that counts as 1; 0: the highest that the file's integers can have, of
              floats 1
    """

    KNOWN: ClassVar[tuple[str, ...]] = tuple(NAMES)
    families: tuple[str, ...] = tuple(NAMES)
    scales: tuple[int, ...] = (3,)
    levels: int = 256
    rings: int = 4
    near: int = 5
    white: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.scales)) < len(self.scales) or not self.scales:
            raise UserError(f"scales must be different distances, got {self.scales}")
        if not self.white >= 0:
            raise UserError(f"white must be an intensity, or 0, got {self.white}")

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The kernels' calls and their parameters."""
        for family in self.families:
            if family == "haralick":
                yield from (
                    (family, {"levels": self.levels, "white": 1.0, "distance": distance})
                    for distance in self.scales
                )
            elif family == "radial":
                yield family, {"rings": self.rings}
            elif family == "neighbours":
                yield family, {"distance": self.near}
            elif family == "intensity":
                yield family, {"quartiles": "cellprofiler"}
            else:
                yield family, {}

    def pixels(self, objects: Objects) -> np.ndarray:
        """Intensities 0 .. 1."""
        return objects.image[None].astype(np.float32) / np.float32(self.white or objects.white)

    def name(self, column: str) -> str:
        """CellProfiler's name of a kernel's column, "" where it has none."""
        family, feature, *rest = column.split(".")
        return NAMES[family](feature, rest, self)

    def factor(self, name: str) -> float:
        return 180 / np.pi if name in DEGREES else 1.0

    def unit(self, name: str, unit: str) -> str:
        return "degree" if name in DEGREES else unit
