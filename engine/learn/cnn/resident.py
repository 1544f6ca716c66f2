"""Where the training images lie: on the device once and for all, where it has room for them;
else a piece at a time, the next made in a thread while the device works on the last.

Either way a step is told row numbers and takes its images from a `Block` inside the compiled
program, and either way it sees the same images in the same order: the network is the same.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ...ahead import ahead

PIECE = 64 << 20  # bytes of images handed over at a time, where not all have room


class Block(NamedTuple):
    """Images on the device, and the rows of them that each step takes.

    pixels (m, ...) uint8 or uint16; truth (m,) int32 or (m, k) bool; rows (steps, batch) int32
    """

    pixels: jax.Array
    truth: jax.Array
    rows: jax.Array


class Data(Protocol):
    """The training images, epoch by epoch."""

    def blocks(self, order: np.ndarray, first: int) -> Generator[tuple[Block, int, int]]:
        """Blocks for the steps `first` .. of an epoch whose rows are `order` (steps, batch), each
        with the range of its steps that are still to be done."""
        ...


def order(n: int, batch: int, seed: int, epoch: int) -> np.ndarray:
    """(steps, batch) int32: all n rows once in a random order, the epoch's own; the last batch is
    filled up from the order's start, so that its statistics are those of real images."""
    rows = np.random.default_rng((seed, epoch)).permutation(n)
    return np.resize(rows, (-(-n // batch), batch)).astype(np.int32)


def place(pixels: np.ndarray, truth: np.ndarray) -> Data:
    """The images (n, ...) on the device, or streamed to it where they would fill it."""
    truth = truth if truth.dtype == bool else truth.astype(np.int32)
    return Resident(pixels, truth) if pixels.nbytes <= room() else Streamed(pixels, truth)


def room() -> int:
    """Bytes that images may take: half of an accelerator's free memory, a quarter of a host's."""
    if facts := jax.devices()[0].memory_stats():
        return (facts["bytes_limit"] - facts["bytes_in_use"]) // 2
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return 1 << 30


class Resident:
    """All images on the device.

    Up to an eighth more rows than there are images, never read: data sets of about one size, like
    the folds of a cross-validation, then share one compiled program.
    """

    def __init__(self, pixels: np.ndarray, truth: np.ndarray):
        self._rows = _rounded(len(pixels))
        self._pixels, self._truth = (
            jnp.asarray(_lengthened(part, self._rows)) for part in (pixels, truth)
        )

    def blocks(self, order: np.ndarray, first: int) -> Generator[tuple[Block, int, int]]:
        """One block; see `Data`."""
        steps, batch = order.shape
        rows = jnp.asarray(_lengthened(order, -(-self._rows // batch)))
        yield Block(self._pixels, self._truth, rows), first, steps


class Streamed:
    """Images in host memory, or on disk behind a memory map; a few pieces on the device."""

    def __init__(self, pixels: np.ndarray, truth: np.ndarray):
        self._pixels, self._truth = pixels, truth

    def blocks(self, order: np.ndarray, first: int) -> Generator[tuple[Block, int, int]]:
        """Blocks of up to `PIECE` bytes, all of one shape; see `Data`."""
        steps, batch = order.shape
        length = min(steps, max(1, PIECE // (batch * self._pixels[:1].nbytes)))
        with closing(ahead(self._pieces(order, length, first // length))) as pieces:
            for number, block in enumerate(pieces, start=first // length):
                before = number * length
                yield block, max(0, first - before), min(length, steps - before)

    def _pieces(self, order: np.ndarray, length: int, first: int) -> Generator[Block]:
        size = length * order.shape[1]
        rows = jnp.arange(size, dtype=jnp.int32).reshape(length, -1)
        for start in range(first * length, len(order), length):
            wanted = np.resize(order[start : start + length], size)
            yield Block(jnp.asarray(self._pixels[wanted]), jnp.asarray(self._truth[wanted]), rows)


def _rounded(n: int) -> int:
    """The next number of at most 4 significant bits."""
    unit = 1 << max(0, n.bit_length() - 4)
    return -(-n // unit) * unit


def _lengthened(array: np.ndarray, rows: int) -> np.ndarray:
    longer = np.zeros((rows, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
