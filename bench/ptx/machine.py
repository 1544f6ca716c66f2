"""The state of some blocks that run together: every register is an array over all their threads.

An opcode's builder (see `opcodes.py`) turns an instruction into a closure over `Source`s and
`Target`s; the closure acts on the threads of an `Active`. Masks of threads are boolean arrays.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .fault import Fault, PtxError
from .memory import LOCAL_BASE, SHARED_BASE, Memory, Part
from .parse import DTYPES, Body, Instruction, Variable, immediate
from .races import Clock, Shadow
from .traffic import WARP, Stats, count

Size = tuple[int, int, int]
_MOST_CELLS = 1 << 22  # larger global buffers are not checked for races
_SPARSE = 1 / 8  # below this share of active threads their values are gathered first


class Active:
    """The threads that one instruction acts on."""

    def __init__(self, mask: np.ndarray):
        self.mask = mask
        self.count = int(np.count_nonzero(mask))
        self.full = self.count == mask.size
        self.sparse = self.count < _SPARSE * mask.size

    @cached_property
    def threads(self) -> np.ndarray:
        return np.flatnonzero(self.mask)

    def take(self, values: np.ndarray) -> np.ndarray:
        """The active threads' share of an array over all threads; a scalar stays one."""
        return values if self.full or not values.ndim else values[self.threads]


class Source:
    """An operand that is read: a register, a special register or a constant."""

    def __init__(self, values: np.ndarray, narrow: np.dtype | None = None):
        self._values, self._narrow = values, narrow

    def _converted(self, values: np.ndarray) -> np.ndarray:
        if self._narrow is None:
            return values
        return values.astype(f"u{self._narrow.itemsize}").view(self._narrow)

    def all(self) -> np.ndarray:
        """Over all threads, or a scalar."""
        return self._converted(self._values)

    def of(self, active: Active) -> np.ndarray:
        """Over the active threads, or a scalar."""
        return self._converted(active.take(self._values))

    def spread(self, active: Active) -> np.ndarray:
        """Over the active threads, always an array."""
        return np.broadcast_to(self.of(active), (active.count,))


class Target:
    """A register that is written; wider registers are filled by sign or zero extension."""

    def __init__(self, values: np.ndarray | None, exact: bool):
        self.values, self.exact = values, exact

    def store(self, result: np.ndarray, active: Active) -> None:
        """`result` over all threads, or a scalar."""
        if self.values is not None:
            np.copyto(self.values, result, where=active.mask, casting="unsafe")

    def scatter(self, result: np.ndarray, active: Active) -> None:
        """`result` over the active threads, or a scalar."""
        if self.values is not None:
            self.values[slice(None) if active.full else active.threads] = result


def elementwise(
    function: Callable[..., np.ndarray], sources: list[Source], target: Target
) -> Callable[[Active], None]:
    """target = function(*sources) for the active threads."""
    if isinstance(function, np.ufunc) and target.exact:

        def run(active: Active) -> None:
            if active.sparse:
                target.scatter(function(*(source.of(active) for source in sources)), active)
            elif active.full:
                function(*(source.all() for source in sources), out=target.values)
            else:
                values = (source.all() for source in sources)
                function(*values, out=target.values, where=active.mask)

        return run

    def run_any(active: Active) -> None:
        if active.sparse:
            target.scatter(function(*(source.of(active) for source in sources)), active)
        else:
            target.store(function(*(source.all() for source in sources)), active)

    return run_any


@dataclass
class Job:
    """One launch: what every machine that runs a share of its blocks is made from."""

    kernel: Body
    variables: dict[str, Variable]  # of the module
    globals: dict[str, np.ndarray]  # the bytes of those in global and constant memory
    arguments: tuple[Any, ...]
    writable: tuple[bool, ...]  # pointers to data that are not const
    grid: Size
    block: Size
    smem: int
    checks: bool
    stats: Stats | None
    shadows: dict[int, Shadow] = field(default_factory=dict)  # of global buffers, by address


