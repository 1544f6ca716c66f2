"""CUDA C++ kernels: the source beside a kernel's Python file -> compiled function -> launch.

    _source = Cuda(__file__)                                  # median.py -> median.cu
    smooth = _source.function("smooth", PIXEL=image.dtype, RADIUS=2)
    smooth((64, 64), (32, 8), image, out, height, width, 0.5)  # scalars cast to the C signature

CuPy arrays are launched on the current device and stream, from a cubin that NVRTC makes for it.
NumPy arrays are handed to the runner that `with running(runner):` put in place; the PTX
interpreter of the benchmark suite is one, so launches are tested on machines without a GPU.
"""

import functools
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ._nvrtc import EXACT, Arch, Compiled, CompileError, Kind, compile, headers

__all__ = [
    "C_TYPE",
    "CompileError",
    "Cuda",
    "Function",
    "Launch",
    "available",
    "compile",
    "empty",
    "running",
]

C_TYPE = {
    np.dtype(np.bool_): "bool",
    np.dtype(np.int8): "signed char",
    np.dtype(np.uint8): "unsigned char",
    np.dtype(np.int16): "short",
    np.dtype(np.uint16): "unsigned short",
    np.dtype(np.int32): "int",
    np.dtype(np.uint32): "unsigned int",
    np.dtype(np.int64): "long long",
    np.dtype(np.uint64): "unsigned long long",
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
}
_DTYPE = {name: dtype for dtype, name in C_TYPE.items()} | {
    "unsigned": np.dtype(np.uint32),
    "size_t": np.dtype(np.uint64),
}
_VECTOR = re.compile(r"(u?)(char|short|int|longlong|float|double)([1-4])")
_BLOCK_THREADS = 1024
_GRID_YZ = 65535
_STATIC_SHARED = 48 * 1024  # bytes; more dynamic shared memory must be asked for

Macro = str | int | np.dtype | type


# ---- who runs a launch


@dataclass(frozen=True)
class Launch:
    """One launch with checked arguments: NumPy scalars of the C types, arrays, or None (null)."""

    function: "Function"
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[Any, ...]
    smem: int


RunnerT = TypeVar("RunnerT", bound=Callable[[Launch], None])
_runner: ContextVar[Callable[[Launch], None] | None] = ContextVar("medkern_runner", default=None)


@contextmanager
def running(runner: RunnerT) -> Iterator[RunnerT]:
    """Inside the block, launches on NumPy arrays go to `runner(launch)`."""
    token = _runner.set(runner)
    try:
        yield runner
    finally:
        _runner.reset(token)


@functools.cache
def available() -> str | None:
    """None where CuPy and a CUDA device are usable, else the reason as one sentence."""
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); pip install 'medkern[cuda13]'."
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CUDA is not usable: {error}."
    return None if count else "There is no CUDA device."


