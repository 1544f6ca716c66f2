"""Who else counts boxes: nobody whom one installs, so NumPy's reduceat, as it is written today.

`add.reduceat` over rows and columns sums the pixels of every box at once, `minimum` and
`maximum.reduceat` find its greys: one call of each a size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-5, 1e-6


def _blocks(reduce: Callable[..., np.ndarray], array: np.ndarray, s: int) -> np.ndarray:
    rows = reduce(array, np.arange(0, array.shape[0], s), axis=0)
    return reduce(rows, np.arange(0, array.shape[1], s), axis=1)


def _line(sizes: np.ndarray, counts: list[float]) -> tuple[float, float]:
    if len(sizes) < 2:
        return np.nan, np.nan
    x, y = -np.log2(sizes), np.log2(counts)
    slope, start = np.polyfit(x, y, 1)
    return slope, np.sqrt(((y - slope * x - start) ** 2).mean())


def _lacunarity(masses: np.ndarray) -> float:
    return (masses**2.0).mean() / masses.mean() ** 2


def dimensions(image: np.ndarray, mask: np.ndarray) -> list[float]:
    """The 14 features of one region, its greys as high as they range."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    grey, inside = image[box].astype(np.float32), mask[box] != 0
    longest, (h, w) = max(inside.shape), inside.shape
    sizes = 2 ** np.arange(longest.bit_length() - 1)
    outline = inside & np.logical_not(ndimage.binary_erosion(inside))
    least, greatest = grey[inside].min(), grey[inside].max()
    low, high = np.where(inside, grey, np.inf), np.where(inside, grey, -np.inf)
    edges, areas, columns, numbers, masses = [], [], [], {}, {}
    for s in sizes:
        pixels = _blocks(np.add.reduceat, inside.astype(np.int32), s)
        edges.append((_blocks(np.add.reduceat, outline.astype(np.int32), s) > 0).sum())
        areas.append((pixels > 0).sum())
        if s > 1:
            step = s * (np.float64(greatest) - least) / longest or 1.0
            top = _blocks(np.maximum.reduceat, high, s)[pixels > 0]
            bottom = _blocks(np.minimum.reduceat, low, s)[pixels > 0]
            numbers[s] = np.floor((top - least) / step) - np.floor((bottom - least) / step) + 1
            columns.append(numbers[s].sum())
            masses[s] = pixels[: h // s, : w // s]
    found = [_lacunarity(table[s]) if s in table else np.nan
             for table in (masses, numbers) for s in (2, 4, 8, 16)]  # fmt: skip
    return [*_line(sizes, edges), *_line(sizes, areas), *_line(sizes[1:], columns), *found]


def _pieces(images: np.ndarray, masks: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    inside = np.ones(images.shape, np.uint8) if masks is None else masks
    number = min(len(images), 4 * cores())
    return list(zip(np.array_split(images, number), np.array_split(inside, number), strict=True))


def _measure(piece: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.array([dimensions(*pair) for pair in zip(*piece, strict=True)])


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    pieces = _pieces(images, masks)
    return lambda: np.concatenate(list(thread_pool().map(_measure, pieces)))


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    from joblib import Parallel, delayed

    pieces, pool = _pieces(images, masks), Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(_measure)(piece) for piece in pieces)
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0].astype(np.float64)
    wrong = ~np.isclose(own, theirs, _RELATIVE, _ABSOLUTE, equal_nan=True)
    rows = np.flatnonzero(wrong.any(axis=1))
    return f"region {rows[0]} of {len(rows)} differs" if len(rows) else ""


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="numpy:add.reduceat",
        package="numpy",
        distribution="numpy",
        modes=_MODES,
        refuses=lambda dtype, *, height, **_: "counts heights of its own" if height else "",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cell-rois-1000x64x64", "uint16"), Row("lesions-64x128x128", "uint16"))
