"""What the iterative kernels share: groups of images, tiles of an image on the GPU, pixels.

Their state is float32 whatever the pixels are: several bytes for a pixel of one byte. So that it
stays small beside the batch, the state of a group of images exists at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SHARE = 3  # a workspace is at most so many times the images and the results,
LEAST, MOST = 1 << 20, 1 << 26  # unless that is fewer pixels than this; and never more pixels


def groups(images: Any, out: Any, state: int) -> Iterator[slice]:
    """Runs of images that share a workspace of `state` bytes a pixel; one image at least."""
    n, pixels = len(images), max(math.prod(images.shape[1:]), 1)
    allowed = SHARE * (images.nbytes + out.nbytes) // state
    together = min(max(min(max(allowed, LEAST), MOST) // pixels, 1), n, 65535)
    count = -(-n // together)
    return (slice(n * k // count, n * (k + 1) // count) for k in range(count))


THREADS = 512  # of a block
TILES = {  # by rank: x, y, z and halo; the halo is the number of iterations in shared memory
    3: (64, 32, 1, 4),
    4: (32, 8, 8, 1),
}


@dataclass(frozen=True)
class Tiling:
    """Images cut into tiles that overlap by twice the halo: each iteration spoils a pixel more."""

    halo: int
    blocks: int  # tiles of an image
    macros: dict[str, Any]

    @classmethod
    def of(cls, images: Any) -> Tiling:
        *tile, halo = TILES[images.ndim]
        core = [side - 2 * halo if side > 1 else 1 for side in tile]
        sizes = [*images.shape[:0:-1], 1][:3]
        blocks = math.prod(-(-size // side) for size, side in zip(sizes, core, strict=True))
        macros = dict(zip(("TILE_X", "TILE_Y", "TILE_Z"), tile, strict=True))
        return cls(halo, blocks, macros | {"HALO": halo, "AXES": images.ndim - 1})


def to_pixels(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """values, in place: for integers rounded to the nearest, within their range."""
    if dtype.kind in "iu":
        levels = np.iinfo(dtype)
        np.clip(np.rint(values, out=values), levels.min, levels.max, out=values)
    return values
