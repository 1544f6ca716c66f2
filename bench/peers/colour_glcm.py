"""Who else measures co-occurrence between channels: scikit-image within them, NumPy between them.

scikit-image counts the matrices of one channel only; those of two are histograms of pairs, made
with `bincount`. The peer gets levels of each channel already quantised, 0 outside the region; our
time includes the quantisation. Features come from all matrices at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..machine import cores
from .glcm import quantised
from .peer import Mode, Peer, Row, Run, thread_pool

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # our values are float32
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))
_BETWEEN = ((0, 1), (0, 2), (1, 2))


# ---- for measures of colour images: one image after another, in threads or processes


def colour_pool(measure: Callable[..., np.ndarray], processes: bool, prepare: Any = None) -> Mode:
    """A mode: images spread over a pool of all cores; `prepare` makes its input, not timed."""

    def mode(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        given = images if prepare is None else prepare(images, masks, **parameters)
        areas = [None] * len(images) if masks is None else masks
        jobs = list(zip(given, areas, strict=True))
        if processes:
            from joblib import Parallel, delayed

            pool = Parallel(n_jobs=cores())
            return lambda: np.array(pool(delayed(measure)(*job, **parameters) for job in jobs))
        return lambda: np.array(
            list(thread_pool().map(lambda job: measure(*job, **parameters), jobs))
        )

    return mode


def same_colour_columns(
    ours: tuple[np.ndarray, tuple[str, ...]], theirs: np.ndarray, **_: Any
) -> str:
    """A `difference` for a peer that gives all our columns, in our order."""
    values, names = ours
    apart = np.abs(values - theirs) - _RELATIVE * np.abs(values)
    row, column = np.unravel_index(int(np.argmax(apart)), apart.shape)
    if apart[row, column] <= _ABSOLUTE:
        return ""
    return f"{names[column]} of {row}: ours {values[row, column]}, {theirs[row, column]}"


# ---- co-occurrence


def channel_levels(
    images: np.ndarray, masks: np.ndarray | None, *, levels: int, **_: Any
) -> np.ndarray:
    """Levels (n, 3, h, w) of the channels, uint8."""
    inside = np.ones(images.shape[:3], np.uint8) if masks is None else masks
    planes = [quantised(images[..., c], inside, levels) for c in range(3)]
    return np.ascontiguousarray(np.stack(planes, axis=1))


def matrices(planes: np.ndarray, levels: int) -> np.ndarray:
    """(6, 4, levels, levels) counts of the channel pairs in four directions."""
    from skimage.feature import graycomatrix

    side = levels + 1
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    within = [graycomatrix(plane, [1], angles, side, symmetric=True) for plane in planes]
    found = [np.moveaxis(matrix[:, :, 0], 2, 0) for matrix in within]
    rows = planes.astype(np.uint16) * np.uint16(side)
    for a, b in _BETWEEN:
        found.append(np.array([between(rows[a], planes[b], step, side) for step in _STEPS]))
    return np.array(found)[..., 1:, 1:]


def between(rows: np.ndarray, other: np.ndarray, step: tuple[int, int], side: int) -> np.ndarray:
    """Counts of (channel a, channel b) over neighbours in both orders; rows: a times `side`."""
    dy, dx = step
    h, w = other.shape
    here = slice(0, h - dy), slice(max(-dx, 0), w - max(dx, 0))
    there = slice(dy, h), slice(max(dx, 0), w - max(-dx, 0))
    counts = np.zeros(side * side, np.int64)
    for p, q in ((here, there), (there, here)):
        counts += np.bincount((rows[p] + other[q]).ravel(), minlength=side * side)
    return counts.reshape(side, side)


def skimage_colour(planes: np.ndarray, mask: Any, *, levels: int, **_: Any) -> np.ndarray:
    """The columns of one image, in our order: means over the directions."""
    counts = matrices(planes, levels)
    p = counts / counts.sum(axis=(2, 3), keepdims=True)
    return features(p.reshape(-1, levels, levels)).reshape(6, 4, -1).mean(axis=1).ravel()


def features(p: np.ndarray) -> np.ndarray:
    """(m, 16) features of m matrices."""
    levels = p.shape[1]
    i, j = np.indices((levels, levels)) + 1
    flat, k = p.reshape(len(p), -1), levels**2
    of_sum, of_difference = np.zeros((k, 2 * levels + 1)), np.zeros((k, levels))
    of_sum[np.arange(k), (i + j).ravel()] = 1
    of_difference[np.arange(k), abs(i - j).ravel()] = 1
    sums, differences = flat @ of_sum, flat @ of_difference
    rows, columns = p.sum(axis=2), p.sum(axis=1)
    s, d, v = (np.arange(h.shape[1]) for h in (sums, differences, rows))
    mean, dissimilarity, mu_i, mu_j = sums @ s, differences @ d, rows @ v, columns @ v
    var_i, var_j = rows @ v**2 - mu_i**2, columns @ v**2 - mu_j**2
    hxy, hx, hy = entropy(flat), entropy(rows), entropy(columns)
    mutual, contrast = hx + hy - hxy, differences @ d**2
    covariance = flat @ ((i - 1) * (j - 1)).ravel() - mu_i * mu_j
    return np.column_stack([
        flat.max(axis=1), hxy, (flat**2).sum(axis=1), mean, sums @ s**2 - mean**2, entropy(sums),
        dissimilarity, contrast - dissimilarity**2, entropy(differences), contrast,
        differences @ (1 / (1 + d)), differences @ (1 / (1 + d**2)),
        differences[:, 1:] @ (1 / d[1:] ** 2), covariance / np.sqrt(var_i * var_j),
        -mutual / np.maximum(hx, hy), np.sqrt(1 - np.exp(-2 * mutual)),
    ])  # fmt: skip


def entropy(p: np.ndarray) -> np.ndarray:
    """Of each row, in bits."""
    return -(p * np.log2(p, out=np.zeros_like(p), where=p > 0)).sum(axis=1)


def _refuses(
    dtype: str, *, levels: int, binning: str, distance: int, directions: str, **_: Any
) -> str:
    if binning != "count" or directions != "averaged":
        return "levels by fixed bin number and means over directions only"
    if distance != 1:
        return "skimage.feature.graycomatrix rounds diagonal offsets: equal at distance 1 only"
    return ""


PEERS = (
    Peer(
        name="skimage.feature:graycomatrix, numpy:bincount",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": colour_pool(skimage_colour, processes=False, prepare=channel_levels),
            "process pool": colour_pool(skimage_colour, processes=True, prepare=channel_levels),
        },
        refuses=_refuses,
        difference=same_colour_columns,
        agreement="all columns, relative 1e-4, absolute 1e-5",
    ),
)

ROWS = (
    Row("derm-16x448x448", "uint8", {"levels": 16}),
    Row("tissue-4x512x512", "uint8", {"levels": 16}),
    Row("tissue-4x512x512", "uint8", {"levels": 32}),
)
