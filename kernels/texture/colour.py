"""Colour moments and histograms: of every region in RGB, HSV and L*a*b*.

    mean = sum v / N    m_p = sum (v - mean)^p / N    standard deviation = sqrt(m_2)
    skewness = m_3 / m_2^(3/2)    share_i = pixels in bin i / N, bins of equal width over the range

    of the hue, which is an angle t, with C_k = sum cos(k t) / N, S_k = sum sin(k t) / N:
    mean = angle of (C_1, S_1)    deviation = sqrt(2 (1 - R)),  R = |(C_1, S_1)|
    skewness = sum sin(2 (t - mean)) / N = S_2 cos(2 mean) - C_2 sin(2 mean)

Channels and ranges: red, green, blue 0..256; hue, saturation, value 0..1; lightness 0..100; a and b
(L*a*b*) -128..128. They are defined in `kernels/_colour.py`. The mean hue lies in -1/2..1/2 of a
turn about red, green being 1/3 and blue -1/3: skin and stained tissue lie about red, where a hue
of 0..1 would jump. Grey pixels have no hue and are left out of all that concerns it.

images      (n, h, w, 3) uint8, sRGB
regions     masks, one region an image; or `Regions` of labelled objects or windows
values      float32 (regions, 43 + 9 bins); channels are float32, sums float64
borders     none: no pixel has neighbours here
cost        200 operations a pixel. Workspace: 4 bytes a pixel of the images; on the CPU, a thread,
            512 KB or 4 bytes a pixel of one region; on the GPU 4 bytes a pixel of all boxes
nan         an empty region: all columns NaN; without a hue: the columns of the hue. A flat channel:
            deviation and skewness 0. R below 1e-9 is rounding: mean and skewness of the hue NaN
source      Stricker and Orengo 1995, SPIE 2420 (moments); Swain and Ballard 1991, IJCV 7(1)
            (histograms); Fisher 1993, Statistical Analysis of Circular Data (mean direction);
            Zar 2010, Biostatistical Analysis, 26.5 (angular deviation); Pewsey 2004,
            J. Appl. Stat. 31(7) (circular skewness)
"""

import numpy as np

from .. import _cuda
from .._colour import WHITE, choose, linear_light, to_hsv, to_lab
from .._cpu import compiled
from .._inner import inner
from .._kernel import Cost, Feature, Parameter, Quality
from .._regions import RegionMeasure
from ._levels import BLOCKS, on_device
from ._packed import cpu_packed, gpu_packed, unpack
from ._polynomials import angle
from ._values import COUNT, LANES, START, fold, gpu_values, measure

_source = _cuda.Cuda(__file__)

RANGES = {
    "red": (0, 256), "green": (0, 256), "blue": (0, 256),
    "hue": (0, 1), "saturation": (0, 1), "value": (0, 1),
    "lightness": (0, 100), "a": (-128, 128), "b": (-128, 128),
}  # fmt: skip
CHANNELS = tuple(RANGES)
HUE = CHANNELS.index("hue")
PLAIN = tuple(k for k in range(len(CHANNELS)) if k != HUE)  # the channels that are no angle

MOMENTS = (
    Feature("mean", "", "sum v / N", "of the channel"),
    Feature("standard_deviation", "", "sqrt(m_2)", "of the channel"),
    Feature("skewness", "", "m_3 / m_2^(3/2)"),
    Feature("minimum", "", "min v", "of the channel"),
    Feature("maximum", "", "max v", "of the channel"),
)
OF_HUE = (
    Feature("hue_mean", "", "angle of (C_1, S_1), from red", "turn"),
    Feature("hue_deviation", "", "sqrt(2 (1 - R))", "radian"),
    Feature("hue_skewness", "", "sum sin(2 (t - mean)) / N"),
)
FEATURES = (*MOMENTS, *OF_HUE, Feature("share", "", "pixels in a bin of the channel / N"))
SHARES = len(MOMENTS) * len(PLAIN) + len(OF_HUE)  # the first of their columns
NOISE = 1e-9  # a shorter resultant has no direction
TURN = 2 * np.pi
CHUNK = 8 * LANES  # pixels whose channels are in the cache together


