"""Vector instructions of the sliding histograms in `_median_rank.py`, emitted as LLVM.

A histogram is BINS running totals: entry k counts the pixels in bins 0 .. k. Those of the columns
of pixels are uint8, those of windows uint16; all live in flat arrays, indices count elements and
are not checked.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .._inner import instruction

BINS = 32
GROUP = 64  # places that `inside` looks at: the bits of a word
HALF = 16  # lanes at a time: machines forward a store of 32 bytes to the next load, not of 64

_BYTE, _SHORT, _INT, _WORD = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_SLOW_DEPOSIT = ("znver1", "znver2")  # machines that have it, in microcode


class _Emit:
    """The arguments of an instruction, as vectors."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.builder = builder
        self.data = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else None
            for kind, value in zip(signature.args, arguments, strict=True)
        ]

    def place(self, array: int, index: Any, lanes: int) -> Any:
        at = self.builder.gep(self.data[array], [index])
        kind = ir.VectorType(at.type.pointee, lanes)
        return self.builder.bitcast(at, kind.as_pointer())

    def load(self, array: int, index: Any, lanes: int) -> Any:
        return self.builder.load(self.place(array, index, lanes), align=1)

    def store(self, vector: Any, array: int, index: Any) -> None:
        self.builder.store(vector, self.place(array, index, vector.type.count), align=1)

    def item(self, array: int, index: Any) -> Any:
        return self.builder.gep(self.data[array], [index])

    def all(self, value: Any, lanes: int) -> Any:
        kind = ir.VectorType(value.type, lanes)
        one = self.builder.insert_element(kind([0] * lanes), value, _INT(0))
        same = ir.VectorType(_INT, lanes)([0] * lanes)
        return self.builder.shuffle_vector(one, one, same)

    def ones(self, mask: Any) -> Any:
        """How many lanes of a comparison hold."""
        bits = self.builder.bitcast(mask, ir.IntType(mask.type.count))
        count = self.builder.module.declare_intrinsic("llvm.ctpop", [bits.type])
        return self.builder.zext(self.builder.call(count, [bits]), _WORD)


@instruction
def move(_, columns, at, steps, plus, minus):
    """columns[at : at + BINS] += steps[plus : ...] - steps[minus : ...]"""

    def emit(context, builder, signature, arguments):
        e = _Emit(context, builder, signature, arguments)
        _, at, _, plus, minus = arguments
        total = builder.add(e.load(0, at, BINS), e.load(2, plus, BINS))
        e.store(builder.sub(total, e.load(2, minus, BINS)), 0, at)
        return context.get_dummy_value()

    return types.void(columns, at, steps, plus, minus), emit


class _Window:
    """A window's histogram in registers: the sum of `side` columns."""

    def __init__(self, emit: _Emit, pitch: Any, at: Any, side: Any):
        self.e, self.builder = emit, emit.builder
        self.pitch, self.at, self.side = pitch, at, side
        self.offsets = [_WORD(lane) for lane in range(0, BINS, HALF)]
        zero = ir.VectorType(_SHORT, HALF)([0] * HALF)
        self.halves = [cgutils.alloca_once_value(self.builder, zero) for _ in self.offsets]

    def columns(self, x: Any) -> list[Any]:
        b = self.builder
        start = b.add(b.mul(x, self.pitch), self.at)
        parts = [self.e.load(0, b.add(start, offset), HALF) for offset in self.offsets]
        return [b.zext(part, ir.VectorType(_SHORT, HALF)) for part in parts]

    def add(self, x: Any) -> None:
        for half, column in zip(self.halves, self.columns(x), strict=True):
            self.builder.store(self.builder.add(self.builder.load(half), column), half)

    def step_to(self, x: Any) -> None:
        """From the window at x - 1 to that at x."""
        b = self.builder
        self.add(b.sub(b.add(x, self.side), _WORD(1)))
        for half, column in zip(self.halves, self.columns(b.sub(x, _WORD(1))), strict=True):
            b.store(b.sub(b.load(half), column), half)

    def restore(self, array: int, index: Any) -> None:
        for half, offset in zip(self.halves, self.offsets, strict=True):
            self.builder.store(self.e.load(array, self.builder.add(index, offset), HALF), half)

    def save(self, array: int, index: Any) -> None:
        for half, offset in zip(self.halves, self.offsets, strict=True):
            self.e.store(self.builder.load(half), array, self.builder.add(index, offset))

    def up_to(self, rank: Any) -> Any:
        """How many bins lie wholly below the pixel of this rank."""
        limit = self.e.all(rank, HALF)
        masks = [
            self.builder.icmp_unsigned("<=", self.builder.load(half), limit) for half in self.halves
        ]
        return self.builder.add(*map(self.e.ones, masks))


