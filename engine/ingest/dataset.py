"""A bounded walk over the elements of a DICOM file (PS3.5 section 7, PS3.10 section 7).

It finds where values lie and reads only those asked for; nothing is copied, no text is decoded,
no value is ever printed, and lengths are checked before they are believed. Elements, nesting and
inflated bytes are counted against `Limits`. About ten times faster than building a full dataset,
which matters when the images are small.
"""

import struct
import zlib
from typing import NamedTuple

from .limits import Limits
from .reason import Reason, Unreadable

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"

TRANSFER_SYNTAX = 0x00020010
FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS = 0x7FE00008, 0x7FE00009, 0x7FE00010
_PIXEL_TAGS = frozenset((FLOAT_PIXELS, DOUBLE_PIXELS, PIXELS))
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())


class Element(NamedTuple):
    """Where a value lies: data[start:stop]; `stop` is -1 for encapsulated pixel data.
    `vr` is b"" in implicit VR."""

    vr: bytes
    start: int
    stop: int


class _Coding(NamedTuple):
    """How a run of elements is written."""

    explicit: bool
    order: str  # "<" or ">"


_EXPLICIT = _Coding(True, "<")
_IMPLICIT = _Coding(False, "<")
_BIG = _Coding(True, ">")
_HEADS = {"<": struct.Struct("<HH2sH"), ">": struct.Struct(">HH2sH")}
_WORDS = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}


class Dataset:
    """Elements of one level; values are read on demand.

    `size` is the length of the whole file: the buffer may hold only its head, so long as every
    value that is asked for lies in it.
    """

    def __init__(self, data: bytes, size: int, coding: _Coding, walker: "_Walker"):
        self.data, self.size, self.coding = data, size, coding
        self.elements: dict[int, Element] = {}
        self._walker = walker

    @property
    def order(self) -> str:
        """Byte order of numbers, "<" or ">"."""
        return self.coding.order

    def raw(self, tag: int) -> bytes:
        """The bytes of a value; b"" where it is absent or empty."""
        element = self.elements.get(tag)
        if element is None or element.stop < 0:
            return b""
        if element.stop > len(self.data):
            raise Unreadable(Reason.TRUNCATED, "a value lies beyond the bytes at hand")
        return self.data[element.start : element.stop]

    def text(self, tag: int) -> str:
        """A text value without padding; "" where it is absent."""
        return self.raw(tag).decode("ascii", "replace").strip(" \0")

    def numbers(self, tag: int) -> list[float] | None:
        """A decimal or integer string (DS, IS) of one or more values; None absent, empty or bad."""
        try:
            return [float(part) for part in self.text(tag).split("\\")]
        except ValueError:
            return None

    def short(self, tag: int) -> int | None:
        """The first unsigned 16-bit value (US); None where it is absent, empty or another VR."""
        raw, element = self.raw(tag), self.elements.get(tag)
        if element is None or len(raw) < 2 or element.vr not in (b"", b"US", b"SS"):
            return None
        return int.from_bytes(raw[:2], "little" if self.order == "<" else "big")

    def items(self, tag: int) -> list["Dataset"]:
        """The items of a sequence; [] where it is absent."""
        element = self.elements.get(tag)
        return [] if element is None else self._walker.items(element, self.coding)


