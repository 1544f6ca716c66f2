"""Colour: what grey makes of it, and 8-bit red, green and blue where it is wanted itself."""

import numpy as np

from .reason import Reason, Unreadable

# Luminance of ITU-R BT.601, the Y of YCbCr in JPEG (JFIF) and of DICOM YBR_FULL (PS3.3 C.7.6.3.1.2)
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_BLUE, _RED = 1.772, 1.402  # 2 (1 - 0.114) and 2 (1 - 0.299): the spans of Cb and Cr


def luminance(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) red, green, blue -> (h, w) float32: 0.299 R + 0.587 G + 0.114 B, not rounded."""
    return rgb.astype(np.float32, copy=False) @ LUMINANCE


def rgb_of_ycc(ycc: np.ndarray, bits: int) -> np.ndarray:
    """(h, w, 3) luminance and colour differences of `bits` bits -> red, green, blue, rounded."""
    y, cb, cr = np.moveaxis(ycc.astype(np.float32), -1, 0)
    cb, cr = cb - 2 ** (bits - 1), cr - 2 ** (bits - 1)
    red, blue = y + _RED * cr, y + _BLUE * cb
    green = (y - LUMINANCE[0] * red - LUMINANCE[2] * blue) / LUMINANCE[1]
    rgb = np.rint(np.stack([red, green, blue], axis=-1))
    return rgb.clip(0, 2**bits - 1).astype(ycc.dtype)


def eight_bits(rgb: np.ndarray, bits: int) -> np.ndarray:
    """(h, w, 3 or more) integers of `bits` bits -> (h, w, 3) uint8, their highest eight bits.

    Grey pictures are refused: the colours of grey would be numbers about nothing.
    """
    if rgb.ndim != 3 or rgb.shape[2] < 3:
        raise Unreadable(Reason.BAD_COLOUR, "the picture is grey, colour is wanted")
    if rgb.dtype.kind != "u":
        raise Unreadable(Reason.BAD_COLOUR, f"colour of {rgb.dtype}, unsigned integers are read")
    rgb = rgb[..., :3]
    return np.ascontiguousarray((rgb >> (bits - 8) if bits > 8 else rgb).astype(np.uint8))
