"""Moves, integer arithmetic, comparisons and selection.

Integers wrap. Packed pairs of 16 bits (`.u16x2`, `.s16x2`) are two lanes of one register.
"""

from collections.abc import Callable

import numpy as np

from . import floats
from .machine import Active, Machine, elementwise
from .opcodes import Run, items, nearest_only, opcode, operation, unsupported
from .parse import DTYPES, Instruction

Values = np.ndarray


def same(values: Values) -> Values:
    return values


# ---- moves


@opcode("mov")
def _mov(machine: Machine, step: Instruction) -> Run:
    target, source = step.operands
    size = DTYPES[step.types[-1]].itemsize
    if source.startswith("{"):
        return _pack(machine, target, items(source), size)
    if target.startswith("{"):
        return _unpack(machine, items(target), source, size)
    return operation(machine, step, same)


def _pack(machine: Machine, target: str, parts: list[str], size: int) -> Run:
    bits = 8 * size // len(parts)
    wide = np.dtype(f"u{size}")

    def joined(*values: Values) -> Values:
        shifts = [np.asarray(v).astype(wide) << wide.type(i * bits) for i, v in enumerate(values)]
        return np.bitwise_or.reduce(np.broadcast_arrays(*shifts))

    sources = [machine.source(part, f"b{bits}") for part in parts]
    return elementwise(joined, sources, machine.target(target, f"b{8 * size}"))


def _unpack(machine: Machine, parts: list[str], source: str, size: int) -> Run:
    bits = 8 * size // len(parts)
    wide, narrow = np.dtype(f"u{size}"), np.dtype(f"u{bits // 8}")
    values = machine.source(source, f"b{8 * size}")
    targets = [machine.target(part, f"b{bits}") for part in parts]

    def run(active: Active) -> None:
        whole = values.of(active).copy()
        for i, target in enumerate(targets):
            target.scatter((whole >> wide.type(i * bits)).astype(narrow), active)

    return run


@opcode("cvta")
def _cvta(machine: Machine, step: Instruction) -> Run:
    space = next((mod for mod in step.mods if mod in ("shared", "local")), "global")
    base = machine.generic_base(space)
    if "to" in step.mods:
        return operation(machine, step, lambda address: address - base, "u64")
    return operation(machine, step, lambda address: address + base, "u64")


@opcode("selp")
def _selp(machine: Machine, step: Instruction) -> Run:
    kind = step.types[-1]
    a, b = (machine.source(operand, kind) for operand in step.operands[1:3])
    chooser = machine.source(step.operands[3], "pred")
    target = machine.target(step.operands[0], kind)
    return elementwise(np.where, [chooser, a, b], target)


# ---- arithmetic

_PLAIN = {"add": np.add, "sub": np.subtract, "min": np.minimum, "max": np.maximum}


@opcode("add", "sub", "min", "max")
def _plain(machine: Machine, step: Instruction) -> Run:
    if packed := next((mod for mod in step.mods if mod in ("u16x2", "s16x2")), None):
        return _pairs(machine, step, _PLAIN[step.op], packed)
    if DTYPES[step.types[-1]].kind == "f":
        return floats.plain(machine, step)
    nearest_only(machine, step)
    return operation(machine, step, _PLAIN[step.op])


def _pairs(machine: Machine, step: Instruction, function: np.ufunc, packed: str) -> Run:
    lane = np.dtype("i2" if packed == "s16x2" else "u2")

    def pairs(a: Values, b: Values) -> Values:
        a, b = (np.ascontiguousarray(v).view(lane) for v in np.broadcast_arrays(a, b))
        return function(a, b).view(np.uint32)

    nearest_only(machine, step)
    return operation(machine, step, pairs, "b32")


@opcode("mul", "mad")
def _mul(machine: Machine, step: Instruction) -> Run:
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    if dtype.kind == "f":
        return floats.plain(machine, step)
    nearest_only(machine, step)
    adds = step.op == "mad"
    if "wide" in step.mods:
        wide = f"{kind[0]}{2 * int(kind[1:])}"
        sources = [machine.source(operand, kind) for operand in step.operands[1:3]]
        if adds:
            sources.append(machine.source(step.operands[3], wide))
        return elementwise(
            _wide_product(DTYPES[wide]), sources, machine.target(step.operands[0], wide)
        )
    product = _high_product if "hi" in step.mods else np.multiply
    return operation(machine, step, (lambda a, b, c: product(a, b) + c) if adds else product)


def _wide_product(wide: np.dtype) -> Callable[..., Values]:
    def product(a: Values, b: Values, c: Values | int = 0) -> Values:
        return np.multiply(a, b, dtype=wide) + c

    return product


