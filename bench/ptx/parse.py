"""PTX text -> Program: kernels as lists of instructions, with their variables.

Only what compilers write is read: one module, `.entry` and `.func` bodies, nested scopes. Calls
of `.func`s are replaced by their bodies (see `inline.py`), so a kernel is one flat list.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np

DTYPES = {
    "pred": np.dtype(bool),
    **{f"{kind}{8 * n}": np.dtype(f"u{n}") for kind in "bu" for n in (1, 2, 4, 8)},
    **{f"s{8 * n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    **{f"f{8 * n}": np.dtype(f"f{n}") for n in (2, 4, 8)},
}


@dataclass(frozen=True)
class Instruction:
    """`@!%p op.mod.mod a, b, c;` with the line of CUDA source it comes from."""

    op: str
    mods: tuple[str, ...]
    operands: tuple[str, ...]
    guard: str = ""
    negated: bool = False
    line: str = ""

    @property
    def types(self) -> list[str]:
        return [mod for mod in self.mods if mod in DTYPES]

    def __str__(self) -> str:
        guard = f"@{'!' * self.negated}{self.guard} " if self.guard else ""
        return f"{guard}{'.'.join((self.op, *self.mods))} {', '.join(self.operands)}".strip()


@dataclass(frozen=True)
class Label:
    name: str


@dataclass(frozen=True)
class Variable:
    """Memory with a name: `size` in bytes (0: as many as the launch gives), initial `data`."""

    space: str
    size: int
    align: int
    data: bytes = b""


@dataclass
class Body:
    """One `.entry` or `.func`: what it declares and its statements in order."""

    name: str
    params: dict[str, Variable]
    returns: dict[str, Variable] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)  # name -> type
    variables: dict[str, Variable] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)  # labels of brx.idx
    statements: list[Instruction | Label] = field(default_factory=list)


@dataclass
class Program:
    kernels: dict[str, Body]
    functions: dict[str, Body]
    variables: dict[str, Variable]


def parse(text: str) -> Program:
    """Read one PTX module."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text.split("\0")[0], flags=re.S)
    files = dict(re.findall(r'\.file\s+(\d+)\s+"(?:[^"]*[/\\])?([^"/\\]*)"', text))
    program = Program({}, {}, {})
    outside, end = "", 0
    head = re.compile(
        r"\.(entry|func)\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*(?:\(([^)]*)\))?([^{;]*)([{;])"
    )
    for found in head.finditer(text):
        if found.start() < end:
            continue
        outside += text[end : found.start()]
        kind, returned, name, params, _, opening = found.groups()
        end = found.end()
        if opening == ";":  # a forward declaration
            continue
        body = Body(name, _declared(params or ""), _declared(returned or ""))
        end = _read_body(body, text, end, files)
        (program.kernels if kind == "entry" else program.functions)[name] = body
    for declaration in (outside + text[end:]).split(";"):
        found = re.search(r"\.(?:global|const|shared)\b[^;]*$", declaration)
        if found:
            program.variables |= _declared(found[0])
    return program


# ---- declarations

_DECLARATION = re.compile(
    r"\.(param|global|const|shared|local)\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+"
    r"(?:\.ptr(?:\s+\.\w+(?:\s+\d+)?)*\s+)?([\w$]+)(\[\d*\])?(?:\s*=\s*(\{[^}]*\}|[^;,]+))?"
)


def _declared(text: str) -> dict[str, Variable]:
    variables = {}
    for space, align, kind, name, count, initial in _DECLARATION.findall(text):
        dtype = DTYPES[kind]
        length = 1 if not count else int(count[1:-1] or 0)
        data = b""
        if initial:
            values = [v.strip() for v in initial.strip("{} \n").split(",") if v.strip()]
            data = b"".join(immediate(value, dtype).tobytes() for value in values)
        size = length * dtype.itemsize
        variables[name] = Variable(space, size, int(align or dtype.itemsize), data)
    return variables


