"""Which rows there are: kernels x parameters x shapes x dtypes x peers.

On its main shape a kernel meets all its peers; on the other shapes, and in its other dtypes, the
first peer that takes the job (adapters stand in the order of their speed).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medkern import kernels as mk
from medkern.kernels import Kernel

from .peers import Peer, peers_of
from .shapes import SHAPES, Shape

# What users ask for; a kernel that is not named here is timed with its defaults.
PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "median": ({"radius": 1}, {"radius": 2}, {"radius": 5}),
    "glcm": ({"levels": 32},),
}
SMOKE = ("patch-2x40x48", "cell-rois-8x16x16")
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


def cases(smoke: bool) -> Iterator[Case]:
    """All (kernel, shape, dtype, parameters) that make sense together, without peers."""
    for kernel in mk.catalogue().values():
        for shape in SHAPES.values():
            if shape.regions != (kernel.family == "texture") or (shape.name in SMOKE) != smoke:
                continue
            for dtype in kernel.dtypes:
                if dtype == shape.dtype or shape.name in MAIN:
                    for parameters in parameter_sets(kernel, shape, dtype):
                        yield Case(kernel, shape, dtype, parameters)


def contests(smoke: bool) -> Iterator[Case]:
    """The cases, each once for every peer it meets."""
    for case in cases(smoke):
        for peer in opponents(case):
            yield replace(case, peer=peer)


def parameter_sets(kernel: Kernel, shape: Shape, dtype: str) -> Iterator[dict[str, Any]]:
    """The sets of a kernel; where it takes `bits`, those of the data and those of the dtype."""
    sets = PARAMETERS.get(kernel.name, ({},))
    if "bits" not in kernel.parameters:
        yield from sets
        return
    bits = {shape.levels(dtype).bit_length() - 1, 8 * np.dtype(dtype).itemsize}
    yield from ({**chosen, "bits": b} for chosen in sets for b in sorted(bits))


def opponents(case: Case) -> tuple[Peer | None, ...]:
    """Every adapter on the main shape, else the first that can; None where nobody can."""
    adapters = peers_of(case.kernel.name)
    chosen = case.kernel.resolve(case.parameters)
    able = [p for p in adapters if not (p.missing or p.refuses(case.dtype, **chosen))]
    if case.shape.name in (*MAIN, *SMOKE) and case.dtype == case.shape.dtype:
        return adapters if able else (*adapters, None)
    return (able[0] if able else None,)
