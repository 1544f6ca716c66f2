"""Calls of device functions, replaced by the function's body.

A call's parameters are `.param` variables of the caller; inside the body the parameters' names
are replaced by them. Recursion cannot be written this way and is refused.
"""

from itertools import count

from .fault import PtxError
from .parse import Body, Instruction, Label, Program, renamed


def inline(program: Program, kernel: Body) -> Body:
    """`kernel` without calls."""
    flat = Body(kernel.name, kernel.params)
    _append(flat, program, kernel, {}, "", (), count())
    return flat


def _append(
    flat: Body,
    program: Program,
    body: Body,
    names: dict[str, str],
    end: str,
    callers: tuple[str, ...],
    numbers: count,
) -> None:
    """Add `body` to `flat`; its returns become branches to the label `end`, if there is one."""
    if body.name in callers:
        raise PtxError(f"recursive call of {body.name} is not supported", flat.name)
    flat.registers |= {names.get(name, name): kind for name, kind in body.registers.items()}
    flat.variables |= {names.get(name, name): v for name, v in body.variables.items()}
    for name, targets in body.tables.items():
        flat.tables[names.get(name, name)] = [names.get(t, t) for t in targets]
    for statement in body.statements:
        if isinstance(statement, Label):
            flat.statements.append(Label(names.get(statement.name, statement.name)))
            continue
        step = renamed(statement, names) if names else statement
        if step.op == "call":
            _append_call(flat, program, step, (*callers, body.name), next(numbers), numbers)
        elif step.op == "ret" and end:
            flat.statements.append(
                Instruction("bra", (), (end,), step.guard, step.negated, step.line)
            )
        else:
            flat.statements.append(step)


def _append_call(
    flat: Body,
    program: Program,
    call: Instruction,
    callers: tuple[str, ...],
    number: int,
    numbers: count,
) -> None:
    """`call (returned), name, (given)`; the first and last lists may be absent."""
    returned, given = "", ""
    operands = list(call.operands)
    if operands[0].startswith("("):
        returned = operands.pop(0)
    name = operands.pop(0)
    if operands and operands[0].startswith("("):
        given = operands.pop(0)
    if call.guard or name not in program.functions:
        raise PtxError("this call is not supported", flat.name, str(call), call.line)
    callee = program.functions[name]
    names = {
        **dict(zip(callee.returns, _listed(returned), strict=True)),
        **dict(zip(callee.params, _listed(given), strict=True)),
    }
    local = [*callee.registers, *callee.variables, *callee.tables]
    local += [s.name for s in callee.statements if isinstance(s, Label)]
    names |= {one: f"{one}$${number}" for one in local}
    end = f"$end${number}"
    _append(flat, program, callee, names, end, callers, numbers)
    flat.statements.append(Label(end))


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.strip("() ").split(",") if item.strip()]
