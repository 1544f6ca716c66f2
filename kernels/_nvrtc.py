"""NVRTC: CUDA C++ source -> cubin or PTX for any architecture, without a GPU or a driver.

The library comes from the wheel `nvidia-cuda-nvrtc` (or from an installed CUDA toolkit) and is
called through ctypes. Every result is kept on disk under the hash of all that went into it, with
a checksum: a truncated or damaged entry is compiled again.
"""

import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from ._cpu import cache_folder, read_checked, write_checked

Arch = tuple[int, int]
Kind = Literal["cubin", "ptx"]

PACKAGE = Path(__file__).parent
STANDARD = ("--std=c++17",)
EXACT = ("--fmad=false",)  # no fused multiply-add: float results equal the CPU's bit for bit


class CompileError(RuntimeError):
    """NVRTC refused a source; the message is the compiler's log, with file and line."""


class Compiled(NamedTuple):
    """`binary`, a cubin or PTX text, and the compiler's `log`."""

    binary: bytes
    log: str


def compile(
    source: str,
    arch: Arch = (9, 0),
    kind: Kind = "cubin",
    macros: Mapping[str, str] | None = None,
    options: Iterable[str] = EXACT,
    name: str = "kernel.cu",
) -> Compiled:
    """Compile CUDA C++ `source` for compute capability `arch`, e.g. (9, 0).

    `macros` become -D definitions. Any source may include the `headers`. The log of a cubin holds
    ptxas' registers, spills and shared memory. Raises `CompileError` with the compiler's messages.
    """
    if kind not in ("cubin", "ptx"):
        raise ValueError(f"kind={kind!r}: NVRTC makes 'cubin' or 'ptx'")
    flags = [*STANDARD, *options, *(f"-D{key}={value}" for key, value in (macros or {}).items())]
    if kind == "cubin":
        flags += [f"--gpu-architecture=sm_{arch[0]}{arch[1]}", "--ptxas-options=-v"]
    else:
        flags += [f"--gpu-architecture=compute_{arch[0]}{arch[1]}"]
    included = headers()
    parts = (source, included, flags, kind, name, nvrtc().version)
    folder = cache_folder()
    if folder is None:
        return nvrtc().compile(source, included, flags, kind, name)
    path = folder / "cuda" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.{kind}"
    if (compiled := _kept(path)) is None:
        compiled = nvrtc().compile(source, included, flags, kind, name)
        _keep(path, compiled)
    return compiled


def headers() -> dict[str, str]:
    """Name and text of the kernels' `.cuh` files; each is included by its bare name."""
    return {path.name: path.read_text() for path in sorted(PACKAGE.rglob("*.cuh"))}


def _kept(path: Path) -> Compiled | None:
    """A cache entry: one line of JSON, the log, then the binary."""
    if (entry := read_checked(path)) is None:
        return None
    log, _, binary = entry.partition(b"\n")
    return Compiled(binary, json.loads(log))


def _keep(path: Path, compiled: Compiled) -> None:
    write_checked(path, json.dumps(compiled.log).encode() + b"\n" + compiled.binary)


# ---- the library


@functools.cache
def nvrtc() -> "Nvrtc":
    """The NVRTC library, loaded once."""
    return Nvrtc(_find_library())


def _find_library() -> ctypes.CDLL:
    for path in _installed():
        # the library opens its builtins by bare name: they are found when loaded before
        for builtins in path.parent.glob("*nvrtc-builtins*"):
            if ".alt" not in builtins.name:
                ctypes.CDLL(str(builtins))
        return ctypes.CDLL(str(path))
    for name in ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise ImportError(
        "NVRTC, the CUDA C++ compiler, was not found; install the wheel: "
        "pip install 'nvidia-cuda-nvrtc>=13.0,<13.1'"
    )


def _installed() -> list[Path]:
    """Files of the library in the wheels' folder `nvidia`, then in a toolkit; newest first."""
    windows = sys.platform == "win32"
    file = re.compile(r"nvrtc64_(\d+)_0\.dll" if windows else r"libnvrtc\.so\.(\d+)")
    spec = importlib.util.find_spec("nvidia")
    wheels = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    toolkits = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ]
    found = []
    for roots in ([child for wheel in wheels for child in wheel.glob("*")], toolkits):
        folders = [root / inner for root in roots for inner in ("lib", "lib64", "bin")]
        paths = [path for folder in folders for path in folder.glob("*nvrtc*")]
        versions = [(int(match[1]), p) for p in paths if (match := file.fullmatch(p.name))]
        found += [path for _, path in sorted(versions, reverse=True)]
    return found


class Nvrtc:
    """The seven functions of NVRTC's C interface that compiling needs."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = (major.value, minor.value)

    def compile(
        self, source: str, headers: Mapping[str, str], flags: list[str], kind: Kind, name: str
    ) -> Compiled:
        """One program from source to binary; raises `CompileError`."""
        library, program = self._library, ctypes.c_void_p()
        texts = ctypes.c_char_p * len(headers)
        create = library.nvrtcCreateProgram(
            ctypes.byref(program),
            source.encode(),
            name.encode(),
            len(headers),
            texts(*(text.encode() for text in headers.values())),
            texts(*(file.encode() for file in headers)),
        )
        self._check(create)
        try:
            encoded = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
            status = library.nvrtcCompileProgram(program, len(flags), encoded)
            log = self._text(program, "ProgramLog").rstrip(b"\0").decode(errors="replace").strip()
            if status:
                raise CompileError(f"{name}: {self._reason(status)}\n{log}".strip())
            binary = self._text(program, "CUBIN" if kind == "cubin" else "PTX")
            return Compiled(binary if kind == "cubin" else binary.rstrip(b"\0"), log)
        finally:
            library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(program, buffer))
        return buffer.raw

    def _reason(self, status: int) -> str:
        return self._library.nvrtcGetErrorString(status).decode()

    def _check(self, status: int) -> None:
        if status:
            raise CompileError(f"NVRTC: {self._reason(status)}")
