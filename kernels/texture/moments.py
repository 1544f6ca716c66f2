"""Image moments of objects, of their shape and of their intensity: spatial to Hu's, and inertia.

    M_pq = sum w (y - top)^p (x - left)^q        w = 1 (shape), or the intensity (weighted)
    mu_pq = sum w (y - y_c)^p (x - x_c)^q        y_c = top + M_10 / M_00, x_c likewise
    nu_pq = mu_pq / mu_00^((p + q) / 2 + 1)      inertia = [mu_02, -mu_11; -mu_11, mu_20] / mu_00

over the pixels of an object, whose first row and column are top and left. The first index counts
rows, as in CellProfiler and scikit-image, whose values these are; nu_00, nu_01 and nu_10, which are
1, 0 and 0 of any object, are left out.

images      (n, h, w) uint8, uint16, int16 or float32 in any unit
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 94), computed in float64
borders     none: no pixel has neighbours here
cost        30 operations a pixel: both moments of both weights are separable, rows first.
            Workspace: on the CPU, a thread, 1 MB or 8 bytes a pixel of one region, in rows of whole
            32 pixels; on the GPU 32 bytes a row of all boxes
nan         NaN and infinite pixels leave the object. No pixel: all NaN. Intensities whose sum is 0
            have spatial moments only; below 0, no moments nu with p + q odd
source      Hu 1962, IRE Trans. Inf. Theory 8(2); the definitions of scikit-image's regionprops and
            of CellProfiler's MeasureObjectSizeShape
"""

from typing import Any

import numpy as np

from .. import _cuda
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Feature, Quality
from .._regions import RegionMeasure, Regions
from ._gathered import labels_of, measure
from ._levels import BLOCKS, on_device
from ._objects import mark
from ._shape2d_features import add_hu
from ._values import WARP

_source = _cuda.Cuda(__file__)

ORDERS = 4  # p and q are 0 to 3
SPATIAL = tuple((p, q) for p in range(3) for q in range(ORDERS))  # also of the central moments
NORMALIZED = tuple((p, q) for p in range(ORDERS) for q in range(ORDERS) if p + q > 1)
HU_NEEDS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))


def _features(prefix: str, weight: str) -> tuple[Feature, ...]:
    """The moments of one weight."""
    unit = "" if weight == "1" else "intensity "
    names = [
        *(("spatial", "M", p, q, f"{unit}px^{p + q}") for p, q in SPATIAL),
        *(("central", "mu", p, q, f"{unit}px^{p + q}") for p, q in SPATIAL),
        *(("normalized", "nu", p, q, "") for p, q in NORMALIZED),
    ]
    return (
        *(Feature(f"{prefix}{kind}_moment_{p}_{q}", "", f"{sign}_{p}{q} of w = {weight}", u.strip())
          for kind, sign, p, q, u in names),
        *(Feature(f"{prefix}hu_moment_{k}", "", f"Hu's invariant {k + 1} of w = {weight}")
          for k in range(7)),
    )  # fmt: skip


FEATURES = (
    *_features("", "1"),
    Feature("inertia_tensor_0_0", "", "mu_02 / mu_00", "px^2"),
    Feature("inertia_tensor_0_1", "", "-mu_11 / mu_00", "px^2"),
    Feature("inertia_tensor_1_0", "", "-mu_11 / mu_00", "px^2"),
    Feature("inertia_tensor_1_1", "", "mu_20 / mu_00", "px^2"),
    Feature("inertia_tensor_eigenvalues_0", "", "the larger eigenvalue of inertia", "px^2"),
    Feature("inertia_tensor_eigenvalues_1", "", "the smaller one", "px^2"),
    *_features("weighted_", "v"),
)
OF_WEIGHT = 2 * len(SPATIAL) + len(NORMALIZED) + 7


# ---- the definition


def reference(images, where):
    """The definition in plain NumPy, float64."""
    values = np.full((len(where), len(FEATURES)), np.nan)
    for (crop, inside), out in zip(where.crops(images), values, strict=True):
        good = (inside & np.isfinite(crop)).any(axis=0)
        if good.any():
            rows, columns = good.any(axis=1).argmax(), good.any(axis=0).argmax()
            v = np.where(good, crop[0], 0).astype(np.float64)[rows:, columns:]
            with np.errstate(divide="ignore", invalid="ignore"):
                shape, central = moments_of(good[rows:, columns:].astype(np.float64))
                out[:OF_WEIGHT] = shape
                out[OF_WEIGHT : OF_WEIGHT + 6] = inertia(central)
                out[OF_WEIGHT + 6 :], _ = moments_of(v)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def moments_of(w):
    """The features of one weight (h, w), and its central moments."""
    raw = moment_matrix(w, 0.0, 0.0)
    mass = raw[0, 0]
    if mass == 0:
        return [*(raw[p, q] for p, q in SPATIAL), *[np.nan] * (OF_WEIGHT - len(SPATIAL))], raw
    mu = moment_matrix(w, raw[1, 0] / mass, raw[0, 1] / mass)
    nu = {(p, q): mu[p, q] / mass ** ((p + q) / 2 + 1) for p, q in NORMALIZED}
    spatial, central = ([m[p, q] for p, q in SPATIAL] for m in (raw, mu))
    return [*spatial, *central, *nu.values(), *hu_moments(nu)], mu


