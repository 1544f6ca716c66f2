"""A run asked to stop (Ctrl-C, SIGTERM) drops the part it is in and ends in good order."""

import signal
import threading
from types import FrameType, TracebackType

from ..errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """`with Stop() as stop:` notes the signals; `stop.check()` raises Stopped after one came.

    The first signal restores the usual handlers, so a second one ends the process at once. Outside
    the main thread, where Python takes no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def check(self) -> None:
        if self.received:
            raise Stopped(f"by {self.received}; the same command continues the run")

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._before.clear()
