"""The static quality of every GPU kernel, measured on compiled code: no card is needed.

A kernel that must break a rule says so in its `Quality(...)`, with the reason.
"""

from functools import cache
from typing import Any

import numpy as np
from cases import CATALOGUE, every_kernel, full, gated_case, on_gpu

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter, Stats, report
from medkern.kernels import Kernel
from medkern.kernels._cuda import Function, Launch

Counted = tuple[tuple[Launch, ...], dict[str, Stats]]


def launched(kernel: Kernel, dtype: str, parameters: dict[str, Any], rank: int) -> Counted:
    """Every launch of one case on a batch of real proportions, and what was counted."""
    return _launched(kernel.name, dtype, tuple(parameters.items()), rank)


@cache
def _launched(name: str, dtype: str, parameters: tuple[tuple[str, Any], ...], rank: int) -> Counted:
    kernel, launches = CATALOGUE[name], []
    rng = np.random.default_rng(0)
    y, x = np.indices((64, 256) if rank == 3 else (16, 128))
    smooth = 100 + 60 * np.sin(y / 9.0) * np.cos(x / 11.0)
    shape = full(kernel, (2, *y.shape) if rank == 3 else (1, 6, *y.shape))
    if kernel.channels > 1:
        smooth = smooth[..., None] * np.linspace(0.5, 1, kernel.channels)
    images = (smooth + rng.normal(0, 12, shape)).clip(0, 255).astype(dtype)
    interpreter = Interpreter(checks=False)

    def runner(launch: Launch) -> None:
        launches.append(launch)
        interpreter(launch)

    on_gpu(kernel, images, runner, **dict(parameters))
    return tuple(launches), interpreter.stats


def functions(launches: tuple[Launch, ...]) -> dict[Function, Launch]:
    return {launch.function: launch for launch in launches}


@gated_case
def test_registers_spills_and_shared_memory_on_four_architectures(kernel, dtype, parameters, rank):
    quality = kernel.quality
    launches, _ = launched(kernel, dtype, parameters, rank)
    for function, launch in functions(launches).items():
        for row in report(function):
            assert row.spills == 0, row
            assert row.registers <= quality.registers, row
            assert row.shared + launch.smem <= quality.shared_bytes, row
            assert row.largest_block >= np.prod(launch.block), f"{row}: no or small launch bounds"
            if not quality.float64:
                assert not row.float64, row


@gated_case
def test_memory_is_used_in_whole_sectors_and_banks_do_not_collide(kernel, dtype, parameters, rank):
    quality = kernel.quality
    _, counted = launched(kernel, dtype, parameters, rank)
    for function, stats in counted.items():
        worst = "; ".join(stats.worst(3))
        assert stats.sector_efficiency >= quality.sector_efficiency, f"{function}: {worst}"
        assert stats.bank_conflict_factor <= quality.bank_conflicts, f"{function}: {worst}"


@every_kernel
def test_a_broken_rule_has_its_reason(kernel: Kernel):
    usual, own = mk.Quality(), kernel.quality
    relaxed = (
        own.sector_efficiency < usual.sector_efficiency
        or own.bank_conflicts > usual.bank_conflicts
        or own.shared_bytes > usual.shared_bytes
        or own.registers > usual.registers
        or own.float64
    )
    assert not relaxed or len(own.excuse) > 20, f"{kernel.name} breaks a rule without a reason"
