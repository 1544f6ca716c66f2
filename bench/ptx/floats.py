"""Floating point: IEEE arithmetic rounded to nearest, exact fma, and the approximations.

`.approx` instructions are computed in double precision and rounded once; a card may be up to
2 ulp off, so results that depend on them are compared with a tolerance of 1e-5 or more.
"""

from collections.abc import Callable

import numpy as np

from .machine import Machine
from .opcodes import Run, nearest_only, opcode, operation, unsupported
from .parse import DTYPES, Instruction

Values = np.ndarray


DIRECTED = ("rz", "rm", "rp")


def plain(machine: Machine, step: Instruction) -> Run:
    """add sub mul div min max mad fma of float types."""
    dtype = DTYPES[step.types[-1]]
    rounding = next((mod for mod in step.mods if mod in DIRECTED), "")
    if {"relu", "cc"} & set(step.mods) or (rounding and (dtype == np.float64 or step.op == "div")):
        raise unsupported(machine, step)
    if step.op in ("min", "max"):
        function = _extreme(step.op == "min", "NaN" in step.mods)
    elif step.op in ("mad", "fma"):
        function = _fma64 if dtype == np.float64 else _fma_by_double(dtype, rounding)
    elif rounding:
        function = _by_double(step.op, dtype, rounding)
    else:
        function = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[
            step.op
        ]
    if "sat" in step.mods:
        return operation(machine, step, lambda *values: unit(function(*values)))
    return operation(machine, step, function)


def unit(values: Values) -> Values:
    """Saturation of floats: into [0, 1], NaN to 0."""
    return np.clip(np.nan_to_num(values, nan=0.0), 0, 1).astype(values.dtype)


def directed(exact: Values, nearest: Values, rounding: str) -> Values:
    """From rounding to nearest to rounding toward zero (rz), down (rm) or up (rp)."""
    if rounding not in DIRECTED:
        return nearest
    excess = nearest.astype(exact.dtype) - exact
    down, up = excess > 0, excess < 0
    if rounding == "rz":
        down, up = down & (exact > 0), up & (exact < 0)
    infinity = nearest.dtype.type(np.inf)
    if rounding != "rp":
        nearest = np.where(down, np.nextafter(nearest, -infinity), nearest)
    if rounding != "rm":
        nearest = np.where(up, np.nextafter(nearest, infinity), nearest)
    return nearest


def _extreme(smaller: bool, keep_nan: bool) -> Callable[[Values, Values], Values]:
    """min or max; -0 is below +0, and NaN counts as missing unless `.NaN` is asked for."""
    if keep_nan:
        function = np.minimum if smaller else np.maximum
    else:
        function = np.fmin if smaller else np.fmax

    def extreme(a: Values, b: Values) -> Values:
        result = function(a, b)
        zeros = (result == 0) & (a == b)
        if zeros.any():
            negative = np.signbit(a) | np.signbit(b) if smaller else np.signbit(a) & np.signbit(b)
            zero = result.dtype.type(0)
            result = np.where(zeros, np.where(negative, -zero, zero), result)
        return result

    return extreme


@opcode("fma")
def _fma(machine: Machine, step: Instruction) -> Run:
    """a * b + c, rounded once."""
    return plain(machine, step)


def _two_sum(a: Values, b: Values) -> tuple[Values, Values]:
    """a + b and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _to_odd(total: Values, error: Values) -> Values:
    """`total + error` rounded to odd: what a later rounding to fewer bits needs to be exact."""
    bits = np.asarray(total).view(np.int64)
    even = (bits & 1 == 0) & (error != 0) & np.isfinite(total)
    towards = np.where(error > 0, np.inf, -np.inf)
    return np.where(even, np.nextafter(total, towards), total)


def _by_double(op: str, dtype: np.dtype, rounding: str) -> Callable[[Values, Values], Values]:
    """Directed rounding of add, sub, mul, through the fused form."""
    fused, one, zero = _fma_by_double(dtype, rounding), dtype.type(1), dtype.type(0)
    forms: dict[str, Callable[[Values, Values], Values]] = {
        "add": lambda a, b: fused(a, one, b),
        "sub": lambda a, b: fused(b, -one, a),
        "mul": lambda a, b: fused(a, b, zero),
    }
    return forms[op]


def _fma_by_double(dtype: np.dtype, rounding: str) -> Callable[[Values, Values, Values], Values]:
    """The product is exact in double; only sums near a tie of the result need care."""
    tiny = np.finfo(dtype).tiny
    spare = np.int64((1 << 52 - np.finfo(dtype).nmant) - 1)  # bits below the result's last
    tie = np.int64(1 << 51 - np.finfo(dtype).nmant)

    def fused(a: Values, b: Values, c: Values) -> Values:
        product = np.multiply(a, b, dtype=np.float64)
        addend = np.asarray(c).astype(np.float64)
        total = product + addend
        near_tie = (total.view(np.int64) & spare == tie) | (np.abs(total) < tiny)
        if rounding or np.any(near_tie):
            total = _to_odd(*_two_sum(product, addend))
        return directed(total, total.astype(dtype), rounding)

    return fused


def _fma64(a: Values, b: Values, c: Values) -> Values:
    """Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008."""
    high, low = _two_product(*np.broadcast_arrays(a, b))
    inner, inner_error = _two_sum(np.asarray(c), low)
    outer, outer_error = _two_sum(high, inner)
    result = outer + _to_odd(*_two_sum(inner_error, outer_error))
    return np.where(np.isfinite(result), result, a * b + c)


def _two_product(a: Values, b: Values) -> tuple[Values, Values]:
    """a * b and its rounding error (Dekker, with Veltkamp's splitting)."""
    product = a * b
    (a1, a0), (b1, b0) = _split(a), _split(b)
    return product, a0 * b0 - (((product - a1 * b1) - a0 * b1) - a1 * b0)


def _split(a: Values) -> tuple[Values, Values]:
    scaled = a * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def _in_double(function: Callable[[Values], Values]) -> Callable[[Values], Values]:
    def rounded(values: Values) -> Values:
        values = np.asarray(values)
        return function(values.astype(np.float64)).astype(values.dtype)

    return rounded


@opcode("ex2", "lg2", "sin", "cos", "tanh", "rsqrt")
def _approximate(machine: Machine, step: Instruction) -> Run:
    functions: dict[str, Callable[[Values], Values]] = {
        "ex2": np.exp2,
        "lg2": np.log2,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "rsqrt": lambda v: 1 / np.sqrt(v),
    }
    return operation(machine, step, _in_double(functions[step.op]))


@opcode("sqrt")
def _sqrt(machine: Machine, step: Instruction) -> Run:
    nearest_only(machine, step)
    return operation(machine, step, np.sqrt)


@opcode("rcp")
def _rcp(machine: Machine, step: Instruction) -> Run:
    nearest_only(machine, step)
    return operation(machine, step, np.reciprocal)


@opcode("copysign")
def _copysign(machine: Machine, step: Instruction) -> Run:
    return operation(machine, step, lambda sign, value: np.copysign(value, sign))


@opcode("testp")
def _testp(machine: Machine, step: Instruction) -> Run:
    tests: dict[str, Callable[[Values], Values]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda v: ~np.isnan(v),
        "notanumber": np.isnan,
    }
    return operation(machine, step, tests[step.mods[0]], "", "pred")
