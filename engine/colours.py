"""Colours: lesions, stained tissue and cells of colour pictures, under the kernels' own names.

picture (h, w, 3) sRGB, labels (h, w) -> kernels -> one row a region

chain = Colours(families=("colour", "stains"), stains="H-DAB")
table = chain.table(Objects("slide 4", picture, labels))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from .objects import Chain

FAMILIES = ("colour", "stains", "coherence", "colour_glcm", "lesion")


@dataclass(frozen=True, kw_only=True)
class Colours(Chain):
    """The settings.

    families  which kernels measure
    stains    the dyes of the section, as `medkern kernels` lists them for stains
    bins      of each channel's histogram
    levels    a channel, of colour_glcm
    rim       pixels on both sides of a lesion's border
    """

    KNOWN: ClassVar[tuple[str, ...]] = FAMILIES
    COLOUR: ClassVar[bool] = True
    families: tuple[str, ...] = ("colour", "coherence", "colour_glcm")
    stains: str = "H-E-DAB"
    bins: int = 8
    levels: int = 16
    rim: int = 8

    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        chosen: dict[str, dict[str, Any]] = {
            "colour": {"bins": self.bins},
            "stains": {"stains": self.stains},
            "colour_glcm": {"levels": self.levels},
            "lesion": {"rim": self.rim},
        }
        yield from ((family, chosen.get(family, {})) for family in self.families)
