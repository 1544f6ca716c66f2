"""Who else measures grey-level co-occurrence: mahotas and scikit-image.

Both get the regions already quantised, 0 outside the mask and 1 .. levels inside, so their time
is that of matrices and features alone; ours includes the quantisation. Both compute fewer features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from medkern.kernels import Regions

from ..machine import cores
from .peer import Peer, Row, Run, thread_pool

_CHUNKS = 4  # pieces of work a core: evens out regions of different sizes

# mahotas' order of Haralick's 13 features in the names of IBSI
_MAHOTAS = (
    *("angular_second_moment", "contrast", "correlation", "joint_variance"),
    *("inverse_difference_moment", "sum_average", "sum_variance", "sum_entropy", "joint_entropy"),
    *("difference_variance", "difference_entropy"),
    *("information_correlation_1", "information_correlation_2"),
)
_SKIMAGE = {
    "ASM": "angular_second_moment",
    "contrast": "contrast",
    "correlation": "correlation",
    "homogeneity": "inverse_difference_moment",
    "dissimilarity": "dissimilarity",
}
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32


def quantised(images: np.ndarray, masks: np.ndarray, levels: int) -> np.ndarray:
    """Fixed bin number (IBSI): floor(levels (x - min) / (max - min)) + 1 of each region, else 0."""
    out = np.zeros(images.shape, np.uint8 if levels < 256 else np.uint16)
    for image, mask, level in zip(images, masks, out, strict=True):
        inside = mask != 0
        grey = image[inside].astype(np.float64)
        if grey.size:
            scaled = levels * (grey - grey.min()) / (np.ptp(grey) or 1)
            level[inside] = np.minimum(np.floor(scaled), levels - 1) + 1
    return out


def mahotas_features(regions: Sequence[np.ndarray], levels: int, distance: int) -> np.ndarray:
    """(n, 13) Haralick features, mean over the four directions."""
    from mahotas.features import haralick

    settings = {"ignore_zeros": True, "return_mean": True, "use_x_minus_y_variance": True}
    return np.array([haralick(region, distance=distance, **settings) for region in regions])


def skimage_features(regions: Sequence[np.ndarray], levels: int, distance: int) -> np.ndarray:
    """(n, 5) features, mean over the four directions; level 0, the outside, is cut away."""
    from skimage.feature import graycomatrix, graycoprops

    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    rows = []
    for region in regions:
        matrix = graycomatrix(region, [distance], angles, levels + 1, symmetric=True)[1:, 1:]
        rows.append([graycoprops(matrix, name).mean() for name in _SKIMAGE])
    return np.array(rows)


def _in_threads(measure: Callable[..., np.ndarray]) -> Callable[..., Run]:
    def prepare(images: np.ndarray, where: Any, **parameters: Any) -> Run:
        chunks, settings = _work(images, where, **parameters)
        return lambda: np.concatenate(
            list(thread_pool().map(lambda chunk: measure(chunk, **settings), chunks))
        )

    return prepare


def _in_processes(measure: Callable[..., np.ndarray]) -> Callable[..., Run]:
    def prepare(images: np.ndarray, where: Any, **parameters: Any) -> Run:
        from joblib import Parallel, delayed

        chunks, settings = _work(images, where, **parameters)
        pool = Parallel(n_jobs=cores())

        def run() -> np.ndarray:
            rows: Any = pool(delayed(measure)(chunk, **settings) for chunk in chunks)
            return np.concatenate(rows)

        return run

    return prepare


def _work(
    images: np.ndarray, where: Any, *, levels: int, distance: int, **_: Any
) -> tuple[list[list[np.ndarray]], dict[str, int]]:
    if isinstance(where, Regions):
        regions = [quantised(*crop, levels)[0] for crop in where.crops(images)]
    else:
        regions = list(quantised(images, np.ones_like(images) if where is None else where, levels))
    pieces = np.array_split(np.arange(len(regions)), min(len(regions), _CHUNKS * cores()))
    chunks = [[regions[k] for k in piece] for piece in pieces]
    return chunks, {"levels": levels, "distance": distance}


def same_features(columns: tuple[str, ...]) -> Callable[..., str]:
    """A `difference` for measures: the peer's columns against ours of the same definition."""

    def difference(
        ours: tuple[np.ndarray, tuple[str, ...]], theirs: np.ndarray, **parameters: Any
    ) -> str:
        values, names = ours
        for column, feature in enumerate(columns):
            own = values[:, _column(names, feature)].astype(np.float64)
            apart = np.abs(own - theirs[:, column])
            worst = int(np.argmax(apart - _RELATIVE * np.abs(own)))
            if not apart[worst] <= _RELATIVE * abs(own[worst]) + _ABSOLUTE:
                return f"{feature} of region {worst}: ours {own[worst]}, {theirs[worst, column]}"
        return ""

    return difference


def _column(names: tuple[str, ...], feature: str) -> int:
    """Where `glcm.<feature>.d1.averaged` stands; raises where the kernel no longer has it."""
    for column, name in enumerate(names):
        if name.split(".")[1] == feature:
            return column
    raise KeyError(f"glcm has no feature {feature!r}; it has {', '.join(names)}")


def _refuses(library: str, dtype: str, *, levels: int, **rest: Any) -> str:
    if rest.get("directions") != "averaged":
        return f"{library} averages the features of four directions; it merges no matrices"
    if rest.get("binning") != "count":
        return f"{library} gets levels by fixed bin number here, not by {rest.get('binning')!r}"
    if library == "skimage" and rest.get("distance") != 1:
        return "skimage.feature.graycomatrix rounds diagonal offsets: equal at distance 1 only"
    return ""


_CLOSE = f"relative {_RELATIVE:g}, absolute {_ABSOLUTE:g}: our features are float32"

PEERS = (
    Peer(
        name="mahotas.features:haralick",
        package="mahotas",
        distribution="mahotas",
        modes={
            "thread pool": _in_threads(mahotas_features),
            "process pool": _in_processes(mahotas_features),
        },
        refuses=partial(_refuses, "mahotas"),
        difference=same_features(_MAHOTAS),
        agreement=f"13 of 25 features, {_CLOSE}",
    ),
    Peer(
        name="skimage.feature:graycomatrix",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": _in_threads(skimage_features),
            "process pool": _in_processes(skimage_features),
        },
        refuses=partial(_refuses, "skimage"),
        difference=same_features(tuple(_SKIMAGE.values())),
        agreement=f"5 of 25 features, {_CLOSE}",
    ),
)

ROWS = (
    Row("cell-rois-1000x64x64", "uint16", {"levels": 32}),
    Row("cell-rois-1000x64x64", "uint16", {"levels": 64}),
    Row("lesions-64x128x128", "uint16", {"levels": 32}),
    Row("cells-1x1024x1024", "uint16", {"levels": 256}),
    Row("map-1x96x96", "uint8", {"levels": 32}),
)
