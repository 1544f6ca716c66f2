"""What every format hands over: one decoded frame, and the source that holds frames."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from .lut import Lut

UNKNOWN_SPACING = (float("nan"), float("nan"))


@dataclass(frozen=True, eq=False)
class Frame:
    """One grey image as stored; the physical value is `stored * slope + intercept` (HU for CT).

    stored     (h, w) integers or floats
    window     the file's first VOI centre and width, in physical values; None: it has none
    function   VOI function of that window: "LINEAR", "LINEAR_EXACT" or "SIGMOID"
    voi_lut    the file's VOI look-up table, where it has one and no window
    shown      (low, high) physical values meant for display as they are (8-bit pictures: 0, 255);
               None: the file does not say
    inverted   low values are shown bright (DICOM MONOCHROME1)
    spacing    mm between pixel centres, y then x; NaN unknown
    modality   DICOM code, "" unknown
    """

    stored: np.ndarray
    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None
    function: str = "LINEAR"
    voi_lut: "Lut | None" = None
    shown: tuple[float, float] | None = None
    inverted: bool = False
    spacing: tuple[float, float] = UNKNOWN_SPACING
    modality: str = ""


class Source(Protocol):
    """An opened file. Frames may be asked for from several threads at once."""

    @property
    def frames(self) -> int: ...

    def frame(self, index: int) -> Frame: ...

    def colours(self, index: int) -> np.ndarray:
        """The frame as (h, w, 3) uint8 red, green and blue; Unreadable where it is grey."""
        ...
