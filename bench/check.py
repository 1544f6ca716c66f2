"""No time without a right answer: what a result must agree with before it may be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from medkern.kernels import Filter, Kernel, Measure, RegionMeasure, Regions

from .peers import Peer

PIXELS = 1 << 18  # what a plain NumPy reference gets to see: 512 x 512, or 64 regions of 64 x 64


class WrongResult(AssertionError):
    """A kernel or a peer gave another answer than it must; nothing was timed."""


def check_reference(
    kernel: Kernel, result: Any, images: np.ndarray, where: Any, **parameters: Any
) -> str:
    """Compare `result`, the very answer that is timed, with the kernel's reference; say on what.

    The reference is plain NumPy, so it sees a part: evenly spread images, or regions, that hold
    `PIXELS` pixels together. One image larger than that is compared in two steps: the timed answer
    with the kernel's own answer for that image alone, and the kernel with the reference on a crop.
    """
    if isinstance(kernel, RegionMeasure):
        placed = kernel.place(images, where)
        if placed.sizes.prod(axis=1).max(initial=0) <= PIXELS:
            return _check_regions(kernel, result, images, placed, **parameters)
    n, shape = len(images), kernel.grid(images)[1:]
    pixels = int(np.prod(shape))
    chosen = _spread(n, max(1, PIXELS // pixels))
    some, some_masks = images[chosen], None if where is None else where[chosen]
    if pixels <= PIXELS:
        expected = _reference(kernel, some, some_masks, **parameters)
        _must_agree(kernel, _values(result)[chosen], expected, some, f"images {chosen.tolist()}")
        return f"reference on {len(chosen)} of {n} images"
    alone = _run(kernel, some, some_masks, **parameters)
    _must_agree(kernel, _values(result)[chosen], alone, some, f"image {chosen[0]} alone")
    side = int(PIXELS ** (1 / len(shape)))
    middle = (slice((s - min(s, side)) // 2, (s + min(s, side)) // 2) for s in shape)
    crop = (slice(None), *middle)
    cut, cut_masks = some[crop], None if some_masks is None else some_masks[crop]
    expected = _reference(kernel, cut, cut_masks, **parameters)
    ours = _run(kernel, cut, cut_masks, **parameters)
    _must_agree(kernel, ours, expected, cut, f"a crop {cut.shape[1:]}")
    size = " x ".join(map(str, cut.shape[1:]))
    return f"reference on a crop {size}, batch on 1 of {n} images"


def _check_regions(
    kernel: Kernel, result: Any, images: np.ndarray, where: Regions, **parameters: Any
) -> str:
    """As many regions, evenly spread, as hold `PIXELS` pixels together."""
    mean = int(where.sizes.prod(axis=1).mean())
    chosen = _spread(len(where), max(1, PIXELS // max(mean, 1)))
    expected = _reference(kernel, images, where.some(chosen), **parameters)
    found = _values(result)
    _must_agree(kernel, found[chosen], expected, images, f"{len(chosen)} regions")
    return f"reference on {len(chosen)} of {len(where)} regions"


def _spread(n: int, most: int) -> np.ndarray:
    """At most `most` of n numbers, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def beside(kernel: Kernel, images: Any) -> dict[str, Any]:
    """The further images that a kernel needs: the next ones of the batch, upside down."""
    return {name: images[::-1, ::-1].copy() for name in kernel.required}


def check_peer(kernel: Kernel, peer: Peer, ours: Any, theirs: Any, **parameters: Any) -> None:
    """Raise `WrongResult` where the two answers differ by more than the adapter allows."""
    if difference := peer.difference(ours, theirs, **parameters):
        raise WrongResult(f"{kernel.name} and {peer.name} disagree: {difference}")


def _run(kernel: Kernel, images: np.ndarray, where: Any, **parameters: Any) -> Any:
    call = cast(Callable[..., Any], kernel)
    given = parameters | beside(kernel, images)
    return call(images, **given) if where is None else call(images, where, **given)


def _reference(kernel: Kernel, images: np.ndarray, where: Any, **parameters: Any) -> Any:
    chosen = kernel.settle(images, kernel.resolve(parameters)) | beside(kernel, images)
    if isinstance(kernel, Measure):
        return kernel.reference(images, kernel.place(images, where), **chosen)
    return kernel.reference(images, **chosen)


def _values(result: Any) -> np.ndarray:
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def _must_agree(kernel: Kernel, ours: Any, expected: Any, images: np.ndarray, where: str) -> None:
    own, right = _values(ours), _values(expected)
    if own.shape != right.shape:
        raise WrongResult(
            f"{kernel.name} gave {own.shape} for {where}, its reference {right.shape}"
        )
    if kernel.tolerance == 0:
        agree = (own == right) | (np.isnan(own) & np.isnan(right))
    elif isinstance(kernel, Filter):
        allowed = kernel.tolerance * float(np.abs(images.astype(np.float64)).max(initial=1.0))
        if own.dtype.kind in "iu":  # the value may lie between two levels
            allowed = max(allowed, 1.0)
        agree = np.abs(own.astype(np.float64) - right) <= allowed
    else:
        near_zero = 1e-3 * kernel.tolerance * np.nanmax(np.abs(right), initial=1.0)
        agree = np.isclose(own, right, kernel.tolerance, near_zero, equal_nan=True)
    if not agree.all():
        raise WrongResult(
            f"{kernel.name} differs from its reference in {int((~agree).sum())} of {agree.size} "
            f"values on {where}; not timed"
        )
