"""Bounds that hold before anything is allocated or decoded."""

from dataclasses import dataclass, fields

from .reason import Reason, Unreadable


@dataclass(frozen=True)
class Limits:
    """What one file may cost. The defaults admit every clinical image, but no bomb.

    file_bytes     size on disk
    pixels         pixels a frame (2**28: 16384 x 16384)
    frames         frames, slices or pages a file
    decoded_bytes  decoded bytes held at a time: a frame, or a compressed volume
    inflate_bytes  bytes any deflated or gzipped part may always inflate to ...
    inflate_ratio  ... beyond which it may not grow by more than this factor
    elements       DICOM elements a file
    depth          nesting of DICOM sequences
    """

    file_bytes: int = 4 * 2**30
    pixels: int = 2**28
    frames: int = 65_536
    decoded_bytes: int = 2 * 2**30
    inflate_bytes: int = 16 * 2**20
    inflate_ratio: int = 200
    elements: int = 100_000
    depth: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"limit {field.name} is {value!r}; it must be a positive integer")

    def check_image(self, rows: int, columns: int, frames: int, frame_bytes: int) -> None:
        """Refuse impossible or oversized geometry (Python integers: no overflow)."""
        if rows < 1 or columns < 1 or frames < 1:
            raise Unreadable(
                Reason.BAD_GEOMETRY, f"{rows} rows, {columns} columns, {frames} frames"
            )
        if rows * columns > self.pixels or frame_bytes > self.decoded_bytes:
            raise Unreadable(
                Reason.IMAGE_TOO_LARGE,
                f"{rows} x {columns} pixels a frame, limit {self.pixels}",
            )
        if frames > self.frames:
            raise Unreadable(Reason.IMAGE_TOO_LARGE, f"{frames} frames, limit {self.frames}")

    def inflated(self, compressed: int) -> int:
        """How many bytes a part of `compressed` bytes may inflate to."""
        grown = max(self.inflate_bytes, compressed * self.inflate_ratio)
        return min(grown, self.decoded_bytes)
