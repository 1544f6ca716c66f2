"""Prepare a kernel and a peer for a fair race: equal input, right answers, best modes.

Everything that is not the race happens here: choosing the batch so that a slow peer still ends,
choosing the peer's fastest mode, warming both sides up, and checking both answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter
from typing import Any, cast

import numpy as np

from medkern import kernels as mk
from medkern.kernels import Filter, Kernel, _cuda

from .check import beside, check_peer, check_reference
from .machine import cores
from .peers import Peer
from .peers.peer import Run
from .shapes import SHAPES, Shape

SECONDS = 0.8  # a turn of the slower side takes about this long at most; the batch shrinks to fit
TOO_LONG = 12.0  # seconds a turn of the smallest fair batch (one image a core)


class NoContest(Exception):
    """Why there is no row: a missing library, unequal parameters, a peer too slow to wait for."""


@dataclass(frozen=True)
class Contest:
    """Both sides ready to run on the same images; `check` says how our answer was checked."""

    images: Any
    ours: Run
    theirs: Run | None
    mode: str
    check: str


def prepare(
    kernel: Kernel,
    shape: Shape,
    dtype: str,
    parameters: Mapping[str, Any],
    peer: Peer | None = None,
) -> Contest:
    """A checked contest on the CPU; raises `NoContest` with the reason, or `WrongResult`."""
    chosen = kernel.resolve(parameters)
    n = shape.n
    if peer:
        if reason := peer.missing or peer.refuses(dtype, **chosen):
            raise NoContest(reason)
        if len(shape.full) not in peer.ndim:
            raise NoContest(f"{peer.name} does not take {'volumes' if shape.depth else 'images'}")
        n = _batch(kernel, peer, shape, dtype, chosen)
    images, where = batch(shape.name, n, dtype)
    ours = runner(kernel, images, where, chosen)
    result = ours()
    check = check_reference(kernel, result, images, where, **chosen)
    if peer is None:
        return Contest(images, ours, None, "", check)
    mode, theirs = _fastest(peer, images, where, chosen | beside(kernel, images))
    check_peer(kernel, peer, result, theirs(), **chosen)
    return Contest(images, ours, theirs, mode, f"{check}; {peer.name} on all: {peer.agreement}")


def runner(kernel: Kernel, images: Any, where: Any, chosen: Mapping[str, Any]) -> Run:
    """The call that is timed: a filter fills `out` again and again, a measure makes its table."""
    call = cast(Callable[..., Any], kernel)
    arrays = (images,) if where is None else (images, where)
    into = beside(kernel, images)
    if isinstance(kernel, Filter):
        into["out"] = _cuda.empty(images, images.shape, kernel.result_dtype(images.dtype, **chosen))
    return lambda: call(*arrays, **into, **chosen)


@lru_cache(maxsize=3)
def batch(name: str, n: int, dtype: str) -> tuple[np.ndarray, Any]:
    """Images and regions of a named shape, made once for the cases that share them."""
    shape = SHAPES[name]
    return shape.images(n, dtype), shape.where(n)


def _batch(kernel: Kernel, peer: Peer, shape: Shape, dtype: str, chosen: Mapping[str, Any]) -> int:
    """How many images a turn: as many as the peer does in `SECONDS`, at least one a core."""
    least = min(shape.n, cores() if shape.pixels > 1 << 14 else 16 * cores())
    images, where = batch(shape.name, least, dtype)
    _, run = _fastest(peer, images, where, {**chosen, **beside(kernel, images)})
    seconds = _once(run)
    if seconds > TOO_LONG:
        raise NoContest(f"{peer.name} needs {seconds:.0f} s for {least} images: too slow to repeat")
    return int(np.clip(least * SECONDS / seconds, least, shape.n))


def _fastest(
    peer: Peer, images: np.ndarray, where: Any, chosen: Mapping[str, Any]
) -> tuple[str, Run]:
    """The peer's best mode here: each is warmed up, then the better of two runs counts."""
    seconds = {}
    for name, mode in peer.modes.items():
        run = mode(images, where, **chosen)
        first = _once(run)
        if len(peer.modes) > 1:
            seconds[name] = first if first > TOO_LONG else min(_once(run), _once(run))
        else:
            seconds[name] = first
    best = min(seconds, key=seconds.__getitem__)
    return best, peer.modes[best](images, where, **chosen)


def _once(run: Run) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


def prepare_gpu(kernel: Kernel, shape: Shape, dtype: str, parameters: Mapping[str, Any]) -> Contest:
    """A checked run on the GPU, images already there; each run ends with a synchronise."""
    import cupy  # pyright: ignore[reportMissingImports]

    chosen = kernel.resolve(parameters)
    images, where = batch(shape.name, shape.n, dtype)
    there = cupy.asarray(images)
    launch = runner(kernel, there, _on_gpu(where), chosen)

    def run() -> Any:
        result = launch()
        cupy.cuda.get_current_stream().synchronize()
        return result

    answer = run()
    answer = answer[0] if isinstance(answer, tuple) else answer
    check = check_reference(kernel, cupy.asnumpy(answer), images, where, **chosen)
    return Contest(images, run, None, "", check)


def _on_gpu(where: Any) -> Any:
    """Masks, or a table of regions, for images on the GPU."""
    import cupy  # pyright: ignore[reportMissingImports]

    if isinstance(where, mk.Regions):
        return replace(where, labels=_on_gpu(where.labels))
    return None if where is None else cupy.asarray(where)
