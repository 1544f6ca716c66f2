"""Who else has Frost's speckle filter: nobody compiled; here is what JAX makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from .lee import difference, refuses, store
from .peer import Peer, Row, image_pool


def _rings(radius: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """The offsets of a window by their squared distance: one exponential serves a distance."""
    around = range(-radius, radius + 1)
    offsets = sorted((y * y + x * x, y, x) for y in around for x in around)
    return [(d, [(y, x) for _, y, x in ring]) for d, ring in groupby(offsets, lambda o: o[0])]


@cache
def _compiled(radius: int, log: bool) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def run(image: Any, damping: Any, speckle: Any) -> Any:
        h, w = image.shape
        padded = jnp.pad(image.astype(jnp.float32), radius, mode="edge")

        def shifted(array: Any, y: int, x: int) -> Any:
            return array[radius + y : radius + y + h, radius + x : radius + x + w]

        def box(array: Any) -> Any:
            side = 2 * radius + 1
            rows: Any = sum(array[j : j + h] for j in range(side))
            return sum(rows[:, i : i + w] for i in range(side)) / side**2

        centre = image.astype(jnp.float32)
        mean = box(padded)
        variance = jnp.maximum(box(padded * padded) - mean * mean, 0)
        noise = speckle**2 * (1 if log else mean * mean)
        decay = damping * variance / jnp.maximum(noise, 1e-20)
        total, weights = centre, jnp.ones_like(centre)
        for distance, offsets in _rings(radius)[1:]:
            weight = jnp.exp(-decay * distance**0.5)
            total += weight * sum(shifted(padded, y, x) for y, x in offsets)
            weights += weight * len(offsets)
        return total / weights

    return jax.jit(run)


def _jax(
    image: np.ndarray, out: np.ndarray, radius: int, damping: float, speckle: float, domain: str
) -> None:
    function = _compiled(radius, domain == "log")
    store(out, np.asarray(function(image, np.float32(damping), np.float32(speckle))))


PEERS = (
    Peer(
        name="jax:jit",
        package="jax",
        distribution="jax",
        modes={"image pool": image_pool(_jax)},
        refuses=refuses,
        difference=difference,
        agreement="float32: 0.001 of a range of 1 (its variance cancels); integers: one level",
    ),
)

LINEAR = {"radius": 3, "speckle": 0.2, "domain": "linear"}
ROWS = (
    Row("ultrasound-64x256x256", "uint8", {"radius": 3, "speckle": 20.0, "domain": "log"}),
    Row("image-1024", "float32", LINEAR),
    Row("ct-chest-64x512x512", "uint16", LINEAR),
)
