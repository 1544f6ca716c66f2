"""The table of opcodes: a builder takes the machine and one instruction, and returns what runs it.

The builders are in `integers.py`, `floats.py`, `convert.py` (values), `access.py` (memory) and
`gates.py` (barriers and exchanges within a warp).
"""

from collections.abc import Callable

import numpy as np

from .fault import PtxError
from .machine import Active, Machine, elementwise
from .parse import Instruction

Run = Callable[[Active], None]
Builder = Callable[[Machine, Instruction], Run]
OPCODES: dict[str, Builder] = {}


def opcode(*names: str) -> Callable[[Builder], Builder]:
    """Register the builder of these opcodes."""

    def register(builder: Builder) -> Builder:
        OPCODES.update(dict.fromkeys(names, builder))
        return builder

    return register


def unsupported(machine: Machine, step: Instruction) -> PtxError:
    return PtxError("this instruction is not supported", machine.kernel.name, str(step), step.line)


def build(machine: Machine, step: Instruction) -> Run:
    """The closure that runs `step`; raises `PtxError` naming an unknown instruction."""
    try:
        return OPCODES[step.op](machine, step)
    except (KeyError, IndexError, StopIteration):
        raise unsupported(machine, step) from None


def operation(
    machine: Machine,
    step: Instruction,
    function: Callable[..., np.ndarray],
    kind: str = "",
    result: str = "",
) -> Run:
    """operands[0] = function(*the others), all of type `kind` (default: the instruction's)."""
    kind = kind or step.types[-1]
    sources = [machine.source(operand, kind) for operand in step.operands[1:]]
    if "ftz" in step.mods:
        function = _flushed(function)
    return elementwise(function, sources, machine.target(step.operands[0], result or kind))


def _flushed(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """`.ftz`: subnormal float32 operands and results count as zero of the same sign."""
    tiny = np.finfo(np.float32).tiny

    def flush(values: np.ndarray) -> np.ndarray:
        if values.dtype != np.float32:
            return values
        return np.where(np.abs(values) < tiny, np.copysign(np.float32(0), values), values)

    return lambda *values: flush(np.asarray(function(*map(flush, values))))


def nearest_only(machine: Machine, step: Instruction) -> None:
    """Refuse directed rounding, saturation and carries, which are not implemented."""
    if {"rz", "rm", "rp", "sat", "relu", "cc"} & set(step.mods):
        raise unsupported(machine, step)


def items(vector: str) -> list[str]:
    """The parts of `{a, b, c}`, or the one operand."""
    return [item.strip() for item in vector.strip("{} ").split(",")]
