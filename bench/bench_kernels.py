"""Every kernel of the catalogue, checked and timed against every peer that does the same job."""

from typing import Any

import numpy as np
import pytest

from medkern.bench.cases import Case, cases, contests
from medkern.bench.contest import Contest, NoContest, prepare, prepare_gpu
from medkern.bench.rows import Rival, make_row, show
from medkern.bench.timing import REPEATS, Timed, turn_of
from medkern.kernels import _cuda

pytestmark = [  # what peers say of very small images
    pytest.mark.filterwarnings("ignore:Bad rank filter performance:UserWarning"),
    pytest.mark.filterwarnings("ignore:Level value of:UserWarning"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    smoke = not metafunc.config.getoption("benchmark_enable")
    pool = contests(smoke) if metafunc.function is bench_cpu else cases(smoke, gpu=True)
    metafunc.parametrize("case", [pytest.param(case, id=case.id) for case in pool])


def bench_cpu(case: Case, benchmark: Any, machine: Any, report: Any) -> None:
    try:
        contest = prepare(case.kernel, case.shape, case.dtype, case.parameters, case.peer)
    except NoContest as reason:
        pytest.skip(str(reason))
    race(case, contest, "cpu", machine.name, machine.copy_gb_s, benchmark, report)


@pytest.mark.gpu
def bench_gpu(case: Case, benchmark: Any, machine: Any, report: Any) -> None:
    if reason := _cuda.available():
        pytest.skip(f"no GPU to time on: {reason}")
    from medkern.bench.machine import gpu

    card = gpu()
    contest = prepare_gpu(case.kernel, case.shape, case.dtype, case.parameters)
    race(case, contest, "gpu", f"{machine.name}+{card.name}", card.copy_gb_s, benchmark, report)


def race(
    case: Case,
    contest: Contest,
    backend: str,
    machine: str,
    roof: float,
    benchmark: Any,
    report: Any,
) -> None:
    """Take turns, the peer before us in each round, and report the row."""
    ours = Timed(contest.ours)
    theirs = Timed(contest.theirs) if contest.theirs else None
    benchmark.group = case.kernel.name
    benchmark.pedantic(ours, setup=turn_of(theirs), rounds=REPEATS, warmup_rounds=1)
    rounds = slice(-REPEATS, None)
    rival = None
    if case.peer and theirs:
        rival = Rival(
            name=case.peer.name,
            version=case.peer.version,
            mode=contest.mode,
            seconds=theirs.seconds[rounds],
        )
    row = make_row(
        kernel=case.kernel.name,
        backend=backend,
        data=case.shape.name,
        images=contest.images,
        parameters=case.parameters,
        cost=case.kernel.cost(
            np.dtype(case.dtype).itemsize, **case.kernel.resolve(case.parameters)
        ),
        seconds=ours.seconds[rounds],
        rival=rival,
        check=contest.check,
        machine=machine,
        roof_gb_s=roof,
        channels=case.kernel.channels,
    ).describe()
    report("Kernels: one batch, ratio = peer's time / ours", row, show(row))
