"""What a result was computed with: versions, processor, threads. No host or user name."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "numpy", "numba", "pydicom", "imagecodecs", "pyarrow", "scikit-learn", "jax", "cupy-cuda13x",
)  # fmt: skip


def environment(device: str) -> dict[str, str]:
    """Names and values to print; packages that are not installed are left out."""
    found = {
        "medkern": version("medkern"),
        "device": device,
        "processor": _processor(),
        "cores": str(_cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cores() -> int:
    """Those this process may use, not all that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
