"""Time two or more contenders side by side.

A machine's clock frequency, its neighbours and its caches drift over seconds, so a time measured
now says little about a time measured a minute ago. Contenders therefore take turns, A B A B ...,
and what is reported is the ratio within each turn: its median over the turns, and its range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median
from time import perf_counter, sleep
from typing import Any

REPEATS = 9


@dataclass
class Timed:
    """A contender: calling it runs it once and notes the seconds."""

    run: Callable[[], Any]
    clock: Callable[[], float] = perf_counter
    seconds: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        start = self.clock()
        self.run()
        self.seconds.append(self.clock() - start)


@dataclass(frozen=True)
class Spread:
    """Median and range of repeated measurements of one thing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


def rest() -> None:
    """A short pause before a turn: the other side's worker threads, which spin for a while after
    their last job, fall asleep; else they would run on the cores of the one that is timed."""
    sleep(0.003)


def interleaved(
    *runs: Callable[[], Any],
    repeats: int = REPEATS,
    warmup: int = 1,
    clock: Callable[[], float] = perf_counter,
) -> list[list[float]]:
    """Seconds of each contender, a list each; they take turns, and warm-up turns are dropped."""
    contenders = [Timed(run, clock) for run in runs]
    for _ in range(warmup + repeats):
        for contender in contenders:
            rest()
            contender()
    return [contender.seconds[warmup:] for contender in contenders]


def turn_of(rival: Callable[[], Any] | None) -> Callable[[], None]:
    """What `benchmark.pedantic` does before each of our turns: rest, the rival's turn, rest."""

    def turn() -> None:
        if rival is not None:
            rest()
            rival()
        rest()

    return turn


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """theirs / ours of each turn: above 1 where ours is the faster one."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} turns of one side and {len(theirs)} of the other: no pairs")
    return [b / a for a, b in zip(ours, theirs, strict=True)]


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Distribution-free confidence interval of the median, from order statistics (sign test).

    [x_(k), x_(n+1-k)] covers the median with probability 1 - 2 P(Binomial(n, 1/2) < k); the largest
    k that keeps `confidence` is used. Below 6 values none does: then it is the whole range.
    """
    ordered, n = sorted(values), len(values)
    k, outside = 0, 0.0
    while k < n // 2 and 2 * (outside + comb(n, k) / 2**n) <= 1 - confidence:
        outside += comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return ordered[k - 1], ordered[n - k]
