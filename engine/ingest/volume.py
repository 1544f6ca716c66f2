"""A file as one volume of physical values: what radiomics measures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .formats import open_source
from .limits import Limits
from .nifti import NiftiFile
from .reason import Reason, Unreadable


class Volume(NamedTuple):
    """values (d, h, w) float32 in the modality's units; spacing (z, y, x) in mm, NaN unknown."""

    values: np.ndarray
    spacing: tuple[float, float, float]


def read_volume(path: Path, limits: Limits | None = None) -> Volume:
    """The frames of a file, one above another; Unreadable says why there are none."""
    source = open_source(path, limits or Limits())
    between = math.nan
    if isinstance(source, NiftiFile):
        between = source.slice_spacing
        if source.times > 1:
            raise Unreadable(Reason.BAD_GEOMETRY, f"{source.times} volumes in one file")
    first = source.frame(0)
    values = np.empty((source.frames, *first.stored.shape), np.float32)
    for index in range(source.frames):
        frame = source.frame(index) if index else first
        if frame.stored.shape != first.stored.shape:
            raise Unreadable(Reason.BAD_GEOMETRY, f"frame {index} has another size than frame 0")
        values[index] = frame.stored * frame.slope + frame.intercept
    return Volume(values, (between, *first.spacing))
