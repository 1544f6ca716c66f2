"""Logic, shifts, bit fields and bit counts."""

import numpy as np

from .machine import Machine, Source, elementwise
from .opcodes import Run, opcode, operation, unsupported
from .parse import DTYPES, Instruction

Values = np.ndarray


@opcode("and", "or", "xor")
def _logic(machine: Machine, step: Instruction) -> Run:
    functions = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    return operation(machine, step, functions[step.op])


@opcode("shl", "shr")
def _shift(machine: Machine, step: Instruction) -> Run:
    """Shifts of the register's width or more give 0, or the sign."""
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    bits = 8 * dtype.itemsize
    function = np.left_shift if step.op == "shl" else np.right_shift
    arithmetic = step.op == "shr" and dtype.kind == "i"

    def shift(values: Values, by: Values) -> Values:
        result = function(values, np.minimum(by, bits - 1).astype(dtype))
        beyond = by >= bits
        return result if arithmetic or not beyond.any() else np.where(beyond, dtype.type(0), result)

    sources = [machine.source(step.operands[1], kind), machine.source(step.operands[2], "u32")]
    target = machine.target(step.operands[0], kind)
    fixed = sources[1].all()
    if not fixed.ndim and fixed < bits:  # the usual case: a constant in range
        sources[1] = Source(fixed.astype(dtype))
        return elementwise(function, sources, target)
    return elementwise(shift, sources, target)


@opcode("shf")
def _funnel(machine: Machine, step: Instruction) -> Run:
    left, wraps = "l" in step.mods, "wrap" in step.mods

    def funnel(low: Values, high: Values, by: Values) -> Values:
        by = (by & 31 if wraps else np.minimum(by, 32)).astype(np.uint64)
        whole = np.asarray(high).astype(np.uint64) << np.uint64(32) | low
        return (whole << by >> np.uint64(32) if left else whole >> by).astype(np.uint32)

    return operation(machine, step, funnel, "u32")


@opcode("lop3")
def _lop3(machine: Machine, step: Instruction) -> Run:
    """Any function of three bits: bit 4a + 2b + c of the table."""
    table = int(step.operands[4], 0)

    def logic(a: Values, b: Values, c: Values) -> Values:
        result = np.uint32(0)
        for row in range(8):
            if table >> row & 1:
                x, y, z = a if row & 4 else ~a, b if row & 2 else ~b, c if row & 1 else ~c
                result = result | x & y & z
        return np.asarray(result)

    sources = [machine.source(operand, "u32") for operand in step.operands[1:4]]
    return elementwise(logic, sources, machine.target(step.operands[0], "u32"))


@opcode("prmt")
def _prmt(machine: Machine, step: Instruction) -> Run:
    """Four bytes chosen from eight; bit 3 of a selector copies the chosen byte's sign."""
    if len(step.mods) > 1:
        raise unsupported(machine, step)

    def permute(a: Values, b: Values, selector: Values) -> Values:
        whole = np.asarray(b).astype(np.uint64) << np.uint64(32) | a
        result = np.uint64(0)
        for i in range(4):
            choice = np.asarray(selector >> np.uint32(4 * i)).astype(np.uint64) & np.uint64(15)
            byte = whole >> (choice & np.uint64(7)) * np.uint64(8) & np.uint64(255)
            sign = np.where(byte > 127, np.uint64(255), np.uint64(0))
            result = result | np.where(choice > 7, sign, byte) << np.uint64(8 * i)
        return np.asarray(result).astype(np.uint32)

    return operation(machine, step, permute, "u32")


@opcode("bfe")
def _bfe(machine: Machine, step: Instruction) -> Run:
    """The bit field (position, length), sign extended for signed types."""
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    bits = 8 * dtype.itemsize

    def extract(values: Values, position: Values, length: Values) -> Values:
        position, length = (np.minimum(v & 255, bits).astype(np.int64) for v in (position, length))
        end = np.minimum(position + length, bits)
        top = _shifted(values, bits - end, left=True)  # the field at the register's top
        return np.where(
            end > position,
            _shifted(top, bits - (end - position), left=False),
            dtype.type(0)
            if dtype.kind == "u"
            else _shifted(values, bits - 1, left=False) * (length > 0),
        )

    sources = [machine.source(step.operands[1], kind)]
    sources += [machine.source(operand, "u32") for operand in step.operands[2:4]]
    return elementwise(extract, sources, machine.target(step.operands[0], kind))


