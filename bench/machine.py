"""The machine a row was measured on: what it is, what it can do, and whether it was quiet."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import numpy as np

PACKAGES = (
    *("medkern", "numpy", "scipy", "numba", "llvmlite", "jax", "scikit-learn", "pydicom"),
    *("opencv-python-headless", "scikit-image", "SimpleITK", "mahotas", "joblib", "cupy-cuda13x"),
)
NOISY = 0.10  # spread of a fixed piece of work beyond which single times mean nothing


@dataclass(frozen=True)
class Machine:
    """`copy_gb_s` counts bytes read and written; `noise` is (p90 - p10) / p50 of fixed work."""

    name: str
    cpu: str
    cores: int
    memory_gb: float
    system: str
    commit: str
    versions: dict[str, str]
    copy_gb_s: float
    noise: float
    load: float

    @property
    def noisy(self) -> str:
        """A sentence when the machine was too busy to judge single times, else empty."""
        reasons = []
        if self.noise > NOISY:
            reasons.append(f"fixed work varied by {self.noise:.0%}")
        if self.load > self.cores / 2:
            reasons.append(f"load was {self.load:.1f} on {self.cores} cores before the first row")
        if not reasons:
            return ""
        return f"noisy machine ({'; '.join(reasons)}): trust ratios and their ranges, not times"

    def describe(self) -> dict[str, Any]:
        return asdict(self) | {"noisy": self.noisy}


@cache
def this_machine() -> Machine:
    """Facts and measurements of this machine, taken once a process (about a second)."""
    return Machine(
        name=machine_name(),
        cpu=cpu_model(),
        cores=cores(),
        memory_gb=round(_memory() / 1e9, 1),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        commit=git_commit(),
        versions=versions(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0,
        copy_gb_s=round(copy_bandwidth(), 2),
        noise=round(noise(), 3),
    )


def machine_name() -> str:
    """CPU model and cores as a folder name: `amd-epyc-9654-2-cores`."""
    slug = re.sub(r"\((r|tm)\)|\bcpu\b|@.*", " ", cpu_model().lower())
    return re.sub(r"[^a-z0-9]+", "-", f"{slug} {cores()} cores").strip("-")


@cache
def cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.M)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use (a container's share, not the host's)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def copy_bandwidth(megabytes: int = 256, repeats: int = 15) -> float:
    """GB/s of copying one large array to another with all cores, read + written; best of repeats.

    The arrays are far larger than the last-level cache. It is the roof for kernels whose images
    do not fit the cache; rows that do fit may exceed it.
    """
    source = np.ones(megabytes << 20, np.uint8)
    target = np.zeros_like(source)
    parts = [
        slice(i * source.size // cores(), (i + 1) * source.size // cores()) for i in range(cores())
    ]

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    best = np.inf
    with ThreadPoolExecutor(cores()) as pool:
        for _ in range(repeats):
            start = perf_counter()
            list(pool.map(copy, parts))
            best = min(best, perf_counter() - start)
    return 2 * source.nbytes / best / 1e9


@dataclass(frozen=True)
class Card:
    """The GPU: its name and its measured copy bandwidth, read + written."""

    name: str
    copy_gb_s: float


@cache
def gpu(megabytes: int = 1024, repeats: int = 7) -> Card:
    """The current CUDA device; needs CuPy."""
    import cupy  # pyright: ignore[reportMissingImports]

    source = cupy.zeros(megabytes << 20, cupy.uint8)
    target = cupy.zeros_like(source)
    best = np.inf
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        cupy.copyto(target, source)
        end.record()
        end.synchronize()
        best = min(best, cupy.cuda.get_elapsed_time(start, end) / 1e3)
    facts = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    name = re.sub(r"[^a-z0-9]+", "-", facts["name"].decode().lower()).strip("-")
    return Card(name, 2 * source.nbytes / best / 1e9)


def noise(repeats: int = 60) -> float:
    """Relative spread, (p90 - p10) / p50, of a piece of work repeated for about 0.1 s."""
    work = np.linspace(0.0, 1.0, 1 << 16)
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        for _ in range(10):
            np.sqrt(work, out=work)
        seconds.append(perf_counter() - start)
    deciles = quantiles(seconds, n=10)
    return (deciles[8] - deciles[0]) / deciles[4]


def versions() -> dict[str, str]:
    """Versions of the packages that rows depend on; absent ones are named as such."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def git_commit() -> str:
    """Short hash of the measured tree, `+` where files differ from it, `unknown` outside git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
    except FileNotFoundError:  # no git on this machine
        return "unknown"
    return commit + ("+" if commit and git("status", "--porcelain") else "") or "unknown"


def _memory() -> int:
    if not hasattr(os, "sysconf"):
        return 0
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
