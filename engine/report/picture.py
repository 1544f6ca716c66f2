"""Images as PNG data URIs, written with zlib alone."""

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """One image before and after the recipe's filters, both as data URIs, and why it is shown."""

    id: str
    why: str
    scores: Mapping[str, float]
    before: str
    after: str


def data_uri(pixels: np.ndarray, bits: int, enlarge: int = 0) -> str:
    """`data:image/png;base64,...` of an (h, w) integer image with grey levels 0 .. 2**bits - 1.

    Shown as 8 bits. With `enlarge`, each pixel is repeated until the shorter side reaches that many
    pixels; nothing is smoothed, a reader sees the very pixels the kernels saw.
    """
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu":
        raise TypeError(f"a picture is (h, w) of integers, got {pixels.shape} {pixels.dtype}")
    grey = (np.clip(pixels, 0, 2**bits - 1).astype(np.uint32) * 255 // (2**bits - 1)).astype(
        np.uint8
    )
    times = max(1, -(-enlarge // max(1, min(grey.shape))))
    grey = grey.repeat(times, 0).repeat(times, 1)
    return "data:image/png;base64," + base64.b64encode(png(grey)).decode()


def png(image: np.ndarray) -> bytes:
    """A PNG file of an (h, w) or (h, w, 3) uint8 image (PNG specification, third edition: IHDR,
    IDAT, IEND)."""
    height, width, *channels = image.shape
    rows = np.zeros((height, 1 + image[0].size), np.uint8)  # a row starts with its filter: 0, none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels else 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check
