"""Who else measures moments: scikit-image's regionprops, whose definitions ours are."""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.texture.moments import NORMALIZED, SPATIAL

from .intensity import object_pool
from .peer import Peer, Row

_RELATIVE = 1e-4  # our values are float32
_OF_LARGEST = 1e-9  # central moments cancel: an error of the largest of the column's kind


def all_moments(regions: Any, labels: np.ndarray, **_: Any) -> np.ndarray:
    """(objects, 94)"""
    rows = []
    for region in regions:
        shape = _of_weight(
            region.moments, region.moments_central, region.moments_normalized, region.moments_hu
        )
        weighted = _of_weight(
            region.moments_weighted, region.moments_weighted_central,
            region.moments_weighted_normalized, region.moments_weighted_hu,
        )  # fmt: skip
        inertia = [*region.inertia_tensor.ravel(), *region.inertia_tensor_eigvals]
        rows.append([*shape, *inertia, *weighted])
    return np.array(rows, np.float64).reshape(-1, 94)


def _of_weight(raw: Any, central: Any, normalized: Any, hu: Any) -> list[Any]:
    first = [matrix[place] for matrix in (raw, central) for place in SPATIAL]
    return [*first, *(normalized[place] for place in NORMALIZED), *hu]


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    values, names = ours
    own = values.astype(np.float64)
    kinds = np.array([name.split(".")[1].partition("_moment")[0] for name in names])
    largest = np.empty(len(names))
    for kind in set(kinds):
        largest[kinds == kind] = np.abs(theirs[:, kinds == kind]).max()
    wrong = ~(np.abs(own - theirs) <= _RELATIVE * np.abs(theirs) + _OF_LARGEST * largest)
    rows, columns = np.nonzero(wrong)
    return f"{names[columns[0]]} of region {rows[0]} differs" if len(rows) else ""


PEERS = (
    Peer(
        name="skimage.measure:regionprops",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": object_pool(all_moments, processes=False),
            "process pool": object_pool(all_moments, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}: our features are float32",
    ),
)

ROWS = (Row("cells-1x1024x1024", "uint16"), Row("cell-rois-1000x64x64", "uint16"))
