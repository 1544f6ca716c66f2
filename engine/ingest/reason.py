"""Why a file or frame was set aside: a closed list of codes, and the words that go with them.

A detail is a fixed phrase plus numbers. Text from a file or from an exception never enters one:
it may hold a patient's name, and it may be hostile.
"""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Every way an input can be refused. Names are stable: reports and ledgers store them."""

    NOT_FOUND = "not_found"  # no such file
    NOT_A_FILE = "not_a_file"  # a folder, pipe, socket or device
    READ_FAILED = "read_failed"  # permission, I/O error
    FILE_TOO_LARGE = "file_too_large"  # more bytes than the limit
    EMPTY_FILE = "empty_file"  # zero bytes
    NOT_AN_IMAGE = "not_an_image"  # contents are of no image format
    UNSUPPORTED_FORMAT = "unsupported_format"  # a known format, or a variant, that is not read
    UNSUPPORTED_SYNTAX = "unsupported_syntax"  # DICOM transfer syntax that is not read
    TRUNCATED = "truncated"  # ends before its own lengths say
    CORRUPT = "corrupt"  # structure contradicts the format
    TOO_COMPLEX = "too_complex"  # nesting or element count over the limit
    INFLATE_LIMIT = "inflate_limit"  # inflates to more than the limit
    NO_PIXELS = "no_pixels"  # a sound file that holds no image
    NO_SUCH_FRAME = "no_such_frame"  # fewer frames than asked for
    BAD_GEOMETRY = "bad_geometry"  # rows, columns or frames missing or impossible
    IMAGE_TOO_LARGE = "image_too_large"  # pixels or frames over the limit
    BAD_BITS = "bad_bits"  # bits allocated, stored or samples impossible
    BAD_COLOUR = "bad_colour"  # photometric interpretation or palette impossible
    BAD_RESCALE = "bad_rescale"  # slope or intercept not a usable number
    LENGTH_MISMATCH = "length_mismatch"  # pixel data do not fit rows x columns x frames
    BAD_FRAGMENTS = "bad_fragments"  # encapsulated fragments do not give the frames
    CODESTREAM_MISMATCH = "codestream_mismatch"  # compressed header contradicts the file header
    DECODE_FAILED = "decode_failed"  # the codec refused the data
    NOT_FINITE = "not_finite"  # no finite value in the frame
    OUT_OF_MEMORY = "out_of_memory"  # an allocation failed
    INTERNAL = "internal"  # an error of the reader itself: please report it


class Reject(NamedTuple):
    """An item that gives no row: its id, the code, and a fixed phrase with numbers."""

    id: str
    code: Reason
    detail: str


class Unreadable(Exception):
    """Raised inside ingest only; `read` turns it into a Reject."""

    def __init__(self, code: Reason, detail: str):
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail
