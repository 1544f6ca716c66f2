"""Memory races, by shadow memory.

For every granule (the smallest access of the kernel) of a memory three stamps are kept: who read,
wrote, and updated it atomically last. A stamp is (epoch of the block, epoch of the warp, who):
barriers start a new epoch of the block, `__syncwarp` one of the warp. Two accesses race, unless
both read, both are atomic, or both are of one thread, when they fall in the same epoch of the
block and, for two threads of one warp, in the same epoch of the warp. In global memory, accesses
of two blocks of one launch race always.
"""

import numpy as np

from .fault import Fault
from .memory import Part

_WHO_BITS, _WARP_BITS = 12, 20
_BLOCK_SHIFT = _WHO_BITS + _WARP_BITS
_WHO = (1 << _WHO_BITS) - 1
_MANY_OF_WARP, _MANY = 1024, 2047  # who: a thread 0..1023, 1024 + warp, or several warps
_NEVER = np.int64(-1)
_ANY_EPOCH = (1 << _BLOCK_SHIFT) - 1
_NO_BLOCK, _MANY_BLOCKS = 0, -1
_CLASHES = {  # kind of access -> the kinds it races with, and the words for it
    "read": (("write", "read after write"), ("atomic", "read after atomic")),
    "write": (
        ("write", "write after write"),
        ("read", "write after read"),
        ("atomic", "write after atomic"),
    ),
    "atomic": (("write", "atomic after write"), ("read", "atomic after read")),
}


class Clock:
    """The present stamp of every running thread."""

    def __init__(self, thread: np.ndarray, warp: np.ndarray):
        """Number of every thread in its block, and its warp's among all that run."""
        self._thread, self._warp = thread.astype(np.int64), warp
        self.stamps = self._thread.copy()

    def reset(self) -> None:
        self.stamps = self._thread.copy()

    def barrier(self, threads: np.ndarray) -> None:
        """These threads (whole blocks) passed a barrier."""
        self.stamps[threads] += 1 << _BLOCK_SHIFT

    def warp_barrier(self, threads: np.ndarray) -> None:
        """Every thread of these threads' warps passed `__syncwarp`."""
        warps = np.zeros(int(self._warp[-1]) + 1, bool)
        warps[self._warp[threads]] = True
        self.stamps[warps[self._warp]] += 1 << _WHO_BITS


class Shadow:
    """Who used the granules of one memory: all shared memory, or one global buffer."""

    def __init__(self, size: int, granule: int, shared: bool):
        self._granule, self._shared = granule, shared
        cells = -(-size // granule)
        self._last = {kind: np.full(cells, _NEVER) for kind in _CLASHES}
        self._blocks = {kind: np.zeros(0 if shared else cells, np.int32) for kind in _CLASHES}

    def reset(self) -> None:
        """New blocks begin, with shared memory that nobody has used."""
        for last in self._last.values():
            last[:] = _NEVER

    def check(
        self,
        kind: str,
        part: Part,
        size: int,
        stamps: np.ndarray,
        blocks: np.ndarray | None,
        changes: np.ndarray | None = None,
    ) -> None:
        """Record one access of `size` bytes a thread, and raise `Fault` if it races.

        `stamps` and `blocks` (numbers in the launch; None: blocks are ordered otherwise) are of
        all threads. `changes` says which writes alter memory: threads that store the value that
        is already there do not race with its writer.
        """
        cells, threads = part.offsets // self._granule, part.threads
        if (steps := size // self._granule) > 1:
            cells = (cells[:, None] + np.arange(steps)).ravel()
            threads = np.repeat(threads, steps)
            changes = None if changes is None else np.repeat(changes, steps)
        stamps = stamps[threads]
        if not self._shared and blocks is not None:
            self._check_blocks(kind, cells, blocks[threads].astype(np.int32) + 1, threads, changes)
        for other, words in _CLASHES[kind]:
            race = _unordered(self._last[other][cells], stamps)
            if kind == other and changes is not None:
                race &= changes
            if race.any():
                place = "shared" if self._shared else "global"
                raise Fault(f"{place}-memory race, {words}", threads[race])
        if self._shared and kind != "write":
            fresh = (self._last["write"][cells] == _NEVER) & (self._last["atomic"][cells] == _NEVER)
            if fresh.any():
                raise Fault("uninitialised shared memory is read", threads[fresh])
        _record(self._last[kind], cells, stamps)

    def _check_blocks(
        self,
        kind: str,
        cells: np.ndarray,
        mine: np.ndarray,
        threads: np.ndarray,
        changes: np.ndarray | None,
    ) -> None:
        for other, words in _CLASHES[kind]:
            theirs = self._blocks[other][cells]
            race = (theirs != _NO_BLOCK) & (theirs != mine)
            if kind == other and changes is not None:
                race &= changes
            if race.any():
                raise Fault(f"global-memory race between blocks, {words}", threads[race])
        last = self._blocks[kind]
        known = last[cells]
        now = np.where((known == _NO_BLOCK) | (known == mine), mine, np.int32(_MANY_BLOCKS))
        last[cells] = now
        last[cells[last[cells] != now]] = _MANY_BLOCKS


def _unordered(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Which `old` accesses are neither of the same thread nor ordered before the new ones."""
    change = old ^ new
    same_block_epoch = (change >> _BLOCK_SHIFT == 0) & (old >= 0) & (change != 0)
    if not same_block_epoch.any():
        return same_block_epoch
    same_warp = _warp_of(old & _WHO) == _warp_of(new & _WHO)
    same_warp_epoch = change >> _WHO_BITS == 0
    return same_block_epoch & (~same_warp | same_warp_epoch)


def _record(last: np.ndarray, cells: np.ndarray, stamps: np.ndarray) -> None:
    """Keep the newest stamp of each cell, made more general where several threads share it."""
    old = last[cells]
    change = old ^ stamps
    kept = (change >> _BLOCK_SHIFT == 0) & (old >= 0) & (change != 0)
    if kept.any():  # others used the cell in this epoch of the block: remember them all
        warp = _warp_of(stamps & _WHO)
        same_epoch = change >> _WHO_BITS == 0
        of_warp = np.where(same_epoch, _MANY_OF_WARP + warp, stamps & _WHO)
        several = np.where(_warp_of(old & _WHO) == warp, of_warp, _MANY)
        stamps = np.where(kept, (stamps & ~_WHO) | several, stamps)
    last[cells] = stamps
    now = last[cells]
    crowd = np.flatnonzero(now != stamps)
    if len(crowd):  # several threads of this very instruction on one cell
        who, mine = now[crowd] & _WHO, stamps[crowd] & _WHO
        of_warp = (stamps[crowd] & ~_WHO) | (_MANY_OF_WARP + _warp_of(mine))
        of_block = (stamps[crowd] | _ANY_EPOCH) & ~_WHO | _MANY
        # the largest stamp is the most general one
        same = _warp_of(who) == _warp_of(mine)
        np.maximum.at(last, cells[crowd], np.where(same, of_warp, of_block))


def _warp_of(who: np.ndarray) -> np.ndarray:
    """Warp in the block; no thread's warp for `_MANY`."""
    return np.where(who < _MANY_OF_WARP, who >> 5, who - _MANY_OF_WARP)
