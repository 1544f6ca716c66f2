"""`medkern doctor`: what this machine offers, and what is missing for more."""

from typing import Annotated, Any

import typer

from ._console import progress, say, show_json, show_table

GOOD, MISSING = "good", "missing"


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile every kernel now, so that no run has to.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Check devices, codecs, threads, the compile cache and versions.

    Example: medkern doctor --warm
    """
    if warm:
        _compile_catalogue()
    findings = [*_devices(), *_threads(), *_cache(), *_codecs(), *_versions()]
    if json:
        show_json([dict(zip(("check", "state", "detail"), f, strict=True)) for f in findings])
    else:
        show_table("", ("check", "state", "detail"), findings)


def _devices() -> list[tuple[str, str, str]]:
    from medkern.engine.learn import devices
    from medkern.kernels import _cuda

    reason = _cuda.available()
    return [
        ("kernels on the GPU", MISSING if reason else GOOD, reason or "CuPy sees a CUDA device"),
        ("network (JAX)", GOOD, ", ".join(devices())),
    ]


def _threads() -> list[tuple[str, str, str]]:
    import numba

    from medkern.kernels._cpu import parallel_threads

    layer = parallel_threads()
    safe = layer != "workqueue"
    detail = f"{numba.get_num_threads()} threads, layer {layer}"
    if not safe:
        detail += ": two Python threads that run kernels would end the process; install OpenMP"
    return [("threads", GOOD if safe else "unsafe", detail)]


def _cache() -> list[tuple[str, str, str]]:
    from medkern.kernels._cpu import cache_folder, cache_root

    folder = cache_folder()
    if folder is None:
        detail = f"{cache_root()} cannot be made private: every process compiles anew"
        return [("compile cache", MISSING, f"{detail}; set MEDKERN_CACHE to a folder of yours")]
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    return [("compile cache", GOOD, f"{folder}: {len(files)} files, {size:.1f} MB")]


def _codecs() -> list[tuple[str, str, str]]:
    from medkern.engine.ingest import codecs

    return [
        (f"codec {name}", GOOD if present else MISSING, "" if present else "update imagecodecs")
        for name, present in codecs().items()
    ]


def _versions() -> list[tuple[str, str, str]]:
    from medkern.engine.report import environment

    return [(name, GOOD, value) for name, value in environment("cpu").items() if name != "device"]


def _compile_catalogue() -> None:
    """Compile in parallel processes: the compiler itself uses one core."""
    import os
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from medkern.kernels import catalogue

    jobs = [(name, dtype) for name, kernel in catalogue().items() for dtype in kernel.dtypes]
    workers = min(os.cpu_count() or 1, len(jobs))
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        progress("compiling", len(jobs), "kernels") as advance,
    ):
        for line in pool.map(_compile, jobs):
            advance(1)
            say(line)


def _compile(job: tuple[str, str]) -> str:
    """Run one kernel on a tiny image, for each of its examples."""
    import time
    from contextlib import suppress

    import numpy as np

    from medkern.kernels import catalogue

    name, dtype = job
    kernel: Any = catalogue()[name]
    start = time.perf_counter()
    for example in kernel.examples:
        for rank in kernel.ndim:
            with suppress(ValueError):  # an example that this dtype or rank does not allow
                kernel(np.zeros((1, *(8,) * (rank - 1)), dtype), **example)
    return f"{name} {dtype}: {time.perf_counter() - start:.1f} s"
