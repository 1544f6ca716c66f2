"""NPZ archives in the MedMNIST layout: `train_images`, `train_labels`, `val_...`, `test_...`.

Images are (n, h, w) or (n, h, w, 3) of unsigned 8-bit values; labels (n,) or (n, 1). Frames are
numbered through train, val and test, in this order. Pickled objects are never read.
"""

import zipfile
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from .colour import eight_bits, luminance
from .frame import Frame
from .limits import Limits
from .reason import Reason, Unreadable

SPLITS = ("train", "val", "test")


class _Part(NamedTuple):
    split: str
    first: int
    length: int


class NpzFile:
    """One archive; an array is read at its first use and kept."""

    def __init__(self, path: Path, limits: Limits):
        self._path, self._limits, self._lock = path, limits, Lock()
        self._arrays: dict[str, np.ndarray] = {}
        self._parts: list[_Part] = []
        with _archive(path) as archive:
            names = {info.filename for info in archive.infolist()}
            for split in SPLITS:
                if f"{split}_images.npy" in names:
                    shape = self._header(archive, f"{split}_images.npy")
                    self._parts.append(_Part(split, self.frames, shape[0]))
        if not self._parts:
            raise Unreadable(
                Reason.UNSUPPORTED_FORMAT, "archive has no train_images, val_images or test_images"
            )

    @property
    def frames(self) -> int:
        return sum(part.length for part in self._parts)

    def frame(self, index: int) -> Frame:
        image = self._image(index)
        return Frame(luminance(image) if image.ndim == 3 else image, shown=(0.0, 255.0))

    def colours(self, index: int) -> np.ndarray:
        return eight_bits(self._image(index), 8)

    def _image(self, index: int) -> np.ndarray:
        part = self._part(index)
        return self._array(f"{part.split}_images.npy")[index - part.first]

    def splits(self) -> list[str]:
        """The split of every frame."""
        return [part.split for part in self._parts for _ in range(part.length)]

    def labels(self) -> list[str | None]:
        """The class number of every frame as text; None where the archive has no single label."""
        labels: list[str | None] = []
        for part in self._parts:
            values = self._labels(part)
            labels += [None] * part.length if values is None else [str(int(v)) for v in values]
        return labels

    def _labels(self, part: _Part) -> np.ndarray | None:
        try:
            values = self._array(f"{part.split}_labels.npy")
        except KeyError:
            return None
        if values.dtype.kind not in "iub" or values.size != part.length:
            return None
        return values.reshape(-1)

    def _part(self, index: int) -> _Part:
        for part in self._parts:
            if part.first <= index < part.first + part.length:
                return part
        raise Unreadable(Reason.NO_SUCH_FRAME, f"frame {index} of {self.frames}")

    def _header(self, archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
        """Shape of an image array, from its header alone, checked."""
        with archive.open(name) as file:
            shape, dtype = _npy_header(file)
        if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise Unreadable(
                Reason.UNSUPPORTED_FORMAT,
                f"archive images have {len(shape)} dimensions or no uint8",
            )
        self._limits.check_image(shape[1], shape[2], 1, int(np.prod(shape[1:], dtype=object)))
        return shape

    def _array(self, name: str) -> np.ndarray:
        with self._lock:
            if name not in self._arrays:
                with _archive(self._path) as archive:
                    self._arrays[name] = self._read(archive, name)
            return self._arrays[name]

    def _read(self, archive: zipfile.ZipFile, name: str) -> np.ndarray:
        info = archive.getinfo(name)  # KeyError: no such member
        with archive.open(info) as file:
            shape, dtype = _npy_header(file)
            size = dtype.itemsize * int(np.prod(shape, dtype=object))
            if info.file_size > self._limits.inflated(info.compress_size):
                raise Unreadable(Reason.INFLATE_LIMIT, f"array inflates to {info.file_size} bytes")
            if size > info.file_size:
                raise Unreadable(
                    Reason.LENGTH_MISMATCH, f"array of {size} bytes in {info.file_size}"
                )
            try:
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
            except (ValueError, EOFError, zipfile.BadZipFile, OSError):
                raise Unreadable(Reason.DECODE_FAILED, "array cannot be read") from None


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise Unreadable(Reason.CORRUPT, "archive cannot be read") from None


def _npy_header(file) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise Unreadable(Reason.CORRUPT, "array header cannot be read") from None
    if dtype.hasobject:
        raise Unreadable(Reason.UNSUPPORTED_FORMAT, "array holds objects, which are never loaded")
    return shape, dtype
