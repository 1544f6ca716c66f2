"""The vector instructions of the median filter, as Numba intrinsics that emit LLVM directly.

Numba can vectorise loops by itself, but it guards each with overlap checks and a scalar copy, which
made the kernel three times slower to compile, and it cannot express a network given as data.
LLVM lowers these vectors to whatever the machine has (SSE, AVX2, AVX-512, NEON).

Pixels are compared as *keys*: integers of the same width whose order is the order of the pixels.
The key of an integer is the integer itself; keys of float32 give the order

    -inf < ... < -0 < +0 < ... < +inf < every NaN

Arrays are C-contiguous; indices count elements and are not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import RequireLiteralValue

from .._inner import instruction
from ._median_network import Network, Wire

VECTOR = 32  # bytes
TILE = 2  # rows of a tile in `tile_medians`
AHEAD = 4  # rows that it prefetches: machines do not foresee that the next band starts elsewhere
BORDER = 16  # keys that `fill` writes: more than any radius
INFINITY, MAGNITUDE, SIGN_BIT = 0x7F800000, 0x7FFFFFFF, 31


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
        self.floats = dtype is types.float32
        signed = self.floats or dtype.signed
        self.less = builder.icmp_signed if signed else builder.icmp_unsigned

    def place(self, index: ir.Value, kind: ir.Type) -> Any:
        return self.builder.bitcast(self.builder.gep(self.data, [index]), kind.as_pointer())

    def load(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self.place(index, self.type), align=self.bytes)

    def store(self, vector: ir.Value, index: ir.Value) -> None:
        self.builder.store(vector, self.place(index, self.type), align=self.bytes)

    def prefetch(self, index: ir.Value, write: bool) -> None:
        """Ask for the cache line of an element, which need not exist."""
        kinds = [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]
        prefetch = self.builder.module.declare_intrinsic(
            "llvm.prefetch", kinds[:1], ir.FunctionType(ir.VoidType(), kinds)
        )
        nearest, data = ir.IntType(32)(3), ir.IntType(32)(1)
        self.builder.call(
            prefetch, [self.place(index, ir.IntType(8)), ir.IntType(32)(int(write)), nearest, data]
        )

    def all(self, value: int) -> ir.Constant:
        return self.type([value] * self.type.count)

    def exchange(self, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value]:
        less = self.less("<", a, b)
        return self.builder.select(less, a, b), self.builder.select(less, b, a)

    def clamped_shift(self, vector: ir.Value, lanes: int) -> ir.Value:
        """Lane i of the result is lane i + lanes, or the first or last one."""
        if not lanes:
            return vector
        of = [min(max(i + lanes, 0), self.type.count - 1) for i in range(self.type.count)]
        return self.builder.shuffle_vector(
            vector, vector, ir.VectorType(ir.IntType(32), len(of))(of)
        )

    def to_keys(self, pixels: ir.Value) -> ir.Value:
        if not self.floats:
            return pixels
        magnitude = self.builder.and_(pixels, self.all(MAGNITUDE))
        nan = self.builder.icmp_signed(">", magnitude, self.all(INFINITY))
        return self.builder.select(nan, magnitude, self._fold(pixels))

    def to_pixels(self, keys: ir.Value) -> ir.Value:
        return self._fold(keys) if self.floats else keys

    def _fold(self, bits: ir.Value) -> Any:
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
        if vectors.floats:
            vectors.store(vectors.to_keys(vectors.load(arguments[1])), arguments[1])
        return context.get_dummy_value()

    return types.void(memory, at), emit


@instruction
def to_pixels(_, memory, at):
    """One vector of keys, from `at`, to pixels"""

    def emit(context, builder, signature, arguments):
        vectors = Vectors(context, builder, signature.args[0], arguments[0])
        if vectors.floats:
            vectors.store(vectors.to_pixels(vectors.load(arguments[1])), arguments[1])
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
def tile_medians(_, volumes, out, number, z, y, x, radius, deep, edge):
    """The medians of rows y and y + 1 of slice z, a vector of columns from x, in registers

    `radius` and `deep`, the slices of a window, are the lengths of tuples: Numba compiles for
    types, not for values. `edge` is a literal: -1 for x = 0, +1 for the last vector of a row,
    else 0. Wires of other lanes are computed again: for small networks that is cheaper than memory.
    """
    if not isinstance(edge, types.IntegerLiteral):
        raise RequireLiteralValue("edge must be a literal")
    reach, slices, side = len(radius), len(deep), edge.literal_value
    network = Network(reach, TILE, slices)

    def emit(context, builder, signature, arguments):
        volumes, out, number, z, y, x, *_ = arguments
        pixels = Vectors(context, builder, signature.args[0], volumes)
        medians = Vectors(context, builder, signature.args[1], out)
        _, d, h, w = cgutils.unpack_tuple(
            builder, context.make_array(signature.args[0])(context, builder, volumes).shape
        )
        slices_above = builder.mul(number, d)
        last = builder.sub(h, h.type(1))
        known: dict[Wire, ir.Value] = {}

        def moved(index: Any, steps: int, size: Any) -> Any:
            """index + steps, inside 0 .. size - 1"""
            if not steps:
                return index
            index, end = builder.add(index, index.type(steps)), builder.sub(size, size.type(1))
            past = builder.icmp_signed("<", index, size.type(0))
            index = builder.select(past, size.type(0), index)
            return builder.select(builder.icmp_signed(">", index, end), end, index)

        def at(plane: Any, row: Any, shift: int, step: int = 1) -> Any:
            column = builder.add(builder.mul(x, x.type(step)), x.type(shift))
            row = builder.add(builder.mul(builder.add(slices_above, plane), h), row)
            return builder.add(builder.mul(row, w), column)

        def load(value: int, i: int) -> Any:
            j, k = divmod(value, slices)
            plane, row = moved(z, k - slices // 2, d), moved(y, j - reach, h)
            inside = max(i - reach, 0) if side < 0 else min(i - reach, 0) if side > 0 else i - reach
            vector = pixels.load(at(plane, row, inside))
            return pixels.clamped_shift(vector, i - reach - inside)

        def value(wire: Wire) -> Any:
            if wire not in known:
                known[wire] = pixels.to_keys(load(*wire))
            return known[wire]

        pixels.prefetch(at(z, builder.add(y, y.type(reach + AHEAD)), 0, TILE), write=False)
        medians.prefetch(at(z, builder.add(y, y.type(AHEAD)), 0, TILE), write=True)
        for low, high, a, b in network.alone():
            known[low], known[high] = pixels.exchange(value(a), value(b))
        for j, wire in enumerate(network.outputs):
            row = builder.add(y, y.type(j))
            with builder.if_then(builder.icmp_signed("<=", row, last), likely=True):
                medians.store(medians.to_pixels(value(wire)), at(z, row, 0))
        return context.get_dummy_value()

    return types.void(volumes, out, number, z, y, x, radius, deep, edge), emit
