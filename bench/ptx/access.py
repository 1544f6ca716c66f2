"""Loads, stores, atomics and asynchronous copies."""

from collections.abc import Callable

import numpy as np

from .fault import Fault
from .machine import Active, Machine, Target
from .memory import Part
from .opcodes import Run, items, opcode, unsupported
from .parse import DTYPES, Instruction

Values = np.ndarray


def _space(machine: Machine, step: Instruction, address: str) -> str:
    """The memory an instruction names; `.param` of a called function is local memory."""
    names = [mod.partition("::")[0] for mod in step.mods]
    space = next((n for n in names if n in ("param", "global", "shared", "local", "const")), "")
    if space == "param":
        base = address.strip("[] ").partition("+")[0]
        return "param" if base in machine.params else "local"
    return {"": "generic", "const": "global"}.get(space, space)


# ---- loads and stores


@opcode("ld", "ldu")
def _load(machine: Machine, step: Instruction) -> Run:
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    targets = [machine.target(name, kind) for name in items(step.operands[0])]
    space = _space(machine, step, step.operands[1])
    if space == "param":
        return _load_param(machine, step.operands[1], targets, dtype)
    address = machine.address(step.operands[1])
    size, text = dtype.itemsize * len(targets), str(step)

    def run(active: Active) -> None:
        where = address(active)
        for part in machine.memory.parts(space, where, active.threads, size):
            machine.count("load", part.space, text, where[part.select], part.threads, size)
            machine.check("read", part, size)
            values, first = _elements(part, dtype)
            everyone = active.full and len(part.threads) == machine.threads
            for i, target in enumerate(targets):
                if target.values is None:
                    continue
                if everyone:
                    target.values[:] = values[first + i]
                else:
                    target.values[part.threads] = values[first + i]

    return run


def _load_param(machine: Machine, address: str, targets: list[Target], dtype: np.dtype) -> Run:
    name, _, offset = address.strip("[] ").replace(" ", "").partition("+")
    start = int(offset or 0)
    data = machine.params[name][start : start + dtype.itemsize * len(targets)].view(dtype)

    def run(active: Active) -> None:
        for target, value in zip(targets, data, strict=True):
            target.store(value, active)

    return run


def _elements(part: Part, dtype: np.dtype) -> tuple[Values, Values]:
    """(elements of the region, index of each thread's first)."""
    values, lead = part.region.typed(dtype)
    return values, (part.offsets - lead) // dtype.itemsize


@opcode("st")
def _store(machine: Machine, step: Instruction) -> Run:
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    sources = [machine.source(name, kind) for name in items(step.operands[1])]
    space = _space(machine, step, step.operands[0])
    address = machine.address(step.operands[0])
    size, text = dtype.itemsize * len(sources), str(step)

    def run(active: Active) -> None:
        where = address(active)
        given = [source.spread(active) for source in sources]
        for part in machine.memory.parts(space, where, active.threads, size):
            machine.count("store", part.space, text, where[part.select], part.threads, size)
            _write(machine, part, [values[part.select] for values in given], dtype)

    return run


def _write(machine: Machine, part: Part, given: list[Values], dtype: np.dtype) -> None:
    """Store one vector a thread, and check that no two threads store different values."""
    values, first = _elements(part, dtype)
    checked = machine.clock is not None and part.region.shadow is not None
    if checked:
        old = [values[first + i] for i in range(len(given))]
        changes = np.logical_or.reduce([_differ(a, b) for a, b in zip(old, given, strict=True)])
        machine.check("write", part, dtype.itemsize * len(given), changes)
    _writable(part)
    for i, new in enumerate(given):
        values[first + i] = new
        if checked and (lost := _differ(values[first + i], new)).any():
            raise Fault(f"{part.space}-memory race, two threads write at once", part.threads[lost])


def _differ(a: Values, b: Values) -> Values:
    """Bitwise: NaN equals itself."""
    unsigned = f"u{a.dtype.itemsize}"
    return np.ascontiguousarray(a).view(unsigned) != np.ascontiguousarray(b).view(unsigned)


def _writable(part: Part) -> None:
    if not part.region.data.flags.writeable:
        raise Fault("write to a read-only array", part.threads)


