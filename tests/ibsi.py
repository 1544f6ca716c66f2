"""What the Image Biomarker Standardisation Initiative published, and how it is compared."""

import csv
import json
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any

import numpy as np

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda

Consensus = dict[str, tuple[float, float]]


def digital_phantom(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(image, mask), uint8 (1, z, y, x): grey levels 1 to 6."""
    arrays = np.load(folder / "ibsi_1_digital_phantom" / "digital_phantom_zyx.npz")
    return arrays["image"][None].astype(np.uint8), arrays["mask"][None]


def tags(folder: Path, table: str) -> list[dict[str, str]]:
    """Rows of a table of values, "dig_phantom" or "chest_config_a", in the manual's order."""
    path = folder / "reference_values_ibsi1" / f"ibsi_1_{table}.csv"
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def agreed(folder: Path, table: str) -> Consensus:
    """{tag: (value, tolerance)}; tags without a value are left out."""
    return {
        row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
        for row in tags(folder, table)
        if row["reference value"]
    }


def published_tables(folder: Path) -> list[dict[str, Any]]:
    """The manual's 88 matrices: section, columns and rows."""
    path = folder / "ibsi_1_digital_phantom" / "texture_matrices.json"
    return json.loads(path.read_text())


def misses(found: float, wanted: tuple[float, float]) -> bool:
    """Whether a value is off, compared as the standard does: in three significant digits."""
    value, tolerance = wanted
    if not isfinite(found):
        return True
    digits = 2 - floor(log10(abs(found))) if found else 2
    return abs(round(found, digits) - value) > tolerance + 1e-9 * abs(value)


def on_the_cpu(kernel: Any, image: np.ndarray, mask: np.ndarray, **parameters: Any):
    """Values and names."""
    return kernel(image, mask, **parameters)


def on_the_gpu(kernel: Any, image: np.ndarray, mask: np.ndarray, **parameters: Any):
    """The same by the GPU code, in the interpreter."""
    chosen = kernel.resolve(parameters)
    names = kernel.names(**chosen)
    values = np.empty((len(image), len(names)), np.float32)
    with _cuda.running(Interpreter()):
        kernel.gpu(image, kernel.place(image, mask), values, **chosen)
    return values, names
