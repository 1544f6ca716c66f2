"""What the assembler says about a kernel, for any architecture, without a GPU.

NVRTC runs ptxas when it makes a cubin, and its log holds registers, spills, stack and shared
memory; the PTX shows which types a kernel computes in. Occupancy follows from these by the rules
of the CUDA programming guide (table of technical specifications per compute capability).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medkern.kernels._cuda import Function
from medkern.kernels._nvrtc import EXACT, compile

from .inline import inline
from .parse import Instruction, Program, parse

ARCHITECTURES = (80, 90, 100, 120)  # A100, H100/H200, B200, RTX 50


@dataclass(frozen=True)
class Multiprocessor:
    """Limits of one streaming multiprocessor; shared memory in bytes."""

    warps: int
    blocks: int
    shared: int
    registers: int = 65536


_KIB = 1024
MULTIPROCESSORS = {
    80: Multiprocessor(64, 32, 164 * _KIB),
    86: Multiprocessor(48, 16, 100 * _KIB),
    89: Multiprocessor(48, 24, 100 * _KIB),
    90: Multiprocessor(64, 32, 228 * _KIB),
    100: Multiprocessor(64, 32, 228 * _KIB),
    103: Multiprocessor(64, 32, 228 * _KIB),
    120: Multiprocessor(48, 24, 100 * _KIB),
}
_WARP, _REGISTER_UNIT, _SHARED_UNIT, _SHARED_RESERVED = 32, 256, 128, 1024
_PARTITIONS = 4  # of a multiprocessor; a warp's registers lie in one


@dataclass(frozen=True)
class KernelReport:
    """One kernel on one architecture; sizes in bytes, spills and stack of one thread."""

    kernel: str
    arch: int
    registers: int
    spill_stores: int
    spill_loads: int
    stack: int
    shared: int  # static
    float64: tuple[str, ...]  # instructions that compute in double precision
    largest_block: int  # threads, from __launch_bounds__; 0 if not given

    @property
    def spills(self) -> int:
        return self.spill_stores + self.spill_loads

    def occupancy(self, threads: int = 0, smem: int = 0) -> float:
        """Share of the multiprocessor's warps that can be resident, 0..1.

        For blocks of `threads` (default: the launch bound) with `smem` bytes of dynamic shared
        memory.
        """
        threads = threads or self.largest_block
        if not threads:
            raise ValueError(f"{self.kernel} has no __launch_bounds__: give the block's threads")
        limits = MULTIPROCESSORS[self.arch]
        warps = -(-threads // _WARP)
        per_warp = _rounded(self.registers * _WARP, _REGISTER_UNIT)
        by_registers = limits.registers // _PARTITIONS // per_warp * _PARTITIONS // warps
        shared = _rounded(self.shared + smem + _SHARED_RESERVED, _SHARED_UNIT)
        blocks = min(limits.blocks, limits.warps // warps, by_registers, limits.shared // shared)
        return blocks * warps / limits.warps

    def __str__(self) -> str:
        double = f", {len(self.float64)} float64 instructions" if self.float64 else ""
        full = f", occupancy {self.occupancy():.2f}" if self.largest_block else ""
        return (
            f"{self.kernel} sm_{self.arch}: {self.registers} registers, {self.spills} bytes "
            f"spilled, {self.stack} bytes stack, {self.shared} bytes shared{full}{double}"
        )


def report(
    kernel: Function | str,
    archs: Sequence[int] = ARCHITECTURES,
    macros: Mapping[str, str] | None = None,
    options: Sequence[str] = EXACT,
) -> list[KernelReport]:
    """Compile for every architecture and read the assembler's figures.

    `kernel` is a `Function` (one row an architecture), or CUDA source with its `macros` and
    `options` (one row a kernel and architecture).
    """
    source, name = kernel if isinstance(kernel, str) else kernel.source, "kernel.cu"
    wanted = None
    if isinstance(kernel, Function):
        macros, options, name = kernel.macros, kernel.cuda.options, kernel.cuda.path.name
        wanted = kernel.name
    rows = []
    for arch in archs:
        capability = divmod(arch, 10)
        log = compile(source, capability, "cubin", macros, options, name).log
        ptx = compile(source, capability, "ptx", macros, options, name).binary.decode()
        program = parse(ptx)
        for found, text in _entries(log):
            if wanted in (None, found):
                rows.append(_row(found, arch, text, program, ptx))
    if not rows:
        raise ValueError(f"{name}: the compiler's log names no kernel {wanted or ''}".strip())
    return rows


def _entries(log: str) -> list[tuple[str, str]]:
    """(kernel, its lines) from the log of `--ptxas-options=-v`."""
    pieces = re.split(r"Compiling entry function '([^']+)'[^\n]*\n", log)
    return list(zip(pieces[1::2], pieces[2::2], strict=True))


def _row(name: str, arch: int, log: str, program: Program, ptx: str) -> KernelReport:
    def number(pattern: str) -> int:
        return sum(int(value) for value in re.findall(pattern, log))

    body = inline(program, program.kernels[name])
    double = tuple(
        str(step) for step in body.statements if isinstance(step, Instruction) and _in_double(step)
    )
    bound = re.search(rf"\.entry\s+{re.escape(name)}\b[^{{]*?\.maxntid\s+([\d, ]+)", ptx)
    threads = 1 if bound else 0
    for size in bound[1].split(",") if bound else ():
        threads *= int(size)
    return KernelReport(
        kernel=name,
        arch=arch,
        registers=number(r"Used (\d+) registers"),
        spill_stores=number(r"(\d+) bytes spill stores"),
        spill_loads=number(r"(\d+) bytes spill loads"),
        stack=number(r"(\d+) bytes stack frame"),
        shared=number(r"(\d+) bytes smem"),
        float64=double,
        largest_block=threads,
    )


def _in_double(step: Instruction) -> bool:
    """Arithmetic or conversions in float64; loads, stores and moves compute nothing."""
    return "f64" in step.mods and step.op not in ("ld", "st", "mov", "selp")


def _rounded(value: int, unit: int) -> int:
    return -(-value // unit) * unit
