"""PNG, JPEG and TIFF as sources of frames.

Colour becomes luminance; an alpha channel is left out. The display range of 8-bit pictures is
0 .. 255; deeper ones do not say theirs. Resolution tags of these formats describe printing more
often than anatomy, so the spacing is unknown. EXIF orientation is not applied.
"""

import logging
import math
import struct
from pathlib import Path
from threading import Lock
from weakref import finalize

import imagecodecs
import numpy as np
import tifffile

from . import codestream
from .codecs import guarded, jpeg_values
from .colour import eight_bits, luminance, rgb_of_ycc
from .frame import Frame
from .limits import Limits
from .reason import Reason, Unreadable

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its messages quote tag values

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette is expanded to RGB


class PngFile:
    """One PNG picture."""

    frames = 1

    def __init__(self, data: bytes, _size: int, limits: Limits):
        if len(data) < 29 or data[12:16] != b"IHDR":
            raise Unreadable(Reason.TRUNCATED, "PNG header is cut off")
        columns, rows, bits, colour = struct.unpack_from(">IIBB", data, 16)
        if colour not in _PNG_CHANNELS or bits not in (1, 2, 4, 8, 16):
            raise Unreadable(Reason.BAD_BITS, f"PNG colour type {colour} of {bits} bits")
        size = rows * columns * _PNG_CHANNELS[colour] * max(bits // 8, 1)
        limits.check_image(rows, columns, 1, size)
        self._data = data

    def frame(self, index: int) -> Frame:
        return _picture(self._values(index))

    def colours(self, index: int) -> np.ndarray:
        return _colours(self._values(index))

    def _values(self, index: int) -> np.ndarray:
        _only(index, self.frames)
        if b"IEND" not in self._data[-64:]:
            raise Unreadable(Reason.TRUNCATED, "PNG has no end chunk")
        return guarded(imagecodecs.png_decode, self._data)


class JpegFile:
    """One JPEG picture: baseline, progressive, 12-bit, lossless or JPEG-LS."""

    frames = 1

    def __init__(self, data: bytes, _size: int, limits: Limits):
        self._header = codestream.jpeg_header(data)
        rows, columns, samples, bits = self._header[:4]
        limits.check_image(rows, columns, 1, rows * columns * samples * (1 + (bits > 8)))
        if samples not in (1, 3):
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, f"JPEG of {samples} components")
        self._data = data

    def frame(self, index: int) -> Frame:
        _only(index, self.frames)
        return _picture(jpeg_values(self._data, self._header, ycc=True).values)

    def colours(self, index: int) -> np.ndarray:
        _only(index, self.frames)
        decoded = jpeg_values(self._data, self._header, ycc=True, colour=True)
        return eight_bits(decoded.values, decoded.bits)


class TiffFile:
    """A TIFF file; each page is a frame. The file stays open: pages are found one after another."""

    def __init__(self, path: Path, limits: Limits):
        self._limits, self._size, self._lock = limits, path.stat().st_size, Lock()
        file = path.open("rb")
        finalize(self, file.close)
        try:
            self._tiff = tifffile.TiffFile(file)
            self.frames = len(self._tiff.pages)  # stops at a loop of directories
        except (MemoryError, OSError):
            raise
        except Exception:
            raise Unreadable(Reason.CORRUPT, "TIFF directories cannot be read") from None
        if self.frames == 0:
            raise Unreadable(Reason.CORRUPT, "TIFF file has no page")
        if self.frames > limits.frames:
            raise Unreadable(
                Reason.IMAGE_TOO_LARGE, f"{self.frames} TIFF pages, limit {limits.frames}"
            )

    def frame(self, index: int) -> Frame:
        page, values = self._values(index)
        if _is_ycc(page):
            values = values[..., 0]
        inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        return _picture(values, inverted=inverted)

    def colours(self, index: int) -> np.ndarray:
        page, values = self._values(index)
        if _is_ycc(page):
            values = rgb_of_ycc(values, 8 * values.dtype.itemsize)
        return _colours(values)

    def _values(self, index: int) -> tuple[tifffile.TiffPage, np.ndarray]:
        """Page and pixels: (h, w), or (h, w, samples)."""
        _only(index, self.frames)
        with self._lock:
            page = self._page(index)
            self._check(page)
            try:
                values = page.asarray(maxworkers=1)
            except MemoryError:
                raise
            except Exception:
                raise Unreadable(Reason.DECODE_FAILED, "TIFF page cannot be decoded") from None
        kind = page.photometric
        if kind == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            values = np.moveaxis(page.colormap, 0, -1)[values]
        elif page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            values = np.moveaxis(values, 0, -1)
        return page, values

    def _page(self, index: int) -> tifffile.TiffPage:
        try:
            page = self._tiff.pages[index]
        except Exception:
            raise Unreadable(Reason.CORRUPT, "TIFF directory cannot be read") from None
        if not isinstance(page, tifffile.TiffPage):
            raise Unreadable(Reason.CORRUPT, "TIFF directory cannot be read")
        return page

    def _check(self, page: tifffile.TiffPage) -> None:
        """Size, kind, and that all strips or tiles lie in the file: absent ones would come back
        as silent zeros."""
        rows, columns = page.imagelength, page.imagewidth
        samples, bits = page.samplesperpixel, page.bitspersample
        self._limits.check_image(rows, columns, 1, rows * columns * samples * -(-bits // 8))
        if page.imagedepth != 1 or samples > 4 or page.dtype is None:
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, f"TIFF page of {samples} samples")
        spans = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        if len(page.dataoffsets) != len(page.databytecounts) or len(spans) < math.prod(
            page.chunked
        ):
            raise Unreadable(Reason.CORRUPT, "TIFF strips or tiles are missing")
        if any(offset + count > self._size or count == 0 for offset, count in spans):
            raise Unreadable(Reason.TRUNCATED, "TIFF strips lie beyond the end of the file")


def _is_ycc(page: tifffile.TiffPage) -> bool:
    """JPEG strips come back as RGB, all others as they are."""
    return page.photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression not in (6, 7)


def _only(index: int, frames: int) -> None:
    if not 0 <= index < frames:
        raise Unreadable(Reason.NO_SUCH_FRAME, f"frame {index} of {frames}")


def _picture(values: np.ndarray, inverted: bool = False) -> Frame:
    """(h, w) or (h, w, 1 .. 4) -> grey frame; two and four channels are grey and RGB with alpha."""
    depth = values.dtype
    if values.ndim == 3:
        values = luminance(values[..., :3]) if values.shape[2] >= 3 else values[..., 0]
    if depth == np.bool_:
        return Frame(values.astype(np.uint8), shown=(0.0, 1.0), inverted=inverted)
    shown = (0.0, 255.0) if depth == np.uint8 else None
    return Frame(values, function="LINEAR_EXACT", shown=shown, inverted=inverted)


def _colours(values: np.ndarray) -> np.ndarray:
    """(h, w, 3 or 4) of all bits of the type -> (h, w, 3) uint8."""
    return eight_bits(values, 8 * values.dtype.itemsize)
