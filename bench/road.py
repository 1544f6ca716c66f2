"""medkern's side of the whole-road benchmark, and the files both sides read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medkern.engine.clock import Clock
from medkern.engine.ingest import Item, Reject, read
from medkern.engine.recipe import Recipe, parse
from medkern.engine.stages import Stages

from .shapes import picture
from .today import Task

RECIPE = """
name = "bench"
[ingest]
size = {size}
bits = 8
window = {window}
batch = 64
[[denoise]]
kernel = "median"
radius = {radius}
[[enhance]]
kernel = "clahe"
tiles = [{tiles}, {tiles}]
clip = {clip}
[[texture]]
kernel = "glcm"
levels = {levels}
"""


def recipe(task: Task) -> Recipe:
    """The task as a recipe."""
    window = list(task.window) if task.window else '"file"'
    return parse(
        RECIPE.format(
            size=list(task.size),
            window=window,
            radius=task.radius,
            tiles=task.tiles,
            clip=task.clip,
            levels=task.levels,
        ),
        "bench.toml",
    )


@dataclass(frozen=True)
class Answer:
    """Features (n, 25), pixels of all images only where they were asked for, seconds a stage."""

    values: np.ndarray
    names: tuple[str, ...]
    pixels: np.ndarray
    scores: np.ndarray | None
    seconds: dict[str, float]


class Ours:
    """Files -> features, and network scores where a `network` is given."""

    def __init__(self, task: Task, network: Any = None, keep_pixels: bool = False):
        self.recipe = recipe(task)
        self.stages = Stages(self.recipe, "cpu")
        self.network = network
        self.keep_pixels = keep_pixels

    def __call__(self, paths: Sequence[Path]) -> Answer:
        clock, values, pixels, scores = Clock(), [], [], []
        names: tuple[str, ...] = ()
        items = [Item(str(path), path) for path in paths]
        for batch in clock.timed("read", read(items, self.recipe.layout, refuse)):
            done = self.stages.run(batch)
            clock.add(done.seconds)
            names = done.features.names
            values.append(done.features.values)
            if self.keep_pixels:
                pixels.append(done.pixels[batch.valid])
            if self.network is not None:
                with clock("network"):
                    scores.append(self.network.predict(done.pixels)[batch.valid])
        return Answer(
            np.concatenate(values),
            names,
            np.concatenate(pixels) if pixels else np.empty(0),
            np.concatenate(scores) if scores else None,
            clock.seconds,
        )


def refuse(reject: Reject) -> None:
    """Both roads must read every file: one that is set aside would make the work unequal."""
    raise ValueError(f"{reject.id} cannot be read: {reject.code}, {reject.detail}")


def write_slices(folder: Path, n: int, size: int) -> list[Path]:
    """`n` CT slices as DICOM files: two classes of texture, every fourth file RLE compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        path = folder / f"{'fine' if i % 2 else 'coarse'}-{i:04}.dcm"
        _slice(i, size).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def truth(paths: Sequence[Path]) -> np.ndarray:
    """(n,) class numbers of `write_slices`."""
    return np.array([path.name.startswith("fine") for path in paths], np.int64)


def _slice(seed: int, size: int) -> Any:
    """One 12-bit slice; fine texture has more high-frequency structure."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

    rng = np.random.default_rng(seed)
    grey = picture(size, size, seed)
    grain = rng.normal(0, 0.02 if seed % 2 else 0.01, (size // 2, size // 2))
    grey = np.clip(grey + np.kron(grain, np.ones((2, 2))), 0, 1)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(seed)])
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelSpacing = [0.7, 0.7]
    hu = 40 + 600 * (grey - 0.5)
    dataset.PixelData = np.rint(hu + 1024).astype("<u2").tobytes()
    if seed % 4 == 0:
        dataset.compress(RLELossless)
    return dataset
