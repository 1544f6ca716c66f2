"""Presets: the chains of radiomics by name, as the command line knows them."""

from .pyradiomics import PyRadiomics
from .radiomics import Radiomics

PRESETS: dict[str, Radiomics] = {"ibsi": Radiomics(), "pyradiomics": PyRadiomics()}
