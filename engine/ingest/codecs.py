"""DICOM transfer syntaxes and the codecs behind them (imagecodecs, which releases the GIL).

Each decoder first compares the codestream's own header with the DICOM header.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

from . import codestream
from .codestream import Codestream
from .dataset import DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, inflate
from .limits import Limits
from .reason import Reason, Unreadable

NATIVE = frozenset(("", IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, EXPLICIT_BE))


class Pixels(NamedTuple):
    """The image pixel attributes of a DICOM file (PS3.3 C.7.6.3), checked."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: bool
    colour: bool = False  # wanted; else luminance is enough, and cheaper

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        if self.photometric == "YBR_FULL_422":  # Y Y Cb Cr for two pixels
            return self.rows * self.columns * 2 * self.allocated
        return self.rows * self.columns * self.samples * self.allocated


class Decoded(NamedTuple):
    """values (h, w) or (h, w, samples); `bits` a sample; `grey`: colour is already luminance,
    `rgb`: it is already red, green and blue."""

    values: np.ndarray
    bits: int
    grey: bool = False
    rgb: bool = False


def codecs() -> dict[str, bool]:
    """Which encodings can be decoded here: each codec's name and whether it is there."""
    names = {
        "JPEG (baseline to lossless)": "JPEG8",
        "JPEG-LS": "JPEGLS",
        "JPEG 2000": "JPEG2K",
        "HTJ2K": "HTJ2K",
        "DICOM RLE": "DICOMRLE",
        "PNG": "PNG",
    }
    return {name: bool(getattr(imagecodecs, code).available) for name, code in names.items()}


def guarded(decode: Callable[..., Any], data: bytes, **options: object) -> Any:
    """Run one codec; whatever it raises becomes DECODE_FAILED without its text."""
    try:
        return decode(data, **options)
    except MemoryError:
        raise
    except Exception:
        raise Unreadable(Reason.DECODE_FAILED, f"codec refused {len(data)} bytes") from None


def jpeg_values(data: bytes, header: Codestream, ycc: bool, colour: bool = False) -> Decoded:
    """JPEG baseline, extended, progressive, lossless and JPEG-LS, 2 to 16 bits.

    Lossy colour is decoded to red, green and blue if `colour` is wanted, else straight to
    luminance: the chroma is never unpacked. `ycc`: the colour space where the stream itself does
    not say.
    """
    data = codestream.jpeg_to_end(data)
    if header.process == codestream.JPEG_LS:
        return Decoded(guarded(imagecodecs.jpegls_decode, data), header.bits)
    if header.samples == 1 or header.process == codestream.LOSSLESS_JPEG:
        return Decoded(guarded(imagecodecs.jpeg8_decode, data), header.bits)
    ycc = ycc if header.ycc is None else header.ycc
    values = guarded(
        imagecodecs.jpeg8_decode,
        data,
        colorspace="YCbCr" if ycc else "RGB",
        outcolorspace="RGB" if colour else "GRAYSCALE",
    )
    return Decoded(values, header.bits, grey=not colour, rgb=colour)


def _jpeg(data: bytes, pixels: Pixels, _limits: Limits) -> Decoded:
    header = codestream.jpeg_header(data)
    _compare(header, pixels)
    return jpeg_values(data, header, pixels.photometric != "RGB", pixels.colour)


def _jpeg2000(data: bytes, pixels: Pixels, _limits: Limits) -> Decoded:
    header = codestream.j2k_header(data)
    _compare(header, pixels)
    return Decoded(guarded(imagecodecs.jpeg2k_decode, data), header.bits)


def _htj2k(data: bytes, pixels: Pixels, _limits: Limits) -> Decoded:
    header = codestream.j2k_header(data)
    _compare(header, pixels)
    return Decoded(guarded(imagecodecs.htj2k_decode, data), header.bits)


