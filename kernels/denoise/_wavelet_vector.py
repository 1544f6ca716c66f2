"""The sum of the wavelet passes in vector registers, as a Numba intrinsic that emits LLVM directly.

A compiled loop over the pixels of a row must read and write both results again for every few terms,
and takes LLVM far longer to compile; here the results stay in registers until they are complete.
Products and sums are rounded one by one, in the order of the terms, so that the GPU code gives the
same bits.

Arrays are float32 and C-contiguous; places and distances count elements and are not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .._inner import instruction

LANES, VECTORS = 16, 2  # LLVM splits vectors that are wider than the machine's

_FLOAT = ir.FloatType()


class _Pass:
    """The arguments of `sum_pairs`, and the code for pixels first .. stop - 1 of its results."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.at, self.beside, self.step = arguments[3:6]
        arrays = [
            context.make_array(kind)(context, builder, array)
            for kind, array in zip(signature.args, arguments, strict=True)
            if isinstance(kind, types.Array)
        ]
        self.p, self.q, self.rows, self.f, self.g = (array.data for array in arrays)
        self.builder = builder
        self.pixels = builder.extract_value(arrays[0].shape, 0)
        self.terms = builder.sdiv(builder.extract_value(arrays[3].shape, 0), self.at.type(2))

    def emit(self, first: Any, stop: Any, lanes: int, vectors: int) -> None:
        """In blocks of vectors; stop - first is a multiple of their pixels."""
        b, size = self.builder, first.type
        kind = ir.VectorType(_FLOAT, lanes)
        sums = [cgutils.alloca_once(b, kind) for _ in range(2 * vectors)]
        block = size(lanes * vectors)
        with cgutils.for_range_slice(b, first, stop, block, size) as (i, _):
            for total in sums:
                b.store(kind([0.0] * lanes), total)
            with cgutils.for_range(b, self.terms) as loop:
                start = b.add(b.add(self.at, i), b.mul(loop.index, self.step))
                for odd, place in enumerate((start, b.add(start, self.beside))):
                    tap = b.add(b.mul(loop.index, size(2)), size(odd))
                    taps = [self._everywhere(array, tap, kind) for array in (self.f, self.g)]
                    for v in range(vectors):
                        pixels = b.load(self._vector(self.rows, place, v, kind), align=4)
                        for weight, total in zip(taps, sums[2 * v : 2 * v + 2], strict=True):
                            b.store(b.fadd(b.load(total), b.fmul(weight, pixels)), total)
            for v in range(vectors):
                for result, total in zip((self.p, self.q), sums[2 * v : 2 * v + 2], strict=True):
                    b.store(b.load(total), self._vector(result, i, v, kind), align=4)

    def _vector(self, data: Any, index: Any, number: int, kind: Any) -> Any:
        place = self.builder.add(index, index.type(number * kind.count))
        return self.builder.bitcast(self.builder.gep(data, [place]), kind.as_pointer())

    def _everywhere(self, data: Any, index: Any, kind: Any) -> Any:
        """A vector with data[index] in all its lanes."""
        value = self.builder.load(self.builder.gep(data, [index]))
        one = self.builder.insert_element(kind([0.0] * kind.count), value, ir.IntType(32)(0))
        zeros = ir.VectorType(ir.IntType(32), kind.count)([0] * kind.count)
        return self.builder.shuffle_vector(one, one, zeros)


@instruction
def sum_pairs(_: Any, p: Any, q: Any, rows: Any, at: Any, beside: Any, step: Any, f: Any, g: Any):
    """p[i], q[i] = sum over m of F[2m] a + F[2m + 1] b,  G likewise,
    a = rows[at + step * m + i],  b = rows[at + step * m + beside + i],  for i < p.size"""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")  # once in a library, called from everywhere
        this, zero = _Pass(context, builder, signature, arguments), arguments[3].type(0)
        whole = builder.and_(this.pixels, this.pixels.type(-LANES * VECTORS))
        this.emit(zero, whole, LANES, VECTORS)
        this.emit(whole, this.pixels, 1, 1)
        return context.get_dummy_value()

    place = types.intp
    return types.void(p, q, rows, place, place, place, f, g), emit
