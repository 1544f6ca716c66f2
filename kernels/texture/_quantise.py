"""Grey levels for texture: intensities to levels 1..Ng inside a region, 0 outside it.

    level(v) = min(floor(gain (v - origin) / step), levels - 1) + 1        in float64

binning   "count"  IBSI's fixed bin number: origin the region's minimum, step its range, gain
                   `levels`; a flat region is level 1
          "width"  IBSI's fixed bin size: origin `low`, step `width`; pixels outside
                   low <= v < low + levels width leave the region (re-segmentation)
          "none"   the pixels are levels already; what is outside 1..levels leaves the region
nan       NaN and infinite pixels leave the region
source    IBSI reference manual (arXiv 1612.07003), section 2.7, intensity discretisation

A rounded division is monotone, so the highest pixel has the highest level; for integers its floor
is exact at every bin edge. Every machine rounds alike: the levels are the same everywhere.
"""

from typing import Any, NamedTuple

import numpy as np

from .. import _cuda
from .._cpu import compiled

_source = _cuda.Cuda(__file__)


class Scale(NamedTuple):
    """What is the same for all regions; `origin` and `step` are the region's own for "count"."""

    levels: int
    fixed: bool  # origin and step are given, not the region's minimum and range
    origin: float
    step: float
    first: float  # pixels with first <= v < last belong to the region
    last: float


def scale(levels: int, binning: str, width: float, low: float) -> Scale:
    """The scale that a kernel's four parameters describe."""
    if binning == "count":
        return Scale(levels, False, 0.0, 1.0, float(np.finfo(np.float32).min), float("inf"))
    if binning == "none":
        low, width = 1.0, 1.0
    return Scale(levels, True, low, width, low, low + levels * width)


def levels_of(image: np.ndarray, mask: np.ndarray, scale: Scale) -> np.ndarray:
    """The definition, for one region of any rank: int64 levels of the same shape, 0 outside."""
    v = image.astype(np.float64)
    inside = (mask != 0) & (v >= scale.first) & (v < scale.last)
    if not inside.any():
        return np.zeros(image.shape, np.int64)
    origin, step, gain = scale.origin, scale.step, 1
    if not scale.fixed:
        origin, gain = v[inside].min(), scale.levels
        step = v[inside].max() - origin or 1.0
    v[~inside] = origin
    level = np.floor(gain * (v - origin) / step).astype(np.int64)
    return np.where(inside, np.minimum(level, scale.levels - 1) + 1, 0)


# ---- CPU: minima and levels of a block of regions


@compiled
def extent(image, mask, scale, lows, highs):
    """Box (y0, y1, x0, x1) of the region and its least and greatest pixel; all 0 if empty.

    image, mask (d, h, w); lows, highs: float32 (w,) of scratch. Minima are kept by column, so
    that the inner loop has no chain of dependent comparisons and becomes vector code.
    """
    d, h, w = image.shape
    for x in range(w):
        lows[x], highs[x] = np.inf, -np.inf
    y0, y1 = h, 0
    for z in range(d):
        for y in range(h):
            pixels, inside_of, used = image[z, y], mask[z, y], False
            for x in range(w):
                v = np.float32(pixels[x])
                inside = (inside_of[x] != 0) & (v >= scale.first) & (v < scale.last)
                lows[x] = v if inside & (v < lows[x]) else lows[x]
                highs[x] = v if inside & (v > highs[x]) else highs[x]
                used |= inside
            if used:
                y0, y1 = min(y0, y), max(y1, y + 1)
    if y1 == 0:
        return 0, 0, 0, 0, np.float32(0), np.float32(0)
    x0, x1 = w, 0
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for x in range(w):
        if lows[x] <= highs[x]:
            x0, x1 = min(x0, x), x + 1
            low, high = min(low, lows[x]), max(high, highs[x])
    return y0, y1, x0, x1, low, high


@compiled
def level(v, gain, origin, step, top):
    """The level of a pixel inside the region; top = levels - 1."""
    t = gain * (np.float64(v) - origin) / step
    return np.int32(t if t < top else top) + np.int32(1)


@compiled
def quantise(images, masks, scale, border, lows, highs, levels, boxes):
    """Level images of a block of regions, cropped to their boxes, with a border of zeros.

    images, masks   (m, d, h, w); lows, highs float32 (w,) of scratch
    levels          uint16 (m, d, (h + border) (w + border) + border): of each slice the rows of
                    the box, each followed by `border` zeros, then `border` rows and `border` pixels
                    of zeros: neighbours at that distance always exist and are 0 outside
    boxes           int64 (m, 3): height and width of the box and the highest level, 0 if empty
    """
    top = scale.levels - 1.0
    for m in range(images.shape[0]):
        y0, y1, x0, x1, low, high = extent(images[m], masks[m], scale, lows, highs)
        gain, origin, step = 1.0, scale.origin, scale.step
        if not scale.fixed:
            gain, origin, step = np.float64(scale.levels), np.float64(low), np.float64(high) - low
            if step == 0.0:
                step = 1.0
        boxes[m, 0], boxes[m, 1] = y1 - y0, x1 - x0
        boxes[m, 2] = level(high, gain, origin, step, top) if y1 > y0 else 0
        stride = x1 - x0 + border
        for z in range(images.shape[1]):
            slab = levels[m, z]
            for at in range((y1 - y0 + border) * stride + border):
                slab[at] = 0
            for y in range(y0, y1):
                row = slab[(y - y0) * stride :]
                pixels, inside_of = images[m, z, y, x0:x1], masks[m, z, y, x0:x1]
                for x in range(x1 - x0):
                    v = np.float32(pixels[x])
                    inside = (inside_of[x] != 0) & (v >= scale.first) & (v < scale.last)
                    row[x] = level(v, gain, origin, step, top) if inside else np.int32(0)


# ---- GPU: levels of whole images, 0 outside the region, not cropped

BLOCKS = 1 << 16  # of a launch, at most; each goes on to further regions


def gpu_levels(images: Any, masks: Any, scale: Scale) -> tuple[Any, Any]:
    """Levels, uint16 of the images' shape, and the highest of each region, int32 (n,)."""
    levels = _cuda.empty(images, images.shape, np.uint16)
    tops = _cuda.empty(images, images.shape[:1], np.int32)
    regions, pixels = len(images), images[0].size
    _source.function("quantise", PIXEL=images.dtype)(
        min(regions, BLOCKS), 256, images, masks, levels, tops, regions, pixels,
        scale.levels, scale.fixed, scale.origin, scale.step, scale.first, scale.last,
    )  # fmt: skip
    return levels, tops