class Machine:
    """Registers, memories and thread numbers of `blocks` blocks of one launch."""

    def __init__(self, job: Job, blocks: int):
        self.kernel, self.grid, self.block, self.stats = job.kernel, job.grid, job.block, job.stats
        self.per_block = math.prod(job.block)
        self.blocks, self.threads = blocks, blocks * self.per_block
        self._number_threads()
        self._place_variables(job.variables, job.smem)
        self.memory = Memory(blocks, self.per_block, self.shared_size, self.local_size)
        self.clock = Clock(self.thread, self.warp) if job.checks else None
        if job.checks:
            shared = self.memory.shared
            shared.shadow = Shadow(shared.data.size, self._granule("shared"), shared=True)
        self.params = {
            name: self._param_bytes(job, variable, index)
            for index, (name, variable) in enumerate(job.kernel.params.items())
        }
        for name, array in job.globals.items():
            self.addresses[name] = self.memory.map(array).address
        self._registers = {
            name: np.zeros(self.threads, bool if kind == "pred" else f"u{DTYPES[kind].itemsize}")
            for name, kind in job.kernel.registers.items()
        }
        self.alive = np.zeros(0, bool)
        self._fenced = any(
            isinstance(step, Instruction) and step.op in ("membar", "fence")
            for step in job.kernel.statements
        )

    def _number_threads(self) -> None:
        index = np.arange(self.threads)
        x, y, _ = self.block
        self.thread = index % self.per_block  # in its block
        self.block_of = index // self.per_block
        warps = -(-self.per_block // WARP)
        self.warps = self.blocks * warps
        self.lane = self.thread % WARP
        self.warp = self.block_of * warps + self.thread // WARP
        self.slot = self.warp * WARP + self.lane
        self.position = {axis: np.zeros(self.threads, np.uint32) for axis in "xyz"}
        self._specials = {
            "%tid.x": self.thread % x,
            "%tid.y": self.thread // x % y,
            "%tid.z": self.thread // (x * y),
            "%laneid": self.lane,
            "%warpid": self.thread // WARP,
            "%lanemask_eq": 1 << self.lane,
            "%lanemask_lt": (1 << self.lane) - 1,
            "%lanemask_le": (2 << self.lane) - 1,
            "%lanemask_gt": 0xFFFFFFFF & -(2 << self.lane),
            "%lanemask_ge": 0xFFFFFFFF & -(1 << self.lane),
            **{f"%ntid.{axis}": size for axis, size in zip("xyz", self.block, strict=True)},
            **{f"%nctaid.{axis}": size for axis, size in zip("xyz", self.grid, strict=True)},
            "%nwarpid": warps,
            "WARP_SZ": WARP,
        }

    def _place_variables(self, variables: dict[str, Variable], smem: int) -> None:
        """Addresses of shared and local variables; dynamic shared memory comes last."""
        self.addresses: dict[str, int] = {}
        ends = {"shared": 0, "local": 0}
        dynamic = []
        for name, variable in {**variables, **self.kernel.variables}.items():
            space = "local" if variable.space == "param" else variable.space
            if space not in ends:
                continue
            if not variable.size:
                dynamic.append(name)
                continue
            start = -(-ends[space] // variable.align) * variable.align
            self.addresses[name] = start
            ends[space] = start + variable.size
        for name in dynamic:
            self.addresses[name] = -(-ends["shared"] // 16) * 16
        self.local_size = ends["local"]
        self.shared_size = ends["shared"]
        if smem:
            self.shared_size = -(-ends["shared"] // 16) * 16 + smem
        self._specials["%dynamic_smem_size"] = smem
        self._specials["%total_smem_size"] = self.shared_size
        if self.stats:
            self.stats.shared_bytes = max(self.stats.shared_bytes, self.shared_size)

    def _param_bytes(self, job: Job, variable: Variable, index: int) -> np.ndarray:
        value = job.arguments[index]
        if isinstance(value, np.ndarray):
            region = self.memory.map(value)
            granule = self._granule("global")
            if job.checks and job.writable[index] and value.nbytes <= _MOST_CELLS * granule:
                fresh = Shadow(value.nbytes, granule, shared=False)
                region.shadow = job.shadows.setdefault(region.address, fresh)
            value = np.uint64(region.address)
        data = np.asarray(np.uint64(0) if value is None else value).reshape(1).view(np.uint8)
        if data.size != variable.size:
            reason = f"an argument of {data.size} bytes for a parameter of {variable.size}"
            raise PtxError(reason, self.kernel.name)
        return data

    def _granule(self, space: str) -> int:
        """Bytes of the smallest access to `space`, or to no named memory, in the kernel."""
        others = {"global", "shared", "param", "local", "const"} - {space}
        sizes = [16]
        for step in self.kernel.statements:
            if isinstance(step, Instruction):
                spaces = {mod.partition("::")[0] for mod in step.mods}
                if step.op in ("ld", "st", "atom", "red") and not others & spaces:
                    sizes.append(DTYPES[step.types[-1]].itemsize)
                elif step.op == "cp":
                    sizes.append(4)
        return min(sizes)

    def start(self, first_block: int) -> None:
        """Begin a new batch of blocks, numbered from `first_block`."""
        x, y, _ = self.grid
        number = self.block_number = first_block + self.block_of
        self.position["x"][:] = number % x
        self.position["y"][:] = number // x % y
        self.position["z"][:] = number // (x * y)
        self.alive = np.ones(self.threads, bool)
        self.memory.shared.data[:] = 0xA5
        self.memory.local.data[:] = 0xA5
        if self.clock and self.memory.shared.shadow:
            self.clock.reset()
            self.memory.shared.shadow.reset()

    # ---- operands

    def source(self, text: str, kind: str) -> Source:
        """The operand `text`, read as PTX type `kind`."""
        dtype = DTYPES[kind]
        if text in self._registers:
            return self._view(self._registers[text], dtype)
        if text in self._specials:
            values = np.asarray(self._specials[text])
            return self._view(values.astype(np.uint32), dtype)
        if found := re.fullmatch(r"%ctaid\.([xyz])", text):
            return self._view(self.position[found[1]], dtype)
        if (address := self.symbol(text)) is not None:
            return self._view(np.asarray(np.uint64(address)), dtype)
        try:
            return Source(np.asarray(immediate(text, dtype)))
        except ValueError:
            raise KeyError(text) from None

    @staticmethod
    def _view(values: np.ndarray, dtype: np.dtype) -> Source:
        if values.dtype == dtype:
            return Source(values)
        if values.dtype.itemsize == dtype.itemsize and "b" not in values.dtype.kind + dtype.kind:
            return Source(values.view(dtype))
        return Source(values, dtype)

    def target(self, text: str, kind: str) -> Target:
        """The register `text`, written as PTX type `kind`; `_` is no register."""
        if text == "_":
            return Target(None, False)
        register, dtype = self._registers[text], DTYPES[kind]
        if register.dtype.kind == "b":
            return Target(register, dtype.kind == "b")
        if register.dtype.itemsize == dtype.itemsize:
            return Target(register.view(dtype), True)
        sign = "i" if dtype.kind == "i" else "u"
        return Target(register.view(f"{sign}{register.dtype.itemsize}"), False)

    def predicate(self, text: str) -> Callable[[], np.ndarray]:
        """`%p` or `!%p`, over all threads."""
        source = self.source(text.lstrip("!"), "pred")
        return (lambda: ~source.all()) if text.startswith("!") else source.all

    def symbol(self, text: str) -> int | None:
        """Address of `name` or `name+4`, in its own space; None if there is no such variable."""
        name, _, offset = text.partition("+")
        if name not in self.addresses:
            return None
        return self.addresses[name] + int(offset or "0", 0)

    def address(self, text: str) -> Callable[[Active], np.ndarray]:
        """`[%rd1+16]`, `[variable]` or `[64]`: uint64 addresses of the active threads."""
        base, _, offset = text.strip("[] ").replace(" ", "").partition("+")
        if base in self._registers:
            source = self.source(base, "u64")
            shift = np.uint64(int(offset or "0", 0) & (2**64 - 1))
            if shift:
                return lambda active: source.spread(active) + shift
            return source.spread
        start = self.symbol(text.strip("[] "))
        fixed = np.uint64(int(base, 0) if start is None else start)
        return lambda active: np.full(active.count, fixed)

    @staticmethod
    def generic_base(space: str) -> np.uint64:
        return np.uint64({"shared": SHARED_BASE, "local": LOCAL_BASE}.get(space, 0))

    # ---- accounts

    def count(
        self,
        kind: str,
        space: str,
        text: str,
        addresses: np.ndarray,
        threads: np.ndarray,
        size: int,
    ) -> None:
        """Account for one memory instruction, if counting is on."""
        if self.stats is not None and space != "local":
            access = self.stats.accesses[kind, space, text]
            count(
                access, kind, space, addresses.view(np.int64), self.slot[threads], self.warps, size
            )

    def check(self, kind: str, part: Part, size: int, changes: np.ndarray | None = None) -> None:
        """Look for races of one memory instruction, if checking is on.

        A kernel with memory fences orders its blocks itself, which is not checked.
        """
        if self.clock and part.region.shadow:
            blocks = None if self._fenced else self.block_number
            part.region.shadow.check(kind, part, size, self.clock.stamps, blocks, changes)

    def warps_of(self, active: Active) -> int:
        """Number of warps with an active thread."""
        if active.full:
            return self.warps
        used = np.zeros(self.warps, bool)
        used[self.warp[active.threads]] = True
        return int(np.count_nonzero(used))

    def whereabouts(self, thread: int) -> tuple[Size, Size]:
        """(x, y, z) of a thread in its block, and of its block."""
        x, y, _ = self.block
        number = int(self.thread[thread])
        inside = (number % x, number // x % y, number // (x * y))
        block = tuple(int(self.position[axis][thread]) for axis in "xyz")
        return inside, (block[0], block[1], block[2])

    def error(self, fault: Fault, step: Instruction) -> PtxError:
        inside, block = self.whereabouts(int(fault.threads[0]))
        count = len(np.unique(fault.threads))
        name, text = self.kernel.name, str(step)
        return PtxError(fault.reason, name, text, step.line, inside, block, count)
