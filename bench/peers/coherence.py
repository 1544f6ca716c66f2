"""Who else finds patches of one colour: scikit-image, which labels them; OpenCV blurs before it.

The blur is OpenCV's sum over 3x3 pixels, exact as ours; all that follows the labels is NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .colour_glcm import colour_pool, same_colour_columns
from .peer import Peer, Row


def skimage_coherence(
    image: np.ndarray, mask: np.ndarray | None, *, levels: int, blur: bool, tau: float, bits: int,
    **_: Any,
) -> np.ndarray:  # fmt: skip
    """The columns of one image, in our order."""
    import cv2
    from skimage.measure import label

    sums, weight = image, 1
    if blur:
        border, weight = cv2.BORDER_REPLICATE, 9
        sums = cv2.boxFilter(image, cv2.CV_32F, (3, 3), normalize=False, borderType=border)
    scaled = sums * np.float32(levels / (weight << bits))
    level = np.minimum(scaled, levels - 1).astype(np.uint8)
    colour = (level[..., 0] * levels + level[..., 1]) * levels + level[..., 2] + 1
    if mask is not None:
        colour *= mask
    labels = np.asarray(label(colour, connectivity=2, background=0))
    sizes = np.bincount(labels.ravel())[1:]
    of_label = np.zeros(len(sizes) + 1, np.intp)
    of_label[labels.ravel()] = colour.ravel()
    colours, total, number = of_label[1:] - 1, sizes.sum(), levels**3
    large = sizes >= tau * total
    coherent = np.bincount(colours[large], sizes[large], number)
    rest = np.bincount(colours[~large], sizes[~large], number)
    frequent = np.count_nonzero(100 * (coherent + rest) >= total)
    shares = np.concatenate([coherent, rest]) / total
    return np.array([*shares, coherent.sum() / total, len(sizes), sizes.max() / total, frequent])


PEERS = (
    Peer(
        name="skimage.measure:label",
        package="skimage",
        distribution="scikit-image",
        modes={
            "thread pool": colour_pool(skimage_coherence, processes=False),
            "process pool": colour_pool(skimage_coherence, processes=True),
        },
        refuses=lambda dtype, *, bits, **_: "" if bits == 8 else "float32 sums of more than 8 bits",
        difference=same_colour_columns,
        agreement="all columns, relative 1e-4, absolute 1e-5",
    ),
)

ROWS = (Row("derm-16x448x448", "uint8"), Row("tissue-4x512x512", "uint8"))
