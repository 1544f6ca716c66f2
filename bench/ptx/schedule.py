"""Running a kernel: groups of threads at different places, the lowest place first.

The instruction list is cut into sections at labels, branches and gates. Each group of threads
waits at the start of a section; the group at the lowest one runs it, so that groups that parted
at a branch meet again after it. Groups at gates wait until no other group can run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import access, bits, convert, floats, integers  # noqa: F401  they fill the table of opcodes
from .fault import Fault, PtxError
from .gates import Gate, build_gate, is_gate
from .machine import Active, Machine
from .opcodes import Run, build, unsupported
from .parse import Body, Instruction, Label

Groups = dict[int, np.ndarray]
_BRANCHES = ("bra", "brx", "ret", "exit", "trap")
_MOST_SECTIONS = 5_000_000  # a kernel that runs longer is taken for endless


@dataclass
class Section:
    """Instructions that run one after another; a gate, if any, stands first."""

    steps: list[Instruction]


def sections(kernel: Body) -> tuple[list[Section], dict[str, int]]:
    """Cut the instruction list; also return the section each label begins."""
    cut, labels, fresh = [Section([])], {}, False
    for statement in kernel.statements:
        if isinstance(statement, Label):
            if cut[-1].steps:
                cut.append(Section([]))
            labels[statement.name] = len(cut) - 1
            continue
        if cut[-1].steps and (fresh or is_gate(statement)):
            cut.append(Section([]))
        cut[-1].steps.append(statement)
        fresh = statement.op in _BRANCHES
    if cut[-1].steps:
        cut.append(Section([]))
    cut[-1].steps.append(Instruction("ret", (), ()))
    return cut, labels


class Schedule:
    """The compiled sections of one machine."""

    def __init__(self, machine: Machine):
        self._machine = machine
        cut, self._labels = sections(machine.kernel)
        self._sections = cut
        self._gates: dict[int, Gate] = {}
        self._runs: list[list[tuple[Instruction, Callable[[], np.ndarray] | None, Run | None]]] = []
        for number, section in enumerate(self._sections):
            runs = []
            for step in section.steps:
                guard = machine.predicate("!" * step.negated + step.guard) if step.guard else None
                run = None
                if is_gate(step):
                    if step.guard:
                        raise unsupported(machine, step)
                    self._gates[number] = build_gate(machine, step)
                elif step.op not in _BRANCHES:
                    run = build(machine, step)
                runs.append((step, guard, run))
            self._runs.append(runs)
        self._ends = [s.steps[0].op in ("ret", "exit") and not s.steps[0].guard for s in cut]

    def run(self, first_block: int) -> None:
        """Run the machine's blocks, numbered from `first_block`, to their end."""
        machine = self._machine
        machine.start(first_block)
        groups: Groups = {0: machine.alive.copy()}
        with np.errstate(all="ignore"):
            for _ in range(_MOST_SECTIONS):
                if not groups:
                    return
                free = [number for number in groups if number not in self._gates]
                if free:
                    number = min(free)
                    self._run_section(number, groups.pop(number), groups)
                else:
                    self._open_gate(groups)
        raise PtxError("the kernel does not end", machine.kernel.name)

    def _open_gate(self, groups: Groups) -> None:
        for number in sorted(groups):
            waiting, step = groups[number], self._sections[number].steps[0]
            try:
                passing = self._gates[number].open(waiting)
            except Fault as fault:
                raise self._machine.error(fault, step) from None
            if passing.any():
                del groups[number]
                if (rest := waiting & ~passing).any():
                    groups[number] = rest
                self._run_section(number, passing, groups)
                return
        number = min(groups)
        others = ", ".join(str(self._sections[n].steps[0]) for n in sorted(groups)[1:])
        where = f"; others wait at `{others}`" if others else ""
        reason = f"deadlock: threads that this instruction waits for never come{where}"
        fault = Fault(reason, np.flatnonzero(groups[number]))
        raise self._machine.error(fault, self._sections[number].steps[0])

    def _run_section(self, number: int, mask: np.ndarray, groups: Groups) -> None:
        machine, whole = self._machine, Active(mask)
        self._count(number, whole)
        moves: list[tuple[int, np.ndarray]] = []
        for step, guard, run in self._runs[number]:
            if is_gate(step):
                continue
            active = whole if guard is None else Active(mask & guard())
            if run is None:
                moves += self._jumps(step, active)
                mask = mask & ~active.mask
            elif active.count:
                try:
                    run(active)
                except Fault as fault:
                    raise machine.error(fault, step) from None
        moves.append((number + 1, mask))
        self._move(moves, groups)

    def _jumps(self, step: Instruction, active: Active) -> list[tuple[int, np.ndarray]]:
        """Where a branch sends its threads."""
        machine = self._machine
        if step.op == "bra":
            return [(self._labels[step.operands[0]], active.mask)]
        if step.op == "brx":
            index = np.broadcast_to(machine.source(step.operands[0], "u32").all(), machine.threads)
            targets = machine.kernel.tables[step.operands[1]]
            return [(self._labels[t], active.mask & (index == i)) for i, t in enumerate(targets)]
        if step.op == "trap" and active.count:
            raise machine.error(Fault("trap", active.threads), step)
        machine.alive &= ~active.mask
        return []

    def _move(self, moves: list[tuple[int, np.ndarray]], groups: Groups) -> None:
        """Send threads to sections; those that only return leave before others arrive at gates."""
        moves = [(number, mask) for number, mask in moves if mask.any()]
        for number, mask in moves:
            if self._ends[number]:
                self._machine.alive &= ~mask
        for number, mask in moves:
            if self._ends[number]:
                continue
            groups[number] = groups[number] | mask if number in groups else mask
            if number in self._gates:
                self._gates[number].arrive(mask)

    def _count(self, number: int, active: Active) -> None:
        if stats := self._machine.stats:
            length = len(self._runs[number])
            stats.thread_instructions += length * active.count
            stats.warp_instructions += length * self._machine.warps_of(active)
