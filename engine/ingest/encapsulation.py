"""Encapsulated pixel data: fragments, and which of them make a frame (PS3.5 annex A.4)."""

import struct
from collections.abc import Callable

from .codestream import J2K_START, SOI
from .limits import Limits
from .reason import Reason, Unreadable

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
Span = tuple[int, int]


def fragments(data: bytes, start: int, frames: int, limits: Limits) -> tuple[bytes, list[Span]]:
    """The basic offset table and where each fragment lies; nothing is copied.

    The closing delimiter may be missing where the last fragment ends with the file.
    """
    spans: list[Span] = []
    position, size = start, len(data)
    while position + 8 <= size:
        group, number, length = struct.unpack_from("<HHI", data, position)
        position += 8
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise Unreadable(Reason.BAD_FRAGMENTS, "pixel data hold something that is no fragment")
        if position + length > size:
            raise Unreadable(
                Reason.TRUNCATED,
                f"a fragment of {length} bytes ends {position + length - size} late",
            )
        spans.append((position, position + length))
        position += length
        if len(spans) > frames + limits.frames:
            raise Unreadable(Reason.BAD_FRAGMENTS, f"more than {len(spans) - 1} fragments")
    if len(spans) < 2 or all(start == stop for start, stop in spans[1:]):
        raise Unreadable(Reason.BAD_FRAGMENTS, "pixel data hold no fragment")
    return data[slice(*spans[0])], spans[1:]


def frames_of(data: bytes, table: bytes, spans: list[Span], frames: int) -> list[list[Span]]:
    """The fragments of each frame.

    One each where the numbers agree; else by the basic offset table; else a new frame begins
    wherever a fragment begins with a codestream's first marker.
    """
    if len(spans) == frames:
        return [[span] for span in spans]
    if frames == 1:
        return [spans]
    groups = _by_offsets(table, spans) or _by_start(data, spans)
    if len(groups) != frames:
        raise Unreadable(
            Reason.BAD_FRAGMENTS, f"{len(spans)} fragments do not make {frames} frames"
        )
    return groups


def _by_offsets(table: bytes, spans: list[Span]) -> list[list[Span]]:
    """Offsets count from the first byte of the first fragment's item tag."""
    offsets = {offset for (offset,) in struct.iter_unpack("<I", table[: len(table) // 4 * 4])}
    first = spans[0][0]
    if not offsets or not offsets <= {start - first for start, _ in spans}:
        return []
    return _split(spans, lambda span: span[0] - first in offsets)


def _by_start(data: bytes, spans: list[Span]) -> list[list[Span]]:
    return _split(
        spans, lambda span: data[span[0] : span[0] + 4].startswith((SOI + b"\xff", J2K_START))
    )


def _split(spans: list[Span], begins: Callable[[Span], bool]) -> list[list[Span]]:
    groups: list[list[Span]] = []
    for span in spans:
        if begins(span) or not groups:
            groups.append([])
        groups[-1].append(span)
    return groups
