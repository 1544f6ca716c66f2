"""Layout: how frames of any size and depth become grey images of one size and one depth.

1. Resize the stored values to fit `size`, the aspect ratio (in pixels) kept: area averaging down,
   linear interpolation up. The image stands in the middle; the rest is filled with grey 0.
2. Rescale to physical values and map the display range to 0 .. 2**bits - 1, clipped, by the VOI
   functions of DICOM PS3.3 C.11.2.1, in float32 (float64 for values deeper than 16 bits).
3. Round to the nearest grey level, halves to even, once, at the end. MONOCHROME1 is inverted.

Values that are not finite count as the lowest (-inf, NaN) or highest (+inf) finite one.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .frame import Frame
from .reason import Reason, Unreadable
from .resample import resize

CT_WINDOW = (40.0, 400.0)  # HU, soft tissue
NO_WINDOW = (math.nan, math.nan)


class Grey(NamedTuple):
    """An image in its layout: pixels (h, w), spacing in mm y and x, window centre and width."""

    pixels: np.ndarray
    spacing: tuple[float, float]
    window: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """What every image of a run is brought to.

    size    (h, w) in pixels
    bits    grey depth, 1 .. 16: uint8 up to 8 bits, uint16 above
    window  "file": the file's first window; without one, the file's VOI look-up table; else the
                range the file is meant to be shown in (8-bit pictures keep their values at
                bits=8; NIfTI: the volume's range); else 40/400 HU for CT and the range of the
                frame for everything else
            "full": least to greatest value of the frame
            (centre, width): in physical values (HU for CT), for all
    batch   images a batch

    Raises ValueError where a value is not allowed.
    """

    size: tuple[int, int]
    bits: int = 8
    window: str | tuple[float, float] = "file"
    batch: int = 64

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(
            _whole(side) and 1 <= side <= 16384 for side in self.size
        ):
            raise ValueError(f"size is {self.size}; it must be (h, w), each 1 .. 16384 pixels")
        if not _whole(self.bits) or not 1 <= self.bits <= 16:
            raise ValueError(f"bits is {self.bits!r}; allowed: 1 .. 16")
        if not _whole(self.batch) or self.batch < 1:
            raise ValueError(f"batch is {self.batch!r}; it must be 1 or more images")
        if isinstance(self.window, str):
            if self.window not in ("file", "full"):
                raise ValueError(
                    f"window is {self.window!r}; allowed: 'file', 'full', (centre, width)"
                )
            return
        if len(self.window) != 2 or not all(map(math.isfinite, self.window)) or self.window[1] <= 0:
            raise ValueError(f"window is {self.window}; it must be (centre, width), width above 0")

    @property
    def dtype(self) -> np.dtype:
        """uint8 up to 8 bits, uint16 above."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    def fit(self, frame: Frame) -> Grey:
        """One frame in this layout."""
        rows, columns = frame.stored.shape
        scale = min(self.size[0] / rows, self.size[1] / columns)
        inner = (max(1, round(rows * scale)), max(1, round(columns * scale)))
        spacing = (frame.spacing[0] * rows / inner[0], frame.spacing[1] * columns / inner[1])
        if self._kept(frame) and inner == frame.stored.shape:
            return Grey(self._padded(frame.stored), spacing, NO_WINDOW)
        values = _numbers(frame.stored)
        grey, window = self._shown(frame, values, resize(values, inner))
        if frame.inverted:
            grey = (2**self.bits - 1) - grey
        return Grey(self._padded(np.rint(grey).astype(self.dtype)), spacing, window)

    def _kept(self, frame: Frame) -> bool:
        """The stored values are the grey levels."""
        return (
            self.window == "file"
            and self.bits == 8
            and frame.stored.dtype == np.uint8
            and frame.shown == (0.0, 255.0)
            and frame.window is None
            and frame.voi_lut is None
            and (frame.slope, frame.intercept, frame.inverted) == (1.0, 0.0, False)
        )

    def _shown(
        self, frame: Frame, whole: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Grey levels, not rounded, of resized stored values; and the window that made them."""
        top = 2**self.bits - 1
        if isinstance(self.window, tuple):
            exact = frame.function == "LINEAR_EXACT" or self.window[1] < 1
            return _voi(frame, values, self.window, "LINEAR_EXACT" if exact else "LINEAR", top)
        if self.window == "file":
            if frame.window is not None:
                return _voi(frame, values, frame.window, frame.function, top)
            if frame.voi_lut is not None:
                physical = values * frame.slope + frame.intercept
                return frame.voi_lut.apply(physical) * (top / frame.voi_lut.top), NO_WINDOW
            if frame.shown is not None:
                return _ramp(frame, values, *frame.shown, top), NO_WINDOW
            if frame.modality == "CT":
                return _voi(frame, values, CT_WINDOW, "LINEAR", top)
        ends = float(whole.min()), float(whole.max())
        low, high = sorted(end * frame.slope + frame.intercept for end in ends)
        return _ramp(frame, values, low, high, top), ((low + high) / 2, high - low)

    def _padded(self, image: np.ndarray) -> np.ndarray:
        """The image in the middle of `size`, grey 0 around it."""
        if image.shape == self.size:
            return image
        canvas = np.zeros(self.size, self.dtype)
        y, x = ((big - small) // 2 for big, small in zip(self.size, image.shape, strict=True))
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
        return canvas


def _voi(
    frame: Frame, values: np.ndarray, window: tuple[float, float], function: str, top: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """The VOI functions: LINEAR (C.11.2.1.2.1), SIGMOID (C.11.2.1.3.1), LINEAR_EXACT (.3.2)."""
    centre, width = window
    if function == "SIGMOID":
        physical = values * frame.slope + frame.intercept
        exponent = np.clip(-4 * (physical - centre) / width, -80, 80)
        return top / (1 + np.exp(exponent)), window
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    return _ramp(frame, values, centre - width / 2, centre + width / 2, top), window


def _ramp(frame: Frame, values: np.ndarray, low: float, high: float, top: int) -> np.ndarray:
    """Physical `low` .. `high` -> 0 .. top, clipped; a step above `low` where they are equal."""
    if high <= low:
        return (values * frame.slope + frame.intercept > low) * float(top)
    gain = top / (high - low)
    kind = np.float64 if values.dtype == np.float64 else np.float32
    grey = np.multiply(values, kind(frame.slope * gain), dtype=kind)
    grey += kind((frame.intercept - low) * gain)
    return np.clip(grey, 0, top, out=grey)


def _numbers(stored: np.ndarray) -> np.ndarray:
    """Stored values to calculate with: integers of up to 16 bits as they are (float32 holds them),
    deeper ones as float64, floats with the values that are not finite replaced."""
    if stored.dtype.kind != "f":
        deep = stored.dtype.itemsize > 2
        return stored.astype(np.float64 if deep else stored.dtype.newbyteorder("="), copy=False)
    values = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    if not finite.any():
        raise Unreadable(Reason.NOT_FINITE, "no finite value")
    low, high = values[finite].min(), values[finite].max()
    return np.nan_to_num(values, nan=low, neginf=low, posinf=high)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
