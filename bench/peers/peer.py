"""What an adapter to a peer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..machine import cores

Run = Callable[[], Any]
Mode = Callable[..., Run]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """An adapter: a peer's function asked for exactly what a kernel computes.

    `modes`      ways to use the cores, name -> prepare(images, masks, **parameters) -> run; all are
                 tried and the fastest is timed. What `prepare` does is not timed: the peer is
                 handed its input in the form it likes best.
    `refuses`    (dtype, **parameters) -> why it cannot do this very job, "" when it can. A peer
                 whose parameters cannot be made equal refuses; there is no row of unequal work.
    `difference` (ours, theirs, **parameters) -> how the two answers differ, "" when they agree as
                 closely as `agreement` says they must.
    `ndim`       ranks of batches it is made for: 3 images, 4 volumes.
    """

    name: str
    package: str
    distribution: str
    modes: Mapping[str, Mode]
    refuses: Callable[..., str]
    difference: Callable[..., str]
    agreement: str
    ndim: tuple[int, ...] = (3, 4)

    @property
    def missing(self) -> str:
        """A sentence when the library is not installed, else empty."""
        if find_spec(self.package) is None:
            return (
                f"{self.name}: {self.distribution} is not installed; pip install 'medkern[bench]'"
            )
        return ""

    @property
    def version(self) -> str:
        try:
            return version(self.distribution)
        except PackageNotFoundError:  # built from source under another distribution name
            return "unknown"


@dataclass(frozen=True)
class Row:
    """What is timed: a named shape, a dtype and a kernel's parameters, against the first adapter
    that can. `smoke`: whether the answers can be compared on the smallest shapes too."""

    shape: str
    dtype: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    smoke: bool = True


def same_images(tolerance: float = 0.0, border: Callable[..., int] = lambda **_: 0) -> Any:
    """A `difference` for filters: at most `tolerance` grey levels, `border` pixels left aside."""

    def difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return f"{theirs.shape} {theirs.dtype} against our {ours.shape} {ours.dtype}"
        edge = border(**parameters)
        inside = (slice(None), *(slice(edge, size - edge or None) for size in ours.shape[1:]))
        apart = np.abs(ours[inside].astype(np.float64) - theirs[inside])
        wrong = int((apart > tolerance).sum())
        if not wrong:
            return ""
        return f"{wrong} of {apart.size} pixels differ by more than {tolerance:g} grey levels"

    return difference


def one_by_one(filter_image: Callable[..., None]) -> Mode:
    """A mode: image after image, the library's own threads at work inside each.

    `filter_image(image, out, **parameters)` fills `out`, without a copy where the library can.
    """

    def prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        use_library_threads(cores())
        out = np.empty_like(images)

        def run() -> np.ndarray:
            for image, result in zip(images, out, strict=True):
                filter_image(image, result, **parameters)
            return out

        return run

    return prepare


def image_pool(filter_image: Callable[..., None]) -> Mode:
    """A mode: whole images spread over a thread pool, one thread of the library in each."""

    def prepare(images: np.ndarray, masks: np.ndarray | None, **parameters: Any) -> Run:
        use_library_threads(1)
        out = np.empty_like(images)

        def work(i: int) -> None:
            filter_image(images[i], out[i], **parameters)

        def run() -> np.ndarray:
            list(thread_pool().map(work, range(len(images))))
            return out

        return run

    return prepare


@cache
def thread_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores())


def use_library_threads(threads: int) -> None:
    """Set the thread count of the libraries that have a switch for it (OpenCV, SimpleITK)."""
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(threads)
    if find_spec("SimpleITK"):
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
