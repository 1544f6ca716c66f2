"""Who else measures the intensity of objects: scikit-image and NumPy, by CellProfiler's steps.

CellProfiler is no library; its module takes boundaries of the label image once and sorts, sums and
compares the pixels of every object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from medkern.kernels import Regions

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-4  # our values are float32
_TASKS = 4  # a core: evens out objects of different sizes


# ---- for all measures of objects: a share of the objects of an image, in threads or processes

Objects = tuple[np.ndarray, np.ndarray, int, int]  # labels, image(s), which share, of how many
Measure = Callable[..., np.ndarray]  # (region properties, labels, **parameters) -> (objects, ...)


def object_pool(measure: Measure, processes: bool) -> Mode:
    """A mode: the objects of all images spread over a pool of all cores.

    A further image, `other`, is a second channel of the first.
    """

    def prepare(images: np.ndarray, where: Any, other: Any = None, **parameters: Any) -> Run:
        pixels = images if other is None else np.stack([images, other], axis=-1)
        labels = where.labels if isinstance(where, Regions) else where
        labels = np.ones(images.shape, np.uint8) if labels is None else labels
        shares = -(-_TASKS * cores() // len(images)) if isinstance(where, Regions) else 1
        tasks = [(a, b, k, shares) for a, b in zip(labels, pixels, strict=True)
                 for k in range(shares)]  # fmt: skip
        size = -(-len(tasks) // (_TASKS * cores()))
        chunks = [tasks[first : first + size] for first in range(0, len(tasks), size)]
        if processes:
            from joblib import Parallel, delayed

            pool = Parallel(n_jobs=cores())
            return lambda: _stacked(pool(delayed(_some)(measure, c, parameters) for c in chunks))
        return lambda: _stacked(
            thread_pool().map(lambda chunk: _some(measure, chunk, parameters), chunks)
        )

    return prepare


def _some(measure: Measure, tasks: list[Objects], parameters: dict[str, Any]) -> np.ndarray:
    from skimage.measure import regionprops

    found = []
    for labels, image, share, shares in tasks:
        regions = regionprops(labels, image)
        first, stop = (len(regions) * k // shares for k in (share, share + 1))
        found.append(measure(regions[first:stop], labels, **parameters))
    return np.concatenate(found)


def _stacked(parts: Any) -> np.ndarray:
    return np.concatenate(list(parts))


# ---- intensity


def intensities(regions: Any, labels: np.ndarray, **_: Any) -> np.ndarray:
    """(objects, 19)"""
    from skimage.segmentation import find_boundaries

    rims, rows = find_boundaries(labels, mode="inner"), []
    for region in regions:
        v = region.image_intensity[region.image].astype(np.float64)
        rim = region.image_intensity[region.image & rims[region.slice]].astype(np.float64)
        centre, mass = region.centroid, region.centroid_weighted
        quartiles = np.percentile(v, (25, 50, 75))
        rows.append([
            *_five(v), *(_five(rim) if rim.size else [np.nan] * 5),
            np.hypot(mass[0] - centre[0], mass[1] - centre[1]),
            quartiles[0], quartiles[1], np.median(np.abs(v - quartiles[1])), quartiles[2],
            mass[1], mass[0], centre[1], centre[0],
        ])  # fmt: skip
    return np.array(rows, np.float64).reshape(-1, len(_OURS))


def _five(v: np.ndarray) -> list[Any]:
    return [v.sum(), v.mean(), v.std(), v.min(), v.max()]


_OURS = (*range(15), 15, 16, 21, 22)  # our columns: without z and the place of the maximum


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0][:, _OURS].astype(np.float64)
    apart = np.abs(own - theirs) - _RELATIVE * np.abs(theirs)
    wrong = (apart > _ABSOLUTE) | (np.isnan(own) != np.isnan(theirs))
    rows = np.flatnonzero(wrong.any(axis=1))
    return f"region {rows[0]} of {len(wrong)} differs" if len(rows) else ""


PEERS = (
    Peer(
        name="skimage.measure:regionprops",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": object_pool(intensities, processes=False),
            "process pool": object_pool(intensities, processes=True),
        },
        refuses=lambda dtype, quartiles="linear", **_: (
            "" if quartiles == "linear" else "NumPy's quartiles lie elsewhere"
        ),
        difference=_difference,
        agreement=f"19 of 24 features, relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cells-1x1024x1024", "uint16"), Row("cell-rois-1000x64x64", "uint16"))
