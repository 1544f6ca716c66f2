"""What a kernel is, and the only place where a backend is chosen.

A kernel ties together a NumPy `reference` (the definition), a `cpu` and a `gpu` function with the
same signature, its parameters, and what tests and benchmarks must know about it. There are two:

    Filter    images (n, h, w) -> images of the same shape and dtype    mk.median(images, radius=2)
    Measure   images + masks   -> values (regions, features) and names  mk.glcm(images, masks)

Volumes are another rank, (n, d, h, w), never guessed: kernels whose `ndim` has 4 take them. Colours
are a last axis, (n, h, w, 3), as decoders give them: kernels with `channels=3` take nothing else.

The array decides where the work is done: NumPy in -> CPU, CuPy in -> GPU, JAX in -> the device it
lives on; the result comes back in the same kind. There is no `device=`: the engine moves a batch
once, and a function that could quietly run elsewhere would make every timing a guess.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from . import _cuda
from ._cpu import aligned_empty, frozen_view
from ._parameter import Parameter

Family = Literal["denoise", "enhance", "texture"]


class Feature(NamedTuple):
    """One feature of a measure: name, tag in its standard (IBSI), formula and unit."""

    name: str
    tag: str
    formula: str
    unit: str = ""  # of a number without one


@dataclass(frozen=True)
class Cost:
    """The least a kernel must do for one pixel: bytes moved to and from memory, and operations."""

    bytes: float
    operations: float


@dataclass(frozen=True)
class Quality:
    """Caps that the compiled GPU code keeps; `excuse` says why a usual rule is broken."""

    registers: int = 64
    shared_bytes: int = 48 * 1024
    sector_efficiency: float = 0.7  # bytes used / bytes of the 32-byte sectors touched
    bank_conflicts: float = 1.1  # shared-memory cycles a request
    float64: bool = False
    excuse: str = ""


@dataclass(frozen=True, kw_only=True)
class Kernel(ABC):
    """The common part of `Filter` and `Measure`; see the module's docstring.

    `reference`, `cpu` and `gpu` are written by the kernel's file. `tolerance` is the largest
    relative difference from the reference (of a filter: relative to the largest pixel; integer
    pixels may be one level apart, where a value lies between two), `gpu_tolerance` the same between
    CPU and GPU; 0 means bit for bit. `cost` gives `Cost` a pixel from (itemsize, **parameters);
    `examples` are the parameter sets that the contract test runs, the first on every dtype;
    `validate(dtype, shape, **parameters)` raises `ValueError` for what does not go together;
    `made_of` names the kernels whose code this one runs, and which are tested by themselves.
    `inputs` names further arrays of the images' shape and dtype, with their meaning; they are given
    by keyword, and are None if absent unless they are `required`.
    """

    name: str
    family: Family
    reference: Callable[..., Any]
    cpu: Callable[..., None]
    gpu: Callable[..., None]
    dtypes: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    cost: Callable[..., Cost]
    peers: tuple[str, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ({},)
    ndim: tuple[int, ...] = (3,)
    tolerance: float = 0.0
    gpu_tolerance: float = 0.0
    quality: Quality = field(default_factory=Quality)
    validate: Callable[..., None] | None = None
    made_of: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    channels: int = 1

    @abstractmethod
    def __call__(self, images: Any, **parameters: Any) -> Any:
        """Check everything, choose the backend by the array, run."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self._document())
        object.__setattr__(self, "__name__", self.name)

    @property
    def module_doc(self) -> str:
        return inspect.getdoc(inspect.getmodule(self.reference)) or ""

    @property
    def summary(self) -> str:
        """First line of the kernel file's docstring."""
        return self.module_doc.partition("\n")[0].rstrip(".")

    @property
    def source(self) -> str:
        """The paper or standard that the kernel's file names in its `source` field."""
        found = re.search(r"^source\s+(.*(?:\n\s{8,}.*)*)", self.module_doc, re.M)
        return " ".join(found[1].split()) if found else ""

    def describe(self) -> dict[str, Any]:
        """The catalogue entry, ready for JSON."""
        return {
            "name": self.name,
            "family": self.family,
            "summary": self.summary,
            "backends": ["cpu", "gpu"],
            "dtypes": list(self.dtypes),
            "ndim": list(self.ndim),
            "channels": self.channels,
            "parameters": {
                name: {
                    "default": list(p.default) if isinstance(p.default, tuple) else p.default,
                    "range": p.range,
                    "unit": p.unit,
                    "meaning": p.meaning,
                }
                for name, p in self.parameters.items()
            },
            "inputs": dict(self.inputs),
            "source": self.source,
        }

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, checked; unknown names are refused with the known ones listed."""
        unknown = [name for name in given if name not in self.parameters]
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise TypeError(f"{self.name} has no parameter {unknown[0]!r}; it knows: {known}")
        return {
            name: p.check(self.name, name, given.get(name, p.default))
            for name, p in self.parameters.items()
        }

    def settle(self, images: Any, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Checked parameters as the kernel gets them; some are n numbers, one for each image."""
        return {
            name: self.parameters[name].settle(self.name, name, value, images)
            for name, value in chosen.items()
        }

    def grid(self, images: Any) -> tuple[int, ...]:
        """The shape of images without their colours: that of masks and labels."""
        return tuple(images.shape[: len(images.shape) - len(self._colours)])

    @property
    def _colours(self) -> tuple[int, ...]:
        return (self.channels,) if self.channels > 1 else ()

    def _beside(self, images: Any, given: dict[str, Any]) -> dict[str, Any]:
        """The further arrays, taken out of the given parameters and checked; None where absent."""
        found = {name: given.pop(name, None) for name in self.inputs}
        for name, array in found.items():
            if array is None:
                if name in self.required:
                    raise TypeError(f"{self.name} needs {name}: {self.inputs[name]}")
                continue
            array, _ = _native(array)
            if type(array) is not type(images):
                raise TypeError(
                    f"{self.name}: {name} must live where the images live, "
                    f"as {type(images).__name__}"
                )
            if array.shape != images.shape or array.dtype != images.dtype:
                raise ValueError(
                    f"{self.name}: {name} is {tuple(array.shape)} {array.dtype}, "
                    f"the images {tuple(images.shape)} {images.dtype}"
                )
            found[name] = _readable(array)
        return found

    def _document(self) -> str:
        rows = [
            f"{name:<12} {p.meaning} ({f'{p.range} {p.unit}'.strip()}; default {p.default})"
            for name, p in self.parameters.items()
        ]
        return "\n".join([self.module_doc, "", "Parameters", "----------", *rows])

    def _check_images(self, images: Any) -> None:
        if not hasattr(images, "dtype") or not hasattr(images, "shape"):
            raise TypeError(f"{self.name} takes an array (n, h, w), got {type(images).__name__}")
        grid = self.grid(images)
        if len(grid) not in self.ndim or tuple(images.shape) != grid + self._colours:
            last = f", {self.channels})" if self._colours else ")"
            names = {3: "(n, h, w", 4: "(n, d, h, w"}
            ranks = " or ".join(names[n] + last for n in self.ndim)
            hint = "; one image is images[None]" if len(grid) == 2 else ""
            raise ValueError(f"{self.name} takes {ranks}, got shape {tuple(images.shape)}{hint}")
        if str(images.dtype) not in self.dtypes:
            raise TypeError(
                f"{self.name} takes {', '.join(self.dtypes)}, got {images.dtype}: "
                "convert it yourself, nothing is converted in silence"
            )


