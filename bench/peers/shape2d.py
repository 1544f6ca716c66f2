"""Who else measures 2D shape: scikit-image's regionprops_table, whose definitions ours are.

Of its columns only those that we have, too: area, outline, axes, hull, Feret, box, Euler, Hu.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_COLUMNS = {  # its column -> ours
    "area": "area", "perimeter": "perimeter", "equivalent_diameter_area": "equivalent_diameter",
    "extent": "extent", "axis_major_length": "major_axis_length",
    "axis_minor_length": "minor_axis_length", "eccentricity": "eccentricity",
    "area_convex": "convex_area", "solidity": "solidity",
    "feret_diameter_max": "max_feret_diameter", "bbox-0": "bounding_box_top",
    "bbox-1": "bounding_box_left", "bbox-2": "bounding_box_bottom", "bbox-3": "bounding_box_right",
    "euler_number": "euler_number",
} | {f"moments_hu-{k}": f"hu_{k + 1}" for k in range(7)}  # fmt: skip
_PROPERTIES = tuple({name.partition("-")[0]: None for name in _COLUMNS})
_RELATIVE, _ABSOLUTE = 1e-5, 1e-8  # its float64 moments cancel, ours are integers


def regionprops(masks: np.ndarray) -> np.ndarray:
    """(n, columns) of one region a mask."""
    from skimage.measure import regionprops_table

    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for mask in masks:
            table = regionprops_table(mask, properties=_PROPERTIES)
            rows.append([table[name][0] for name in _COLUMNS])
    return np.array(rows, np.float64)


def _pieces(images: np.ndarray, masks: np.ndarray | None) -> list[np.ndarray]:
    inside = np.ones(images.shape, np.uint8) if masks is None else masks
    return np.array_split(inside, min(len(inside), 4 * cores()))


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    pieces = _pieces(images, masks)
    return lambda: np.concatenate(list(thread_pool().map(regionprops, pieces)))


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    from joblib import Parallel, delayed

    pieces, pool = _pieces(images, masks), Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(regionprops)(piece) for piece in pieces)
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    values, names = ours
    for column, name in enumerate(_COLUMNS.values()):
        own = values[:, names.index(f"shape2d.{name}")].astype(np.float64)
        apart = np.abs(own - theirs[:, column]) - _RELATIVE * np.abs(own)
        worst = int(np.argmax(apart))
        if not apart[worst] <= _ABSOLUTE:
            return f"{name} of region {worst}: ours {own[worst]}, {theirs[worst, column]}"
    return ""


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="skimage.measure:regionprops_table",
        package="skimage",
        distribution="scikit-image",
        modes=_MODES,
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"22 of 25 features, relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cell-rois-1000x64x64", "uint16"), Row("lesions-64x128x128", "uint16"))