def _high_product(a: Values, b: Values) -> Values:
    """The upper half of the product."""
    dtype, bits = np.asarray(a).dtype, 8 * np.asarray(a).dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{dtype.kind}{2 * dtype.itemsize}")
        return (np.multiply(a, b, dtype=wide) >> wide.type(bits)).astype(dtype)
    ua, ub = np.asarray(a).view(np.uint64), np.asarray(b).view(np.uint64)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = ua & low, ua >> half, ub & low, ub >> half
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & low)
    high = a1 * b1 + (middle >> half) + (other >> half)
    if dtype.kind == "i":
        zero = np.uint64(0)
        high = high - np.where(a < 0, ub, zero) - np.where(b < 0, ua, zero)
    return high.view(dtype)


@opcode("div", "rem")
def _div(machine: Machine, step: Instruction) -> Run:
    dtype = DTYPES[step.types[-1]]
    if dtype.kind == "f":
        return floats.plain(machine, step)

    def quotient(a: Values, b: Values) -> Values:
        """Towards zero; all bits set where the divisor is zero."""
        a, b = np.broadcast_arrays(a, b)
        safe = np.where(b == 0, dtype.type(1), b)
        floor = a // safe
        result = floor + ((floor * safe != a) & ((a < 0) != (safe < 0))).astype(dtype)
        return np.where(b == 0, ~dtype.type(0), result)

    if step.op == "div":
        return operation(machine, step, quotient)
    return operation(machine, step, lambda a, b: a - quotient(a, b) * b)


@opcode("neg", "abs", "not")
def _unary(machine: Machine, step: Instruction) -> Run:
    nearest_only(machine, step)
    if step.types[-1] == "pred":
        return operation(machine, step, np.logical_not)
    return operation(machine, step, {"neg": np.negative, "abs": np.abs, "not": np.invert}[step.op])


@opcode("sad")
def _sad(machine: Machine, step: Instruction) -> Run:
    return operation(machine, step, lambda a, b, c: c + (np.maximum(a, b) - np.minimum(a, b)))


@opcode("dp4a")
def _dp4a(machine: Machine, step: Instruction) -> Run:
    """c plus the dot product of four bytes of a and b."""
    kinds = [DTYPES[kind.replace("32", "8")] for kind in step.types]

    def dot(a: Values, b: Values, c: Values) -> Values:
        a, b, c = (np.ascontiguousarray(v) for v in np.broadcast_arrays(a, b, c))
        left, right = (
            v.view(kind).reshape(-1, 4).astype(np.int64)
            for v, kind in zip((a, b), kinds, strict=True)
        )
        return ((left * right).sum(axis=1) + c).astype(np.uint32)

    return operation(machine, step, dot, "u32")


# ---- comparisons

_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
_JOIN = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


@opcode("setp")
def _setp(machine: Machine, step: Instruction) -> Run:
    """p|q = a <op> b [and|or|xor c]; q is the same of the negated comparison."""
    kind = step.types[-1]
    compare = comparison(step.mods[0], DTYPES[kind])
    join = next((_JOIN[mod] for mod in step.mods[1:] if mod in _JOIN), None)
    sources = [machine.source(operand, kind) for operand in step.operands[1:3]]
    names = step.operands[0].split("|")
    if join is None and len(names) == 1:
        return elementwise(compare, sources, machine.target(names[0], "pred"))
    targets = [machine.target(name, "pred") for name in names]
    third = machine.predicate(step.operands[3]) if join else None

    def run(active: Active) -> None:
        result = compare(*(source.all() for source in sources))
        results = [result, ~result]
        if join and third:
            values = third()
            results = [join(one, values) for one in results]
        for target, one in zip(targets, results, strict=False):
            target.store(one, active)

    return run


@opcode("set")
def _set(machine: Machine, step: Instruction) -> Run:
    """All ones (integers) or 1.0 (floats) where the comparison holds."""
    result, kind = step.types
    if {"and", "or", "xor"} & set(step.mods):
        raise unsupported(machine, step)
    compare = comparison(step.mods[0], DTYPES[kind])
    yes = DTYPES[result].type(1) if DTYPES[result].kind == "f" else ~DTYPES[result].type(0)
    no = DTYPES[result].type(0)
    return operation(machine, step, lambda a, b: np.where(compare(a, b), yes, no), kind, result)


def comparison(name: str, dtype: np.dtype) -> Callable[..., Values]:
    """A comparison; the float ones that end in `u` hold for NaN, the others do not."""
    if name == "num":
        return lambda a, b: ~(np.isnan(a) | np.isnan(b))
    if name == "nan":
        return lambda a, b: np.isnan(a) | np.isnan(b)
    if dtype.kind == "f" and len(name) == 3:
        ordered = _COMPARE[name[:2]]
        return lambda a, b: ordered(a, b) | np.isnan(a) | np.isnan(b)
    if dtype.kind == "f" and name == "ne":
        return lambda a, b: (a != b) & ~np.isnan(a) & ~np.isnan(b)
    return _COMPARE[name]
