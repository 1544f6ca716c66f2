"""Seconds by stage, measured on the wall."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """`with clock("denoise"): ...` adds to `clock.seconds["denoise"]`.

    `finish`, where set, is called before each reading: on a GPU it waits for the work in flight.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.finish: Callable[[], None] | None = None

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self.finish:
            self.finish()
        self.add({stage: time.perf_counter() - start})

    def timed(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time spent waiting for each counts as `stage`."""
        iterator = iter(items)
        while True:
            start = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.add({stage: time.perf_counter() - start})
            yield item

    def add(self, seconds: Mapping[str, float]) -> None:
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value
