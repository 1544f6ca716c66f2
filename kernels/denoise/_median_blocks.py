"""A median network as data, run on blocks of rows and columns of the images.

The memory of a thread consists of slots of `lanes` keys. The pixels under a block, with its
borders, lie in the first slots, and those of several blocks side by side, so that small images
fill the vectors too:

    slot j * deep + k, lane i of a block  =  slice z - deep // 2 + k, row y - radius + j,
                                             column x - radius + i
"""

from typing import NamedTuple

import numpy as np

from .. import _threads
from .._cpu import compiled
from .._inner import inner
from ._median_network import program
from ._median_vector import (
    BORDER,
    VECTOR,
    copy,
    exchange,
    fill,
    to_keys,
    to_pixels,
    vector_length,
)

SLOT_BYTES = 4160  # room for a row of 2048 pixels of 16 bits and its borders
CACHE = 3 << 18  # bytes: what the slots may take of the second level cache


class Layout(NamedTuple):
    """How blocks lie in memory; lengths count pixels."""

    radius: int
    deep: int  # slices of a window
    rows: int  # of a block
    columns: int  # of a block
    together: int  # blocks side by side
    lanes: int
    slots: int

    @classmethod
    def of(
        cls, shape: tuple[int, ...], itemsize: int, radius: int, deep: int, rows: int, slots: int
    ) -> "Layout":
        """Blocks of equal width, as few as slots of about SLOT_BYTES allow."""
        n, d, h, w = shape
        vector = VECTOR // itemsize
        target = min(SLOT_BYTES, CACHE // slots) // itemsize
        across = -(-w // (target - 2 * radius))
        columns = -(-w // across)
        blocks = n * d * across * -(-h // rows)
        together = max(1, min(blocks, target // (columns + 2 * radius)))
        lanes = together * (columns + 2 * radius) + BORDER  # `fill` writes more than it must
        return cls(radius, deep, rows, columns, together, -(-lanes // vector) * vector, slots)


@inner
def _load(pixels, i, z, y, x, d, h, w, memory, at, layout):
    """The pixels under the block at (z, y, x) of volume i, borders clamped, to the lanes from `at`.

    Here and below, images are flat arrays: a view of a row costs more than the row.
    """
    width = layout.columns + 2 * layout.radius
    left = max(layout.radius - x, 0)
    right = min(layout.radius - x + w, width)
    for j in range(y - layout.radius, y + layout.radius + layout.rows):
        for k in range(z - layout.deep // 2, z + layout.deep // 2 + 1):
            row = ((i * d + min(max(k, 0), d - 1)) * h + min(max(j, 0), h - 1)) * w
            fill(memory, at, pixels, row)
            copy(memory, at + left, pixels, row + x - layout.radius + left, right - left)
            fill(memory, at + right, pixels, row + w - 1)
            at += layout.lanes


@inner
def _store(medians, start, rows, columns, w, memory, at, layout, outputs):
    """The medians of a block, as far as the image goes, to rows of w pixels from `start`."""
    for j in range(rows):
        copy(medians, start + j * w, memory, outputs[j] * layout.lanes + at, columns)


@inner
def _run(memory, lanes, steps):
    """One step of the network after the other, each over all lanes."""
    vector = vector_length(memory)
    for k in range(len(steps)):
        a = steps[k, 0] * lanes + steps[k, 1]
        b = steps[k, 2] * lanes + steps[k, 3]
        low, high = steps[k, 4] * lanes, steps[k, 5] * lanes
        if high < 0:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, low + i, -1)
        elif low < 0:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, -1, high + i)
        else:
            for i in range(0, lanes, vector):
                exchange(memory, a + i, b + i, low + i, high + i)


@compiled
def _some_blocks(first, stop, pixels, medians, shape, layout, steps, outputs):
    """Runs first .. stop - 1 of blocks, counted along rows, bands, slices and volumes."""
    n, d, h, w = shape
    across, down = -(-w // layout.columns), -(-h // layout.rows)
    blocks = n * d * down * across
    width = layout.columns + 2 * layout.radius
    inputs = (2 * layout.radius + layout.rows) * layout.deep
    vector = vector_length(medians)
    memory = np.empty(layout.slots * layout.lanes + width + vector, medians.dtype)
    for block in range(first * layout.together, stop * layout.together, layout.together):
        count = min(layout.together, blocks - block)
        for b in range(count):
            band, x = (block + b) // across, (block + b) % across * layout.columns
            plane, y = band // down, band % down * layout.rows
            _load(pixels, plane // d, plane % d, y, x, d, h, w, memory, b * width, layout)
        for i in range(0, inputs * layout.lanes, vector):
            to_keys(memory, i)
        _run(memory, layout.lanes, steps)
        for slot in outputs:
            for i in range(0, layout.lanes, vector):
                to_pixels(memory, slot * layout.lanes + i)
        for b in range(count):
            band, x = (block + b) // across, (block + b) % across * layout.columns
            plane, y = band // down, band % down * layout.rows
            start = (plane * h + y) * w + x
            size = min(layout.rows, h - y), min(layout.columns, w - x)
            _store(medians, start, size[0], size[1], w, memory, b * width, layout, outputs)


def block_medians(images: np.ndarray, out: np.ndarray, radius: int, deep: int, rows: int) -> None:
    """Medians in windows of `deep` slices of (n, d, h, w), by all threads, tiles of `rows`."""
    steps, outputs, slots = program(radius, rows, deep)
    n, d, h, w = images.shape
    layout = Layout.of(images.shape, images.itemsize, radius, deep, rows, slots)
    blocks = n * d * -(-h // rows) * -(-w // layout.columns)
    runs = -(-blocks // layout.together)
    flat = images.reshape(-1), out.reshape(-1)
    _threads.run(_some_blocks, runs, *flat, images.shape, layout, steps, outputs)
