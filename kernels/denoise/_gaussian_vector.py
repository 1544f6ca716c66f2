"""Weighted sums of shifted rows in vector registers, as Numba intrinsics that emit LLVM directly.

A compiled loop over the pixels of a row must read and write its sums once a tap; here they stay in
registers from the first tap to the last. Products and sums are rounded one by one, in the order of
the taps, so that the GPU code gives the same bits.

Arrays are float32 and C-contiguous; places and shifts count elements and are not checked. At least
BLOCK pixels are summed; where they are no multiple of it the last block overlaps the one before.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .._inner import instruction

LANES, VECTORS = 16, 4  # LLVM splits vectors that are wider than the machine's
BLOCK = LANES * VECTORS  # pixels of a row that are summed together


class Sums:
    """Sums of as many pixels as fit into registers, and the loop over the taps that fills them."""

    kind = ir.VectorType(ir.FloatType(), LANES)

    def __init__(self, context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any):
        self.context, self.builder, self.types = context, builder, signature.args
        self.arguments = arguments

    def data(self, i: int) -> Any:
        """Where the elements of array argument i begin."""
        return self.context.make_array(self.types[i])(
            self.context, self.builder, self.arguments[i]
        ).data

    def element(self, data: Any, index: Any) -> ir.Value:
        return self.builder.load(self.builder.gep(data, [index]))

    def vector(self, data: Any, index: Any) -> Any:
        place = self.builder.gep(data, [index])
        return self.builder.bitcast(place, self.kind.as_pointer())

    def load(self, data: Any, index: Any) -> Any:
        return self.builder.load(self.vector(data, index), align=4)

    def everywhere(self, value: Any) -> Any:
        """A vector with `value` in all its lanes."""
        empty, zeros = ir.Constant(self.kind, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
        one = self.builder.insert_element(empty, value, ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(zeros, None))

    def emit(self, place: Any, count: Any, taps: Any, term: Any) -> None:
        """out[place + i] = term(0, i) + term(1, i) + ...  for i < count, in blocks"""
        builder, zero, one = self.builder, count.type(0), count.type(1)
        builder.function.attributes.add("noinline")  # once in a library, called from everywhere
        target, last = self.data(0), builder.sub(count, count.type(BLOCK))
        sums = [cgutils.alloca_once(builder, self.kind) for _ in range(VECTORS)]
        step = count.type(BLOCK)
        with cgutils.for_range_slice(builder, zero, count, step, count.type) as (i, _):
            first = builder.select(builder.icmp_signed("<", i, last), i, last)
            shifts = [builder.add(first, first.type(LANES * v)) for v in range(VECTORS)]
            for total, value in zip(sums, term(zero, shifts), strict=True):
                builder.store(value, total)
            with cgutils.for_range_slice(builder, one, taps, one, one.type) as (k, _):
                for total, value in zip(sums, term(k, shifts), strict=True):
                    builder.store(builder.fadd(builder.load(total), value), total)
            for total, shift in zip(sums, shifts, strict=True):
                at = self.vector(target, builder.add(place, shift))
                builder.store(builder.load(total), at, align=4)


@instruction
def symmetric_sums(_, out, place, source, start, before, after, weights, count):
    """out[place + i] = weights[0] s[i] + sum over k > 0 of weights[k] (s[i + before[k]] +
    s[i + after[k]]),  s[i] = source[start + i],  for i < count"""

    def emit(context, builder, signature, arguments):
        sums = Sums(context, builder, signature, arguments)
        _, place, _, start, _, _, _, count = arguments
        source, before, after, weights = (sums.data(i) for i in (2, 4, 5, 6))
        taps = builder.extract_value(
            context.make_array(signature.args[6])(context, builder, arguments[6]).shape, 0
        )

        def term(k, shifts):
            weight = sums.everywhere(sums.element(weights, k))
            centre = [builder.add(start, shift) for shift in shifts]
            if isinstance(k, ir.Constant):
                return [builder.fmul(weight, sums.load(source, c)) for c in centre]
            left, right = sums.element(before, k), sums.element(after, k)
            pairs = [
                builder.fadd(
                    sums.load(source, builder.add(c, left)),
                    sums.load(source, builder.add(c, right)),
                )
                for c in centre
            ]
            return [builder.fmul(weight, pair) for pair in pairs]

        sums.emit(place, count, taps, term)
        return context.get_dummy_value()

    integers = types.intp
    return types.void(out, integers, source, integers, before, after, weights, integers), emit


@instruction
def weighted_sums(_, out, place, source, start, step, weights, count):
    """out[place + i] = sum over k of weights[k] source[start + k step + i], for i < count"""

    def emit(context, builder, signature, arguments):
        sums = Sums(context, builder, signature, arguments)
        _, place, _, start, step, _, count = arguments
        source, weights = sums.data(2), sums.data(5)
        taps = builder.extract_value(
            context.make_array(signature.args[5])(context, builder, arguments[5]).shape, 0
        )

        def term(k, shifts):
            weight = sums.everywhere(sums.element(weights, k))
            first = builder.add(start, builder.mul(k, step))
            return [
                builder.fmul(weight, sums.load(source, builder.add(first, shift)))
                for shift in shifts
            ]

        sums.emit(place, count, taps, term)
        return context.get_dummy_value()

    integers = types.intp
    return types.void(out, integers, source, integers, integers, weights, integers), emit
