"""Threads for compiled code: chunks of a range, run side by side without the GIL.

    run(_some_rows, n * h, images, out)      # _some_rows(first, stop, images, out), compiled

Numba's `parallel=True` does the same but compiles a function four times over; kernels are compiled
in front of the user, so their loops are compiled once, serially, and the threads are Python's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

from numba import config, get_num_threads

CHUNKS = 8  # a thread: they are handed out one by one, so that unequal ones even out

_pool: ThreadPoolExecutor | None = None


def threads() -> int:
    """How many threads a kernel may use: `numba.set_num_threads`, else `NUMBA_NUM_THREADS`."""
    return get_num_threads()


def run(work: Callable[..., Any], items: int, *args: Any, least: int = 1) -> None:
    """Call work(first, stop, *args) until the chunks cover 0 .. items - 1.

    `least` items at least make a chunk: below that a second thread costs more than it brings.
    The chunks do not depend on what runs when; results must not depend on the chunks.
    """
    chunks = min(items // max(least, 1), CHUNKS * threads())
    if chunks <= 1 or threads() == 1:
        work(0, items, *args)
        return
    tickets = count()  # `next` of a count is one step under the GIL

    def serve() -> None:
        while (chunk := next(tickets)) < chunks:
            work(items * chunk // chunks, items * (chunk + 1) // chunks, *args)

    helpers = [_workers().submit(serve) for _ in range(min(threads(), chunks) - 1)]
    try:
        serve()
    finally:
        for helper in helpers:
            helper.result()


def _workers() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(
            config.NUMBA_NUM_THREADS,  # pyright: ignore[reportAttributeAccessIssue]
            thread_name_prefix="medkern",
        )
    return _pool


def _forget_pool() -> None:
    """A forked child has the pool's state but none of its threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
