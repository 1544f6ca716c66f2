"""The demonstration: a cohort with a known ceiling, made, trained on, screened and reported.

made = make(folder)             DICOM files, manifest.csv, and the ideal observer's AUC
"""

import csv
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from ..ingest.write import bundled_dicom, write_ct
from .cohort import Task as Task

SPLITS = {"train": 700, "val": 200, "test": 300}
SPACING = 0.7  # mm
WINDOW = (40.0, 400.0)


@dataclass(frozen=True)
class Cohort:
    """Where the images are, and the AUC that no observer can exceed on average."""

    manifest: Path
    images: Path
    slices: int
    others: int
    ceiling: float
    contrast: float


def recipe_text() -> str:
    """The demonstration's recipe."""
    return (resources.files("medkern.engine.demo") / "demo.toml").read_text("utf-8")


def make(folder: Path, seed: int = 0) -> Cohort:
    """Write the cohort below `folder`: images/cohort/*.dcm, images/pydicom/*, manifest.csv.

    Each synthetic patient has one slice; half of them have a nodule. `images/pydicom` holds the
    real files that pydicom is tested with: many modalities and encodings, some of them broken.
    """
    task, rng = Task(), np.random.default_rng(seed)
    cohort, real = folder / "images" / "cohort", folder / "images" / "pydicom"
    for place in (cohort, real):
        place.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, count in SPLITS.items():
        present = rng.permutation(count) % 2
        for number, (slice_, nodule) in enumerate(
            zip(task.sample(present, rng), present, strict=True)
        ):
            patient = f"{split}-{number:04}"
            path = cohort / f"{patient}.dcm"
            write_ct(path, slice_, patient, SPACING, WINDOW)
            label = "nodule" if nodule else "clear"
            rows.append((path.relative_to(folder).as_posix(), label, patient, split))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "group", "split"), *rows])
    others = bundled_dicom()
    for path in others:
        shutil.copyfile(path, real / path.name)
    ceiling, contrast = task.ideal_auc(), task.contrast()
    return Cohort(manifest, folder / "images", len(rows), len(others), ceiling, contrast)
