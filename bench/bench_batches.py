"""A batch of slices against one large image of as many pixels: who has slices must not pay more."""

from typing import Any

import numpy as np
import pytest

from medkern import kernels as mk
from medkern.bench.cases import SMOKE, cases
from medkern.bench.contest import runner
from medkern.bench.shapes import SHAPES
from medkern.bench.timing import REPEATS, Spread, Timed, ratios, turn_of

SECONDS = 0.4  # about what a turn takes: slow kernels get smaller images
SIDE = 512


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every filter with the first settings it is timed with."""
    smoke = not metafunc.config.getoption("benchmark_enable")
    first: dict[str, Any] = {}
    for case in cases(smoke):
        if isinstance(case.kernel, mk.Filter) and not case.shape.depth:
            first.setdefault(case.kernel.name, case)
    metafunc.parametrize("case", [pytest.param(case, id=name) for name, case in first.items()])


def bench_slices(case: Any, benchmark: Any, machine: Any, report: Any) -> None:
    smoke = case.shape.name in SMOKE
    chosen = case.kernel.resolve(case.parameters)
    slices, large = images(case.kernel, case.dtype, chosen, smoke)
    ours = Timed(runner(case.kernel, slices, None, chosen))
    other = Timed(runner(case.kernel, large, None, chosen))
    benchmark.group = "batches"
    benchmark.pedantic(ours, setup=turn_of(other), rounds=REPEATS, warmup_rounds=1)
    found = Spread.of(ratios(ours.seconds[-REPEATS:], other.seconds[-REPEATS:]))
    np.testing.assert_array_equal(ours.run()[-1], case.kernel(slices[-1:], **chosen)[0])
    row = {
        "kernel": case.kernel.name,
        "parameters": case.parameters,
        "dtype": case.dtype,
        "shape": slices.shape,
        "against": large.shape,
        "median_s": Spread.of(ours.seconds[-REPEATS:]).median,
        "ratio": found.median,
        "ratio_low": found.low,
        "ratio_high": found.high,
        "machine": machine.name,
    }
    shown = {
        "kernel": case.kernel.name,
        "dtype": case.dtype,
        "slices": "x".join(map(str, slices.shape)),
        "one image": "x".join(map(str, large.shape)),
        "ratio": f"{found.median:.3g}x",
        "range": f"{found.low:.3g} to {found.high:.3g}",
    }
    report("Batches: time of one image / time of slices with as many pixels", row, shown)


def images(
    kernel: Any, dtype: str, chosen: dict[str, Any], smoke: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(k^2, s, s) slices and one image (1, k s, k s) of the same grey levels."""
    side, across = (32, 2) if smoke else (SIDE, 4)
    shape = SHAPES["ct-chest-64x512x512"]
    while True:
        slices = shape.images(across**2, dtype)[:, :side, :side]
        large = np.ascontiguousarray(
            slices.reshape(across, across, side, side).transpose(0, 2, 1, 3)
        ).reshape(1, across * side, across * side)
        if across == 2:
            return np.ascontiguousarray(slices), large
        run = Timed(runner(kernel, large, None, chosen))
        run()
        run()
        if run.seconds[-1] < SECONDS:
            return np.ascontiguousarray(slices), large
        across //= 2
