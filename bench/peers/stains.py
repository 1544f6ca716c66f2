"""Who else measures stains of regions: scikit-image unmixes, NumPy and SciPy measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from .colour import ABSOLUTE, RELATIVE, all_columns, colour_pool
from .peer import Peer, Row

_BLACK = 6.0  # densities are divided by that of 10^-6 there
_MATRICES = {
    "H-E-DAB": "hed_from_rgb",
    "H-DAB": "hdx_from_rgb",
    "H-AEC": "hax_from_rgb",
    "H-PAS": "hpx_from_rgb",
    "Giemsa": "bex_from_rgb",
    "Masson": "bpx_from_rgb",
}


def skimage_stains(
    image: np.ndarray, mask: np.ndarray, *, stains: str, threshold: float, **_: Any
) -> list[float]:
    from scipy import stats
    from skimage import color

    amounts = _BLACK * color.separate_stains(image[mask], getattr(color, _MATRICES[stains])).T
    return [
        *amounts.mean(axis=1), *amounts.std(axis=1), *stats.skew(amounts, axis=1),
        *stats.kurtosis(amounts, axis=1),
        *np.percentile(amounts, (10, 25, 50, 75, 90), axis=1).ravel(),
        *(amounts > threshold).mean(axis=1),
    ]  # fmt: skip


def _refuses(dtype: str, *, stains: str, **_: Any) -> str:
    return "" if stains in _MATRICES else f"has no matrix for {stains!r}"


PEERS = (
    Peer(
        name="skimage.color:separate_stains, scipy.stats:skew",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": colour_pool(skimage_stains, processes=False),
            "process pool": colour_pool(skimage_stains, processes=True),
        },
        refuses=_refuses,
        difference=all_columns,
        agreement=f"all features, relative {RELATIVE:g}, absolute {ABSOLUTE:g}",
    ),
)

ROWS = (
    Row("tissue-4x512x512", "uint8"),
    Row("tissue-4x512x512", "uint8", {"stains": "H-DAB"}),
    Row("derm-16x448x448", "uint8"),
)