def empty(like: Any, shape: Sequence[int], dtype: Any) -> Any:
    """A new array, contents undefined, of the same kind (NumPy or CuPy) as `like`."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype)
    import cupy  # pyright: ignore[reportMissingImports]

    return cupy.empty(shape, dtype)


# ---- source and signature


@dataclass(frozen=True)
class Parameter:
    """One parameter of a `__global__` function; `align` in bytes, for pointers."""

    name: str
    dtype: np.dtype
    pointer: bool = False
    const: bool = False
    align: int = 1


class Cuda:
    """The CUDA C++ source of the same name beside a Python file; read and compiled on first use.

    Sources are compiled with `options`; the default keeps float arithmetic as written
    (no fused multiply-add), so that results equal the CPU's bit for bit.
    """

    def __init__(self, file: str | Path, options: Sequence[str] = EXACT):
        self.path = Path(file).with_suffix(".cu")
        self.options = tuple(options)
        self._functions: dict[tuple, Function] = {}

    @functools.cached_property
    def source(self) -> str:
        return self.path.read_text()

    def function(self, name: str, **macros: Macro) -> "Function":
        """The `extern "C" __global__` function `name`; macros become -D definitions.

        A NumPy dtype given as a macro becomes its C type: `PIXEL=image.dtype`.
        """
        key = (name, *sorted(macros.items()))
        if key not in self._functions:
            self._functions[key] = Function(
                name, self.source, {k: _c_text(v) for k, v in macros.items()}, self
            )
        return self._functions[key]


def _c_text(value: Macro) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, np.integer)):
        return str(int(value))
    dtype = np.dtype(value)
    if dtype not in C_TYPE:
        known = ", ".join(str(d) for d in C_TYPE)
        raise TypeError(f"dtype {dtype} has no C type here; known: {known}")
    return C_TYPE[dtype]


def signature(source: str, name: str, macros: dict[str, str]) -> tuple[Parameter, ...]:
    """Parameters of `__global__ void name(...)`: scalars and pointers to scalars or vectors.

    Type names may be macros, `#define`s, `using` or `typedef` names; no templates, no structs.
    """
    source = re.sub(
        r"//[^\n]*|/\*.*?\*/", " ", "\n".join([source, *headers().values()]), flags=re.S
    )
    found = re.search(rf"__global__\b[^;{{}}]*?\b{re.escape(name)}\s*\(([^()]*)\)\s*\{{", source)
    if not found:
        raise ValueError(f"no __global__ function {name!r} in the CUDA source")
    types = dict(macros)
    types |= re.findall(r"#\s*define\s+(\w+)[ \t]+([\w ]+?)[ \t]*\n", source)
    types |= re.findall(r"\busing\s+(\w+)\s*=\s*([\w ]+?)\s*;", source)
    types |= [(new, old) for old, new in re.findall(r"\btypedef\s+([\w ]+?)\s+(\w+)\s*;", source)]
    types |= macros
    items = [item for item in found[1].split(",") if item.strip()]
    return tuple(_parameter(name, item, types) for item in items)


def _parameter(function: str, text: str, types: dict[str, str]) -> Parameter:
    words = re.sub(r"\b(__restrict__|__grid_constant__|volatile)\b", " ", text)
    const = bool(re.search(r"\bconst\b[^*]*\*", words))
    found = re.fullmatch(r"\s*([\w\s]+?)\s*(\*?)\s*(\w+)\s*", re.sub(r"\bconst\b", " ", words))
    if not found:
        raise ValueError(f"{function}: cannot read the parameter {text.strip()!r}")
    kind, star, name = " ".join(found[1].split()), found[2], found[3]
    for _ in range(8):  # names of names; eight levels end any cycle
        kind = types.get(kind, kind)
    vector = _VECTOR.fullmatch(kind)
    if vector and star:
        base = vector[2].replace("longlong", "long long")
        sign = {"": "signed " if base == "char" else "", "u": "unsigned "}[vector[1]]
        dtype = _DTYPE[sign + base]
        lanes = int(vector[3])
        return Parameter(name, dtype, True, const, dtype.itemsize * (1 if lanes == 3 else lanes))
    if kind not in _DTYPE:
        raise ValueError(f"{function}: the type {kind!r} of {name!r} is not one of {list(_DTYPE)}")
    return Parameter(name, _DTYPE[kind], bool(star), const, _DTYPE[kind].itemsize if star else 1)


# ---- launching


class Function:
    """A compiled CUDA function; call it as `function(grid, block, *args, smem=0)`.

    `grid` and `block` are ints or (x, y, z); an empty grid launches nothing. Every scalar is
    cast to the C type of the signature; arrays must be C-contiguous and of its dtype; None is
    a null pointer. `smem` is the dynamic shared memory in bytes.
    """

    def __init__(self, name: str, source: str, macros: dict[str, str], cuda: Cuda):
        self.name, self.source, self.macros, self.cuda = name, source, macros, cuda
        self.parameters = signature(source, name, macros)
        self._loaded: dict[int, Any] = {}  # by device

    def __repr__(self) -> str:
        macros = ", ".join(f"{key}={value}" for key, value in self.macros.items())
        return f"{self.cuda.path.name}:{self.name}({macros})"

    def compile(self, arch: Arch, kind: Kind = "cubin") -> Compiled:
        """The whole source, compiled with this function's macros."""
        path = self.cuda.path.name
        return compile(self.source, arch, kind, self.macros, self.cuda.options, path)

    def __call__(
        self, grid: int | Sequence[int], block: int | Sequence[int], *args: Any, smem: int = 0
    ) -> None:
        launch = Launch(self, self._grid(grid), self._block(block), self._cast(args), smem)
        if 0 in launch.grid:
            return
        arrays = [a for a in launch.args if a is not None and not isinstance(a, np.generic)]
        if not any(isinstance(array, np.ndarray) for array in arrays):
            self._launch_cupy(launch)
        elif not all(isinstance(array, np.ndarray) for array in arrays):
            raise TypeError(f"{self.name}: NumPy and GPU arrays in one launch; move them first")
        elif (runner := _runner.get()) is None:
            raise TypeError(
                f"{self.name}: a CUDA launch needs CuPy arrays (got NumPy); "
                "to run it without a GPU use `with running(interpreter):`"
            )
        else:
            runner(launch)

    def _grid(self, grid: int | Sequence[int]) -> tuple[int, int, int]:
        x, y, z = _three(grid)
        if min(x, y, z) < 0 or max(y, z) > _GRID_YZ or x >= 2**31:
            raise ValueError(
                f"{self.name}: grid {(x, y, z)}; allowed are 0..2147483647 in x, "
                f"0..{_GRID_YZ} in y and z"
            )
        return x, y, z

    def _block(self, block: int | Sequence[int]) -> tuple[int, int, int]:
        x, y, z = _three(block)
        if min(x, y, z) < 1 or z > 64 or math.prod((x, y, z)) > _BLOCK_THREADS:
            raise ValueError(
                f"{self.name}: block {(x, y, z)}; allowed are 1..{_BLOCK_THREADS} threads, z <= 64"
            )
        return x, y, z

    def _cast(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(args) != len(self.parameters):
            names = ", ".join(parameter.name for parameter in self.parameters)
            raise TypeError(
                f"{self.name} takes {len(self.parameters)} arguments ({names}), {len(args)} given"
            )
        return tuple(map(self._cast_one, self.parameters, args))

    def _cast_one(self, parameter: Parameter, value: Any) -> Any:
        what = f"{self.name}: argument {parameter.name!r}"
        if not parameter.pointer:
            return _scalar(what, parameter.dtype, value)
        if value is None:
            return None
        if not hasattr(value, "flags") or not hasattr(value, "dtype"):
            raise TypeError(f"{what} must be an array of {parameter.dtype}, got {value!r:.60}")
        if value.dtype != parameter.dtype:
            raise TypeError(f"{what} must have dtype {parameter.dtype}, got {value.dtype}")
        if not value.flags.c_contiguous:
            raise ValueError(f"{what} must be C-contiguous (strides {value.strides})")
        if not parameter.const and isinstance(value, np.ndarray) and not value.flags.writeable:
            raise ValueError(f"{what} is written by the kernel, but the array is read-only")
        if not isinstance(value, np.ndarray) and value.data.ptr % parameter.align:
            raise ValueError(f"{what} must start at a multiple of {parameter.align} bytes")
        return value

    def _launch_cupy(self, launch: Launch) -> None:
        if reason := available():
            raise RuntimeError(f"{self.name}: {reason}")
        kernel = self._load()
        if launch.smem > _STATIC_SHARED:
            kernel.max_dynamic_shared_size_bytes = launch.smem
        args = tuple(np.uint64(0) if a is None else a for a in launch.args)
        kernel(launch.grid, launch.block, args, shared_mem=launch.smem)

    def _load(self) -> Any:
        """The function as a CuPy kernel for the current device."""
        import cupy  # pyright: ignore[reportMissingImports]

        device = cupy.cuda.Device()
        if device.id not in self._loaded:
            digits = device.compute_capability  # "90", "120"
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, f"{self.name}.cubin")
                path.write_bytes(self.compile((int(digits[:-1]), int(digits[-1]))).binary)
                kernel = cupy.RawModule(path=str(path)).get_function(self.name)
                kernel.compile()  # loads the file while it is there
            self._loaded[device.id] = kernel
        return self._loaded[device.id]


def _three(size: int | Sequence[int]) -> tuple[int, int, int]:
    sizes = [size] if isinstance(size, (int, np.integer)) else list(size)
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"a launch has 1 to 3 dimensions, got {size!r}")
    x, y, z = (*map(int, sizes), 1, 1)[:3]
    return x, y, z


def _scalar(what: str, dtype: np.dtype, value: Any) -> np.generic:
    """`value` as exactly the C type; what does not fit is refused, never wrapped."""
    number = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if not isinstance(number, (bool, int, float)) or (
        dtype.kind != "f" and isinstance(number, float)
    ):
        kind = "a number" if dtype.kind == "f" else "an integer"
        raise TypeError(f"{what} must be {kind} ({dtype}), got {value!r:.60}")
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if not low <= number <= high:
            raise OverflowError(f"{what}={number} does not fit {dtype} ({low}..{high})")
    elif dtype.kind == "f" and math.isfinite(number) and abs(number) > float(np.finfo(dtype).max):
        raise OverflowError(f"{what}={number} does not fit {dtype}")
    return dtype.type(number)
