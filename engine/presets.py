"""Presets: the chains of features by name, as the command line knows them."""

from .cells import Cells
from .colours import Colours
from .objects import Chain
from .pyradiomics import PyRadiomics
from .radiomics import Radiomics

PRESETS: dict[str, Radiomics | Chain] = {
    "ibsi": Radiomics(),
    "pyradiomics": PyRadiomics(),
    "haralick": Cells(families=("haralick",)),
    "cellprofiler": Cells(),
    "colour": Colours(),
    "lesion": Colours(families=("lesion", "colour")),
    "tissue": Colours(families=("stains", "colour", "colour_glcm")),
}
