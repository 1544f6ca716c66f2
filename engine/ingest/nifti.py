"""NIfTI-1 and NIfTI-2 volumes (.nii, .nii.gz) as axial slices.

Slices are taken through the volume turned to the axes nearest to left, posterior, superior (the
patient axes of DICOM, from the header's affine): rows run anterior to posterior and columns from
the patient's right to left, as a DICOM axial slice is stored; slice 0 is the lowest. Volumes of
a time series follow one another. Nothing is interpolated.
"""

import math
import zlib
from pathlib import Path
from threading import Lock

import numpy as np

from .frame import Frame
from .limits import Limits
from .reason import Reason, Unreadable

_MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0")}  # header size: where its magic stands
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # spatial unit code: unknown (mm), m, mm, micrometre


def is_nifti(head: bytes) -> bool:
    """A NIfTI header, plain or gzipped, at the start of these bytes."""
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(31).decompress(head, 552)
        except zlib.error:
            return False
    return any(
        int.from_bytes(head[:4], order) == size
        and head[at : at + 4] in (magic, magic.replace(b"+", b"i"))
        for size, (at, magic) in _MAGIC.items()
        for order in ("little", "big")
    )


class NiftiFile:
    """One volume; its voxels are read at the first slice and shared by all."""

    def __init__(self, path: Path, limits: Limits):
        self._path, self._limits, self._lock = path, limits, Lock()
        self._volume: np.ndarray | None = None
        with path.open("rb") as file:
            head = file.read(65_536)
        self._zipped = head[:2] == b"\x1f\x8b"
        self._read_header(self._gunzip(head, 552, whole=False) if self._zipped else head)

    def frame(self, index: int) -> Frame:
        """Axial slice `index`."""
        if not 0 <= index < self.frames:
            raise Unreadable(Reason.NO_SUCH_FRAME, f"slice {index} of {self.frames}")
        with self._lock:  # one thread reads, the others wait for it
            if self._volume is None:
                self._volume = self._read_voxels()
                self._range = _finite_range(self._volume, self._slope, self._intercept)
        volume, depth = self._volume, self._volume.shape[2]
        return Frame(
            volume[:, :, index % depth, index // depth].T,
            slope=self._slope,
            intercept=self._intercept,
            window=self._window,
            function="LINEAR_EXACT",
            shown=self._range,
            spacing=self._spacing,
        )

    def colours(self, index: int) -> np.ndarray:
        """NIfTI's colour types are not read."""
        raise Unreadable(Reason.BAD_COLOUR, "NIfTI images are grey, colour is wanted")

    def _read_header(self, head: bytes) -> None:
        import nibabel  # slow to import, and many runs meet no NIfTI

        two = 540 in (int.from_bytes(head[:4], order) for order in ("little", "big"))
        kind, length = (nibabel.Nifti2Header, 540) if two else (nibabel.Nifti1Header, 348)
        if len(head) < length:
            raise Unreadable(Reason.TRUNCATED, "NIfTI header is cut off")
        if head[_MAGIC[length][0] :][:2] == b"ni":
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, "NIfTI in two files (.hdr, .img)")
        try:
            header = kind(head[:length], check=False)
            shape = [int(size) for size in header.get_data_shape()]
            dtype, affine = header.get_data_dtype(), np.asarray(header.get_best_affine())
            slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
            low, high = float(header["cal_min"]), float(header["cal_max"])
            steps = header["pixdim"][1 : 1 + len(shape)]
            unit, offset = int(header["xyzt_units"]) & 7, int(header["vox_offset"])
        except Exception:
            raise Unreadable(Reason.CORRUPT, "NIfTI header cannot be read") from None
        self._slope, self._intercept = _scaling(slope, intercept)
        if not np.isfinite(steps).all():
            raise Unreadable(Reason.BAD_GEOMETRY, "NIfTI voxel size is not finite")
        self._check_shape(shape, dtype, offset, length)
        self._orient(affine, _MM.get(unit, math.nan))
        known = math.isfinite(low) and math.isfinite(high) and high > low
        self._window = ((low + high) / 2, high - low) if known else None

    def _check_shape(self, shape: list[int], dtype: np.dtype, offset: int, length: int) -> None:
        if not 2 <= len(shape) <= 4 or min(shape) < 1:
            raise Unreadable(Reason.BAD_GEOMETRY, f"NIfTI of {len(shape)} dimensions or empty")
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, "NIfTI voxels are no plain numbers")
        self._shape = tuple(shape + [1] * (4 - len(shape)))
        self._dtype, self._offset = dtype, offset
        self._bytes = math.prod(shape) * dtype.itemsize
        if not length <= offset <= length + self._limits.inflate_bytes:
            raise Unreadable(Reason.CORRUPT, f"NIfTI voxels begin at byte {offset}")
        if self._bytes > self._limits.decoded_bytes:
            raise Unreadable(
                Reason.IMAGE_TOO_LARGE,
                f"NIfTI volume of {self._bytes} bytes, limit {self._limits.decoded_bytes}",
            )
        size = self._path.stat().st_size
        most = self._limits.inflated(size) if self._zipped else size
        if offset + self._bytes > most:
            raise Unreadable(
                Reason.LENGTH_MISMATCH if not self._zipped else Reason.INFLATE_LIMIT,
                f"NIfTI needs {offset + self._bytes} bytes, at most {most} are there",
            )

    def _orient(self, affine: np.ndarray, unit: float) -> None:
        """How to turn the voxel axes to (left, posterior, superior), and what follows from it."""
        from nibabel import orientations

        if not np.isfinite(affine).all():
            raise Unreadable(Reason.BAD_GEOMETRY, "NIfTI affine is not finite")
        own = orientations.io_orientation(affine)
        if np.isnan(own).any():
            raise Unreadable(Reason.BAD_GEOMETRY, "NIfTI affine drops an axis")
        self._turn = orientations.ornt_transform(own, orientations.axcodes2ornt("LPS"))
        steps = np.empty(3)
        steps[self._turn[:, 0].astype(int)] = np.sqrt((affine[:3, :3] ** 2).sum(axis=0)) * unit
        sizes = np.empty(3, int)
        sizes[self._turn[:, 0].astype(int)] = self._shape[:3]
        self._spacing = (float(steps[1]), float(steps[0]))
        self.slice_spacing = float(steps[2])  # mm
        self.times = self._shape[3]
        self.frames = int(sizes[2]) * self.times
        self._limits.check_image(int(sizes[1]), int(sizes[0]), self.frames, self._bytes)

    def _read_voxels(self) -> np.ndarray:
        """The volume, turned, as (left, posterior, superior, time)."""
        from nibabel import orientations

        if self._zipped:
            data = self._gunzip(self._path.read_bytes(), self._offset + self._bytes, whole=True)
            flat = np.frombuffer(data, self._dtype, math.prod(self._shape), self._offset)
        else:
            flat = np.fromfile(self._path, self._dtype, math.prod(self._shape), offset=self._offset)
        if flat.size != math.prod(self._shape):
            raise Unreadable(Reason.TRUNCATED, "NIfTI voxels are cut off")
        return orientations.apply_orientation(flat.reshape(self._shape, order="F"), self._turn)

    def _gunzip(self, data: bytes, size: int, whole: bool) -> bytes:
        """The first `size` inflated bytes; never more are made."""
        try:
            inflated = zlib.decompressobj(31).decompress(data, size)
        except zlib.error:
            raise Unreadable(Reason.CORRUPT, "gzip data are damaged") from None
        if whole and len(inflated) < size:
            raise Unreadable(Reason.TRUNCATED, f"gzip gives {len(inflated)} of {size} bytes")
        return inflated


def _scaling(slope: float, intercept: float) -> tuple[float, float]:
    """scl_slope and scl_inter: slope 0 means none; one that is no finite number is refused."""
    if slope == 0:
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise Unreadable(Reason.BAD_RESCALE, "NIfTI slope or intercept is not finite")
    return slope, intercept


def _finite_range(volume: np.ndarray, slope: float, intercept: float) -> tuple[float, float] | None:
    """Least and greatest finite value of the volume, so that its slices share one display range."""
    if volume.dtype.kind == "f":
        finite = np.isfinite(volume)
        if not finite.any():
            raise Unreadable(Reason.NOT_FINITE, "no finite voxel")
        low, high = (
            volume.min(where=finite, initial=np.inf),
            volume.max(where=finite, initial=-np.inf),
        )
    else:
        low, high = volume.min(), volume.max()
    ends = sorted((float(low) * slope + intercept, float(high) * slope + intercept))
    return ends[0], ends[1]
