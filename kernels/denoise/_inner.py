"""`inner`: compiled code that only compiled code calls, without the door for Python.

Numba gives every compiled function two wrappers, for callers in Python and in C. They take a tenth
of the time that a kernel takes to compile; helpers do not need them.
"""

from .._cpu import compiled

inner = compiled(no_cpython_wrapper=True, no_cfunc_wrapper=True)
