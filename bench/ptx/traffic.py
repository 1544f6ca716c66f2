"""What a kernel costs, counted while it runs: instructions, memory sectors, bank conflicts.

A *request* is one memory instruction of one warp. Global memory moves in sectors of 32 bytes;
shared memory has 32 banks of 4 bytes, and a request takes as many cycles as the most wanted bank
has different words.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

SECTOR, BANKS, WORD, WARP = 32, 32, 4, 32
_ABSENT = np.int64(np.iinfo(np.int64).max)


@dataclass
class Access:
    """Sums over the requests of one memory instruction."""

    requests: int = 0
    bytes: int = 0  # different bytes wanted by each request
    sectors: int = 0  # global memory
    cycles: int = 0  # shared memory: cycles taken,
    least_cycles: int = 0  # and without conflicts
    turns: int = 0  # atomics: threads at the most wanted address


@dataclass
class Stats:
    """Counts of one function over its launches."""

    function: str
    launches: int = 0
    blocks: int = 0
    thread_instructions: int = 0
    warp_instructions: int = 0
    barriers: int = 0  # a block each
    shared_bytes: int = 0  # a block, static and dynamic
    accesses: dict[tuple[str, str, str], Access] = field(
        default_factory=lambda: defaultdict(Access)
    )  # (load | store | atomic, space, instruction) -> sums

    def _sum(self, attribute: str, space: str, *kinds: str) -> int:
        kinds = kinds or ("load", "store")
        return sum(
            getattr(access, attribute)
            for (kind, where, _), access in self.accesses.items()
            if where == space and kind in kinds
        )

    @property
    def global_bytes(self) -> int:
        """Bytes that warps read and wrote in global memory."""
        return self._sum("bytes", "global")

    @property
    def global_sectors(self) -> int:
        return self._sum("sectors", "global")

    @property
    def sector_efficiency(self) -> float:
        """Wanted share of the bytes that global loads and stores move, 0..1; 1 without any."""
        return self.efficiency()

    def efficiency(self, *kinds: str) -> float:
        """Sector efficiency of "load" or "store" alone."""
        sectors = self._sum("sectors", "global", *kinds)
        return self._sum("bytes", "global", *kinds) / (SECTOR * sectors) if sectors else 1.0

    @property
    def bank_conflict_factor(self) -> float:
        """Cycles of shared loads and stores over those without conflicts; >= 1."""
        least = self._sum("least_cycles", "shared")
        return self._sum("cycles", "shared") / least if least else 1.0

    @property
    def atomic_turns(self) -> float:
        """Mean number of turns that a warp's atomics on one space take; 1: no two lanes meet."""
        requests = sum(self._sum("requests", space, "atomic") for space in ("global", "shared"))
        turns = sum(self._sum("turns", space, "atomic") for space in ("global", "shared"))
        return turns / requests if requests else 1.0

    @property
    def lane_use(self) -> float:
        """Mean share of a warp's 32 lanes that are active, 0..1."""
        return self.thread_instructions / (WARP * self.warp_instructions or 1)

    def worst(self, count: int = 5) -> list[str]:
        """The instructions that waste most, one readable line each."""
        lines = []
        for (kind, space, text), a in self.accesses.items():
            if space == "global" and a.sectors:
                waste = a.sectors - -(-a.bytes // SECTOR)
                share = a.bytes / (SECTOR * a.sectors)
                lines.append((waste, f"{space} {kind}: efficiency {share:.2f}: {text}"))
            elif space == "shared" and a.least_cycles:
                waste = a.cycles - a.least_cycles
                factor = a.cycles / a.least_cycles
                lines.append((waste, f"{space} {kind}: bank conflicts x{factor:.2f}: {text}"))
        return [line for waste, line in sorted(lines, reverse=True)[:count] if waste > 0]

    def __str__(self) -> str:
        return (
            f"{self.function}: {self.thread_instructions} thread instructions, lanes used "
            f"{self.lane_use:.2f}, {self.global_bytes} global bytes, sector efficiency "
            f"{self.sector_efficiency:.2f}, bank conflicts x{self.bank_conflict_factor:.2f}, "
            f"atomic turns {self.atomic_turns:.2f}, {self.barriers} barriers"
        )


def count(
    access: Access,
    kind: str,
    space: str,
    addresses: np.ndarray,
    lanes: np.ndarray,
    warps: int,
    size: int,
) -> None:
    """Add one instruction's requests; `lanes` are warp * 32 + lane of the active threads."""
    rows = np.full(warps * WARP, _ABSENT)
    rows[lanes] = addresses
    rows = rows.reshape(warps, WARP)
    rows = rows[rows.min(axis=1) != _ABSENT]
    rows.sort(axis=1)
    present = rows != _ABSENT
    first = present.copy()
    first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    access.requests += len(rows)
    access.bytes += int(first.sum()) * size
    if space == "global":
        sectors = rows // SECTOR
        first[:, 1:] &= sectors[:, 1:] != sectors[:, :-1]
        access.sectors += int(first.sum())
    if kind == "atomic":
        access.turns += _longest_run(rows, present)
    elif space == "shared":
        _count_banks(access, rows, first, size)


def _longest_run(rows: np.ndarray, present: np.ndarray) -> int:
    """Sum over rows of the most frequent value's count (values sorted)."""
    place = np.arange(WARP)
    starts = np.ones(rows.shape, bool)
    starts[:, 1:] = rows[:, 1:] != rows[:, :-1]
    began = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    return int(np.where(present, place - began + 1, 0).max(axis=1).sum())


def _count_banks(access: Access, rows: np.ndarray, first: np.ndarray, size: int) -> None:
    row, column = np.nonzero(first)
    words = rows[row, column] // WORD
    if size > WORD:
        steps = size // WORD
        words = (words[:, None] + np.arange(steps)).ravel()
        row = np.repeat(row, steps)
    elif size < WORD:  # several addresses in one word: count it once
        fresh = np.ones(len(words), bool)
        fresh[1:] = (words[1:] != words[:-1]) | (row[1:] != row[:-1])
        words, row = words[fresh], row[fresh]
    taken = np.bincount(row * BANKS + words % BANKS, minlength=len(rows) * BANKS)
    wanted = np.bincount(row, minlength=len(rows))
    access.cycles += int(taken.reshape(-1, BANKS).max(axis=1).sum())
    access.least_cycles += int((-(-wanted // BANKS)).sum())
