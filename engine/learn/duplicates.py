"""Near-duplicates: pictures of one scene, told by a perceptual hash, so that a split keeps them
together where nobody says which images belong to one patient.

The image is brought to 8 x 17 and to 17 x 8 cells, each the mean of the pixels it covers. Is a cell
brighter than the one before it? These 2 x 128 answers are the hash:

    bits[r, c] = a[r, c + 1] > a[r, c]   (a is 8 x 17)     b[r + 1, c] > b[r, c]   (b is 17 x 8)

Brightness, contrast, size and compression hardly change it. Where at most `distance` of the 256
bits differ, 24 x 24 cells of both images are compared too: two images are near-duplicates where
these correlate by 0.95 at least. Groups are what near-duplicates connect. The second look matters:
hands and chests in one position share most of the hash without being one picture.

Source: Krawetz, Kind of Like That, 2013 (dHash), here in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SHORT, LONG = 8, 17
BITS = 2 * SHORT * (LONG - 1)
SIDE, ALIKE = 24, 0.95
_BLOCK = 1 << 22  # numbers looked at in one go
_ROWS, _COLUMNS = 64, 2048  # hashes compared in one go: what fits a core's own cache


def near_duplicates(pixels: np.ndarray, distance: int = 32, mirrored: bool = False) -> np.ndarray:
    """(n,) group numbers; an image that nothing resembles has a group of its own.

    pixels    (n, h, w); of colours (n, h, w, 3) and volumes (n, d, h, w) the mean is looked at
    distance  bits of 256 that may differ, 0 .. 48; 0 finds copies of other brightness or size
    mirrored  whether an image and its mirror image belong together too
    Cost: one pass over the pixels, then about 2.5 ns of CPU time a pair of images.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(pixels)
    found = [_verified(pixels, *_within(hashes(pixels), distance))]
    if mirrored:
        twice = np.concatenate([hashes(pixels), hashes(pixels, mirror=True)])
        first, second = _within(twice, distance)
        across = (first < n) & (second >= n)
        found.append(_verified(pixels, first[across], second[across] - n, mirror=True))
    first, second = np.concatenate(found, axis=1)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.intp)


def hashes(pixels: np.ndarray, mirror: bool = False) -> np.ndarray:
    """(n, 32) uint8: the 256 bits of each image."""
    answers = [np.empty((0, BITS), bool)]
    for images in _blocks(pixels, mirror):
        wide, tall = cells(images, SHORT, LONG), cells(images, LONG, SHORT)
        right, below = np.diff(wide, axis=2) > 0, np.diff(tall, axis=1) > 0
        answers.append(np.concatenate([right.reshape(len(images), -1),
                                       below.reshape(len(images), -1)], axis=1))  # fmt: skip
    return np.packbits(np.concatenate(answers), axis=1)


def cells(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(n, h, w) -> (n, rows, columns): means over equal areas, which may cut through pixels."""
    h, w = images.shape[1:]
    return _coverage(h, rows) @ images @ _coverage(w, columns).T


def _coverage(pixels: int, parts: int) -> np.ndarray:
    """(parts, pixels) float32: which share of each part a pixel covers; rows sum to 1."""
    edges = np.arange(parts + 1) * (pixels / parts)
    low = np.maximum(edges[:-1, None], np.arange(pixels))
    high = np.minimum(edges[1:, None], np.arange(pixels) + 1)
    return (np.maximum(high - low, 0) * (parts / pixels)).astype(np.float32)


def _within(marks: np.ndarray, distance: int) -> np.ndarray:
    """(2, pairs): all i < j whose hashes differ in at most `distance` bits.

    The bits that divide the set most evenly come first: nearly all pairs differ too much in the
    first 128 of them, and the others are not looked at.
    """
    bits = np.unpackbits(marks, axis=1)
    balance = np.abs(bits.mean(axis=0) - 0.5) if len(bits) else np.zeros(BITS)
    packed = np.packbits(bits[:, np.argsort(balance, kind="stable")], axis=1)
    words = np.ascontiguousarray(packed).view(np.uint64).T.copy()  # (4, n)
    n, found = len(marks), [np.empty((2, 0), np.intp)]
    for start in range(0, n, _ROWS):
        for other in range(start, n, _COLUMNS):
            left, right = words[:, start : start + _ROWS], words[:, other : other + _COLUMNS]
            differ = np.bitwise_count(left[0, :, None] ^ right[0])
            differ += np.bitwise_count(left[1, :, None] ^ right[1])
            close = np.flatnonzero(differ <= distance)
            i, j = np.divmod(close, right.shape[1])
            total = np.bitwise_count(left[:, i] ^ right[:, j]).sum(axis=0, dtype=np.intp)
            pair = np.stack([i + start, j + other])[:, total <= distance]
            found.append(pair[:, pair[0] < pair[1]])
    return np.concatenate(found, axis=1)


def _verified(
    pixels: np.ndarray, first: np.ndarray, second: np.ndarray, mirror: bool = False
) -> np.ndarray:
    """(2, pairs): the pairs whose cells correlate. Of unit vectors |x - y|^2 = 2 - 2 r."""
    left, right = np.unique(first), np.unique(second)
    x, y = _looks(pixels[left]), _looks(pixels[right], mirror)
    i, j = np.searchsorted(left, first), np.searchsorted(right, second)
    step = max(1, _BLOCK // SIDE**2)
    apart = [np.zeros(0, np.float32)]
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        apart.append(((x[i[rows]] - y[j[rows]]) ** 2).sum(axis=1))
    return np.stack([first, second])[:, np.concatenate(apart) <= 2 - 2 * ALIKE]


def _looks(pixels: np.ndarray, mirror: bool = False) -> np.ndarray:
    """(n, 576) unit vectors of mean 0; of an empty image 0, so that it resembles itself."""
    parts = [np.empty((0, SIDE**2), np.float32)]
    for images in _blocks(pixels, mirror):
        look = cells(images, SIDE, SIDE).reshape(len(images), -1)
        look = look - look.mean(axis=1, keepdims=True)
        length = np.linalg.norm(look, axis=1, keepdims=True)
        parts.append(np.divide(look, length, out=np.zeros_like(look), where=length > 1e-3))
    return np.concatenate(parts)


def _blocks(pixels: np.ndarray, mirror: bool) -> Iterator[np.ndarray]:
    """Grey images (m, h, w) float32, a few at a time."""
    step = max(1, _BLOCK // max(1, pixels[:1].size))
    for start in range(0, len(pixels), step):
        images = pixels[start : start + step].astype(np.float32)
        if images.ndim == 4:
            images = images.mean(axis=3 if images.shape[3] == 3 else 1)
        yield images[:, :, ::-1] if mirror else images
