"""`inner`: compiled code that only compiled code calls, without machine code of its own.

Numba makes machine code of every function, and then again as a part of each function that calls
it, up to the one that Python calls; only the code of that one ever runs. An inner function is
optimised like any other, so its callers get the same code, but it ends there: no machine code, no
wrappers for Python and C, and no file in the cache, for it is in the file of its caller. That saves
a quarter to a third of the time that a kernel takes to compile.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba import _dynfunc  # pyright: ignore[reportAttributeAccessIssue]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _Library(JITCodeLibrary):
    """Code for the libraries of callers: optimised, but not made executable."""

    def _finalize_final_module(self) -> None:
        self._finalized = True


def _no_executable(library: Any, function: Any, environment: Any) -> Any:
    """What callers know the function by; there is no address behind it."""
    library._ensure_finalized()
    module = function.lookup_module()
    return _dynfunc.make_function(module, function.qualname, "", 0, environment, (library,))


class _Compiler(Compiler):
    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *rest: Any):
        library = _Library(targetctx.codegen(), "inner")
        super().__init__(typingctx, targetctx, library, *rest)
        self.state.targetctx.get_executable = _no_executable  # the context of this function alone


def inner(function: Callable[..., Any]) -> Any:
    """`compiled` for functions that Python never calls; arithmetic and options are the same."""
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    options |= {"nogil": True, "error_model": "numpy", "pipeline_class": _Compiler}
    return numba.njit(**options)(function)