def moment_matrix(w, cy, cx):
    """m[p, q] = sum w (y - cy)^p (x - cx)^q."""
    y, x = (np.arange(side) - centre for side, centre in zip(w.shape, (cy, cx), strict=True))
    return np.vander(y, ORDERS, increasing=True).T @ w @ np.vander(x, ORDERS, increasing=True)


def hu_moments(nu):
    """Hu's seven invariants."""
    s, d, n11 = nu[2, 0] + nu[0, 2], nu[2, 0] - nu[0, 2], nu[1, 1]
    a, b = nu[3, 0] + nu[1, 2], nu[2, 1] + nu[0, 3]
    c, e = nu[3, 0] - 3 * nu[1, 2], 3 * nu[2, 1] - nu[0, 3]
    return [
        s, d**2 + 4 * n11**2, c**2 + e**2, a**2 + b**2,
        c * a * (a**2 - 3 * b**2) + e * b * (3 * a**2 - b**2),
        d * (a**2 - b**2) + 4 * n11 * a * b,
        e * a * (a**2 - 3 * b**2) - c * b * (3 * a**2 - b**2),
    ]  # fmt: skip


def inertia(mu):
    """The tensor, row by row, and its eigenvalues, the larger first."""
    tensor = np.array([[mu[0, 2], -mu[1, 1]], [-mu[1, 1], mu[2, 0]]]) / mu[0, 0]
    return [*tensor.ravel(), *np.maximum(np.linalg.eigvalsh(tensor)[::-1], 0)]


# ---- CPU: the weights of a block of regions, in rows that begin at a multiple of 32 in the image


