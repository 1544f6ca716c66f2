"""The median of a square or cubic window as a network of exchanges, shared by neighbours.

An exchange turns two values into (min, max). A network of them has no branches, so it runs for
many pixels at once: one a vector lane, lane x for column x of the image. Sharing makes it small:

Columns. Any sorted rectangle of pixels, once known for lane x, is known for every other lane: it
    is the same value some lanes to the right (`Wire.shift`). Rectangles are sorted by columns,
    then by doubling their width.
Rows. The windows of `rows` pixels above each other (a tile) have all but their first and last rows
    in common. This core is sorted once; then the tile is halved again and again, and each half
    merges the rows that it gains into the core of its parent, until a tile is one pixel:

          | top  |                            windows of 4 pixels: rows 0-6 1-7 2-8 3-9, core 3-6
          | core |  ->  | top + core |        halves: 1-6 and 3-8
          | core |                            pixels: 0-6, 1-7 and 2-8, 3-9
          | end  |  ->  | core + end |

Of a core's sorted values, one that has more than half of a window certainly above or below it
cannot be the median and is dropped; exchanges whose results nobody reads disappear with it.

source  after L. Sugy, A fast parallel median filtering algorithm using hierarchical tiling,
        SIGGRAPH 2025, arXiv:2507.19926 (there the tiles are two-dimensional and lanes share
        nothing); odd-even merge: Knuth, The Art of Computer Programming, vol. 3, section 5.3.4
"""

from collections.abc import Sequence
from functools import cache
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np


class Wire(NamedTuple):
    """Value number `value` of the lane `shift` lanes to the right.

    Values 0, 1, ... are the pixels of a column under the tile, from the top, `deep` for each row;
    then follow the minimum and the maximum of every exchange.
    """

    value: int
    shift: int = 0

    def __rshift__(self, lanes: int) -> "Wire":
        return Wire(self.value, self.shift + lanes)