def scales(bins: int) -> np.ndarray:
    """Of each channel where the bins start, and how many there are a unit; float32 (9, 2)."""
    return np.array([(low, bins / (high - low)) for low, high in RANGES.values()], np.float32)


# ---- the definition


def reference(images, where, *, bins=8):
    """The definition in plain NumPy: channels float32, all else float64."""
    values = np.full((len(where), SHARES + len(CHANNELS) * bins), np.nan)
    for (pixels, inside), out in zip(where.crops(images), values, strict=True):
        if not inside.any():
            continue
        found = channels(pixels[inside])
        coloured = found[CHANNELS.index("saturation")] > 0
        moments = np.array([moments_of(found[k].astype(np.float64)) for k in PLAIN])
        out[:SHARES] = *moments.T.ravel(), *hue_of(found[HUE, coloured].astype(np.float64))
        for k, shares in enumerate(out[SHARES:].reshape(-1, bins)):
            low, scale = scales(bins)[k]
            v = found[k, coloured] if k == HUE else found[k]
            ids = ((v - low) * scale).astype(int).clip(0, bins - 1)
            shares[:] = np.bincount(ids, minlength=bins) / v.size if v.size else np.nan
    return values.astype(np.float32)


def channels(colours):
    """The nine channels (9, pixels) float32 of colours (pixels, 3) uint8."""
    rgb = colours.T.astype(np.float32)
    hue, saturation, value = to_hsv(*rgb)
    lab = to_lab(*linear_light()[colours.T])
    return np.stack([*rgb, hue, saturation, value / np.float32(WHITE), *lab])


def moments_of(v):
    """The features of `MOMENTS`."""
    mean = v[0] + (v - v[0]).mean()  # exact where all are the same
    m2, m3 = ((v - mean) ** 2).mean(), ((v - mean) ** 3).mean()
    return mean, np.sqrt(m2), m3 / m2**1.5 if m2 > 0 else 0.0, v.min(), v.max()


def hue_of(hues):
    """The features of `OF_HUE`."""
    if not hues.size:
        return np.nan, np.nan, np.nan
    once, twice = (np.exp(2j * np.pi * k * hues).mean() for k in (1, 2))
    length = abs(once)
    deviation = np.sqrt(max(2 * (1 - length), 0.0))
    if length < NOISE:
        return np.nan, deviation, np.nan
    mean = np.angle(once)
    return mean / (2 * np.pi), deviation, (twice * np.exp(-2j * mean)).imag


# ---- CPU


@inner
def convert(numbers, light, planes):
    """planes (9, pixels) = the channels of packed colours; each loop is vector code by itself."""
    red, green, blue = planes[0], planes[1], planes[2]
    hue, saturation, value = planes[3], planes[4], planes[5]
    first, second, third = planes[6], planes[7], planes[8]
    for x in range(numbers.size):
        i, j, k = unpack(numbers[x])
        red[x], green[x], blue[x] = np.float32(i), np.float32(j), np.float32(k)
    for x in range(numbers.size):
        hue[x], saturation[x], most = to_hsv(red[x], green[x], blue[x])
        value[x] = most / np.float32(WHITE)
    for x in range(numbers.size):
        i, j, k = unpack(numbers[x])
        first[x], second[x], third[x] = light[i], light[j], light[k]
    for x in range(numbers.size):
        first[x], second[x], third[x] = to_lab(first[x], second[x], third[x])


@inner
def add_moments(values, origin, sums, ends):
    """sums (3, 256) += powers of v - origin; ends (2, 256): least and greatest v."""
    first, second, third, low, high = sums[0], sums[1], sums[2], ends[0], ends[1]
    for start in range(0, values.size, LANES):
        chunk = values[start : start + LANES]
        for x in range(chunk.size):
            v = chunk[x]
            away = np.float64(v) - origin
            square = away * away
            first[x] += away
            second[x] += square
            third[x] += square * away
            low[x] = choose(v < low[x], v, low[x])
            high[x] = choose(v > high[x], v, high[x])