@dataclass(frozen=True, kw_only=True)
class Filter(Kernel):
    """images (n, h, w) -> the same shape, and the same dtype unless `result` says another.

    `cpu` and `gpu` are called as (images, out, **parameters, **inputs).
    `result(dtype, **parameters)` gives the dtype of the result.
    """

    result: Callable[..., Any] | None = None

    def __call__(self, images: Any, *, out: Any = None, **parameters: Any) -> Any:
        """Filter a batch; `out`, if given, receives the result and is returned."""
        images, give_back = _native(images)
        self._check_images(images)
        beside = self._beside(images, parameters)
        chosen = self.resolve(parameters)
        if self.validate:
            self.validate(images.dtype, self.grid(images), **chosen)
        out = self._output(images, out, self.result_dtype(images.dtype, **chosen))
        if out.size:
            images = _readable(images)
            run = self.cpu if isinstance(images, np.ndarray) else self.gpu
            run(images, out, **self.settle(images, chosen), **beside)
        return give_back(out)

    def result_dtype(self, dtype: Any, **chosen: Any) -> np.dtype:
        """The dtype of the result for images of `dtype`."""
        return np.dtype(dtype if self.result is None else self.result(np.dtype(dtype), **chosen))

    def _output(self, images: Any, out: Any, dtype: np.dtype) -> Any:
        if out is None:
            return _new(images, dtype)
        if type(out) is not type(images) or out.shape != images.shape or out.dtype != dtype:
            raise ValueError(
                f"{self.name}: out must be a {type(images).__name__} {images.shape} {dtype}"
            )
        if not out.flags.c_contiguous or (isinstance(out, np.ndarray) and not out.flags.writeable):
            raise ValueError(f"{self.name}: out must be C-contiguous and writable")
        if isinstance(out, np.ndarray) and np.may_share_memory(out, images):
            raise ValueError(f"{self.name}: out must not share memory with images")
        return out


