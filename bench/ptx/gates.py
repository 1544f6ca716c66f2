"""Instructions that several threads must reach together: barriers, shuffles, votes, reductions.

Threads pass a barrier when all living threads of their block wait at it. They pass a warp
instruction when every thread named in its member mask waits there, except those that had left
the kernel before the first of the warp came.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from .fault import Fault
from .machine import Active, Machine
from .opcodes import unsupported
from .parse import DTYPES, Instruction
from .traffic import WARP

Mask = np.ndarray
Exchange = Callable[[Active], None]


class Gate(ABC):
    """Where threads wait for each other."""

    def __init__(self, machine: Machine):
        self.machine = machine

    def arrive(self, arriving: Mask) -> None:  # noqa: B027  most gates need no note of it
        """These threads now wait here too."""

    @abstractmethod
    def open(self, waiting: Mask) -> Mask:
        """Act on the waiting threads that are complete, and return their mask."""


GateBuilder = Callable[[Machine, Instruction], Gate]


def is_gate(step: Instruction) -> bool:
    return step.op in _GATES


def build_gate(machine: Machine, step: Instruction) -> Gate:
    try:
        return _GATES[step.op](machine, step)
    except (KeyError, IndexError, StopIteration):
        raise unsupported(machine, step) from None


# ---- barriers


class Barrier(Gate):
    """`bar.sync a[, count]` and `bar.red.{popc,and,or} d, a, [count,] p`."""

    def __init__(self, machine: Machine, step: Instruction):
        super().__init__(machine)
        operands = list(step.operands)
        if "arrive" in step.mods:
            raise unsupported(machine, step)
        self._reduction = next((mod for mod in step.mods if mod in ("popc", "and", "or")), "")
        if self._reduction:
            self._target = machine.target(operands.pop(0), step.types[-1])
            self._predicate = machine.predicate(operands.pop())
        self._needed = machine.source(operands[1], "u32") if len(operands) > 1 else None

    def open(self, waiting: Mask) -> Mask:
        machine = self.machine
        here = self._per_block(waiting)
        if self._needed is None:
            goal = self._per_block(machine.alive)
        else:
            goal = int(np.max(self._needed.all()))
        opened = (here >= goal) & (here > 0)
        passing = waiting & opened[machine.block_of]
        if machine.clock:
            machine.clock.barrier(passing)
        if machine.stats:
            machine.stats.barriers += int(opened.sum())
        if self._reduction:
            yes = self._per_block(passing & self._predicate())
            result = {"popc": yes, "and": yes == here, "or": yes > 0}[self._reduction]
            self._target.store(result[machine.block_of], Active(passing))
        return passing

    def _per_block(self, mask: Mask) -> np.ndarray:
        return np.bincount(self.machine.block_of[mask], minlength=self.machine.blocks)


class WarpGate(Gate):
    """A warp instruction with a member mask; `act` runs once its threads are together."""

    def __init__(self, machine: Machine, members: str, act: Exchange):
        super().__init__(machine)
        self._members, self._act = machine.source(members, "u32"), act
        self._expected = np.zeros(machine.warps, np.uint32)  # lanes that lived as others came

    def arrive(self, arriving: Mask) -> None:
        warps = _ballot(self.machine, arriving) != 0
        self._expected[warps] |= _ballot(self.machine, self.machine.alive)[warps]

    def open(self, waiting: Mask) -> Mask:
        machine = self.machine
        members = np.broadcast_to(self._members.all(), waiting.shape)
        outside = waiting & (members >> machine.lane.astype(np.uint32) & 1 == 0)
        if outside.any():
            raise Fault("a thread is not in its own member mask", np.flatnonzero(outside))
        present = _ballot(machine, waiting)
        needed = members & self._expected[machine.warp]
        passing = waiting & (present[machine.warp] & needed == needed)
        if passing.any():
            self._act(Active(passing))
            self._expected[present == _ballot(machine, passing)] = 0  # nobody waits any more
        return passing


def _ballot(machine: Machine, mask: Mask) -> np.ndarray:
    """Bit i of a warp's word: its lane i is in the mask."""
    lanes = np.zeros(machine.warps * WARP, bool)
    lanes[machine.slot] = mask
    return np.packbits(lanes.reshape(-1, WARP), axis=1, bitorder="little").view(np.uint32)[:, 0]


def _barrier(machine: Machine, step: Instruction) -> Gate:
    if "warp" not in step.mods:
        return Barrier(machine, step)

    def order(active: Active) -> None:
        if machine.clock:
            machine.clock.warp_barrier(active.threads)

    return WarpGate(machine, step.operands[0], order)


# ---- exchanges within a warp


def _exchange(build: Callable[[Machine, Instruction], Exchange]) -> GateBuilder:
    """Decorator: the member mask is the last operand."""

    def builder(machine: Machine, step: Instruction) -> Gate:
        return WarpGate(machine, step.operands[-1], build(machine, step))

    return builder