@inner
def point_at(part):
    """cos and sin of this part of a turn, 0 <= part <= 1, within 2e-16: a quarter, then Taylor."""
    quarter = np.floor(4.0 * part + 0.5)
    x = (part - 0.25 * quarter) * TURN
    square = x * x
    c, s = 1.0, 1.0
    for k in range(16, 0, -2):
        c = 1.0 - c * square * (1.0 / (k * (k - 1)))
        s = 1.0 - s * square * (1.0 / (k * (k + 1)))
    s *= x
    upright = (quarter == 1.0) | (quarter == 3.0)
    c, s = choose(upright, s, c), choose(upright, c, s)
    cosine = choose((quarter == 1.0) | (quarter == 2.0), -c, c)
    return cosine, choose((quarter == 2.0) | (quarter == 3.0), -s, s)


@inner
def add_hues(hues, saturations, sums):
    """sums (5, 256) += 1, cos t, sin t, cos 2t and sin 2t of the pixels that have a hue."""
    number, c1, s1, c2, s2 = sums[0], sums[1], sums[2], sums[3], sums[4]
    for start in range(0, hues.size, LANES):
        chunk, saturation = hues[start : start + LANES], saturations[start : start + LANES]
        for x in range(chunk.size):
            c, s = point_at(np.float64(chunk[x]))
            weight = choose(saturation[x] > 0, 1.0, 0.0)
            number[x] += weight
            c1[x] += weight * c
            s1[x] += weight * s
            c2[x] += weight * (c * c - s * s)
            s2[x] += weight * (2.0 * (c * s))


@inner
def count(planes, size, scale, ids, counts):
    """counts (9, bins + 1) += pixels of each bin; the last takes the grey ones' hues."""
    bins = counts.shape[1] - 1
    last = np.int32(bins - 1)
    for k in range(len(CHANNELS)):
        v, found, low, unit = planes[k], ids[k], scale[k, 0], scale[k, 1]
        for x in range(size):
            found[x] = min(max(np.int32((v[x] - low) * unit), np.int32(0)), last)
    for x in range(size):
        if planes[HUE + 1, x] == 0:
            ids[HUE, x] = bins
        for k in range(len(CHANNELS)):
            counts[k, ids[k, x]] += 1


@inner
def begin(planes, origins, sums, ends):
    """Empty sums about the first pixel: the powers of a flat channel are exactly 0."""
    for k in range(len(CHANNELS)):
        origins[k] = planes[k, 0]
        for x in range(LANES):
            sums[k, 0, x] = sums[k, 1, x] = sums[k, 2, x] = 0.0
            ends[k, 0, x] = ends[k, 1, x] = planes[k, 0]


@inner
def finish_moments(sums, ends, origin, total, out, column):
    """The features of `MOMENTS` of one channel."""
    first, second, third = fold(sums[0]) / total, fold(sums[1]) / total, fold(sums[2]) / total
    variance = second - first * first
    cubes = third - first * (3.0 * second - 2.0 * (first * first))
    low, high = ends[0, 0], ends[1, 0]
    for x in range(1, LANES):
        low, high = min(low, ends[0, x]), max(high, ends[1, x])
    step = len(PLAIN)
    out[column] = origin + first
    out[column + step] = np.sqrt(max(variance, 0.0))
    out[column + 2 * step] = cubes / (variance * np.sqrt(variance)) if variance > 0.0 else 0.0
    out[column + 3 * step] = low
    out[column + 4 * step] = high


@inner
def finish_hue(sums, out, column):
    """The features of `OF_HUE`; returns how many pixels have a hue."""
    number = fold(sums[0])
    c1, s1 = fold(sums[1]) / number, fold(sums[2]) / number
    c2, s2 = fold(sums[3]) / number, fold(sums[4]) / number
    square = c1 * c1 + s1 * s1
    length = np.sqrt(square)
    rest = 2.0 * (1.0 - length)
    sure = length >= NOISE
    out[column] = angle(s1, c1) / TURN if sure else np.nan
    out[column + 1] = 0.0 if rest < 0.0 else np.sqrt(rest)
    twisted = s2 * (c1 * c1 - s1 * s1) - c2 * (2.0 * (c1 * s1))
    out[column + 2] = twisted / square if sure else np.nan
    return number