def _rle(data: bytes, pixels: Pixels, _limits: Limits) -> Decoded:
    """PackBits by byte planes, most significant first, samples in planes (PS3.5 annex G)."""
    offsets = np.frombuffer(data[:64].ljust(64, b"\0"), "<u4").astype(np.int64)
    planes = pixels.samples * pixels.allocated // 8
    starts = offsets[1 : 1 + planes]
    if len(data) < 64 or offsets[0] != planes or pixels.allocated % 8:
        raise Unreadable(Reason.CODESTREAM_MISMATCH, f"RLE header does not give {planes} segments")
    if starts[0] != 64 or (np.diff(starts) <= 0).any() or starts[-1] >= len(data):
        raise Unreadable(Reason.CODESTREAM_MISMATCH, "RLE segment offsets are out of order")
    dtype = np.dtype(f"<u{pixels.allocated // 8}")
    expected = pixels.frame_bits // 8
    unpacked = guarded(imagecodecs.dicomrle_decode, data, dtype=dtype, out=expected)
    if len(unpacked) != expected:
        raise Unreadable(Reason.LENGTH_MISMATCH, f"RLE gives {len(unpacked)} of {expected} bytes")
    values = np.frombuffer(unpacked, dtype).reshape(pixels.samples, pixels.rows, pixels.columns)
    return Decoded(values[0] if pixels.samples == 1 else values.transpose(1, 2, 0), pixels.stored)


def _deflated_frame(data: bytes, pixels: Pixels, limits: Limits) -> Decoded:
    """Deflated Image Frame Compression (PS3.5 A.4.13): a native frame in raw deflate."""
    return Decoded(native_values(inflate(data, limits), 0, pixels, "<", swap=False), pixels.stored)


def native_values(
    data: bytes, bit: int, pixels: Pixels, order: str, swap: bool, kind: str = "u"
) -> np.ndarray:
    """One uncompressed frame that begins at bit `bit` of `data`: a view where that is possible.

    `swap`: 8-bit samples written as big-endian words; `kind` "f" for float pixel data.
    YBR_FULL_422 gives its Y samples alone, or with the two pixels' Cb and Cr if colour is wanted.
    """
    bits = pixels.frame_bits
    if (bit + bits + 7) // 8 > len(data):
        raise Unreadable(Reason.LENGTH_MISMATCH, f"{len(data)} bytes, {(bit + bits) // 8} needed")
    shape = (pixels.rows, pixels.columns)
    if pixels.allocated == 1:
        packed = np.frombuffer(data, np.uint8, (bit % 8 + bits + 7) // 8, bit // 8)
        return np.unpackbits(packed, bitorder="little")[bit % 8 :][:bits].reshape(shape)
    size = pixels.allocated // 8
    if swap:
        first = bit // 8
        words = np.frombuffer(data[first - first % 2 : first + bits // 8 + 1][: len(data)], "u1")
        words = words[: words.size // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
        flat = words[first % 2 :][: bits // 8]
    else:
        flat = np.frombuffer(data, f"{order}{kind}{size}", bits // pixels.allocated, bit // 8)
    if pixels.photometric == "YBR_FULL_422":
        pairs = flat.reshape(-1, 4)
        if pixels.colour:
            return pairs[:, [[0, 2, 3], [1, 2, 3]]].reshape(*shape, 3)
        return pairs[:, :2].reshape(shape)
    if pixels.samples == 1:
        return flat.reshape(shape)
    if pixels.planar:
        return flat.reshape(pixels.samples, *shape).transpose(1, 2, 0)
    return flat.reshape(*shape, pixels.samples)


def _compare(header: Codestream, pixels: Pixels) -> None:
    """Refuse a codestream whose header is not the DICOM header's image."""
    if (header.rows, header.columns) != (pixels.rows, pixels.columns):
        raise Unreadable(
            Reason.CODESTREAM_MISMATCH,
            f"codestream is {header.rows} x {header.columns}, "
            f"header says {pixels.rows} x {pixels.columns}",
        )
    if header.samples != pixels.samples or header.bits > pixels.allocated:
        raise Unreadable(
            Reason.CODESTREAM_MISMATCH,
            f"codestream has {header.samples} samples of {header.bits} bits, "
            f"header says {pixels.samples} of {pixels.allocated}",
        )


Decoder = Callable[[bytes, Pixels, Limits], Decoded]
_JPEG_FAMILY: dict[int, Decoder] = {  # the last number of 1.2.840.10008.1.2.4.x
    **dict.fromkeys((50, 51, 53, 55, 57, 70, 80, 81), _jpeg),
    **dict.fromkeys((90, 91), _jpeg2000),
    **dict.fromkeys((201, 202, 203), _htj2k),
}
DECODERS: dict[str, Decoder] = {
    **{f"1.2.840.10008.1.2.4.{last}": decoder for last, decoder in _JPEG_FAMILY.items()},
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.8.1": _deflated_frame,
}
