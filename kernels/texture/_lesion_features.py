"""What follows from the sums over a lesion and its rim, and the table of its features."""

import numpy as np

from .._cpu import compiled
from .._inner import inner
from .._kernel import Feature

# Sums of one region, int64, as `_lesion_sums.py` and lesion.cu fill them
AREA, PLACE = 0, 1  # pixels, sums of y and of x
SUMS, SQUARES, HIGHEST = 3, 6, 9  # of each channel: sums, sums of squares, greatest value
COLOURS = 12  # pixels of each of the six colours
FOLDED = 18  # pixels whose mirror image about the major, the minor axis is in the region
HALVES = 20  # each side of the major, then of the minor axis: pixels, sums of each channel
OUTLINE, FAR = 36, 37  # pixels of the outline, their distances from the centroid in 1 / UNIT
FROM, FROM_SQUARED = 38, 40  # of the outline about whole numbers: sums of y and of x; of squares
SKIN = 41  # pixels of the outer rim, sums of each channel
SECTORS = 45  # eight times: pixels and brightness of the inner, then of the outer rim
TOTAL = 77

UNIT = 2.0**28
SAME = 1e-8  # a variance that much smaller than the mean square is rounding and counts as 0

_CHANNELS = ("red", "green", "blue")
_COLOURS = ("white", "red", "light_brown", "dark_brown", "blue_grey", "black")

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("asymmetry_major", "", "share of the area without a mirror image about the major axis"),
        ("asymmetry_minor", "", "the same about the minor axis"),
        ("asymmetry", "", "mean of both"),
        ("colour_asymmetry_major", "", "|mean colours of the major axis's sides|", "intensity"),
        ("colour_asymmetry_minor", "", "the same of the minor axis's sides", "intensity"),
        ("colour_asymmetry", "", "mean of both", "intensity"),
        ("form_factor", "", "4 pi A / P^2"),
        ("solidity", "", "A / convex area"),
        ("radial_irregularity", "", "sd / mean of the outline's distances from the centroid"),
        ("border_step", "", "mean over 8 sectors of outer - inner rim's brightness", "intensity"),
        ("border_step_sd", "", "standard deviation over these sectors", "intensity"),
        *((f"mean_{name}", "", "inside", "intensity") for name in _CHANNELS),
        *((f"sd_{name}", "", "standard deviation inside", "intensity") for name in _CHANNELS),
        *((f"relative_{name}", "", "mean inside - mean of the outer rim", "intensity")
          for name in _CHANNELS),
        *((f"variegation_{name}", "", "standard deviation / greatest value") for name in _CHANNELS),
        *((f"share_{name}", "", "share of the pixels nearest to it") for name in _COLOURS),
        ("colours", "", "colours of the six with at least the least share"),
        ("max_feret_diameter", "", "greatest width of the convex pixels", "px"),
        ("equivalent_diameter", "", "sqrt(4 A / pi)", "px"),
    )
)  # fmt: skip


@inner
def colour_apart(halves):
    """Distance of the mean colours of two halves (2, 4); NaN if one has no pixel."""
    square = 0.0
    for c in range(1, 4):
        apart = halves[c] / np.float64(halves[0]) - halves[4 + c] / np.float64(halves[4])
        square += apart * apart
    return np.sqrt(square)


@inner
def irregularity(sums, n):
    """Standard deviation over mean of the distances from the centroid; NaN of one pixel."""
    edge = np.float64(sums[OUTLINE])
    v, u = (sums[PLACE] % sums[AREA]) / n, (sums[PLACE + 1] % sums[AREA]) / n
    far = sums[FAR] / UNIT / edge
    square = (sums[FROM_SQUARED] - 2.0 * (v * sums[FROM] + u * sums[FROM + 1])) / edge
    square += v * v + u * u
    variance = square - far * far
    if far == 0.0:
        return np.nan
    return np.sqrt(variance) / far if variance > SAME * square else 0.0


@inner
def add_steps(sectors, out):
    """Mean and standard deviation of the step over the sectors that have both rims."""
    steps, found = np.empty(8), 0
    for s in range(8):
        inside, outside = np.float64(sectors[4 * s]), np.float64(sectors[4 * s + 2])
        if inside and outside:
            steps[found] = (sectors[4 * s + 3] / outside - sectors[4 * s + 1] / inside) / 3.0
            found += 1
    out[0] = out[1] = np.nan
    if found:
        out[0] = steps[:found].mean()
        out[1] = steps[:found].std()


@compiled
def describe(start, stop, totals, shapes, least_share, values):
    """The features of regions start .. stop - 1 from their sums, and what `shape2d` found.

    shapes  float32 (m, 4): form factor, solidity, greatest Feret's diameter, equivalent diameter
    """
    out = np.empty(values.shape[1])
    for k in range(start, stop):
        sums, n = totals[k], np.float64(totals[k, AREA])
        if n == 0.0:
            values[k] = np.nan
            continue
        for axis in range(2):
            out[axis] = 1.0 - sums[FOLDED + axis] / n
            out[3 + axis] = colour_apart(sums[HALVES + 8 * axis :])
        out[2], out[5] = (out[0] + out[1]) / 2.0, (out[3] + out[4]) / 2.0
        out[6], out[7] = shapes[k, 0], shapes[k, 1]
        out[8] = irregularity(sums, n)
        add_steps(sums[SECTORS:], out[9:])
        for c in range(3):
            total, skin = sums[SUMS + c], np.float64(sums[SKIN])
            mean = total // sums[AREA]
            rest = total - mean * sums[AREA]  # squares about a whole number: nothing cancels
            about = sums[SQUARES + c] - 2 * mean * total + mean * mean * sums[AREA]
            deviation = np.sqrt(max(about / n - (rest / n) * (rest / n), 0.0))
            out[11 + c] = total / n
            out[14 + c] = deviation
            out[17 + c] = total / n - sums[SKIN + 1 + c] / skin
            highest = np.float64(sums[HIGHEST + c])
            out[20 + c] = deviation / highest if highest > 0.0 else 0.0
        out[29] = 0.0
        for c in range(6):
            out[23 + c] = sums[COLOURS + c] / n
            out[29] += out[23 + c] >= least_share
        out[30], out[31] = shapes[k, 2], shapes[k, 3]
        for f in range(out.size):
            values[k, f] = out[f]
