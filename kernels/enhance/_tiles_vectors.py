"""Vector instructions for 16 lines of a tile side by side, emitted as LLVM.

Numba vectorises such loops by itself, but guards each with overlap checks that cost more than 16
lanes of work. Arrays are flat float32, indices count elements and are not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types

from .._inner import instruction

LANES = 16
_INT, _WORD = ir.IntType(32), ir.IntType(64)
_LINE = ir.VectorType(ir.FloatType(), LANES)


class _Emit:
    """The arrays among the arguments of an instruction, as vectors."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.builder = builder
        self.data = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else None
            for kind, value in zip(signature.args, arguments, strict=True)
        ]

    def item(self, array: int, index: Any) -> Any:
        return self.builder.load(self.builder.gep(self.data[array], [index]))

    def _place(self, array: int, index: Any) -> Any:
        at = self.builder.gep(self.data[array], [index])
        return self.builder.bitcast(at, _LINE.as_pointer())

    def load(self, array: int, index: Any) -> Any:
        return self.builder.load(self._place(array, index), align=4)

    def store(self, vector: Any, array: int, index: Any) -> None:
        self.builder.store(vector, self._place(array, index), align=4)

    def all(self, value: Any) -> Any:
        one = self.builder.insert_element(_LINE(ir.Undefined), value, _INT(0))
        same = ir.VectorType(_INT, LANES)([0] * LANES)
        return self.builder.shuffle_vector(one, one, same)

    def mix(self, a: Any, b: Any, lanes: list[int]) -> Any:
        """Lanes of a, and of b those from 16 on."""
        return self.builder.shuffle_vector(a, b, ir.VectorType(_INT, LANES)(lanes))


Complex = tuple[Any, Any]


class _Arithmetic:
    """Complex numbers of 16 lanes."""

    def __init__(self, builder: Any):
        self.b = builder

    def sum(self, a: Complex, b: Complex) -> Complex:
        return self.b.fadd(a[0], b[0]), self.b.fadd(a[1], b[1])

    def difference(self, a: Complex, b: Complex) -> Complex:
        return self.b.fsub(a[0], b[0]), self.b.fsub(a[1], b[1])

    def product(self, a: Complex, w: Complex) -> Complex:
        f, m = self.b, self.b.fmul
        return (
            f.fsub(m(a[0], w[0]), m(a[1], w[1])),
            f.fadd(m(a[0], w[1]), m(a[1], w[0])),
        )


@instruction
def butterfly(_, re, im, at, step, roots, w):
    """A radix-4 step: pixels at, at + step .. of 16 lines, with the roots w, 2 w and 3 w."""

    def emit(context, builder, signature, arguments):
        e, c = _Emit(context, builder, signature, arguments), _Arithmetic(builder)
        _, _, at, step, _, w = arguments
        places, factors = [at], [_WORD(0)]
        for _ in range(3):
            places.append(builder.add(places[-1], step))
            factors.append(builder.add(factors[-1], w))
        four = [(e.load(0, place), e.load(1, place)) for place in places]
        for k in range(1, 4):
            real = builder.mul(factors[k], _WORD(2))
            parts = real, builder.add(real, _WORD(1))
            four[k] = c.product(four[k], tuple(e.all(e.item(4, part)) for part in parts))
        s, t = c.sum(four[0], four[2]), c.difference(four[0], four[2])
        x, y = c.sum(four[1], four[3]), c.difference(four[1], four[3])
        turned = y[1], y[0]  # -i y, but for the sign of its imaginary part
        second = builder.fadd(t[0], turned[0]), builder.fsub(t[1], turned[1])
        fourth = builder.fsub(t[0], turned[0]), builder.fadd(t[1], turned[1])
        results = c.sum(s, x), second, c.difference(s, x), fourth
        for place, (real, imaginary) in zip(places, results, strict=True):
            e.store(real, 0, place)
            e.store(imaginary, 1, place)
        return context.get_dummy_value()

    return types.void(re, im, at, step, roots, w), emit


@instruction
def weigh(_, target, to, gains, of, source, at):
    """target[to + i] = gains[of + i] source[at + i] for 16 i."""

    def emit(context, builder, signature, arguments):
        e = _Emit(context, builder, signature, arguments)
        _, to, _, of, _, at = arguments
        e.store(builder.fmul(e.load(2, of), e.load(4, at)), 0, to)
        return context.get_dummy_value()

    return types.void(target, to, gains, of, source, at), emit


@instruction
def turn(_, target, to, order, first, source, at, pitch):
    """target[to + 16 order[first + i] + j] = source[at + pitch j + i] for 16 i and j."""

    def emit(context, builder, signature, arguments):
        e = _Emit(context, builder, signature, arguments)
        _, to, _, first, _, at, pitch = arguments
        rows = []
        for _ in range(LANES):
            rows.append(e.load(4, at))
            at = builder.add(at, pitch)
        for side in (1, 2, 4, 8):  # squares of 2, 4, 8 and 16 pixels a side
            low = [i if not i & side else i - side + LANES for i in range(LANES)]
            high = [i + side if not i & side else i + LANES for i in range(LANES)]
            for j in range(LANES):
                if not j & side:
                    a, b = rows[j], rows[j + side]
                    rows[j], rows[j + side] = e.mix(a, b, low), e.mix(a, b, high)
        for i, row in enumerate(rows):
            place = e.item(2, builder.add(first, _WORD(i)))
            e.store(row, 0, builder.add(to, builder.mul(place, _WORD(LANES))))
        return context.get_dummy_value()

    return types.void(target, to, order, first, source, at, pitch), emit