@instruction
def search(_, columns, pitch, at, side, windows, since, first, stop, ranks, found, left, totals):
    """Where the pixel of rank ranks[x] lies, for the windows of columns x .. x + side - 1

    for x from first to stop - 1:
        window   = sum of columns[pitch * c + at : pitch * c + at + BINS] over c
        found[x] = at + its first bin k with window[k] > ranks[x]
        left[x]  = ranks[x] - window[k - 1]

    windows[at : at + BINS] keeps the last window, and holds the one at `since` (< first), from
    which it is quicker to slide than to sum anew if it is near. `totals` is scratch, totals[0] = 0.
    """

    def emit(context, builder, signature, arguments):
        e = _Emit(context, builder, signature, arguments)
        _, pitch, at, side, _, since, first, stop, *_ = arguments
        window = _Window(e, pitch, at, side)
        ahead = builder.sub(first, since)
        far = builder.icmp_signed(">", ahead, builder.lshr(side, _WORD(1)))
        with builder.if_else(far) as (anew, near):
            with anew, cgutils.for_range(builder, side) as loop:
                window.add(builder.add(first, loop.index))
            with near:
                window.restore(4, at)
                with cgutils.for_range(builder, ahead) as loop:
                    window.step_to(builder.add(builder.add(since, loop.index), _WORD(1)))
        with cgutils.for_range(builder, builder.sub(stop, first)) as loop:
            x = builder.add(first, loop.index)
            with builder.if_then(builder.icmp_signed(">", loop.index, _WORD(0))):
                window.step_to(x)
            rank = builder.load(e.item(8, x))
            k = window.up_to(rank)
            window.save(11, _WORD(1))
            below = builder.load(e.item(11, k))
            builder.store(builder.trunc(builder.add(at, k), _SHORT), e.item(9, x))
            builder.store(builder.sub(rank, below), e.item(10, x))
        window.save(4, at)
        return context.get_dummy_value()

    kinds = columns, pitch, at, side, windows, since, first, stop, ranks, found, left, totals
    return types.void(*kinds), emit


@instruction
def inside(_, places, at, y, x, reach):
    """Bit k: places[at + k] = 256 * row + column is in rows y .. y + reach, columns alike from x"""

    def emit(context, builder, signature, arguments):
        e = _Emit(context, builder, signature, arguments)
        _, at, *corner, reach = arguments
        places, bytes_ = e.load(0, at, GROUP), ir.VectorType(_BYTE, GROUP)
        rows = builder.lshr(places, places.type([8] * GROUP))
        limit, masks = e.all(builder.trunc(reach, _BYTE), GROUP), []
        for places_, start in zip((rows, places), corner, strict=True):
            first = e.all(builder.trunc(start, _BYTE), GROUP)
            apart = builder.sub(builder.trunc(places_, bytes_), first)  # wraps around below first
            masks.append(builder.icmp_unsigned("<=", apart, limit))
        return builder.bitcast(builder.and_(*masks), _WORD)

    return types.uint64(places, at, y, x, reach), emit


@instruction
def bit_of_rank(_, mask, rank):
    """The position of the set bit that has `rank` set bits below it"""

    def emit(context, builder, signature, arguments):
        mask, rank = arguments
        _, machine, features = context.codegen().magic_tuple()
        if "+bmi2" in features and machine not in _SLOW_DEPOSIT:
            kind = ir.FunctionType(_WORD, [_WORD, _WORD])
            name = "llvm.x86.bmi.pdep.64"
            deposit = cgutils.get_or_insert_function(builder.module, kind, name)
            rest = builder.call(deposit, [builder.shl(_WORD(1), rank), mask])
        else:
            place = cgutils.alloca_once_value(builder, mask)
            with cgutils.for_range(builder, rank):
                bits = builder.load(place)
                builder.store(builder.and_(bits, builder.sub(bits, _WORD(1))), place)
            rest = builder.load(place)
        return builder.cttz(rest, ir.IntType(1)(1))

    return types.intp(mask, rank), emit
