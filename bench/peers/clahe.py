"""Who else equalises histograms tile by tile with a clip limit.

OpenCV computes the same function. scikit-image and ITK do not, and say so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Mode, Peer, Run, image_pool, one_by_one, same_images


def _cv2(
    image: np.ndarray, out: np.ndarray, tiles: tuple[int, int], clip: float, bits: int
) -> None:
    import cv2

    rows, columns = tiles
    clahe = cv2.createCLAHE(clip, (columns, rows))
    if shift := _shift(image.dtype, bits):
        clahe.setBitShift(shift)
    clahe.apply(image, dst=out)


def _shift(dtype: Any, bits: int) -> int:
    """OpenCV works at fewer bits than the dtype's on pixels that stand in the upper bits."""
    return 8 * np.dtype(dtype).itemsize - bits


def _shifted(mode: Mode) -> Mode:
    def prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        return mode(images << _shift(images.dtype, parameters["bits"]), masks, **parameters)

    return prepare


def _cv2_difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    return same_images(tolerance=1)(ours, theirs >> _shift(ours.dtype, parameters["bits"]))


def _cv2_refuses(dtype: str, *, bits: int, **_: Any) -> str:
    if dtype not in ("uint8", "uint16"):
        return f"cv2.CLAHE takes uint8 and uint16, not {dtype}"
    import cv2

    if _shift(dtype, bits) and not hasattr(cv2.CLAHE, "setBitShift"):
        return f"cv2.CLAHE {cv2.__version__} has no setBitShift: it cannot work at {bits} bits"
    return ""


def _other_function(reason: str) -> Any:
    return lambda dtype, **_: reason


PEERS = (
    Peer(
        name="cv2:createCLAHE",
        package="cv2",
        distribution="opencv-python-headless",
        modes={
            "threads inside": _shifted(one_by_one(_cv2)),
            "image pool": _shifted(image_pool(_cv2)),
        },
        refuses=_cv2_refuses,
        difference=_cv2_difference,
        agreement="one grey level: OpenCV's compiled blend may contract a*b+c before it rounds",
    ),
    Peer(
        name="skimage.exposure:equalize_adapthist",
        package="skimage",
        distribution="scikit-image",
        modes={},
        refuses=_other_function(
            "skimage.exposure.equalize_adapthist first stretches each image to its own range and "
            "returns floats in [0, 1]: another function, no equal parameters"
        ),
        difference=same_images(),
        agreement="never: another function",
    ),
    Peer(
        name="SimpleITK:AdaptiveHistogramEqualization",
        package="SimpleITK",
        distribution="SimpleITK",
        modes={},
        refuses=_other_function(
            "SimpleITK.AdaptiveHistogramEqualization weighs a sliding window and has no clip "
            "limit: another function, no equal parameters"
        ),
        difference=same_images(),
        agreement="never: another function",
    ),
)
