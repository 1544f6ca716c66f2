"""The vector instructions of the median filter, as Numba intrinsics that emit LLVM directly.

Numba can vectorise loops by itself, but it guards each with overlap checks and a scalar copy, which
made the kernel three times slower to compile, and it cannot express a network given as data.
LLVM lowers these vectors to whatever the machine has (SSE, AVX2, AVX-512, NEON).

Memory is a one-dimensional array of the pixels' dtype that holds *keys*: integers of the same width
whose order is the order of the pixels. A key of an integer pixel is the pixel itself; for float32

    -inf < ... < -0 < +0 < ... < +inf < every NaN

Indices are not checked. Float keys of one vector are made and undone in place.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import RequireLiteralValue
from numba.extending import intrinsic

from ._median_network import Network, Wire

VECTOR = 32  # bytes
BORDER = 16  # keys that `fill` writes: more than any radius
INFINITY, MAGNITUDE, SIGN_BIT = 0x7F800000, 0x7FFFFFFF, 31


def instruction(function: Callable[..., Any]) -> Any:
    """`function(typing context, argument types) -> signature, emitter` as a function for Numba."""
    return intrinsic(function)


class Vectors:
    """Loads, stores and exchanges vectors of keys in an array."""

    def __init__(
        self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, lanes: int = 0
    ):
        dtype = array_type.dtype
        self.builder = builder
        self.data = context.make_array(array_type)(context, builder, array).data
        self.key = ir.IntType(dtype.bitwidth)
        self.bytes = dtype.bitwidth // 8
        self.type = ir.VectorType(self.key, lanes or VECTOR // self.bytes)
        signed = dtype is types.float32 or dtype.signed
        self.less = builder.icmp_signed if signed else builder.icmp_unsigned

    def place(self, index: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(self.data, [index]), kind.as_pointer())

    def load(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self.place(index, self.type), align=self.bytes)

    def store(self, vector: ir.Value, index: ir.Value) -> None:
        self.builder.store(vector, self.place(index, self.type), align=self.bytes)

    def all(self, value: int) -> ir.Constant:
        return self.type([value] * self.type.count)

    def exchange(self, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
        less = self.less("<", a, b)
        return self.builder.select(less, a, b), self.builder.select(less, b, a)

    def fold(self, bits: ir.Value) -> ir.Value:
        """Negative floats count downwards: all but their sign bit is inverted. Its own inverse."""
        sign = self.builder.ashr(bits, self.all(SIGN_BIT))
        return self.builder.xor(bits, self.builder.and_(sign, self.all(MAGNITUDE)))


@instruction
def vector_length(_, memory):
    """How many keys a vector holds, known when Numba compiles"""

    def emit(context, builder, signature, arguments):
        return context.get_constant(types.intp, VECTOR * 8 // signature.args[0].dtype.bitwidth)

    return types.intp(memory), emit


@instruction
def copy(_, target, at, source, start, count):
    """target[at : at + count] = source[start : start + count]"""

    def emit(context, builder, signature, arguments):
        target, at, source, start, count = arguments
        to, of = signature.args[0], signature.args[2]
        to_data = context.make_array(to)(context, builder, target).data
        of_data = context.make_array(of)(context, builder, source).data
        cgutils.raw_memmove(
            builder,
            builder.gep(to_data, [at]),
            builder.gep(of_data, [start]),
            count,
            context.get_constant(types.intp, to.dtype.bitwidth // 8),
        )
        return context.get_dummy_value()

    return types.void(target, at, source, start, count), emit


@instruction
def fill(_, memory, at, source, index):
    """memory[at : at + BORDER] = source[index]"""

    def emit(context, builder, signature, arguments):
        memory, at, source, index = arguments
        vectors = Vectors(context, builder, signature.args[0], memory, BORDER)
        pixel = Vectors(context, builder, signature.args[2], source).place(index, vectors.key)
        first = ir.IntType(32)(0)
        one = builder.insert_element(vectors.all(0), builder.load(pixel), first)
        lanes = ir.VectorType(ir.IntType(32), vectors.type.count)([0] * vectors.type.count)
        vectors.store(builder.shuffle_vector(one, one, lanes), at)
        return context.get_dummy_value()

    return types.void(memory, at, source, index), emit


@instruction
def to_keys(_, memory, at):
    """One vector of pixels, from `at`, to keys"""

    def emit(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature.args[0], arguments[0])
        if signature.args[0].dtype is types.float32:
            bits = vectors.load(arguments[1])
            magnitude = builder.and_(bits, vectors.all(MAGNITUDE))
            nan = builder.icmp_signed(">", magnitude, vectors.all(INFINITY))
            vectors.store(builder.select(nan, magnitude, vectors.fold(bits)), arguments[1])
        return context.get_dummy_value()

    return types.void(memory, at), emit


@instruction
def to_pixels(_, memory, at):
    """One vector of keys, from `at`, to pixels"""

    def emit(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature.args[0], arguments[0])
        if signature.args[0].dtype is types.float32:
            vectors.store(vectors.fold(vectors.load(arguments[1])), arguments[1])
        return context.get_dummy_value()

    return types.void(memory, at), emit


@instruction
def exchange(_, memory, a, b, low, high):
    """One vector from `low` = min of those from `a` and `b`, from `high` = max; none where < 0"""

    def emit(context, builder, signature, arguments):
        memory, a, b, *places = arguments
        vectors = Vectors(context, builder, signature.args[0], memory)
        results = vectors.exchange(vectors.load(a), vectors.load(b))
        for result, place in zip(results, places, strict=True):
            with builder.if_then(builder.icmp_signed(">=", place, place.type(0))):
                vectors.store(result, place)
        return context.get_dummy_value()

    return types.void(memory, a, b, low, high), emit


@instruction
def medians(_, memory, lanes, at, radius, rows):
    """The whole network for one vector of lanes from `at`, in registers; `radius` is a literal

    The medians replace the first `rows` rows of pixels, whose slots are `lanes` long. Wires of
    other lanes are computed again for this one: recomputing beats memory for small networks.
    """
    if not isinstance(radius, types.IntegerLiteral) or not isinstance(rows, types.IntegerLiteral):
        raise RequireLiteralValue("radius and rows must be literals")
    network = Network(radius.literal_value, rows.literal_value)

    def emit(context, builder, signature, arguments):
        memory, lanes, at, *_ = arguments
        vectors = Vectors(context, builder, signature.args[0], memory)
        known: dict[Wire, ir.Value] = {}

        def place(slot: int, shift: int) -> ir.Value:
            return builder.add(
                builder.mul(lanes, lanes.type(slot)), builder.add(at, at.type(shift))
            )

        def value(wire: Wire) -> ir.Value:
            if wire not in known:
                known[wire] = vectors.load(place(*wire))
            return known[wire]

        for low, high, a, b in network.alone():
            known[low], known[high] = vectors.exchange(value(a), value(b))
        for row, wire in enumerate(network.outputs):
            vectors.store(value(wire), place(row, 0))
        return context.get_dummy_value()

    return types.void(memory, lanes, at, radius, rows), emit
