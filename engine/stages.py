"""Batch -> denoise -> enhance -> texture -> pixels and features: the recipe's kernels, in order.

    stages = Stages(recipe, "auto")
    for batch in read(items, recipe.layout, on_reject):
        done = stages.run(batch)                 done.pixels, done.features, done.seconds

The device is decided once, when the stages are made; from then on a batch stays where it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from medkern import kernels
from medkern.kernels import _cuda

from .batch import Batch
from .clock import Clock
from .errors import UserError
from .features import Features
from .recipe import Recipe, Step

DEVICES = ("auto", "cpu", "gpu")
ORDER = ("read", "upload", "denoise", "enhance", "texture", "network", "classical", "write")


class DeviceError(UserError):
    """The device asked for is not there; the message says why."""


@dataclass(frozen=True, eq=False)
class Processed:
    """What the stages made of a batch.

    batch     as it was read
    pixels    (n, h, w) after denoise and enhance, on the stages' device, padding rows included
    features  (batch.count, f), rows without the padding
    seconds   wall time of each stage
    """

    batch: Batch
    pixels: Any
    features: Features
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """A whole set: pixels (n, h, w) after denoise and enhance, in NumPy, and its features."""

    pixels: np.ndarray
    features: Features
    seconds: dict[str, float]

    @property
    def ids(self) -> tuple[str, ...]:
        return self.features.ids


def choose_device(wanted: str) -> str:
    """ "cpu" or "gpu": "auto" takes the GPU where there is one, "gpu" raises DeviceError if not."""
    if wanted not in DEVICES:
        raise DeviceError(
            f"device must be {', '.join(DEVICES[:-1])} or {DEVICES[-1]}, not {wanted!r}"
        )
    if wanted == "cpu":
        return "cpu"
    reason = _cuda.available()
    if reason and wanted == "gpu":
        raise DeviceError(f"device gpu: {reason}")
    return "cpu" if reason else "gpu"


class Stages:
    """The kernels of a recipe on one device."""

    def __init__(self, recipe: Recipe, device: str = "cpu"):
        self.recipe = recipe
        self.device = choose_device(device)
        self.columns = feature_metadata(recipe)

    def run(self, batch: Batch) -> Processed:
        """Filter every row and measure the valid ones."""
        clock = Clock()
        moved = batch
        if batch.device != self.device:
            with clock("upload"):
                moved = batch.to(self.device)
        pixels = moved.pixels
        if self.device == "gpu":
            clock.finish = pixels.device.synchronize
        for family, steps in (("denoise", self.recipe.denoise), ("enhance", self.recipe.enhance)):
            for step in steps:
                with clock(family):
                    pixels = kernel(step)(pixels, **step.parameters)
        with clock("texture"):
            features = self._measure(moved, pixels)
        return Processed(batch, pixels, features, clock.seconds)

    def warm(self) -> Processed:
        """Run one black image, so that everything is compiled before the first real one."""
        h, w = self.recipe.layout.size
        unknown = np.full((1, 2), np.nan, np.float32)
        return self.run(
            Batch(
                pixels=np.zeros((1, h, w), self.recipe.layout.dtype),
                bits=self.recipe.layout.bits,
                ids=("black",),
                masks=None,
                spacing=unknown,
                modality=("",),
                window=unknown,
                valid=np.ones(1, bool),
            )
        )

    def measure_all(
        self, batches: Iterable[Batch], advance: Callable[[int], None] = lambda count: None
    ) -> Measured:
        """Run all batches and put the results together; `advance(k)` after every k images.

        Memory: all pixels at once, as training needs them.
        """
        clock = Clock()
        pixels: list[np.ndarray] = []
        features: list[Features] = []
        for batch in clock.timed("read", batches):
            done = self.run(batch)
            pixels.append(on_cpu(done.pixels)[batch.valid])
            features.append(done.features)
            clock.add(done.seconds)
            advance(batch.count)
        if not pixels:
            none = np.empty((0, *self.recipe.layout.size), self.recipe.layout.dtype)
            names = tuple(self.columns)
            empty = Features(np.empty((0, len(names)), np.float32), names, ())
            return Measured(none, empty, clock.seconds)
        return Measured(np.concatenate(pixels), Features.concat(features), clock.seconds)

    def _measure(self, batch: Batch, pixels: Any) -> Features:
        """Texture of the valid rows; the columns of all steps and regions side by side."""
        ids = tuple(name for name, valid in zip(batch.ids, batch.valid, strict=True) if valid)
        rows = slice(None) if batch.valid.all() else np.flatnonzero(batch.valid)
        pixels, masks = pixels[rows], None if batch.masks is None else batch.masks[rows]
        columns: list[np.ndarray] = [np.empty((len(ids), 0), np.float32)]
        for step in self.recipe.texture:
            columns += measure_regions(step, pixels, masks)
        return Features(np.concatenate(columns, axis=1), tuple(self.columns), ids)


def kernel(step: Step) -> Any:
    """The `Filter` or `Measure` that a step names."""
    return kernels.catalogue()[step.kernel]


def measure_regions(step: Step, pixels: Any, masks: Any = None) -> list[np.ndarray]:
    """The features (n, f) of each region of the step's grid; equal regions in one kernel call."""
    areas = [area for _, area in regions(pixels.shape[1:], step.grid)]
    sizes: dict[tuple[int, int], list[int]] = {}
    for index, (_, down, across) in enumerate(areas):
        size = (down.stop - down.start, across.stop - across.start)
        sizes.setdefault(size, []).append(index)
    values: dict[int, np.ndarray] = {}
    for same in sizes.values():
        cut = below([pixels[areas[index]] for index in same])
        inside = None if masks is None else below([masks[areas[index]] for index in same])
        found, _ = kernel(step)(cut, inside, **step.parameters)
        values |= zip(same, np.split(on_cpu(found), len(same)), strict=True)
    return [values[index] for index in range(len(areas))]


