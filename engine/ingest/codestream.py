"""Sizes from the first bytes of a compressed image, before any decoder is let near it.

JPEG and lossless JPEG: ITU-T T.81 (SOFn, B.2.2); JPEG-LS: T.87 (SOF55, C.2.2);
JPEG 2000: T.800 (SIZ, A.5.1), HTJ2K: T.814, which has the same SIZ.
A codec allocates what this header says, whatever the file around it says.
"""

import struct
from typing import NamedTuple

from .reason import Reason, Unreadable

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
J2K_START = b"\xff\x4f\xff\x51"  # SOC, then SIZ
JPEG_LS = 0xF7
LOSSLESS_JPEG = 0xC3
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {JPEG_LS}
_STANDALONE = frozenset(range(0xD0, 0xD8)) | {0x01}


class Codestream(NamedTuple):
    """rows, columns, samples a pixel, bits a sample; `process`: the SOF marker's second byte,
    0 for JPEG 2000; `ycc`: the JPEG stream says that it is YCbCr (True) or not (False)."""

    rows: int
    columns: int
    samples: int
    bits: int
    process: int = 0
    ycc: bool | None = None


def jpeg_header(data: bytes) -> Codestream:
    """Header of a JPEG or JPEG-LS stream; Unreadable where there is none before the scan."""
    if data[:2] != SOI:
        raise Unreadable(Reason.DECODE_FAILED, "JPEG stream does not start with SOI")
    position, ycc = 2, None
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker in (0xD9, 0xDA):  # end of image or start of scan without a frame header
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment = data[position + 4 : position + 2 + length]
        if marker == 0xE0 and segment[:5] == b"JFIF\0":
            ycc = True if ycc is None else ycc
        elif marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12:
            ycc = segment[11] != 0
        elif marker in _FRAME_HEADERS:
            return _frame_header(marker, segment, ycc)
        position += 2 + length
    raise Unreadable(Reason.DECODE_FAILED, "JPEG stream has no frame header")


def _frame_header(marker: int, segment: bytes, ycc: bool | None) -> Codestream:
    if len(segment) < 6:
        raise Unreadable(Reason.TRUNCATED, "JPEG frame header is cut off")
    bits, rows, columns, samples = struct.unpack_from(">BHHB", segment)
    if segment[6::3][:3] == b"RGB":  # component names some writers use instead of an Adobe marker
        ycc = False
    return Codestream(rows, columns, samples, bits, marker, ycc)


def jpeg_to_end(data: bytes) -> bytes:
    """The stream up to its last end-of-image marker, which must be there.

    libjpeg shows a cut stream as grey, unasked; CharLS may spin for many seconds in one that does
    not end with the marker.
    """
    end = data.rfind(EOI) + len(EOI)
    if end <= len(SOI) + len(EOI):
        raise Unreadable(Reason.TRUNCATED, "JPEG stream has no end marker")
    return data[:end]


def j2k_header(data: bytes) -> Codestream:
    """Header of a JPEG 2000 codestream, bare or inside a JP2 box file."""
    start = 0 if data[:4] == J2K_START else data.find(J2K_START, 0, 4096)
    if start < 0:
        raise Unreadable(Reason.DECODE_FAILED, "JPEG 2000 codestream does not start with SOC, SIZ")
    if len(data) < start + 45:
        raise Unreadable(Reason.TRUNCATED, "JPEG 2000 header is cut off")
    x1, y1, x0, y0, tile_w, tile_h = struct.unpack_from(">6I", data, start + 8)
    samples, depth = struct.unpack_from(">HB", data, start + 40)
    if x1 <= x0 or y1 <= y0 or tile_w == 0 or tile_h == 0 or samples == 0:
        raise Unreadable(Reason.CODESTREAM_MISMATCH, "JPEG 2000 header has an empty image or tile")
    tiles = -(-x1 // tile_w) * -(-y1 // tile_h)
    if tiles * 14 > len(data):  # each tile needs an SOT (12 bytes) and an SOD marker (2)
        raise Unreadable(
            Reason.CODESTREAM_MISMATCH, f"JPEG 2000 header has {tiles} tiles in {len(data)} bytes"
        )
    return Codestream(y1 - y0, x1 - x0, samples, (depth & 0x7F) + 1)