def _lane_table(machine: Machine, active: Active) -> np.ndarray:
    """(warps, 32): number of the active thread in each lane, -1 where there is none."""
    table = np.full(machine.warps * WARP, -1)
    table[machine.slot[active.threads]] = active.threads
    return table.reshape(-1, WARP)


@_exchange
def _shuffle(machine: Machine, step: Instruction) -> Exchange:
    """d|p = the value of lane j; p tells whether j is in range, else the lane keeps its own."""
    names = step.operands[0].split("|")
    target = machine.target(names[0], "b32")
    in_range = machine.target(names[1], "pred") if len(names) > 1 else None
    value, by, clamp = (machine.source(operand, "b32") for operand in step.operands[1:4])
    mode = step.mods[1]

    def act(active: Active) -> None:
        lane = machine.lane[active.threads]
        delta = by.spread(active).astype(np.int64) & 31
        limits = clamp.spread(active).astype(np.int64)
        segment, bound = limits >> 8 & 31, limits & 31
        low = lane & segment
        high = low | (bound & ~segment)
        other = {
            "up": lane - delta,
            "down": lane + delta,
            "bfly": lane ^ delta,
            "idx": low | (delta & ~segment),
        }[mode]
        valid = other >= high if mode == "up" else other <= high
        other = np.where(valid, other, lane)
        origin = _lane_table(machine, active)[machine.warp[active.threads], other]
        if (origin < 0).any():
            raise Fault("a shuffle reads a lane that is not there", active.threads[origin < 0])
        values = np.broadcast_to(value.all(), machine.threads)[origin]
        target.scatter(values, active)
        if in_range:
            in_range.scatter(valid, active)

    return act


@_exchange
def _vote(machine: Machine, step: Instruction) -> Exchange:
    predicate = machine.predicate(step.operands[1])
    mode = next(mod for mod in step.mods if mod in ("all", "any", "uni", "ballot"))
    target = machine.target(step.operands[0], "b32" if mode == "ballot" else "pred")

    def act(active: Active) -> None:
        yes = _ballot(machine, active.mask & predicate())
        here = _ballot(machine, active.mask)
        results = {
            "ballot": yes,
            "all": yes == here,
            "any": yes != 0,
            "uni": (yes == 0) | (yes == here),
        }
        target.store(results[mode][machine.warp], active)

    return act


@_exchange
def _reduce(machine: Machine, step: Instruction) -> Exchange:
    kind = step.types[-1]
    functions = {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }
    function = next(functions[mod] for mod in step.mods if mod in functions)
    source, target = machine.source(step.operands[1], kind), machine.target(step.operands[0], kind)

    def act(active: Active) -> None:
        table = _lane_table(machine, active)
        values = np.broadcast_to(source.all(), machine.threads)
        limits = np.iinfo(DTYPES[kind])
        neutral = {"min": limits.max, "max": limits.min, "bitwise_and": ~values.dtype.type(0)}
        rows = np.where(table >= 0, values[table], neutral.get(function.__name__, 0))
        result = function.reduce(rows.astype(values.dtype), axis=1, dtype=values.dtype)
        target.store(result[machine.warp], active)

    return act


@_exchange
def _match(machine: Machine, step: Instruction) -> Exchange:
    """match.any: the lanes of equal value; match.all: the lanes, if all values are equal."""
    kind, names = step.types[-1], step.operands[0].split("|")
    source, target = machine.source(step.operands[1], kind), machine.target(names[0], "b32")
    flag = machine.target(names[1], "pred") if len(names) > 1 else None

    def act(active: Active) -> None:
        table = _lane_table(machine, active)
        rows = np.broadcast_to(source.all(), machine.threads)[table]
        present = table >= 0
        equal = (rows[:, :, None] == rows[:, None, :]) & present[:, None, :]
        packed = np.packbits(equal, axis=2, bitorder="little").view(np.uint32)[:, :, 0]
        mine = packed[machine.warp[active.threads], machine.lane[active.threads]]
        if "all" in step.mods:
            agreed = mine == _ballot(machine, active.mask)[machine.warp[active.threads]]
            mine = np.where(agreed, mine, np.uint32(0))
            if flag:
                flag.scatter(agreed, active)
        target.scatter(mine, active)

    return act


class ActiveMask(Gate):
    """The lanes that happen to be here: nobody waits."""

    def __init__(self, machine: Machine, step: Instruction):
        super().__init__(machine)
        self._target = machine.target(step.operands[0], "b32")

    def open(self, waiting: Mask) -> Mask:
        lanes = _ballot(self.machine, waiting)
        self._target.store(lanes[self.machine.warp], Active(waiting))
        return waiting


_GATES: dict[str, GateBuilder] = {
    "bar": _barrier,
    "barrier": _barrier,
    "shfl": _shuffle,
    "vote": _vote,
    "redux": _reduce,
    "match": _match,
    "activemask": ActiveMask,
}
