"""How kernels are compiled for the CPU: Numba's options, a private compile cache, aligned arrays.

Numba's own disk cache is not used, for two reasons that users would meet. It serves stale code
when a helper in another file was edited, and a damaged cache file ends the process, because the
file is unpickled unchecked. Here the key holds a hash of every kernel source, each file carries a
SHA-256 of its content that is checked before anything is unpickled, files are written to a
temporary name and moved into place, and the folder is private (0700, owned by the user): a pickle
that somebody else can write is code that somebody else can run.
"""

import hashlib
import importlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

SOURCES = Path(__file__).parent
_DIGEST = hashlib.sha256().digest_size


def _load_openmp() -> None:
    """Load Numba's OpenMP layer so that its threads sleep while they wait.

    By default they spin. Where cores are shared, a spinning thread then sits on the core that the
    thread it waits for needs, for a whole time slice: small batches took 8 ms instead of 0.06 ms.
    The variable is read once, when the library is loaded, and put back.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:  # no OpenMP here: Numba takes another layer
        pass
    finally:
        del os.environ["OMP_WAIT_POLICY"]


_load_openmp()
# `workqueue`, Numba's last resort, aborts the process when two Python threads run kernels.
if "NUMBA_THREADING_LAYER" not in os.environ:
    config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]  # pyright: ignore


@cache
def source_hash() -> str:
    """SHA-256 over the name and text of every `.py`, `.cu` and `.cuh` file of the kernels."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in (".py", ".cu", ".cuh"):
            digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def cache_root() -> Path:
    """Where compiled code is kept: `MEDKERN_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("MEDKERN_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "medkern"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "medkern" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medkern"


@cache
def cache_folder() -> Path | None:
    """The private cache folder, made if need be; None where no such folder is possible.

    Without one everything still works, only the first call of each process compiles again.
    """
    try:
        folder = cache_root()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
        shared = stat.S_IMODE(facts.st_mode) & 0o022
        if os.name == "posix" and (shared or facts.st_uid != os.getuid()):
            return None
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None


def read_checked(path: Path) -> bytes | None:
    """The content of a cache file, or None where it is missing, cut short or altered."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    digest, content = raw[:_DIGEST], raw[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def write_checked(path: Path, content: bytes) -> None:
    """Write a cache file so that a reader sees all of it or nothing; a full disk is no error."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
    except OSError:
        return


class PrivateCache:
    """One file per compiled signature, named by everything that could make it stale.

    Stands where Numba keeps a dispatcher's cache; the methods are the ones Numba calls.
    """

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self.enabled = True

    @property
    def cache_path(self) -> str:
        return str(self._folder() or "")

    def load_overload(self, sig: Any, target_context: Any) -> CompileResult | None:
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        content = read_checked(path) if path and self.enabled else None
        if content is None:
            return None
        return CompileResult._rebuild(target_context, *pickle.loads(content))

    def save_overload(self, sig: Any, cres: Any) -> None:
        path = self._path(sig, cres.codegen)
        if path and self.enabled and not cres.library.has_dynamic_globals:
            write_checked(path, dumps(cres._reduce()))

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def flush(self) -> None:
        if folder := self._folder():
            for path in folder.glob(f"{self._name()}-*.nbc"):
                path.unlink(missing_ok=True)

    def _name(self) -> str:
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        return name.removeprefix("medkern.kernels.")

    def _folder(self) -> Path | None:
        root = cache_folder()
        return root / "cpu" / source_hash()[:16] if root else None

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = self._folder()
        if folder is None:
            return None
        versions = (sys.version, numba.__version__, llvmlite.__version__)
        key = repr((self._name(), sig, codegen.magic_tuple(), versions))
        return folder / f"{self._name()}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.nbc"


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Numba's `njit` for kernels: releases the GIL, keeps IEEE arithmetic, caches privately.

    Without fast-math nothing is contracted or reordered, so results equal those of the GPU code,
    which is compiled without contraction too; a division by zero gives inf or NaN, as there.
    Options are Numba's (`parallel=True`, ...). The function must be a plain module-level one: a
    closure has no stable name to cache it under.
    """
    if function is None:
        return partial(compiled, **options)
    if function.__closure__:
        raise TypeError(f"{function.__qualname__} is a closure; kernels are module-level functions")
    options = {"nogil": True, "error_model": "numpy", **options}
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = PrivateCache(function)  # pyright: ignore[reportAttributeAccessIssue]
    return dispatcher


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """`np.empty` on a 64-byte boundary, so that JAX can take the array over without a copy."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def frozen_view(array: np.ndarray) -> np.ndarray:
    """A C-contiguous read-only view (a copy only where the input is not contiguous).

    Numba compiles a version for writable and another for read-only arrays; handing inputs over
    read-only always means one version, and a kernel that writes to its input does not compile.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def parallel_threads() -> str:
    """The threading layer that parallel kernels use here: `omp`, `tbb` or `workqueue`."""
    _touch(np.zeros(1, np.uint8))
    return numba.threading_layer()  # pyright: ignore[reportPrivateImportUsage]


@compiled(parallel=True)
def _touch(values: np.ndarray) -> None:
    for i in numba.prange(values.size):
        values[i] = 1
