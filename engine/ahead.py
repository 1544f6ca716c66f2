"""Work done ahead: the next items are made in a thread while the last one is used."""

import threading
from collections.abc import Generator
from contextlib import closing
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 0.1  # seconds between two looks at whether anybody still wants the items


def ahead(source: Generator[T, None, None], depth: int = 2) -> Generator[T, None, None]:
    """The items of `source`, in order, up to `depth` of them made before they are asked for.

    An exception of the source is raised where its item would have come. Closing the iterator (or
    leaving it half used to the garbage collector) closes the source and ends the thread.
    """
    ready: Queue[tuple[bool, T | BaseException | None]] = Queue(depth)
    unwanted = threading.Event()

    def put(more: bool, item: T | BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                ready.put((more, item), timeout=PATIENCE)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            with closing(source):
                for item in source:
                    if not put(True, item):
                        return
            put(False, None)
        except BaseException as error:  # handed over, and raised in the caller's thread
            put(False, error)

    thread = threading.Thread(target=work, name="medkern-ahead", daemon=True)
    thread.start()
    try:
        while True:
            more, item = ready.get()
            if isinstance(item, BaseException) and not more:
                raise item
            if not more:
                return
            yield item  # pyright: ignore[reportReturnType]
    finally:
        unwanted.set()
        thread.join()