def _shifted(values: Values, by: Values | int, left: bool) -> Values:
    """Shift by 0..width bits; NumPy's own shifts end at width - 1."""
    values = np.asarray(values)
    dtype, bits = values.dtype, 8 * values.dtype.itemsize
    first = np.asarray(np.minimum(by, bits - 1)).astype(dtype)
    rest = (by - first.astype(np.int64)).astype(dtype)
    return values << first << rest if left else values >> first >> rest


@opcode("bfi")
def _bfi(machine: Machine, step: Instruction) -> Run:
    kind, bits = step.types[-1], 8 * DTYPES[step.types[-1]].itemsize
    dtype = np.dtype(f"u{bits // 8}")

    def insert(field: Values, into: Values, position: Values, length: Values) -> Values:
        position, length = (np.minimum(v & 255, bits).astype(np.int64) for v in (position, length))
        ones = np.asarray(~dtype.type(0))
        mask = _shifted(~_shifted(ones, length, left=True), position, left=True)
        return into & ~mask | _shifted(field, position, left=True) & mask

    sources = [machine.source(operand, f"u{bits}") for operand in step.operands[1:3]]
    sources += [machine.source(operand, "u32") for operand in step.operands[3:5]]
    return elementwise(insert, sources, machine.target(step.operands[0], kind))


@opcode("bmsk")
def _bmsk(machine: Machine, step: Instruction) -> Run:
    wraps = "wrap" in step.mods

    def mask(position: Values, length: Values) -> Values:
        limit = (lambda v: v & 31) if wraps else (lambda v: np.minimum(v, 32))
        position, length = (limit(v).astype(np.int64) for v in (position, length))
        ones = np.asarray(np.uint32(0xFFFFFFFF))
        return _shifted(~_shifted(ones, length, left=True), position, left=True)

    return operation(machine, step, mask, "u32")


@opcode("popc")
def _popc(machine: Machine, step: Instruction) -> Run:
    return operation(
        machine, step, lambda v: np.bitwise_count(v).astype(np.uint32), _unsigned(step), "u32"
    )


@opcode("clz")
def _clz(machine: Machine, step: Instruction) -> Run:
    bits = np.uint32(8 * DTYPES[step.types[-1]].itemsize)
    return operation(machine, step, lambda v: bits - _length(v), _unsigned(step), "u32")


@opcode("bfind")
def _bfind(machine: Machine, step: Instruction) -> Run:
    """Position of the highest bit that is not a sign bit; all ones where there is none."""
    dtype, from_top = DTYPES[step.types[-1]], "shiftamt" in step.mods
    bits = 8 * dtype.itemsize

    def find(values: Values) -> Values:
        if dtype.kind == "i":
            values = np.where(values < 0, ~values, values)
        length = _length(np.asarray(values).view(f"u{dtype.itemsize}"))
        place = bits - length if from_top else length - np.uint32(1)
        return np.where(length == 0, np.uint32(0xFFFFFFFF), place).astype(np.uint32)

    return operation(machine, step, find, "", "u32")


@opcode("brev")
def _brev(machine: Machine, step: Instruction) -> Run:
    def reverse(values: Values) -> Values:
        data = np.ascontiguousarray(values).reshape(-1)
        bits = np.unpackbits(data.view(np.uint8), bitorder="little").reshape(len(data), -1)
        return np.packbits(bits[:, ::-1], axis=1, bitorder="little").view(data.dtype)[:, 0]

    return operation(machine, step, reverse)


def _unsigned(step: Instruction) -> str:
    return f"u{step.types[-1][1:]}"


def _length(values: Values) -> Values:
    """Number of bits up to the highest set one."""
    values = np.asarray(values)
    smeared = values.copy()
    shift = 1
    while shift < 8 * values.dtype.itemsize:
        smeared |= smeared >> values.dtype.type(shift)
        shift *= 2
    return np.bitwise_count(smeared).astype(np.uint32)
