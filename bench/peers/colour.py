"""Who else measures colours of regions: scikit-image converts, NumPy and SciPy measure.

Each region's pixels are converted alone. Histograms count float32 channels here and float64 ones
there: a colour that lies on the edge of a bin may fall to either side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medkern.kernels.texture.colour import RANGES

from .peer import Mode, Peer, Row, Run
from .statistics import Measure, region_pool

RELATIVE, ABSOLUTE = 1e-3, 1e-3  # a* and b* are up to 2e-4 apart
EDGES = 1e-2  # the pixels on the edges of a bin


def colour_pool(measure: Measure, processes: bool) -> Mode:
    """A mode for colour images: regions spread over a pool of all cores."""
    pool = region_pool(measure, processes)

    def prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        whole = np.ones(images.shape[:-1], np.uint8)
        return pool(images, whole if masks is None else masks, **parameters)

    return prepare


def all_columns(ours: tuple[np.ndarray, tuple[str, ...]], theirs: np.ndarray, **_: Any) -> str:
    """A `difference` for measures whose columns the peer has all, in our order."""
    values, names = ours
    least = np.array([EDGES if ".share." in name else ABSOLUTE for name in names])
    apart = np.abs(values - theirs) > RELATIVE * np.abs(theirs) + least
    if not apart.any():
        return ""
    region, column = np.argwhere(apart)[0]
    found, other = values[region, column], theirs[region, column]
    return f"{names[column]} of region {region}: ours {found}, {other}"


def skimage_colour(image: np.ndarray, mask: np.ndarray, *, bins: int, **_: Any) -> list[float]:
    from scipy import stats
    from skimage.color import rgb2hsv, rgb2lab

    rgb = image[mask]
    hsv, lab = rgb2hsv(rgb), rgb2lab(rgb)
    hue = hsv[hsv[:, 1] > 0, 0]
    plain = np.concatenate([rgb.T, hsv.T[1:], lab.T])
    channels = [*plain[:3], hue, *plain[3:]]
    angle = 2 * np.pi * hue
    mean = stats.circmean(angle)
    shares = [
        np.histogram(channel, bins, limits)[0] / channel.size
        for channel, limits in zip(channels, RANGES.values(), strict=True)
    ]
    return [
        *plain.mean(axis=1), *plain.std(axis=1), *stats.skew(plain, axis=1), *plain.min(axis=1),
        *plain.max(axis=1), (mean / (2 * np.pi) + 0.5) % 1 - 0.5, np.sqrt(2 * stats.circvar(angle)),
        np.sin(2 * (angle - mean)).mean(), *np.concatenate(shares),
    ]  # fmt: skip


PEERS = (
    Peer(
        name="skimage.color:rgb2lab, rgb2hsv, scipy.stats:skew",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": colour_pool(skimage_colour, processes=False),
            "process pool": colour_pool(skimage_colour, processes=True),
        },
        refuses=lambda dtype, **_: "",
        difference=all_columns,
        agreement=f"all features, relative {RELATIVE:g}, absolute {ABSOLUTE:g}, shares {EDGES:g}",
    ),
)

ROWS = (Row("derm-16x448x448", "uint8"), Row("tissue-4x512x512", "uint8"))