class Network:
    """The exchanges that give the medians of a tile of `rows` pixels; `outputs`, from the top.

    `deep` is how many slices a window has: 1, or as many as rows.
    """

    def __init__(self, radius: int, rows: int, deep: int = 1):
        self.side, self.deep = 2 * radius + 1, deep
        self.inputs = (2 * radius + rows) * deep
        self.exchanges: list[tuple[Wire, Wire]] = []
        self.outputs: list[Wire] = []
        self._sorted: dict[tuple[int, int, int], list[Wire]] = {}
        top, bottom = rows - 1, self.side
        core, low = self._keep(self._sort(top, bottom, 0, self.side), 0, top, bottom)
        self._halve(rows, top, bottom, core, low)

    def exchange(self, value: int) -> tuple[Wire, Wire]:
        """The operands of the exchange that yields `value`."""
        return self.exchanges[(value - self.inputs) // 2]

    def read(self) -> list[tuple[bool, bool]]:
        """For each exchange, whether anybody reads its minimum and its maximum."""
        needed = {wire.value for wire in self.outputs}
        lows = range(self.inputs, self.inputs + 2 * len(self.exchanges), 2)
        for low in reversed(lows):
            if low in needed or low + 1 in needed:
                needed.update(wire.value for wire in self.exchange(low))
        return [(low in needed, low + 1 in needed) for low in lows]

    def alone(self) -> list[tuple[Wire, Wire, Wire, Wire]]:
        """(min, max, a, b) of all exchanges that lane 0 needs when no other lane helps it.

        A wire of another lane is computed again, so every wire here is a value of its own.
        """
        steps: dict[Wire, tuple[Wire, Wire, Wire, Wire]] = {}

        def need(wire: Wire) -> None:
            low = wire.value - (wire.value - self.inputs) % 2
            minimum, maximum = Wire(low, wire.shift), Wire(low + 1, wire.shift)
            if wire.value >= self.inputs and minimum not in steps:
                a, b = (operand >> wire.shift for operand in self.exchange(low))
                need(a)
                need(b)
                steps[minimum] = minimum, maximum, a, b

        for output in self.outputs:
            need(output)
        return list(steps.values())

    # ---- sorting

    def _exchange(self, a: Wire, b: Wire) -> tuple[Wire, Wire]:
        shift = min(a.shift, b.shift)
        low = self.inputs + 2 * len(self.exchanges)
        self.exchanges.append((a >> -shift, b >> -shift))
        return Wire(low, shift), Wire(low + 1, shift)

    def _merge(self, a: Sequence[Wire], b: Sequence[Wire]) -> list[Wire]:
        """Batcher's odd-even merge of two sorted lists of any lengths."""
        if not a or not b:
            return [*a, *b]
        if len(a) == len(b) == 1:
            return list(self._exchange(a[0], b[0]))
        first, *even = self._merge(a[0::2], b[0::2])
        odd = self._merge(a[1::2], b[1::2])
        merged = [first]
        for pair in zip(odd, even, strict=False):
            merged += self._exchange(*pair)
        return merged + odd[len(even) :] + even[len(odd) :]

    def _sort(self, top: int, bottom: int, x: int, width: int) -> list[Wire]:
        """The pixels of rows top to bottom - 1 and columns x to x + width - 1, sorted."""
        key = top, bottom, width
        if key not in self._sorted:
            if width > 1:
                half = 1 << (width - 1).bit_length() - 1  # powers of two are shared most
                parts = (top, bottom, 0, half), (top, bottom, half, width - half)
            elif bottom - top > 1:
                middle = (top + bottom) // 2
                parts = (top, middle, 0, 1), (middle, bottom, 0, 1)
            else:
                return [wire >> x for wire in self._sort_row(top * self.deep, self.deep)]
            self._sorted[key] = self._merge(*(self._sort(*part) for part in parts))
        return [wire >> x for wire in self._sorted[key]]

    def _sort_row(self, first: int, count: int) -> list[Wire]:
        """The pixels `first` to first + count - 1 of a column, all of one row, sorted."""
        if count == 1:
            return [Wire(first)]
        key = first, count, 0
        if key not in self._sorted:
            half = count // 2
            parts = (first, half), (first + half, count - half)
            self._sorted[key] = self._merge(*(self._sort_row(*part) for part in parts))
        return self._sorted[key]

    # ---- tiling

    def _keep(self, core: list[Wire], low: int, top: int, bottom: int) -> tuple[list[Wire], int]:
        """Of a core's sorted values, with ranks from `low`, those that can still be the median."""
        middle = self.side * self.side * self.deep // 2
        missing = self.side * (self.side - (bottom - top)) * self.deep
        first = max(low, middle - missing)
        return core[first - low : middle + 1 - low], first

    def _halve(self, rows: int, top: int, bottom: int, core: list[Wire], low: int) -> None:
        """The medians of a tile, given what is kept of its core, the rows top to bottom - 1."""
        if rows == 1:
            self.outputs += core
            return
        half = rows // 2
        for start, stop in ((top - half, top), (bottom, bottom + half)):
            grown = self._merge(core, self._sort(start, stop, 0, self.side))
            span = min(start, top), max(stop, bottom)
            self._halve(half, *span, *self._keep(grown, low, *span))


class Program(NamedTuple):
    """A network as data, with one slot of memory for each value while it is needed.

    steps    int32 (m, 6): slot and shift of a, slot and shift of b, slots of min and max or -1
    outputs  int32 (rows,): the slot of each median (its shift is 0: it depends on column 0)
    slots    how many there are; the inputs come in the first
    """

    steps: np.ndarray
    outputs: np.ndarray
    slots: int


@cache
def program(radius: int, rows: int, deep: int = 1) -> Program:
    """The exchanges in order; a slot is used again once nobody needs its value."""
    network = Network(radius, rows, deep)
    read = network.read()
    last = {wire.value: len(read) for wire in network.outputs}
    for number, pair in reversed(list(enumerate(network.exchanges))):
        for wire in pair:
            if any(read[number]):
                last.setdefault(wire.value, number)

    slot = {value: value for value in range(network.inputs)}
    slots, free, steps = network.inputs, [], []
    for number, (a, b) in enumerate(network.exchanges):
        if not any(read[number]):
            continue
        operands = (slot[a.value], a.shift, slot[b.value], b.shift)
        for value in {a.value, b.value}:
            if last[value] == number:
                heappush(free, slot[value])
        results = [-1, -1]
        for side in (0, 1):
            if read[number][side]:
                if not free:
                    heappush(free, slots)
                    slots += 1
                results[side] = slot[network.inputs + 2 * number + side] = heappop(free)
        steps.append((*operands, *results))
    outputs = [slot[wire.value] for wire in network.outputs]
    return Program(np.array(steps, np.int32), np.array(outputs, np.int32), slots)
