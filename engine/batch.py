"""Batch: equal-shape grey images with what is known about each, the unit the whole road moves.

The pixels (and masks, where there are any) may live on the CPU (NumPy) or on the GPU (CuPy);
everything else is small and stays in NumPy. A batch never changes: a stage makes a new one.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

PIXEL_TYPES = ("uint8", "uint16", "int16", "float32")


@dataclass(frozen=True, eq=False)
class Batch:
    """`n` images of `h` x `w` pixels; rows with `valid` False only pad the last batch.

    pixels    (n, h, w) uint8, uint16, int16 or float32; integer grey levels are 0 .. 2**bits - 1
    bits      grey depth, 1 .. 16
    ids       n names, one per row, unique; "" in padding rows
    masks     None, or (n, h, w) uint8 region labels, 0 outside
    spacing   (n, 2) float32, mm between pixel centres, y then x; NaN where unknown
    modality  n DICOM modality codes ("CT", "MR", "DX", ...); "" or "OT" where unknown
    window    (n, 2) float32 centre and width of the display window used; NaN where none was
    valid     (n,) bool

    NumPy arrays are held as read-only views (no copy: do not write to the arrays given in).
    Raises TypeError for a wrong dtype and ValueError for a wrong shape or length.
    """

    pixels: Any
    bits: int
    ids: tuple[str, ...]
    masks: Any
    spacing: np.ndarray
    modality: tuple[str, ...]
    window: np.ndarray
    valid: np.ndarray

    def __post_init__(self) -> None:
        if getattr(self.pixels, "ndim", None) != 3:
            raise ValueError(f"pixels must be an (n, h, w) array, not {_kind(self.pixels)}")
        if self.pixels.dtype.name not in PIXEL_TYPES:
            raise TypeError(f"pixels are {self.pixels.dtype}; allowed: {', '.join(PIXEL_TYPES)}")
        if isinstance(self.bits, bool) or not isinstance(self.bits, int):
            raise TypeError(f"bits is {self.bits!r}; it must be a whole number")
        if not 1 <= self.bits <= 16:
            raise ValueError(f"bits is {self.bits}; allowed: 1 .. 16")
        n = self.pixels.shape[0]
        _check("spacing", self.spacing, (n, 2), "float32")
        _check("window", self.window, (n, 2), "float32")
        _check("valid", self.valid, (n,), "bool")
        if self.masks is not None:
            _check("masks", self.masks, self.pixels.shape, "uint8")
        for name in ("ids", "modality"):
            names = getattr(self, name)
            if not isinstance(names, tuple) or len(names) != n:
                raise ValueError(f"{name} must be a tuple of {n} strings, one per row")
        self._check_ids()
        for name in ("pixels", "masks", "spacing", "window", "valid"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))

    def _check_ids(self) -> None:
        named = [name for name, valid in zip(self.ids, self.valid, strict=True) if valid]
        if "" in named or len(set(named)) != len(named):
            raise ValueError("ids of valid rows must be unique and not empty")
        if any(name for name, valid in zip(self.ids, self.valid, strict=True) if not valid):
            raise ValueError('ids of padding rows must be ""')

    @property
    def count(self) -> int:
        """Number of real images: rows without the padding."""
        return int(self.valid.sum())

    @property
    def device(self) -> str:
        """ "cpu" or "gpu": where the pixels are."""
        return "cpu" if isinstance(self.pixels, np.ndarray) else "gpu"

    def to(self, device: str) -> "Batch":
        """The same batch with pixels and masks on `device`, "cpu" or "gpu" (itself if there).

        RuntimeError where "gpu" is asked for and CuPy or the card is missing.
        """
        if device == self.device:
            return self
        if device == "cpu":
            return self._moved(lambda array: array.get())
        if device == "gpu":
            return self._moved(_cupy().asarray)
        raise ValueError(f"device is {device!r}; allowed: 'cpu', 'gpu'")

    def numpy(self) -> "Batch":
        """The same batch in NumPy arrays: `.to("cpu")`."""
        return self.to("cpu")

    def with_pixels(self, pixels: Any) -> "Batch":
        """A batch with other pixels of the same (n, h, w) and everything else kept."""
        if getattr(pixels, "shape", None) != self.pixels.shape:
            raise ValueError(f"pixels must be {self.pixels.shape}, not {_kind(pixels)}")
        return replace(self, pixels=pixels)

    def _moved(self, move: Any) -> "Batch":
        masks = None if self.masks is None else move(self.masks)
        return replace(self, pixels=move(self.pixels), masks=masks)


def _check(name: str, array: Any, shape: tuple[int, ...], dtype: str) -> None:
    if getattr(array, "shape", None) != shape:
        raise ValueError(f"{name} must be an array of shape {shape}, not {_kind(array)}")
    if array.dtype.name != dtype:
        raise TypeError(f"{name} is {array.dtype}; it must be {dtype}")


def _read_only(array: Any) -> Any:
    if not isinstance(array, np.ndarray):  # None, or CuPy, which has no read-only arrays
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"shape {tuple(shape)}"


def _cupy() -> Any:
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RuntimeError(
            'a batch on the GPU needs CuPy; install the extra: pip install "medkern[cuda13]"'
        ) from error
    if not cupy.is_available():
        raise RuntimeError("a batch on the GPU needs a CUDA device; CuPy finds none")
    return cupy
