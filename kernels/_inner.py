"""Functions that compiled code alone calls.

inner        compiled, without the wrappers for callers in Python and in C that Numba gives every
             function: they take a tenth of the time that a kernel takes to compile
instruction  emits LLVM in place of a call
"""

from collections.abc import Callable
from typing import Any

from numba.extending import intrinsic

from ._cpu import compiled

inner = compiled(no_cpython_wrapper=True, no_cfunc_wrapper=True)


def instruction(function: Callable[..., Any]) -> Any:
    """`function(typing context, argument types) -> signature, emitter` as a function for Numba."""
    return intrinsic(function)