class _Walker:
    """Walks elements of one file and counts them."""

    def __init__(self, data: bytes, size: int, limits: Limits):
        self.data, self.size, self.limits = data, size, limits
        self.count = 0

    def walk(self, start: int, stop: int, coding: _Coding, depth: int = 0) -> tuple[Dataset, int]:
        """Elements from `start` to `stop`, an item's end, or the pixel data; and where it ended."""
        if depth > self.limits.depth:
            raise Unreadable(Reason.TOO_COMPLEX, f"sequences nest deeper than {self.limits.depth}")
        found = Dataset(self.data, self.size, coding, self)
        position = start
        while position + 8 <= stop:
            tag, vr, begin, length = self._head(position, coding)
            if tag == _ITEM_END and depth:
                return found, begin
            self._tick()
            if length == UNDEFINED:
                if tag in _PIXEL_TAGS and not depth:
                    found.elements[tag] = Element(vr, begin, -1)
                    return found, begin
                inner = _IMPLICIT if vr == b"UN" else coding  # PS3.5 6.2.2, note 2
                position = self._skip_sequence(begin, stop, inner, depth + 1)
                found.elements[tag] = Element(vr, begin, position)
                continue
            position = begin + length
            if position > stop:
                raise Unreadable(
                    Reason.TRUNCATED, f"an element of {length} bytes ends {position - stop} late"
                )
            found.elements[tag] = Element(vr, begin, position)
            if tag in _PIXEL_TAGS and not depth:
                break
        return found, position

    def items(self, element: Element, coding: _Coding) -> list[Dataset]:
        """Datasets of a sequence's items."""
        if element.vr == b"UN":
            coding = _IMPLICIT
        found, position = [], element.start
        while position + 8 <= element.stop:
            tag, begin, length = self._item(position, coding)
            if tag != _ITEM:
                break
            stop = element.stop if length == UNDEFINED else begin + length
            if stop > element.stop:
                raise Unreadable(Reason.CORRUPT, "a sequence item is longer than its sequence")
            dataset, end = self.walk(begin, stop, coding, 1)
            found.append(dataset)
            position = end if length == UNDEFINED else stop
        return found

    def meta(self, start: int) -> tuple[Dataset, int]:
        """The file meta information, group 0002, always explicit little endian."""
        found, position = Dataset(self.data, self.size, _EXPLICIT, self), start
        while position + 8 <= self.size:
            tag, vr, begin, length = self._head(position, _EXPLICIT, meta=True)
            if tag >> 16 != 2:
                break
            self._tick()
            position = begin + length
            if position > self.size:
                raise Unreadable(Reason.TRUNCATED, "file meta information ends late")
            found.elements[tag] = Element(vr, begin, position)
        return found, position

    def _head(
        self, position: int, coding: _Coding, meta: bool = False
    ) -> tuple[int, bytes, int, int]:
        """Tag, VR, start of the value, length."""
        try:
            group, number, vr, length = _HEADS[coding.order].unpack_from(self.data, position)
            tag = group << 16 | number
            if not coding.explicit or group == 0xFFFE:
                (length,) = _WORDS[coding.order].unpack_from(self.data, position + 4)
                return tag, b"", position + 8, length
            if vr in _SHORT:
                return tag, vr, position + 8, length
            if vr in _LONG:
                (length,) = _WORDS[coding.order].unpack_from(self.data, position + 8)
                return tag, vr, position + 12, length
        except struct.error:
            raise Unreadable(Reason.TRUNCATED, "an element head is cut off") from None
        if meta and group != 2:  # the next group may be implicit: the caller looks at the tag only
            return tag, b"", position, 0
        raise Unreadable(Reason.CORRUPT, "an element has an unknown value representation")

    def _item(self, position: int, coding: _Coding) -> tuple[int, int, int]:
        tag, _, begin, length = self._head(position, coding._replace(explicit=False))
        return tag, begin, length

    def _skip_sequence(self, position: int, stop: int, coding: _Coding, depth: int) -> int:
        """End of a sequence of undefined length that starts at `position`."""
        while position + 8 <= stop:
            tag, begin, length = self._item(position, coding)
            self._tick()
            if tag == _SEQUENCE_END:
                return begin
            if tag != _ITEM:
                raise Unreadable(Reason.CORRUPT, "a sequence holds something that is no item")
            if length == UNDEFINED:
                _, position = self.walk(begin, stop, coding, depth)
            else:
                position = begin + length
        raise Unreadable(Reason.TRUNCATED, "a sequence is not closed")

    def _tick(self) -> None:
        self.count += 1
        if self.count > self.limits.elements:
            raise Unreadable(Reason.TOO_COMPLEX, f"more than {self.limits.elements} elements")


def is_dicom(head: bytes) -> bool:
    """DICM after the preamble, or (without one) a first element of group 0002 or 0008."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 12 or head[0] + head[1] not in (2, 8) or (head[0] and head[1]):
        return False
    if head[4:6] in _SHORT | _LONG:
        return True
    return head[1] == 0 and int.from_bytes(head[4:8], "little") <= 1024  # implicit VR


def read_dataset(data: bytes, size: int, limits: Limits) -> tuple[Dataset, str]:
    """The top level of a DICOM file up to its pixel data, and the transfer syntax UID ("" unknown).

    `data` holds the file or its head, `size` is the length of the file. Unreadable with TRUNCATED
    where the header goes beyond `data`.
    """
    walker = _Walker(data, size, limits)
    meta, start = walker.meta(132 if data[128:132] == b"DICM" else 0)
    syntax = meta.text(TRANSFER_SYNTAX)
    if syntax == DEFLATED_LE:
        data = inflate(data[start:], limits)
        walker, start, size = _Walker(data, len(data), limits), 0, len(data)
    dataset, _ = walker.walk(start, size, _coding(syntax, data[start : start + 6]))
    return dataset, syntax


def _coding(syntax: str, first: bytes) -> _Coding:
    """How the data set is written: as its UID says; without one, as its first element looks.

    Some software declares an explicit syntax and writes implicit VR; the first element tells.
    """
    if syntax in (IMPLICIT_LE, EXPLICIT_BE):
        return _IMPLICIT if syntax == IMPLICIT_LE else _BIG
    if first[4:6] not in _SHORT | _LONG:
        return _IMPLICIT
    return _BIG if first[:1] == b"\0" else _EXPLICIT


def inflate(data: bytes, limits: Limits) -> bytes:
    """Raw deflate (RFC 1951) of at most `limits.inflated(len(data))` bytes."""
    bound = limits.inflated(len(data))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, bound)
    except zlib.error:
        raise Unreadable(Reason.CORRUPT, "a deflated part is damaged") from None
    if not inflater.eof:
        if len(inflated) >= bound:
            raise Unreadable(Reason.INFLATE_LIMIT, f"inflates to more than {bound} bytes")
        raise Unreadable(Reason.TRUNCATED, "a deflated part is cut off")
    return inflated
