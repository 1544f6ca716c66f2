"""Which format a file is, by its contents, never by its name; and its source of frames."""

import stat
from collections.abc import Callable
from pathlib import Path

from . import nifti, npz, raster
from .dataset import is_dicom
from .dicom import DicomFile
from .frame import Source
from .limits import Limits
from .reason import Reason, Unreadable

START_BYTES = 4096  # enough to tell every format
HEAD_BYTES = 65_536  # holds the header of most DICOM files

_STARTS = (  # in this order: a DICOM preamble may hold the start of another format
    (b"\x89PNG\r\n\x1a\n", raster.PngFile),
    (b"\xff\xd8\xff", raster.JpegFile),
    (b"II*\0", raster.TiffFile),
    (b"MM\0*", raster.TiffFile),
    (b"II+\0", raster.TiffFile),
    (b"MM\0+", raster.TiffFile),
    (b"PK\x03\x04", npz.NpzFile),
)
_OTHERS = {  # known, and not read: said so instead of "not an image"
    b"NRRD": "NRRD",
    b"\x93NUMPY": "NPY array",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"RIFF": "RIFF (WebP)",
    b"\x89HDF": "HDF5",
    b"\0\0\0\x0cjP  ": "JP2",
    b"\xff\x4f\xff\x51": "JPEG 2000 codestream",
    b"\x1f\x8b": "gzip (other than NIfTI)",
    b"%PDF": "PDF",
}
_SMALL = (DicomFile, raster.PngFile, raster.JpegFile)  # read whole; the others read what they need


def open_source(path: Path, limits: Limits, peek: bool = False) -> Source:
    """Open a file as a source of frames; Unreadable says why it is none, OSError why it is not
    to be opened.

    `peek` reads only the head where that tells the number of frames; such a source may be unable
    to give them.
    """
    size = _size(path, limits)
    with path.open("rb", buffering=0) as file:
        head = file.read(HEAD_BYTES if peek else START_BYTES)
        kind = _format(head)
        if kind not in _SMALL:
            return kind(path, limits)
        if peek:
            try:
                return kind(head, size, limits)
            except Unreadable as refused:
                if refused.code is not Reason.TRUNCATED or size <= HEAD_BYTES:
                    raise
        file.seek(0)
        data = file.readall()
    return kind(data, len(data), limits)


def _format(start: bytes) -> Callable[..., Source]:
    if start[128:132] == b"DICM":
        return DicomFile
    for magic, kind in _STARTS:
        if start.startswith(magic):
            return kind
    if nifti.is_nifti(start):
        return nifti.NiftiFile
    if is_dicom(start):
        return DicomFile
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, f"{name} files are not read")
    raise Unreadable(Reason.NOT_AN_IMAGE, "contents are of no image format")


def _size(path: Path, limits: Limits) -> int:
    """Bytes of a regular file; pipes and devices are never opened, they could block for ever."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable(Reason.NOT_FOUND, "no such file") from None
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(Reason.NOT_A_FILE, "no regular file")
    if status.st_size > limits.file_bytes:
        raise Unreadable(
            Reason.FILE_TOO_LARGE, f"{status.st_size} bytes, limit {limits.file_bytes}"
        )
    if status.st_size == 0:
        raise Unreadable(Reason.EMPTY_FILE, "0 bytes")
    return status.st_size
