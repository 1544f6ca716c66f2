"""Objects: every labelled object of an image measured at once, one row each.

    chain = Colours(stains="H-DAB")                  or Cells(scales=(1, 3, 5))
    table = chain.table(Objects("slide 4", image, labels))

A chain is its settings: which kernels measure, and with which parameters.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, ClassVar, NamedTuple

import numpy as np

from medkern import kernels

from .errors import UserError
from .features import Features
from .radiomics import REGION, status


class Objects(NamedTuple):
    """An image and its objects.

    image   (h, w) of any number type, or colours (h, w, 3) uint8
    labels  (h, w) integers, 0 and below is background
    white   the intensity that counts as 1
    """

    id: str
    image: np.ndarray
    labels: np.ndarray
    white: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Chain(ABC):
    """What all chains of objects share; `families` are the kernels that measure."""

    KNOWN: ClassVar[tuple[str, ...]]
    COLOUR: ClassVar[bool] = False
    families: tuple[str, ...]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.families if name not in self.KNOWN]:
            raise UserError(f"no family {unknown[0]!r}; known are {', '.join(self.KNOWN)}")
        for family, chosen in self.steps():
            try:
                kernels.catalogue()[family].resolve(chosen)
            except (TypeError, ValueError) as wrong:
                raise UserError(str(wrong)) from None

    @abstractmethod
    def steps(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The kernels' calls and their parameters."""

    def pixels(self, objects: Objects) -> np.ndarray:
        """What the kernels get, a batch of one image."""
        return objects.image[None]

    def name(self, column: str) -> str:
        """What a kernel's column is called, "" where it is left out."""
        return column

    def factor(self, name: str) -> float:
        """From the kernel's unit to that of the column."""
        return 1.0

    def unit(self, name: str, unit: str) -> str:
        """The unit of the column, from that of the kernel."""
        return unit

    def table(self, objects: Objects) -> Features:
        """One row an object: `id:label`."""
        where = kernels.regions(objects.labels[None].astype(np.int32))
        pixels = self.pixels(objects)
        values, names = [self.region(pixels, where)], [f"region.{name}" for name in REGION]
        for family, chosen in self.steps():
            kernel: Any = kernels.catalogue()[family]
            found, columns = kernel(pixels, where, **chosen)
            kept = {k: name for k, c in enumerate(columns) if (name := self.name(c))}
            factors = np.array([self.factor(name) for name in kept.values()], np.float32)
            values.append(found[:, list(kept)] * factors)
            names += kept.values()
        ids = tuple(f"{objects.id}:{label}" for label in where.label)
        return Features(np.concatenate(values, axis=1), tuple(names), ids)

    def region(self, pixels: np.ndarray, where: kernels.Regions) -> np.ndarray:
        """The columns of `REGION`; a colour is flat where each of its channels is."""
        channels = np.moveaxis(pixels, -1, 0) if self.COLOUR else [pixels]
        of_channels = [
            [(inside.sum(), status(crop, inside)) for crop, inside in where.crops(channel)]
            for channel in channels
        ]
        shape = len(channels), len(where), len(REGION)
        return np.array(of_channels, np.float64).reshape(shape).min(axis=0)

    # ---- what the columns mean

    def facts(self, names: Iterable[str], preset: str) -> dict[str, dict[str, Any]]:
        """Metadata of columns: family, feature, tag, unit, formula, preset, settings, version."""
        settings = json.dumps(asdict(self), sort_keys=True)
        common = {"preset": preset, "settings": settings, "version": version("medkern")}
        known = self.meanings()
        return {name: known[name] | common for name in names}

    def meanings(self) -> dict[str, dict[str, Any]]:
        """Of every column that there may be."""
        found: dict[str, dict[str, Any]] = {
            f"region.{name}": {"family": "region", "feature": name, "unit": unit, "formula": text}
            for name, (unit, text) in REGION.items()
        }
        for family, chosen in self.steps():
            kernel: Any = kernels.catalogue()[family]
            features = {feature.name: feature for feature in kernel.features}
            for column in kernel.names(**kernel.resolve(chosen)):
                feature = features[column.split(".")[1]]
                if name := self.name(column):
                    found[name] = {
                        "family": family, "feature": column, "tag": feature.tag,
                        "unit": self.unit(name, feature.unit), "formula": feature.formula,
                    }  # fmt: skip
        return found
