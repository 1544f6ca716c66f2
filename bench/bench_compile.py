"""What a user waits for at a kernel's first call: compiled, then from the cache, then steady.

Every time comes from a fresh process. `cold` starts with an empty cache folder, `cached` with the
folder that the cold call left behind. Imports are not counted, they are the same for all kernels.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from medkern.bench.cases import Case, cases, parameter_sets
from medkern.bench.timing import Spread

TURNS = 3
LIMIT = 3.0  # seconds a kernel and dtype may compile


@dataclass(frozen=True)
class Turn:
    cold: float
    cold_cpu: float
    cached: float
    steady: float
    check: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a kernel and dtype: the first parameter set, on the smallest shape."""
    smallest = {case.kernel.name: case for case in reversed(list(cases(smoke=True)))}
    chosen = [
        replace(case, dtype=dtype, parameters=next(parameter_sets(case.kernel, case.shape, dtype)))
        for case in smallest.values()
        for dtype in case.kernel.dtypes
    ]
    if not metafunc.config.getoption("benchmark_enable"):
        chosen = chosen[:1]  # a process costs seconds
    metafunc.parametrize("case", [pytest.param(case, id=case.name) for case in chosen])


def bench_first_call(case: Case, tmp_path: Path, benchmark: Any, machine: Any, report: Any) -> None:
    turns: list[Turn] = []

    def turn() -> None:
        cache = tmp_path / str(len(turns))
        cold, cached = child(case, cache), child(case, cache)
        turns.append(
            Turn(
                cold=cold["first"],
                cold_cpu=cold["first_cpu"],
                cached=cached["first"],
                steady=cached["steady"],
                check=cached["check"],
            )
        )

    benchmark.group = "first call"
    benchmark.pedantic(turn, rounds=TURNS)
    cold = Spread.of([turn.cold for turn in turns])
    cold_cpu = Spread.of([turn.cold_cpu for turn in turns])
    cached = Spread.of([turn.cached for turn in turns])
    steady = Spread.of([turn.steady for turn in turns])
    assert any(tmp_path.glob("*/cpu/*/*.nbc")), "the kernel left nothing in the cache"
    row = {
        "kernel": case.kernel.name,
        "backend": "cpu",
        "shape": case.shape.full,
        "dtype": case.dtype,
        "parameters": case.parameters,
        "median_s": cold.median,
        "low_s": cold.low,
        "high_s": cold.high,
        "cpu_s": cold_cpu.median,
        "cached_s": cached.median,
        "cached_low_s": cached.low,
        "cached_high_s": cached.high,
        "steady_s": steady.median,
        "limit_s": LIMIT,
        "checked": True,
        "check": turns[-1].check,
        "machine": machine.name,
    }
    shown = {
        "kernel": case.kernel.name,
        "dtype": case.dtype,
        "cold s": f"{cold.median:.2f}",
        "range": f"{cold.low:.2f} to {cold.high:.2f}",
        "CPU s": f"{cold_cpu.median:.2f}",
        "cached s": f"{cached.median:.3f}",
        "range ": f"{cached.low:.3f} to {cached.high:.3f}",
        "steady s": f"{steady.median:.5f}",
        "": "over the limit" if cold.median > LIMIT else "",
    }
    report("First call: compiled, from the cache, steady", row, shown)


def child(case: Case, cache: Path) -> dict[str, Any]:
    """One fresh process with the cache folder `cache`."""
    job = {
        "kernel": case.kernel.name,
        "shape": case.shape.name,
        "dtype": case.dtype,
        "parameters": case.parameters,
    }
    done = subprocess.run(
        [sys.executable, "-m", "medkern.bench.first_call", json.dumps(job)],
        env=os.environ | {"MEDKERN_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