@compiled
def measure_block(numbers, spans, light, scale, out):
    """Features of a block of regions; numbers: packed colours, and spans: see `_values.py`."""
    bins = (out.shape[1] - SHARES) // len(CHANNELS)
    planes, origins = np.empty((len(CHANNELS), CHUNK), np.float32), np.empty(len(CHANNELS))
    sums, hues = np.empty((len(CHANNELS), 3, LANES)), np.empty((5, LANES))
    ends = np.empty((len(CHANNELS), 2, LANES), np.float32)
    ids = np.empty((len(CHANNELS), CHUNK), np.int32)
    counts = np.empty((len(CHANNELS), bins + 1), np.int64)
    for region in range(len(spans)):
        values, total = out[region], spans[region, COUNT]
        if total == 0:
            values[:] = np.nan
            continue
        hues[:], counts[:] = 0.0, 0
        for first in range(0, total, CHUNK):
            size, start = min(CHUNK, total - first), spans[region, START] + first
            convert(numbers[start : start + size], light, planes)
            if first == 0:
                begin(planes, origins, sums, ends)
            for k in PLAIN:
                add_moments(planes[k, :size], origins[k], sums[k], ends[k])
            add_hues(planes[HUE, :size], planes[HUE + 1, :size], hues)
            count(planes, size, scale, ids, counts)
        for column, k in enumerate(PLAIN):
            finish_moments(sums[k], ends[k], origins[k], total, values, column)
        coloured = finish_hue(hues, values, SHARES - len(OF_HUE))
        for k in range(len(CHANNELS)):
            pixels = coloured if k == HUE else np.float64(total)
            for i in range(bins):
                values[SHARES + k * bins + i] = counts[k, i] / pixels


def cpu(images, where, values, *, bins):
    """`reference`, compiled."""
    light, scale = linear_light(), scales(bins)

    def work(numbers, spans, out):
        measure_block(numbers, spans, light, scale, out)

    measure(cpu_packed(images), where, values, work)


# ---- GPU: a block of threads a region


def gpu(images, where, values, *, bins):
    """`reference` on the GPU: colours are packed, gathered, and measured in one launch each."""
    numbers, spans = gpu_values(gpu_packed(images), where)
    _source.function("measure", BINS=bins)(
        min(len(where), BLOCKS), LANES, numbers, spans, on_device(images, linear_light()),
        on_device(images, scales(bins)), values, len(where),
    )  # fmt: skip


# ---- the kernel


def check(dtype: np.dtype, shape: tuple[int, ...], **_: object) -> None:
    """Pixels are numbered in 32 bits."""
    if np.prod(shape[1:], dtype=np.int64) > 2**30:
        raise ValueError(f"colour: a region may have 2^30 pixels, got one of {shape[1:]}")


def columns(*, bins: int, **_: object) -> tuple[str, ...]:
    """`colour.<feature>.<channel>`, `colour.hue_<feature>` and `colour.share.<channel>.<bin>`."""
    return (
        *(f"colour.{feature.name}.{CHANNELS[k]}" for feature in MOMENTS for k in PLAIN),
        *(f"colour.{feature.name}" for feature in OF_HUE),
        *(f"colour.share.{channel}.{i}" for channel in CHANNELS for i in range(bins)),
    )


colour = RegionMeasure(
    name="colour",
    family="texture",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    names=columns,
    features=FEATURES,
    validate=check,
    channels=3,
    dtypes=("uint8",),
    parameters={"bins": Parameter(8, "bins of each channel's histogram", low=2, high=64)},
    examples=({}, {"bins": 5}),
    tolerance=1e-6,
    cost=lambda itemsize, **_: Cost(bytes=3 * itemsize + 1, operations=200),
    peers=("skimage.color:rgb2lab, rgb2hsv, scipy.stats:skew",),
    quality=Quality(
        registers=85,
        bank_conflicts=1.5,
        float64=True,
        excuse="sums of powers and of angles are float64 in the order of the CPU: the same bits; "
        "threads look up what pixels say, two of a bank at times",
    ),
)
