"""A file as colour pictures: what colour features measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .formats import open_source
from .limits import Limits
from .reason import Reason, Unreadable


def read_colours(path: Path, limits: Limits | None = None) -> np.ndarray:
    """The frames of a file, (n, h, w, 3) uint8 red, green, blue; Unreadable says why not.

    Deeper colours keep their highest eight bits, an alpha channel is left out, grey is refused.
    """
    source = open_source(path, limits or Limits())
    first = source.colours(0)
    pictures = np.empty((source.frames, *first.shape), np.uint8)
    for index in range(source.frames):
        picture = source.colours(index) if index else first
        if picture.shape != first.shape:
            raise Unreadable(Reason.BAD_GEOMETRY, f"frame {index} has another size than frame 0")
        pictures[index] = picture
    return pictures
