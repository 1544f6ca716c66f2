"""Who else measures Haralick's features of objects: mahotas, and cp_measure after CellProfiler.

mahotas gets the objects cut out and as greys; ours cuts and quantises. cp_measure takes the image
and its labels as we do, and has a compiled mode beside the one that calls mahotas.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from medkern.kernels import Regions
from medkern.kernels.texture.haralick import FEATURES, grey_images

from ..machine import cores
from .peer import Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32
_CHUNKS = 4  # pieces of work a core: evens out objects of different sizes
_SIDES = 13, 4  # features, directions


def mahotas_features(crops: list[np.ndarray], distance: int) -> np.ndarray:
    """(objects, 13, 4); NaN where mahotas refuses an object."""
    from mahotas.features import haralick

    values = np.full((len(crops), *_SIDES), np.nan)
    for crop, out in zip(crops, values, strict=True):
        try:
            out[:] = haralick(crop, distance=distance, ignore_zeros=True).T
        except ValueError:  # a direction has no pair
            continue
    return values


def _cut(
    images: np.ndarray, where: Any, *, levels: int, distance: int, white: Any, **_: Any
) -> tuple[list[list[np.ndarray]], int]:
    from medkern.kernels import haralick

    chosen = haralick.settle(images, {"white": white})
    greys = grey_images(images, levels, chosen["white"])
    placed = haralick.place(images, where)
    crops = [np.where(inside, crop, 0)[0] for crop, inside in placed.crops(greys)]
    pieces = np.array_split(np.arange(len(crops)), min(len(crops), _CHUNKS * cores()))
    return [[crops[k] for k in piece] for piece in pieces], distance


def _in_threads(images: np.ndarray, where: Any, **parameters: Any) -> Run:
    chunks, distance = _cut(images, where, **parameters)
    measure = partial(mahotas_features, distance=distance)
    return lambda: np.concatenate(list(thread_pool().map(measure, chunks)))


def _in_processes(images: np.ndarray, where: Any, **parameters: Any) -> Run:
    from joblib import Parallel, delayed

    chunks, distance = _cut(images, where, **parameters)
    pool = Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(mahotas_features)(chunk, distance) for chunk in chunks)
        return np.concatenate(rows)

    return run


def _cp_measure(module: str) -> Callable[..., Run]:
    """Image after image, in floats 0 .. 1, which its authors ask for; it has no threads."""

    def prepare(images: np.ndarray, where: Any, *, levels: int, distance: int, **_: Any) -> Run:
        from importlib import import_module

        measure = import_module(module).get_texture
        white = np.iinfo(images.dtype).max if images.dtype.kind in "iu" else 1.0
        shares = (images / np.float32(white)).astype(np.float32)
        labels = where.labels if isinstance(where, Regions) else where

        def run() -> np.ndarray:
            found = []
            for share, of_image in zip(shares, labels, strict=True):
                columns = list(measure(of_image, share, distance, levels).values())
                found.append(np.transpose(columns).reshape(-1, *_SIDES[::-1]).swapaxes(1, 2))
            return np.concatenate(found)

        return run

    return prepare


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0].reshape(-1, *_SIDES).astype(np.float64)
    for k, feature in enumerate(FEATURES):
        close = np.isclose(own[:, k], theirs[:, k], _RELATIVE, _ABSOLUTE, equal_nan=True)
        if not close.all():
            worst = np.argwhere(~close)[0][0]
            return f"{feature.name} of region {worst}: {own[worst, k]}, {theirs[worst, k]}"
    return ""


_CLOSE = f"all features, relative {_RELATIVE:g}, absolute {_ABSOLUTE:g}: ours are float32"

PEERS = (
    Peer(
        name="cp_measure.core.measuretexture:get_texture",
        package="cp_measure",
        distribution="cp-measure",
        modes={
            "compiled": _cp_measure("cp_measure.core.numba.measuretexture"),
            "mahotas within": _cp_measure("cp_measure.core.measuretexture"),
        },
        refuses=lambda dtype, *, white, **_: (
            "" if white == "auto" else "cp_measure has one white for each dtype"
        ),
        difference=_difference,
        agreement=_CLOSE,
    ),
    Peer(
        name="mahotas.features:haralick",
        package="mahotas",
        distribution="mahotas",
        modes={"thread pool": _in_threads, "process pool": _in_processes},
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=_CLOSE,
    ),
)

ROWS = tuple(
    Row("cells-1x1024x1024", "uint16", {"levels": 256, "distance": distance})
    for distance in (1, 2, 3)
)
