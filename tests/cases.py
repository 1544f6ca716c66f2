"""The cases of the catalogue that every contract test runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from medkern import kernels as mk
from medkern.kernels import _cuda
from medkern.kernels._regions import Regions, whole

CATALOGUE = mk.catalogue()


def legal(kernel: mk.Kernel, dtype: str, rank: int, example: Mapping[str, Any]) -> bool:
    """Whether images of this dtype and rank allow these parameters."""
    try:
        if kernel.validate:
            shape = (1, *(64,) * (rank - 1))
            kernel.validate(np.dtype(dtype), shape, **kernel.resolve(example))
    except ValueError:
        return False
    return True


def dtypes(kernel: mk.Kernel, example: Mapping[str, Any]) -> tuple[str, ...]:
    """The first legal example runs on every dtype, the others on the first and the last."""
    if kernel.made_of:
        return kernel.dtypes[:1]
    able = [
        d for d in kernel.dtypes if any(legal(kernel, d, rank, example) for rank in kernel.ndim)
    ]
    first = next((e for e in kernel.examples if legal(kernel, able[0], kernel.ndim[0], e)), None)
    return tuple(able) if example is first else tuple(dict.fromkeys((able[0], able[-1])))


def cases() -> Iterator[Any]:
    """(kernel, dtype, parameters, rank); rank 3 are images (n, h, w), 4 volumes (n, d, h, w)."""
    for name, kernel in CATALOGUE.items():
        for example in kernel.examples:
            for dtype in dtypes(kernel, example):
                for rank in kernel.ndim:
                    if legal(kernel, dtype, rank, example):
                        label = f"{name}-{dtype}-{text(example)}" + "-3d" * (rank == 4)
                        mark = pytest.mark.xdist_group(name)
                        yield pytest.param(kernel, dtype, dict(example), rank, id=label, marks=mark)


def text(example: Mapping[str, Any]) -> str:
    """`radius=2`, or `defaults`."""
    return ",".join(f"{k}={v}" for k, v in example.items()) or "defaults"


every_case = pytest.mark.parametrize(("kernel", "dtype", "parameters", "rank"), list(cases()))
gated_case = pytest.mark.parametrize(
    ("kernel", "dtype", "parameters", "rank"),
    [case for case in cases() if not case.values[0].made_of],
)
every_kernel = pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(k, id=name, marks=pytest.mark.xdist_group(name))
        for name, k in CATALOGUE.items()
    ],
)


def full(kernel: mk.Kernel, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of images that the kernel takes: with their colours."""
    return (*shape, kernel.channels) if kernel.channels > 1 else shape


def masks_of(kernel: mk.Kernel, images: np.ndarray) -> np.ndarray:
    """One disk-like region an image, 255 inside."""
    shape = kernel.grid(images)
    y, x = np.indices(shape[-2:])
    h, w = shape[-2:]
    inside = (y - h / 2) ** 2 / max(h, 2) ** 2 + (x - w / 2) ** 2 / max(w, 2) ** 2 < 0.2
    return np.broadcast_to(inside * np.uint8(255), shape).copy()


def beside(kernel: mk.Kernel, images: np.ndarray) -> dict[str, np.ndarray]:
    """The further arrays that a kernel takes: the images upside down."""
    turned = np.ascontiguousarray(np.flip(images, axis=len(kernel.grid(images)) - 2))
    return dict.fromkeys(kernel.inputs, turned)


def needed(kernel: mk.Kernel, images: np.ndarray) -> dict[str, np.ndarray]:
    """Those without which it does nothing."""
    return {name: a for name, a in beside(kernel, images).items() if name in kernel.required}


def on_gpu(kernel: mk.Kernel, images: np.ndarray, runner: Any, **given: Any) -> np.ndarray:
    """What the GPU code makes of NumPy arrays when `runner` runs its launches."""
    further = dict.fromkeys(kernel.inputs) | needed(kernel, images)
    further |= {k: v for k, v in given.items() if k not in kernel.parameters}
    chosen = kernel.resolve({k: v for k, v in given.items() if k in kernel.parameters})
    chosen = kernel.settle(images, chosen)
    if isinstance(kernel, mk.Measure):
        out = np.empty((len(images), len(kernel.names(**chosen))), np.float32)
        where = kernel.place(images, masks_of(kernel, images))
        if isinstance(where, Regions):  # on a device the box of a mask is the whole image
            where = replace(where, table=whole(kernel.grid(images)).table)
        arrays = (images, where, out)
    else:
        assert isinstance(kernel, mk.Filter)
        out = np.empty(images.shape, kernel.result_dtype(images.dtype, **chosen))
        arrays = (images, out)
    with _cuda.running(runner):
        kernel.gpu(*arrays, **chosen, **further)
    return out