def immediate(text: str, dtype: np.dtype) -> np.generic:
    """A literal as a NumPy scalar: 7, -1, 0x1F, 0f3F800000 (float bits), 0d... (double bits)."""
    if found := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})", text):
        single = np.uint32(int(found[1], 16)).view(np.float32)
        return single.view(dtype) if dtype.kind != "f" else dtype.type(single)
    if found := re.fullmatch(r"0[dD]([0-9a-fA-F]{16})", text):
        double = np.uint64(int(found[1], 16)).view(np.float64)
        return double.view(dtype) if dtype.kind != "f" else dtype.type(double)
    if dtype.kind == "f":
        return dtype.type(float(text))
    number = int(text.rstrip("U"), 0)
    if dtype.kind == "b":
        return np.bool_(number)
    wrapped = number & ((1 << 8 * dtype.itemsize) - 1)
    return np.dtype(f"u{dtype.itemsize}").type(wrapped).view(dtype)


# ---- bodies

_LINE_DIRECTIVE = re.compile(r"\.(loc|file|section)\b")
_SPACE = re.compile(r"\s*")
_TARGETS = re.compile(r"\s*\.branchtargets\s+([^;]*);")
_LABEL = re.compile(r"([\w$]+)\s*:(?!:)")
_NAME = re.compile(r"[%$\w]+")


def _read_body(body: Body, text: str, at: int, files: dict[str, str]) -> int:
    """Fill `body` from `text[at:]`; return the position after its closing brace."""
    scopes: list[dict[str, str]] = [{}]
    line = ""
    while scopes:
        at = _SPACE.match(text, at).end()  # pyright: ignore[reportOptionalMemberAccess]
        if text[at] == "{":
            scopes.append({})
            at += 1
        elif text[at] == "}":
            scopes.pop()
            at += 1
        elif _LINE_DIRECTIVE.match(text, at):
            end = text.index("\n", at)
            words = text[at:end].split()
            if words[0] == ".loc":
                line = f"{files.get(words[1], '?')}:{words[2]}"
            at = end
        elif label := _LABEL.match(text, at):
            at = label.end()
            if table := _TARGETS.match(text, at):
                body.tables[label[1]] = [name.strip() for name in table[1].split(",")]
                at = table.end()
            else:
                body.statements.append(Label(label[1]))
        else:
            end = text.index(";", at)
            _read_statement(body, " ".join(text[at:end].split()), scopes, line)
            at = end + 1
    return at


def _read_statement(body: Body, text: str, scopes: list[dict[str, str]], line: str) -> None:
    if text.startswith(".reg"):
        _, kind, names = text.split(None, 2)
        for name, count in re.findall(r"([%\w$]+)(?:<(\d+)>)?", names):
            for one in [f"{name}{i}" for i in range(int(count))] if count else [name]:
                body.registers[_scoped(one, body, scopes)] = kind.lstrip(".")
    elif text.startswith((".shared", ".local", ".param")):
        for name, variable in _declared(text).items():
            body.variables[_scoped(name, body, scopes)] = variable
    elif text and not text.startswith(".pragma"):
        for scope in scopes[::-1]:
            if scope:
                text = _NAME.sub(lambda m, names=scope: names.get(m[0], m[0]), text)
        body.statements.append(instruction(text, line))


def _scoped(name: str, body: Body, scopes: list[dict[str, str]]) -> str:
    """Names of nested scopes (inline assembly, calls) may repeat: make them unique."""
    if len(scopes) == 1:
        return name
    unique = f"{name}${len(body.registers) + len(body.variables)}"
    scopes[-1][name] = unique
    return unique


def instruction(text: str, line: str = "") -> Instruction:
    guard = re.match(r"@(!?)([%\w$]+)\s+", text)
    head, _, rest = text[guard.end() if guard else 0 :].partition(" ")
    operands = re.findall(r"(?:[^,{\[(]|\{[^}]*\}|\[[^\]]*\]|\([^)]*\))+", rest)
    op, *mods = head.split(".")
    return Instruction(
        op,
        tuple(mods),
        tuple(operand.strip() for operand in operands),
        guard[2] if guard else "",
        bool(guard and guard[1]),
        line,
    )


def renamed(old: Instruction, names: dict[str, str]) -> Instruction:
    """`old` with other names for registers, variables and labels."""
    swap = [_NAME.sub(lambda m: names.get(m[0], m[0]), operand) for operand in old.operands]
    return replace(old, operands=tuple(swap), guard=names.get(old.guard, old.guard))
