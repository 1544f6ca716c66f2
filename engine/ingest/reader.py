"""read: items -> Batches, decoded in threads ahead of whoever works on the last one.

Order is the order of the items, whatever the threads do. In flight are at most two batches of
finished images and, per thread, one frame and one opened file.
"""

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np

from ..batch import Batch
from .formats import open_source
from .frame import Source
from .index import Item
from .layout import Grey, Layout
from .limits import Limits
from .reason import Reason, Reject, Unreadable

RUN = 8  # items a task: small images would otherwise cost as much to hand over as to decode


def read(
    items: Iterable[Item],
    layout: Layout,
    on_reject: Callable[[Reject], None],
    workers: int | None = None,
    limits: Limits | None = None,
) -> Generator[Batch, None, None]:
    """Batches of `layout.batch` images in the order of `items`; the last one is padded.

    An item that cannot be read goes to `on_reject`, in order, in the caller's thread, and leaves
    no row. Files are decoded by `workers` threads (as many as the process has CPUs) while the
    caller works on the batch before. Raises ValueError where `workers` is below 1.
    """
    if workers is None:
        workers = min(32, _cpus())
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")
    return _batches(items, layout, on_reject, workers, limits or Limits())


def _cpus() -> int:
    """CPUs this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _batches(
    items: Iterable[Item],
    layout: Layout,
    on_reject: Callable[[Reject], None],
    workers: int,
    limits: Limits,
) -> Generator[Batch, None, None]:
    rows = _Rows(layout)
    for result in _decoded(items, layout, workers, limits):
        if isinstance(result, Reject):
            on_reject(result)
            continue
        rows.add(*result)
        if rows.full:
            yield rows.batch()
            rows = _Rows(layout)
    if rows.ids:
        yield rows.batch()


def _decoded(
    items: Iterable[Item], layout: Layout, workers: int, limits: Limits
) -> Iterator[tuple[Item, Grey, str] | Reject]:
    """Results in order; work is submitted ahead, no further than two batches."""
    shelf = _Shelf(workers + 1, limits)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="medkern-read")
    waiting: deque[tuple[int, Future]] = deque()
    ahead, runs = 0, _runs(items)
    try:
        while True:
            while ahead < 2 * layout.batch and (run := next(runs, None)) is not None:
                waiting.append((len(run), pool.submit(_decode_run, run, layout, shelf)))
                ahead += len(run)
            if not waiting:
                return
            count, future = waiting.popleft()
            yield from future.result()
            ahead -= count
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _runs(items: Iterable[Item]) -> Iterator[list[Item]]:
    run: list[Item] = []
    for item in items:
        run.append(item)
        if len(run) == RUN:
            yield run
            run = []
    if run:
        yield run


def _decode_run(
    run: list[Item], layout: Layout, shelf: "_Shelf"
) -> list[tuple[Item, Grey, str] | Reject]:
    return [_decode(item, layout, shelf) for item in run]


def _decode(item: Item, layout: Layout, shelf: "_Shelf") -> tuple[Item, Grey, str] | Reject:
    """One item, or why not. Nothing a file does gets past here; no exception text does either."""
    try:
        frame = shelf.source(item.path).frame(item.frame)
        return item, layout.fit(frame), frame.modality
    except Unreadable as refused:
        return Reject(item.id, refused.code, refused.detail)
    except MemoryError:
        return Reject(item.id, Reason.OUT_OF_MEMORY, "an allocation failed")
    except OSError as error:
        return Reject(item.id, Reason.READ_FAILED, f"system error {error.errno or 0}")
    except Exception:
        return Reject(item.id, Reason.INTERNAL, "unexpected error while reading")


class _Shelf:
    """The last few opened files, so that frames of one file do not open it again and again."""

    def __init__(self, size: int, limits: Limits):
        self._size, self._limits, self._lock = size, limits, Lock()
        self._slots: OrderedDict[Path, _Slot] = OrderedDict()

    def source(self, path: Path) -> Source:
        with self._lock:
            slot = self._slots.setdefault(path, _Slot())
            self._slots.move_to_end(path)
            if len(self._slots) > self._size:
                self._slots.popitem(last=False)
        with slot.lock:  # one thread opens the file, others that want it wait
            if slot.source is None:
                slot.source = open_source(path, self._limits)
            return slot.source


class _Slot:
    def __init__(self) -> None:
        self.lock = Lock()
        self.source: Source | None = None


class _Rows:
    """A batch being filled."""

    def __init__(self, layout: Layout):
        n = layout.batch
        self._layout = layout
        self._pixels = np.zeros((n, *layout.size), layout.dtype)
        self._spacing = np.full((n, 2), np.nan, np.float32)
        self._window = np.full((n, 2), np.nan, np.float32)
        self.ids: list[str] = []
        self._modality: list[str] = []

    @property
    def full(self) -> bool:
        return len(self.ids) == self._layout.batch

    def add(self, item: Item, grey: Grey, modality: str) -> None:
        row = len(self.ids)
        self._pixels[row], self._spacing[row], self._window[row] = grey
        self.ids.append(item.id)
        self._modality.append(modality)

    def batch(self) -> Batch:
        padding = [""] * (self._layout.batch - len(self.ids))
        return Batch(
            pixels=self._pixels,
            bits=self._layout.bits,
            ids=tuple(self.ids + padding),
            masks=None,
            spacing=self._spacing,
            modality=tuple(self._modality + padding),
            window=self._window,
            valid=np.arange(self._layout.batch) < len(self.ids),
        )
