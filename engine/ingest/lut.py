"""Look-up tables of DICOM: modality, VOI and palette (PS3.3 C.7.6.3.1.5, C.11.1.1, C.11.2.1.1)."""

import struct
from typing import NamedTuple

import numpy as np

from .colour import luminance
from .dataset import Dataset
from .reason import Reason, Unreadable

_DESCRIPTOR, _DATA = 0x00283002, 0x00283006
_PALETTE = ((0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203))


class Lut(NamedTuple):
    """Output `table[value - first]`; values outside take the first or the last entry.
    `top` is the largest output the table's bits allow."""

    table: np.ndarray
    first: int
    top: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values (integers, or floats to be rounded) -> entries, same shape."""
        if values.dtype.kind == "f":
            values = np.rint(values)
        index = np.clip(values.astype(np.int64) - self.first, 0, len(self.table) - 1)
        return self.table[index]


def read_lut(item: Dataset, signed: bool) -> Lut:
    """The table of a modality or VOI LUT item; `signed`: its first input value is."""
    return _read(item, _DESCRIPTOR, _DATA, signed)


def palette_luminance(dataset: Dataset) -> Lut:
    """Red, green and blue palettes folded into one table of luminance (float32)."""
    rgb = palette(dataset)
    return rgb._replace(table=luminance(rgb.table))


def palette(dataset: Dataset) -> Lut:
    """Red, green and blue palettes as one table (entries, 3)."""
    red, green, blue = (_read(dataset, *tags, signed=False) for tags in _PALETTE)
    if not len(red.table) == len(green.table) == len(blue.table) or red.first != green.first:
        raise Unreadable(Reason.BAD_COLOUR, "palettes of different lengths")
    return Lut(np.stack([red.table, green.table, blue.table], axis=-1), red.first, red.top)


def _read(item: Dataset, descriptor: int, data: int, signed: bool) -> Lut:
    head, raw = item.raw(descriptor), item.raw(data)
    if len(head) != 6:
        raise Unreadable(Reason.BAD_COLOUR, "look-up table descriptor is missing")
    entries, first, bits = struct.unpack(item.order + ("HhH" if signed else "HHH"), head)
    entries = entries or 2**16  # 0 stands for 65536
    if not 8 <= bits <= 16:
        raise Unreadable(Reason.BAD_COLOUR, f"look-up table of {bits} bits")
    if len(raw) >= 2 * entries:
        table = np.frombuffer(raw, item.order + "u2", entries)
    elif bits == 8 and len(raw) >= entries:
        table = np.frombuffer(raw, np.uint8, entries)
    else:
        raise Unreadable(
            Reason.BAD_COLOUR, f"look-up table of {entries} entries has {len(raw)} bytes"
        )
    return Lut(table, first, float(2**bits - 1))
