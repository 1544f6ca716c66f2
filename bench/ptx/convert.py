"""`cvt`: between integer and float types of all sizes, with rounding and saturation."""

from collections.abc import Callable

import numpy as np

from .floats import DIRECTED, directed, unit
from .machine import Machine, elementwise
from .opcodes import Run, opcode, unsupported
from .parse import DTYPES, Instruction

Values = np.ndarray
_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@opcode("cvt")
def _cvt(machine: Machine, step: Instruction) -> Run:
    if len(step.types) != 2 or {"relu", "satfinite", "pack", "rna"} & set(step.mods):
        raise unsupported(machine, step)
    to, of = (DTYPES[kind] for kind in step.types)
    rounding = next((mod for mod in step.mods if mod in (*_TO_INTEGER, *DIRECTED)), "")
    saturate = "sat" in step.mods
    if of.kind == "f" and to.kind != "f":
        function = _float_to_integer(_TO_INTEGER[rounding], to)
    elif of.kind == "f":
        function = _float_to_float(rounding, to, saturate)
    elif to.kind == "f":
        function = _integer_to_float(rounding, to, saturate)
    else:
        function = _integer_to_integer(to, saturate)
    if "ftz" in step.mods:
        function = _flushing(function)
    source = machine.source(step.operands[1], step.types[1])
    return elementwise(function, [source], machine.target(step.operands[0], step.types[0]))


def _integer_to_integer(to: np.dtype, saturate: bool) -> Callable[[Values], Values]:
    if not saturate:
        return lambda values: values.astype(to)
    limits = np.iinfo(to)

    def clipped(values: Values) -> Values:
        own = np.iinfo(values.dtype)
        low, high = max(limits.min, own.min), min(limits.max, own.max)
        return np.clip(values, values.dtype.type(low), values.dtype.type(high)).astype(to)

    return clipped


def _float_to_integer(round_: np.ufunc, to: np.dtype) -> Callable[[Values], Values]:
    """Out of range gives the nearest integer of the type, NaN gives 0."""
    limits = np.iinfo(to)

    def converted(values: Values) -> Values:
        whole = round_(values.astype(np.float64))
        inside = (whole > float(limits.min)) & (whole < float(limits.max))
        result = np.where(inside, whole, 0).astype(to)
        result = np.where(whole >= float(limits.max), to.type(limits.max), result)
        return np.where(whole <= float(limits.min), to.type(limits.min), result)

    return converted


def _float_to_float(rounding: str, to: np.dtype, saturate: bool) -> Callable[[Values], Values]:
    def converted(values: Values) -> Values:
        if rounding in _TO_INTEGER:
            result = _TO_INTEGER[rounding](values).astype(to)
        else:
            result = _to_float(values, to, rounding)
        return unit(result) if saturate else result

    return converted


def _integer_to_float(rounding: str, to: np.dtype, saturate: bool) -> Callable[[Values], Values]:
    def converted(values: Values) -> Values:
        result = _to_float(values, to, rounding)
        return unit(result) if saturate else result

    return converted


def _to_float(values: Values, to: np.dtype, rounding: str) -> Values:
    nearest = values.astype(to)
    if not rounding:
        return nearest
    return directed(values.astype(np.longdouble), nearest, rounding)  # holds 64-bit integers


def _flushing(function: Callable[[Values], Values]) -> Callable[[Values], Values]:
    tiny = np.finfo(np.float32).tiny

    def flush(values: Values) -> Values:
        if values.dtype != np.float32:
            return values
        return np.where(np.abs(values) < tiny, np.copysign(np.float32(0), values), values)

    return lambda values: flush(function(flush(values)))