def below(parts: Sequence[Any]) -> Any:
    """Arrays (n, h, w) below one another, on the device they live on."""
    if len(parts) == 1:
        return parts[0]
    n, h, w = parts[0].shape
    whole = _cuda.empty(parts[0], (len(parts) * n, h, w), parts[0].dtype)
    for index, part in enumerate(parts):
        whole[index * n : (index + 1) * n] = part
    return whole


def regions(
    shape: tuple[int, int], grid: tuple[int, int]
) -> Iterator[tuple[str, tuple[slice, slice, slice]]]:
    """The areas of a grid as equal as whole pixels allow, with the suffix of their columns.

    Row r of R rows covers the pixels r h // R up to (r + 1) h // R; columns likewise.
    """
    (h, w), (rows, columns) = shape, grid
    for r, c in np.ndindex(rows, columns):
        suffix = "" if grid == (1, 1) else f".r{r}c{c}"
        down = slice(r * h // rows, (r + 1) * h // rows)
        across = slice(c * w // columns, (c + 1) * w // columns)
        yield suffix, (slice(None), down, across)


def feature_metadata(recipe: Recipe) -> dict[str, dict[str, str]]:
    """The recipe's feature columns, in order, each with its metadata for Parquet.

    Keys: family (the kernel), feature, tag (of the IBSI), unit, formula, parameters (JSON), region
    (pixels y0:y1, x0:x1), version (of medkern).
    """
    columns: dict[str, dict[str, str]] = {}
    medkern = version("medkern")
    for step in recipe.texture:
        measure = kernel(step)
        table = {feature.name: feature for feature in measure.features}
        parameters = json.dumps(dict(step.parameters), sort_keys=True)
        for suffix, (_, down, across) in regions(recipe.layout.size, step.grid):
            for name in measure.names(**step.parameters):
                feature = table[name.split(".")[1]]
                columns[name + suffix] = {
                    "family": step.kernel,
                    "feature": feature.name,
                    "tag": feature.tag,
                    "unit": feature.unit,
                    "formula": feature.formula,
                    "parameters": parameters,
                    "region": f"{down.start}:{down.stop}, {across.start}:{across.stop}",
                    "version": medkern,
                }
    return columns


def in_order(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by stage, in the order in which the data pass through."""
    return dict(sorted(seconds.items(), key=lambda pair: ORDER.index(pair[0])))


def on_cpu(array: Any) -> np.ndarray:
    """The array in NumPy; a copy only where it was on the GPU."""
    return array if isinstance(array, np.ndarray) else array.get()