@opcode("cp")
def _copy_async(machine: Machine, step: Instruction) -> Run:
    """`cp.async`: done at once; its completion is only known through the barriers, as on a card."""
    if "async" not in step.mods or "bulk" in step.mods:
        raise unsupported(machine, step)
    if "shared" not in [mod.partition("::")[0] for mod in step.mods]:
        return lambda active: None  # commit_group, wait_group, wait_all
    target, origin, length, *more = step.operands
    if more:
        raise unsupported(machine, step)
    size, text = int(length, 0), str(step)
    to, of = machine.address(target), machine.address(origin)
    word = np.dtype(np.uint32)

    def run(active: Active) -> None:
        where, there = to(active), of(active)
        data = np.empty((active.count, size // word.itemsize), word)
        for part in machine.memory.parts("global", there, active.threads, size):
            machine.count("load", "global", text, there[part.select], part.threads, size)
            values, first = _elements(part, word)
            data[part.select] = values[first[:, None] + np.arange(data.shape[1])]
        for part in machine.memory.parts("shared", where, active.threads, size):
            _write(machine, part, list(data[part.select].T), word)

    return run


@opcode("membar", "fence", "prefetch", "prefetchu", "nanosleep", "discard", "applypriority")
def _nothing(machine: Machine, step: Instruction) -> Run:
    """Without effect here: memory is always coherent."""
    return lambda active: None


# ---- atomics

_UPDATE: dict[str, np.ufunc] = {
    "add": np.add,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "min": np.minimum,
    "max": np.maximum,
}


@opcode("atom", "red")
def _atomic(machine: Machine, step: Instruction) -> Run:
    kind, dtype = step.types[-1], DTYPES[step.types[-1]]
    if dtype == np.float16 or "v2" in step.mods or "v4" in step.mods:
        raise unsupported(machine, step)
    operands = list(step.operands)
    result = operands.pop(0) if step.op == "atom" else "_"
    names = (*_UPDATE, "exch", "cas", "inc", "dec")
    what = next(mod for mod in step.mods if mod in names)
    space = _space(machine, step, operands[0])
    address = machine.address(operands[0])
    sources = [machine.source(operand, kind) for operand in operands[1:]]
    target, text = machine.target(result, kind), str(step)

    def run(active: Active) -> None:
        where = address(active)
        given = [source.spread(active) for source in sources]
        for part in machine.memory.parts(space, where, active.threads, dtype.itemsize):
            machine.count(
                "atomic", part.space, text, where[part.select], part.threads, dtype.itemsize
            )
            machine.check("atomic", part, dtype.itemsize)
            _writable(part)
            values, index = _elements(part, dtype)
            mine = [one[part.select] for one in given]
            if target.values is None and what in _UPDATE:
                _UPDATE[what].at(values, index, mine[0])
                continue
            old = _in_turn(values, index, mine, _new_value(what, dtype))
            if target.values is not None:
                target.values[part.threads] = old

    return run


def _new_value(what: str, dtype: np.dtype) -> Callable[..., Values]:
    """(old, operands...) -> new."""
    zero, one = dtype.type(0), dtype.type(1)
    others: dict[str, Callable[..., Values]] = {
        "exch": lambda old, new: new,
        "cas": lambda old, expected, new: np.where(old == expected, new, old),
        "inc": lambda old, top: np.where(old >= top, zero, old + one),
        "dec": lambda old, top: np.where((old == zero) | (old > top), top, old - one),
    }
    return _UPDATE[what] if what in _UPDATE else others[what]


def _in_turn(
    values: Values, index: Values, operands: list[Values], new: Callable[..., Values]
) -> Values:
    """Apply `new` one thread after another at each address; return the values found.

    Turn k serves the k-th thread of every address at once.
    """
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.ones(len(ordered), bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(len(ordered))
    turn = place - np.maximum.accumulate(np.where(starts, place, 0))
    found = np.empty(len(index), values.dtype)
    for k in range(int(turn.max()) + 1):
        now = order[turn == k]
        found[now] = values[index[now]]
        values[index[now]] = new(found[now], *(operand[now] for operand in operands))
    return found