def layout(where: Regions) -> tuple[np.ndarray, int]:
    """Start and width of each region's rows, int64 (m, 2), and the cells of all."""
    rows = np.empty((len(where), 2), np.int64)
    rows[:, 1] = (-(-where.table[:, 7] // WARP) - where.table[:, 6] // WARP) * WARP
    sizes = rows[:, 1] * where.sizes[:, 1]
    rows[:, 0] = np.cumsum(sizes) - sizes
    return rows, int(sizes.sum())


@compiled
def gather(images, labels, table, rows, weights, corners):
    """weights float32 (2, cells): 1 and the intensity inside, else 0; corners: first row, column.

    A region without a pixel has its corner beyond its box.
    """
    for k in range(len(table)):
        image, label, y0, y1, x0, x1 = (
            table[k, 0], table[k, 1], table[k, 4], table[k, 5], table[k, 6], table[k, 7]
        )  # fmt: skip
        flags, before = np.empty(x1 - x0, np.uint8), x0 % WARP
        top, left = y1, x1
        for y in range(y0, y1):
            pixels = images[image, y, x0:x1]
            own = labels[image, 0, y, x0:x1] if labels.size else labels[0, 0, 0]
            mark(flags, pixels, own, label)
            start = rows[k, 0] + (y - y0) * rows[k, 1]
            ones = weights[0, start : start + rows[k, 1]]
            greys = weights[1, start : start + rows[k, 1]]
            ones[:] = greys[:] = np.float32(0.0)
            for x in range(flags.size):
                if flags[x]:
                    ones[before + x] = np.float32(1.0)
                    greys[before + x] = np.float32(pixels[x])
                    top, left = min(top, y), min(left, x0 + x)
        corners[k, 0], corners[k, 1] = top, left


# ---- CPU: moments


@inner
def fold_warp(lanes):
    """The sum of 32 partial sums, by the tree of a GPU's warp; `lanes` is used up."""
    half = WARP // 2
    while half:
        for lane in range(half):
            lanes[lane] += lanes[lane + half]
        half //= 2
    return lanes[0]


@compiled
def add_up(weights, wide, y, x, cy, cx, found):
    """found[p, q] = sum of w (y - cy)^p (x - cx)^q; y and x are the place of the first weight.

    Row after row; a row's sum is that of 32 sums of every 32nd column.
    """
    lanes = np.empty((ORDERS, WARP))
    found[:] = 0.0
    for row in range(weights.size // wide):
        lanes[:] = 0.0
        for start in range(0, wide, WARP):
            some = weights[row * wide + start : row * wide + start + WARP]
            for lane in range(WARP):
                w, u = np.float64(some[lane]), np.float64(x + start + lane) - cx
                lanes[0, lane] += w
                w *= u
                lanes[1, lane] += w
                w *= u
                lanes[2, lane] += w
                w *= u
                lanes[3, lane] += w
        v = np.float64(y + row) - cy
        for q in range(ORDERS):
            w = fold_warp(lanes[q])
            for p in range(ORDERS):
                found[p, q] += w
                w *= v


@inner
def normalize(mu, nu):
    """nu from mu, by square roots instead of powers: the same on every machine."""
    mass = mu[0, 0]
    root = np.sqrt(mass) if mass > 0.0 else np.nan
    for p in range(ORDERS):
        for q in range(ORDERS):
            power = mass
            for _ in range((p + q) // 2):
                power *= mass
            nu[p, q] = mu[p, q] / (power * root if (p + q) % 2 else power)


@inner
def describe_weight(weights, wide, y, x, raw, mu, out):
    """The moments of one weight; y and x: where its first lies, from the corner of the object."""
    add_up(weights, wide, y, x, 0.0, 0.0, raw)
    out[:OF_WEIGHT] = np.nan
    at = 0
    for p, q in SPATIAL:
        out[at] = raw[p, q]
        at += 1
    if raw[0, 0] == 0.0:
        return
    add_up(weights, wide, y, x, raw[1, 0] / raw[0, 0], raw[0, 1] / raw[0, 0], mu)
    for p, q in SPATIAL:
        out[at] = mu[p, q]
        at += 1
    nu, seven = np.empty((ORDERS, ORDERS)), np.empty(7)
    normalize(mu, nu)
    for p, q in NORMALIZED:
        out[at] = nu[p, q]
        at += 1
    for k in range(7):
        p, q = HU_NEEDS[k]
        seven[k] = nu[p, q]
    add_hu(seven, 1.0, out[at:])


@inner
def describe_inertia(mu, out):
    """The tensor and its eigenvalues."""
    a, b, c = mu[0, 2] / mu[0, 0], -mu[1, 1] / mu[0, 0], mu[2, 0] / mu[0, 0]
    middle, half = (a + c) / 2.0, (a - c) / 2.0
    apart = np.sqrt(half * half + b * b)
    out[0], out[1], out[2], out[3] = a, b, b, c
    out[4], out[5] = middle + apart, max(middle - apart, 0.0)


@compiled
def describe(weights, table, rows, corners, out):
    """The features of a block of regions."""
    raw, mu = np.empty((ORDERS, ORDERS)), np.empty((ORDERS, ORDERS))
    for k in range(len(table)):
        start, wide = rows[k]
        stop = start + (table[k, 5] - table[k, 4]) * wide
        if corners[k, 0] == table[k, 5]:
            out[k] = np.nan
            continue
        y, x = table[k, 4] - corners[k, 0], table[k, 6] // WARP * WARP - corners[k, 1]
        describe_weight(weights[0, start:stop], wide, y, x, raw, mu, out[k])
        describe_inertia(mu, out[k, OF_WEIGHT:])
        describe_weight(weights[1, start:stop], wide, y, x, raw, mu, out[k, OF_WEIGHT + 6 :])


def cpu(images, where, values):
    """`reference`, compiled."""

    def work(part: Regions) -> np.ndarray:
        rows, cells = layout(part)
        weights, corners = np.empty((2, cells), np.float32), np.empty((len(part), 2), np.int64)
        gather(images, labels_of(part), part.table, rows, weights, corners)
        out = np.empty((len(part), len(FEATURES)))
        describe(weights, part.table, rows, corners, out)
        return out

    measure(where, values, work)


# ---- GPU: a block of threads a region


def gpu(images, where, values):
    """`reference` on the GPU: one launch."""
    heights = where.sizes[:, 1]
    sums = _cuda.empty(images, (max(int(heights.sum()), 1), ORDERS), np.float64)
    labels = images if where.labels is None else where.labels
    _source.function(
        "measure", PIXEL=images.dtype, LABEL=labels.dtype, BOXES=where.labels is None
    )(
        min(len(where), BLOCKS), 256, images, labels, on_device(images, where.table),
        on_device(images, np.cumsum(heights) - heights), sums, values, len(where),
        *images.shape[1:],
    )  # fmt: skip


# ---- the kernel


def columns(**_: Any) -> tuple[str, ...]:
    """The names of the columns, in the order of `FEATURES`."""
    return tuple(f"moments.{feature.name}" for feature in FEATURES)


moments = RegionMeasure(
    name="moments",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    dtypes=("uint8", "uint16", "int16", "float32"),
    parameters={},
    tolerance=1e-5,
    gpu_tolerance=0.0,
    cost=lambda itemsize, **_: Cost(bytes=itemsize + 1, operations=30),
    peers=("skimage.measure:regionprops",),
    quality=Quality(
        registers=80,
        sector_efficiency=0.3,
        float64=True,
        excuse="moments are float64 in the order of the CPU: the same bits; rows of boxes begin "
        "anywhere, and their four sums are few bytes each",
    ),
)
