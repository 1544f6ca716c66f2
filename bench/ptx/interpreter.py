"""The interpreter as a runner of launches.

with running(Interpreter()) as run:
    kernel.gpu(images)
print(run.stats["median"])
"""

import functools
import math

import numpy as np

from medkern.kernels._cuda import Function, Launch
from medkern.kernels._nvrtc import Arch, compile

from .fault import PtxError
from .inline import inline
from .machine import Job, Machine
from .parse import Body, Program, parse
from .schedule import Schedule
from .traffic import Stats

_BATCH_THREADS = 1 << 13  # run together: enough to hide Python, few enough for the cache


class Interpreter:
    """Runs CUDA launches on NumPy arrays, with checks and counts.

    `checks` finds races in shared memory and in the buffers that a kernel writes, also between
    blocks, and reads of uninitialised shared memory; bounds, alignment and divergent barriers
    are always checked. `count` fills `stats`, a `Stats` for each function's name. Raises
    `PtxError` at the first fault; arrays may then be half written.
    """

    def __init__(self, checks: bool = True, count: bool = True, arch: Arch = (9, 0)):
        self.checks, self.count, self.arch = checks, count, arch
        self.stats: dict[str, Stats] = {}

    def __call__(self, launch: Launch) -> None:
        function = launch.function
        program, kernel, globals_ = _loaded(function, self.arch)
        stats = self.stats.setdefault(function.name, Stats(function.name)) if self.count else None
        job = Job(
            kernel,
            program.variables,
            globals_,
            launch.args,
            tuple(p.pointer and not p.const for p in function.parameters),
            launch.grid,
            launch.block,
            launch.smem,
            self.checks,
            stats,
        )
        total = math.prod(launch.grid)
        together = max(1, _BATCH_THREADS // math.prod(launch.block))
        schedules: dict[int, Schedule] = {}
        for first in range(0, total, together):
            blocks = min(together, total - first)
            if blocks not in schedules:
                schedules[blocks] = Schedule(Machine(job, blocks))
            schedules[blocks].run(first)
        if stats:
            stats.launches += 1
            stats.blocks += total


@functools.lru_cache(maxsize=64)
def _loaded(function: Function, arch: Arch) -> tuple[Program, Body, dict[str, np.ndarray]]:
    """The parsed module, the kernel without calls, and the module's variables in memory."""
    path = function.cuda.path.name
    options = (*function.cuda.options, "--generate-line-info")
    ptx = compile(function.source, arch, "ptx", function.macros, options, path).binary
    program = parse(ptx.decode())
    if function.name not in program.kernels:
        raise PtxError('not in the compiled module; is it extern "C"?', function.name)
    kernel = inline(program, program.kernels[function.name])
    globals_ = {}
    for name, variable in program.variables.items():
        if variable.space in ("global", "const"):
            globals_[name] = np.zeros(-(-variable.size // 16) * 16, np.uint8)
            globals_[name][: len(variable.data)] = np.frombuffer(variable.data, np.uint8)
    return program, kernel, globals_
