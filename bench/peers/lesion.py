"""Who else measures lesions by ABCD: no library, so scikit-image and SciPy, as users join them.

regionprops gives the centroid, the axes, the outline and the diameters; NumPy mirrors the pixels
and compares the colours, SciPy's distance transform finds the rims, all on the lesion's box.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import ndimage

from medkern.kernels.texture._lesion_sums import PROTOTYPES

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-4
_PIXELS = 3  # whose mirror images may fall on another side of a rounding


def abcd(image: np.ndarray, mask: np.ndarray, rim: int, least_share: float) -> list[Any]:
    """The 32 features of one lesion."""
    from skimage.measure import regionprops

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = regionprops(mask.astype(np.uint8))[0]
    y0, x0, y1, x1 = whole.bbox
    around = (slice(max(y0 - rim, 0), y1 + rim), slice(max(x0 - rim, 0), x1 + rim))
    corner = (around[0].start, around[1].start)
    image, mask = image[around], mask[around] != 0
    centre, angle = np.array(whole.centroid) - corner, whole.orientation
    places = np.argwhere(mask)
    folded = [_folded(mask, places, centre, turn) for turn in (angle, angle + np.pi / 2)]
    colours = image[mask].astype(np.float32)
    along, across = _turned(places - centre, angle)
    halves = [_apart(colours, side) for side in (across, along)]
    inner = mask & (np.asarray(ndimage.distance_transform_edt(mask)) <= rim)
    outer = ~mask & (np.asarray(ndimage.distance_transform_edt(~mask)) <= rim)
    skin, steps = np.full(3, np.nan), np.full(1, np.nan)
    if outer.any():
        skin, steps = image[outer].mean(axis=0), _steps(image, inner, outer, centre, angle)
    mean, deviation = colours.mean(axis=0, dtype=np.float64), colours.std(axis=0, dtype=np.float64)
    names = (colours.astype(np.int32)[:, None] - PROTOTYPES.astype(np.int32)) ** 2
    shares = np.bincount(names.sum(axis=2).argmin(axis=1), minlength=6) / len(colours)
    outline = np.argwhere(mask & np.logical_not(ndimage.binary_erosion(mask)))
    distance = np.linalg.norm(outline - centre, axis=1)
    return [
        *folded, np.mean(folded), *halves, np.mean(halves),
        4 * np.pi * whole.area / whole.perimeter**2, whole.solidity,
        distance.std() / distance.mean(), np.mean(steps), np.std(steps),
        *mean, *deviation, *(mean - skin), *(deviation / colours.max(axis=0)),
        *shares, (shares >= least_share).sum(),
        whole.feret_diameter_max, whole.equivalent_diameter_area,
    ]  # fmt: skip


def _turned(offsets: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    dy, dx = offsets.T
    return dy * np.cos(angle) + dx * np.sin(angle), dx * np.cos(angle) - dy * np.sin(angle)


def _folded(mask: np.ndarray, places: np.ndarray, centre: np.ndarray, angle: float) -> float:
    dy, dx = (places - centre).T
    y = np.rint(centre[0] + np.cos(2 * angle) * dy + np.sin(2 * angle) * dx).astype(int)
    x = np.rint(centre[1] + np.sin(2 * angle) * dy - np.cos(2 * angle) * dx).astype(int)
    legal = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    return 1 - mask[y[legal], x[legal]].sum() / len(places)


def _apart(colours: np.ndarray, side: np.ndarray) -> float:
    one = colours[side > 1e-9].mean(axis=0, dtype=np.float64)
    return float(np.linalg.norm(one - colours[side < -1e-9].mean(axis=0, dtype=np.float64)))


def _steps(
    image: np.ndarray, inner: np.ndarray, outer: np.ndarray, centre: np.ndarray, angle: float
) -> np.ndarray:
    means = []
    for rim in (inner, outer):
        along, across = _turned(np.argwhere(rim) - centre, angle)
        sector = 4 * (along < 0) + 2 * (across < 0) + (abs(across) > abs(along))
        sums = np.bincount(sector, image[rim].mean(axis=1), minlength=8)
        means.append(sums / np.bincount(sector, minlength=8))
    return means[1] - means[0]


def _work(images: np.ndarray, masks: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    inside = np.ones(images.shape[:3], np.uint8) if masks is None else masks
    number = min(len(images), 4 * cores())
    return list(zip(np.array_split(images, number), np.array_split(inside, number), strict=True))


def _measure(piece: tuple[np.ndarray, np.ndarray], parameters: dict[str, Any]) -> np.ndarray:
    return np.array([abcd(image, mask, **parameters) for image, mask in zip(*piece, strict=True)])


def _in_threads(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    pieces = _work(images, masks)

    def run() -> np.ndarray:
        rows = thread_pool().map(lambda piece: _measure(piece, parameters), pieces)
        return np.concatenate(list(rows))

    return run


def _in_processes(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
    from joblib import Parallel, delayed

    pieces, pool = _work(images, masks), Parallel(n_jobs=cores())

    def run() -> np.ndarray:
        rows: Any = pool(delayed(_measure)(piece, parameters) for piece in pieces)
        return np.concatenate(rows)

    return run


def _difference(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    own = ours[0].astype(np.float64)
    allowed = _ABSOLUTE + _RELATIVE * np.abs(theirs)
    area = np.pi / 4 * theirs[:, -1:] ** 2
    allowed[:, :3] = _PIXELS / area
    same = (np.abs(own - theirs) <= allowed) | (np.isnan(own) & np.isnan(theirs))
    wrong = np.argwhere(~same)
    if not len(wrong):
        return ""
    row, column = wrong[0]
    return f"{ours[1][column]} of region {row}: {own[row, column]}, {theirs[row, column]}"


_MODES: dict[str, Mode] = {"thread pool": _in_threads, "process pool": _in_processes}

PEERS = (
    Peer(
        name="skimage.measure:regionprops, scipy.ndimage",
        package="skimage",
        distribution="scikit-image",
        modes=_MODES,
        refuses=lambda dtype, **_: "" if dtype == "uint8" else "its colours are of 8 bits",
        difference=_difference,
        agreement=f"relative {_RELATIVE:g}, asymmetry {_PIXELS} pixels: places are rounded",
    ),
)

ROWS = (Row("derm-16x448x448", "uint8"),)