@dataclass(frozen=True, kw_only=True)
class Measure(Kernel):
    """images (n, h, w) or (n, d, h, w), masks of the same shape -> values (n, features) and names.

    `cpu` and `gpu` are called as (images, masks, values, **parameters, **inputs): masks uint8, 0
    outside the region; values float32 (n, features). `names(**parameters)` gives the columns;
    `features` says what each measures, in the same order.
    """

    names: Callable[..., tuple[str, ...]]
    features: tuple[Feature, ...]

    def __call__(
        self, images: Any, masks: Any = None, **parameters: Any
    ) -> tuple[Any, tuple[str, ...]]:
        """Measure every region of a batch; without masks the whole image is the region."""
        images, give_back = _native(images)
        self._check_images(images)
        beside = self._beside(images, parameters)
        chosen = self.resolve(parameters)
        if self.validate:
            self.validate(images.dtype, self.grid(images), **chosen)
        where = self.place(images, masks)
        names = self.names(**chosen)
        values = _cuda.empty(images, (len(where), len(names)), np.float32)
        if values.size:
            if images.size == 0:
                values[...] = np.nan
            else:
                run = self.cpu if isinstance(images, np.ndarray) else self.gpu
                images = _readable(images)
                run(images, where, values, **self.settle(images, chosen), **beside)
        return give_back(values), names

    def place(self, images: Any, masks: Any = None) -> Any:
        """The second argument of `cpu`, `gpu` and `reference`: one row of values for each item."""
        if masks is None:
            masks = _cuda.empty(images, self.grid(images), np.uint8)
            masks[...] = 1
        return _readable(self._masks(images, masks))

    def _masks(self, images: Any, masks: Any) -> Any:
        masks, _ = _native(masks)
        if type(masks) is not type(images):
            raise TypeError(
                f"{self.name}: masks must live where the images live, as {type(images).__name__}"
            )
        if masks.shape != self.grid(images):
            raise ValueError(
                f"{self.name}: masks are {masks.shape}, the images {self.grid(images)}"
            )
        if str(masks.dtype) == "bool":
            return masks.view(np.uint8)
        if str(masks.dtype) != "uint8":
            raise TypeError(f"{self.name}: masks must be uint8 or bool, got {masks.dtype}")
        return masks


def _native(array: Any) -> tuple[Any, Callable[[Any], Any]]:
    """A JAX array as the NumPy or CuPy array it holds, and the way back; others unchanged."""
    if not type(array).__module__.startswith(("jax", "jaxlib")):
        return array, lambda result: result
    import jax  # the caller has imported it already

    if array.device.platform == "cpu":
        return np.asarray(array), jax.numpy.asarray
    import cupy  # pyright: ignore[reportMissingImports]

    return cupy.from_dlpack(array), jax.numpy.from_dlpack


def _readable(array: Any) -> Any:
    """C-contiguous; NumPy arrays also read-only, so that each kernel compiles once."""
    if isinstance(array, np.ndarray):
        return frozen_view(array)
    import cupy  # pyright: ignore[reportMissingImports]

    return cupy.ascontiguousarray(array)


def _new(images: Any, dtype: np.dtype) -> Any:
    if isinstance(images, np.ndarray):
        return aligned_empty(images.shape, dtype)
    return _cuda.empty(images, images.shape, dtype)
