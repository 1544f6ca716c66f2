"""Collaborative filter: similar patches of an image are filtered together, in a transform.

    group   = the patches most like a reference patch;  c = H(DCT(group))
    noise_1 = c where c^2 <= (threshold sigma)^2, else 0                       hard threshold
    noise_2 = c sigma^2 / (p^2 + sigma^2),  p likewise of the result of that   Wiener filter
    out     = image - the mean, weighted, of the noise of all patches that hold the pixel

Patches are 8 x 8, references every `step` pixels. H is the Walsh-Hadamard transform across the
members of a group, as many as a power of two; the mean of a group is no noise. A group weighs 1
over the sum of its squared gains. Alike is what has the smallest sum of squared differences (in
stage 2: in the result of stage 1), the first in reading order where two are equal. The sums are
whole numbers of 2^-16 sigma: their order does not matter. Edges keep their width where an image
repeats itself; a detail that occurs once is lost where its coefficients are below 3 sigma.

images  (n, h, w) uint8, uint16, int16 or float32, any intensity unit; out has the same
borders patches lie in the image; one smaller than a patch repeats its nearest pixel up to there
cost    for each stage and reference: (2 search / spacing + 1)^2 * 64 differences, squared and
        added, and 2 (stage 2: 3) transforms of 64 * group numbers. Workspace on the CPU: 20
        bytes a pixel of the images in flight (one, or 2^20 pixels of small ones) and, after a
        stage, 20 of one image a thread; on the GPU 16 bytes a pixel of the batch
nan     a pixel that is NaN or infinite stays as it is; patches that hold one are left aside, and
        so are, unchanged, pixels that lie in no other
source  K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, Image denoising by sparse 3-D
        transform-domain collaborative filtering, IEEE Trans. Image Process. 16(8), 2007
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _cuda
from .._kernel import Cost, Filter, Parameter, Quality
from .._threads import run
from ._collaborative_groups import (
    FRACTION,
    LARGEST,
    LIMIT,
    PATCH,
    dct8,
    inverse_dct8,
    some_bands,
)
from .noise import SIGMA

THRESHOLD = np.float32(2.7)  # of a coefficient, in standard deviations of its noise


def reference(
    images: np.ndarray, *, sigma: np.ndarray, strength: float, stages: int, **search: int
) -> np.ndarray:
    """The definition, to the bit: float32, because a choice must not hang on the last digit."""
    result = np.empty_like(images)
    for image, out, level in zip(images, result, np.asarray(sigma, np.float32), strict=True):
        (h, w), level = image.shape, level * np.float32(strength)
        beyond = ((0, max(PATCH - h, 0)), (0, max(PATCH - w, 0)))
        plane = np.pad(image.astype(np.float32), beyond, mode="edge")
        clean = _stage(plane, plane, False, level, **search)[:h, :w]
        if stages == 2:
            guide = np.pad(clean, beyond, mode="edge")
            clean = _stage(plane, guide, True, level, **search)[:h, :w]
        out[...] = _pixels(clean, image.dtype)
    return result


def _stage(plane, guide, wiener, level, *, step, search, spacing, group):
    """One stage on an image: match, transform, shrink, transform back, add up."""
    variance = level * level
    if not 0 < variance < np.inf:
        return plane
    ys, xs, counts = _similar(guide, step, search, spacing, group)
    noise, weights = np.zeros(plane.shape, np.int64), np.zeros(plane.shape, np.int64)
    for many in 2 ** np.arange(group.bit_length()):
        chosen = (counts >= many) & (counts < 2 * many)
        y = ys[chosen][:, :many, None, None] + np.arange(PATCH)[:, None]  # (groups, many, 8, 8)
        x = xs[chosen][:, :many, None, None] + np.arange(PATCH)
        size = np.float32(many)
        c = _transform(plane[y, x], dct8.py_func)
        if wiener:
            power = _transform(guide[y, x], dct8.py_func) ** 2
            gain = np.float32(1) - variance * size / (power + variance * size)
        else:
            gain = (c * c > variance * size * (THRESHOLD * THRESHOLD)).astype(np.float32)
        gain[:, 0, 0, 0] = 1  # the mean of the group is no noise
        kept = np.int64(gain * gain * FRACTION).sum((1, 2, 3)).clip(int(FRACTION))
        removed = _transform(c * (np.float32(1) - gain), inverse_dct8.py_func)
        steps = removed * min(FRACTION / (level * size), LARGEST)
        steps = np.where(np.abs(steps) < LIMIT, steps, 0).astype(np.int64)
        weight = (FRACTION * FRACTION / kept.astype(np.float32)).astype(np.int64)
        weight = np.broadcast_to(weight[:, None, None, None], steps.shape)
        np.add.at(noise, (y, x), steps * weight)
        np.add.at(weights, (y, x), weight)
    return _without(plane, noise, weights, level)


def _similar(guide, step, search, spacing, group):
    """First rows and columns of the patches of every group, and how many are finite."""
    h, w = (size - PATCH + 1 for size in guide.shape)  # positions of a patch
    reach = np.arange(-(search // spacing), search // spacing + 1) * spacing
    y, x = (a.ravel() for a in np.meshgrid(*map(_firsts, guide.shape, (step, step)), indexing="ij"))
    away = [(0, 0), *((dy, dx) for dy in reach for dx in reach if dy or dx)]
    distances = np.full((len(y), len(away)), np.inf, np.float32)
    for o, (dy, dx) in enumerate(away):
        inside = (y + dy >= 0) & (y + dy < h) & (x + dx >= 0) & (x + dx < w)
        distances[inside, o] = _distances(guide, y[inside], x[inside], dy, dx)
    distances[np.isnan(distances)] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :group]
    counts = np.isfinite(np.take_along_axis(distances, order, 1)).sum(1)
    counts[np.isinf(distances[:, 0])] = 0
    dy, dx = np.array(away).T
    return y[:, None] + dy[order], x[:, None] + dx[order], counts


def _firsts(size: int, step: int) -> np.ndarray:
    """First rows (or columns) of the reference patches: every `step`-th, and the last."""
    return np.unique(np.append(np.arange(0, size - PATCH, step), size - PATCH))


def _distances(guide, y, x, dy, dx):
    """Squares added down the columns, then these sums in pairs."""
    i = np.arange(PATCH)
    rows = (y + i[:, None])[:, :, None], (x[:, None] + i)[None]  # (8, references, 8)
    squares = (guide[rows] - guide[rows[0] + dy, rows[1] + dx]) ** 2
    columns = squares[0]
    for row in squares[1:]:
        columns = columns + row
    for _ in range(3):
        columns = columns[:, 0::2] + columns[:, 1::2]
    return columns[:, 0]


def _transform(patches, of_eight):
    """(groups, members, 8, 8) along all axes but the first; members last if inverse."""
    if of_eight is dct8.py_func:
        patches = _walsh(patches)
        patches = np.stack(of_eight(*np.moveaxis(patches, 2, 0)), axis=2)
        return np.stack(of_eight(*np.moveaxis(patches, 3, 0)), axis=3)
    patches = np.stack(of_eight(*np.moveaxis(patches, 3, 0)), axis=3)
    return _walsh(np.stack(of_eight(*np.moveaxis(patches, 2, 0)), axis=2))


def _walsh(patches):
    """Sums and differences of neighbours, of pairs of neighbours, ... across the members."""
    shape, step = patches.shape, 1
    while step < shape[1]:
        pairs = patches.reshape(shape[0], shape[1] // (2 * step), 2, step, PATCH, PATCH)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        patches = np.stack((a + b, a - b), axis=2).reshape(shape)
        step *= 2
    return patches


IN_FLIGHT = 1 << 20  # pixels of the images that are filtered at a time on the CPU


def cpu(
    images: np.ndarray, out: np.ndarray, *, sigma: np.ndarray, strength: float, stages: int,
    step: int, search: int, spacing: int, group: int,
) -> None:  # fmt: skip
    """A few images at a time; threads share an image in bands that do not touch."""
    n, h, w = images.shape
    plane = max(h, PATCH), max(w, PATCH)
    together = max(1, min(n, IN_FLIGHT // (plane[0] * plane[1])))
    rows, columns = (_firsts(size, step) for size in plane)
    band = -(-(2 * search + PATCH) // step) + 1  # rows of references
    bands = -(-len(rows) // band)
    planes, guides = (np.empty((together, *plane), np.float32) for _ in range(2))
    noise, weights = (np.empty(planes.shape, dtype) for dtype in (np.int64, np.int32))
    for i in range(0, n, together):
        count = min(together, n - i)
        levels = sigma[i : i + count] * np.float32(strength)
        run(_some_planes, count, images[i : i + count], planes)
        for stage in range(stages):
            noise[...], weights[...] = 0, 0
            for odd in (0, 1):
                run(
                    some_bands, count * ((bands + 1 - odd) // 2), odd, band, rows, columns, planes,
                    guides if stage else planes, levels, noise, weights, search // spacing,
                    spacing, group, THRESHOLD, stage == 1,
                )  # fmt: skip
            run(_some_guides, count, planes, noise, weights, levels, (h, w), guides)
        run(_some_results, count, guides, out[i : i + count])


# Casts and sums of whole images: NumPy does them in the threads, nothing is compiled for a dtype.


def _some_planes(first: int, stop: int, images: np.ndarray, planes: np.ndarray) -> None:
    _, h, w = images.shape
    planes[first:stop, :h, :w] = images[first:stop]
    _repeat_edge(planes[first:stop], h, w)


def _some_guides(first: int, stop: int, planes, noise, weights, levels, size, guides) -> None:
    """The images without the mean noise: the guides of the next stage."""
    for i in range(first, stop):
        guides[i] = _without(planes[i], noise[i], weights[i], levels[i])
    _repeat_edge(guides[first:stop], *size)


def _some_results(first: int, stop: int, guides: np.ndarray, out: np.ndarray) -> None:
    _, h, w = out.shape
    for i in range(first, stop):
        out[i] = _pixels(guides[i, :h, :w], out.dtype)


def _repeat_edge(planes: np.ndarray, h: int, w: int) -> None:
    planes[:, h:] = planes[:, h - 1 : h]
    planes[:, :, w:] = planes[:, :, w - 1 : w]


def _without(plane, noise, weights, level):
    """The image less its mean noise; as it is where no patch holds the pixel."""
    mean = noise.astype(np.float32) / np.maximum(weights, 1).astype(np.float32)
    return np.where(weights > 0, plane - mean * (level / FRACTION), plane)


def _pixels(plane, dtype):
    """float32 as pixels: integers to the nearest, ends of the range where it is outside."""
    if dtype.kind == "f":
        return plane
    info = np.iinfo(dtype)
    return np.rint(np.clip(plane, np.float32(info.min), np.float32(info.max)))


_source = _cuda.Cuda(__file__)
REFERENCES = 8  # of a thread block
SHARED = 48 * 1024  # bytes of a thread block
GRID = 65535  # most blocks in y and z; they go on with the next row or image


def gpu(
    images: Any, out: Any, *, sigma: Any, strength: float, stages: int, step: int, search: int,
    spacing: int, group: int,
) -> None:  # fmt: skip
    """Two launches a stage: the noise of all groups, and the images without it."""
    n, h, w = images.shape
    noise, weights = (_cuda.empty(images, images.shape, t) for t in (np.int64, np.int32))
    noise[...], weights[...] = 0, 0
    guides = images
    across, down = (-(-max(size - PATCH, 0) // step) + 1 for size in (w, h))
    macros = {"PIXEL": images.dtype, "STEP": step, "SEARCH": search, "SPACING": spacing}
    for stage in range(stages):
        result = out if stage == stages - 1 else _cuda.empty(images, images.shape, np.float32)
        macros |= {"GUIDE": guides.dtype, "RESULT": result.dtype, "SECOND": stage, "GROUP": group}
        macros["WARPS"] = warps = _warps(stage, step, search, spacing, group)
        _source.function("collaborate", **macros)(
            (-(-across // REFERENCES), min(down, GRID), min(n, GRID)), 32 * warps,
            images, guides, sigma, noise, weights, n, h, w, strength, THRESHOLD,
        )  # fmt: skip
        _source.function("without_noise", **macros)(
            (min(-(-h * w // 256), 1024), min(n, GRID)), 256,
            images, sigma, noise, weights, result, n, h * w, strength,
        )  # fmt: skip
        guides = result


def _warps(stage: int, step: int, search: int, spacing: int, group: int) -> int:
    """As many warps of a thread block as its shared memory allows, at most four."""
    side = 2 * (search // spacing) + 1
    rows = (side - 1) * spacing + PATCH
    columns = rows + (REFERENCES - 1) * step
    tile = 4 * (rows + spacing) * (columns + spacing + 31)
    warp = 4 * max(side**2, (1 + stage) * group * PATCH**2) + 8 * group + 16
    return next(k for k in (4, 2, 1) if tile + k * warp <= SHARED)


def _cost(itemsize: int, *, stages: int, step: int, search: int, spacing: int, group: int, **_):
    """Each pixel is read and written once; operations of all groups, shared by step^2 pixels."""
    compared = (2 * (search // spacing) + 1) ** 2 * PATCH**2 * 3
    transformed = group * PATCH**2 * (2 * 6 + group.bit_length() - 1)
    total = sum(compared + transformed * (2 + stage) for stage in range(stages))
    return Cost(bytes=2 * itemsize, operations=total / step**2)


collaborative = Filter(
    name="collaborative",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={
        "sigma": SIGMA,
        "strength": Parameter(1.1, "factor on sigma: more removes more", above=0),
        "stages": Parameter(2, "1: threshold; 2: a Wiener filter after it", 1, 2),
        "step": Parameter(4, "distance of reference patches", 1, PATCH, unit="pixels"),
        "search": Parameter(12, "how far away similar patches may lie", 1, 24, unit="pixels"),
        "spacing": Parameter(
            1, "distance of compared patches; 2 where the noise of neighbours is alike (CT)", 1, 3,
            unit="pixels",
        ),
        "group": Parameter(16, "most patches of a group", choices=(4, 8, 16)),
    },
    cost=_cost,
    examples=(
        {"search": 2, "group": 4, "step": 8},
        {"search": 4, "spacing": 2, "step": 8, "stages": 1},
        {"sigma": 20.0, "search": 3, "group": 8, "step": 7, "strength": 1.2},
    ),
    quality=Quality(
        registers=128,
        sector_efficiency=0.25,
        excuse="the eight pixels of a patch's row start anywhere, in one or two sectors; a group "
        "is transformed in registers",
    ),
)  # fmt: skip
