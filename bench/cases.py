"""Which rows there are: kernels x parameters x shapes x dtypes x peers.

`peers/<kernel>.py` may name its `ROWS`. Without them a kernel is timed on every shape: on its main
shape against all its peers, elsewhere against the first that takes the job (adapters stand in the
order of their speed).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medkern import kernels as mk
from medkern.kernels import Kernel

from .peers import Peer, Row, peers_of, rows_of
from .shapes import SHAPES, Shape

SMALL = {  # the smallest shape of each kind
    "image": "patch-2x40x48",
    "volume": "block-1x16x40x48",
    "objects": "cells-1x64x64",
    "windows": "map-1x16x16",
    "colour": "colour-2x40x48",
}
SMOKE = (*SMALL.values(), "cell-rois-8x16x16")
ON_REQUEST = (
    *("block-1x16x40x48", "ct-series-128x512x512", "image-1024", "mr-head-128", "organ-1x144"),
    *("cells-1x64x64", "cells-1x1024x1024", "map-1x16x16", "map-1x96x96", "map-1x512x512"),
    *("colour-2x40x48", "tissue-4x512x512", "derm-16x448x448"),
)
ON_GPU = "ct-series-128x512x512"
MAIN = ("ct-chest-64x512x512", "cell-rois-1000x64x64")


@dataclass(frozen=True)
class Case:
    """One kernel with parameters on one shape and dtype; `peer` None: timed alone."""

    kernel: Kernel
    shape: Shape
    dtype: str
    parameters: dict[str, Any]
    peer: Peer | None = None

    @property
    def name(self) -> str:
        """`median-radius=1-ct-chest-64x512x512-uint16`, the same against every peer."""
        settings = ",".join(f"{k}={v}" for k, v in self.parameters.items()) or "defaults"
        return f"{self.kernel.name}-{settings}-{self.shape.name}-{self.dtype}"

    @property
    def id(self) -> str:
        return f"{self.name}-{self.peer.name if self.peer else 'alone'}"


def cases(smoke: bool, gpu: bool = False) -> Iterator[Case]:
    """All (kernel, shape, dtype, parameters) that make sense together, without peers."""
    for kernel in mk.catalogue().values():
        rows = rows_of(kernel.name)
        if not rows:
            yield from _everywhere(kernel, smoke)
        elif smoke:
            yield from _smallest(kernel, rows)
        elif gpu:
            yield from _on_gpu(kernel, rows)
        else:
            yield from (_case(kernel, row) for row in rows)


def _everywhere(kernel: Kernel, smoke: bool) -> Iterator[Case]:
    """A kernel without rows of its own: its settings on every shape."""
    for shape in SHAPES.values():
        if shape.regions != (kernel.family == "texture") or (shape.name in SMOKE) != smoke:
            continue
        for dtype in kernel.dtypes if shape.name not in ON_REQUEST else ():
            if dtype == shape.dtype or shape.name in MAIN:
                for parameters in parameter_sets(kernel, shape, dtype):
                    yield Case(kernel, shape, dtype, parameters)


def _smallest(kernel: Kernel, rows: tuple[Row, ...]) -> Iterator[Case]:
    """The first row of each kind of images, on the smallest shapes."""
    seen: set[str] = set()
    for row in rows:
        small = SMALL[kind(SHAPES[row.shape])]
        if row.smoke and small not in seen:
            seen.add(small)
            yield Case(kernel, SHAPES[small], row.dtype, dict(row.parameters))


def kind(shape: Shape) -> str:
    """What is special about a shape: a key of `SMALL`."""
    if shape.channels > 1:
        return "colour"
    if shape.objects:
        return "objects"
    if shape.window:
        return "windows"
    return "volume" if shape.depth else "image"


def _case(kernel: Kernel, row: Row) -> Case:
    return Case(kernel, SHAPES[row.shape], row.dtype, dict(row.parameters))


def _on_gpu(kernel: Kernel, rows: tuple[Row, ...]) -> list[Case]:
    """The settings of all rows, images in one large batch; each setting once."""
    found: dict[str, Case] = {}
    for row in rows:
        shape = ON_GPU if kind(SHAPES[row.shape]) == "image" else row.shape
        case = _case(kernel, replace(row, shape=shape))
        found.setdefault(case.name, case)
    return list(found.values())


def contests(smoke: bool) -> Iterator[Case]:
    """The cases, each once for every peer it meets."""
    for case in cases(smoke):
        for peer in opponents(case):
            yield replace(case, peer=peer)


def parameter_sets(kernel: Kernel, shape: Shape, dtype: str) -> Iterator[dict[str, Any]]:
    """The sets of a kernel; where it takes `bits`, those of the data and those of the dtype."""
    rows = [dict(row.parameters) for row in rows_of(kernel.name)]
    sets = rows[:1] or ({},)
    if "bits" not in kernel.parameters:
        yield from sets
        return
    bits = {shape.levels(dtype).bit_length() - 1, 8 * np.dtype(dtype).itemsize}
    yield from ({**chosen, "bits": b} for chosen in sets for b in sorted(bits))


def opponents(case: Case) -> tuple[Peer | None, ...]:
    """Every adapter on the main shape, else the first that can; None where nobody can."""
    adapters = peers_of(case.kernel.name)
    chosen = case.kernel.resolve(case.parameters)
    rank = len(case.shape.full)
    able = [
        p
        for p in adapters
        if not p.missing and rank in p.ndim and not p.refuses(case.dtype, **chosen)
    ]
    everybody = case.shape.name in (*MAIN, *SMOKE) and case.dtype == case.shape.dtype
    if everybody and not rows_of(case.kernel.name):
        return adapters if able else (*adapters, None)
    return (able[0] if able else None,)
