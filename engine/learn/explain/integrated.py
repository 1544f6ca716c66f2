"""Integrated gradients: how much each pixel adds to a class's logit, on the way from a blank image.

    a_i = (z_i - b_i) * integral over t in 0 .. 1 of  d logit(b + t (z - b)) / d z_i  dt

z is the image as the network takes it (standardised), b the blank image of the same mean grey
level: what is no brighter or darker than the image's mean has no share. The standardisation is
that of the image, all the way. The integral is a midpoint sum.

The attributions are complete: their sum is logit(z) - logit(b). How far the midpoint sum is from
this is known for every image, so the steps are raised until it is within 1 %, and where the
greatest number of them does not reach it, the result says so.

Source: Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cnn.network import Network
from ..cnn.trained import Cnn, Design, scale
from . import score

STEPS = (32, 128, 512)
TOLERANCE = 0.01  # of the difference of the logits
ROUNDING = 1e-4  # of the sum of magnitudes: what float32 leaves of attributions that cancel out


@dataclass(frozen=True, eq=False)
class Integrated:
    """maps (n, h, w) float32, summed over channels; difference (n,) logit of the image less that
    of the blank one; gap (n,) what the maps' sums miss of it; steps (n,) of the integral."""

    maps: np.ndarray
    difference: np.ndarray
    gap: np.ndarray
    steps: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """(n,) bool: the map's sum is within 1 % of the difference, or within rounding."""
        total = np.abs(self.maps).reshape(len(self.maps), -1).sum(axis=1)
        return np.abs(self.gap) <= np.maximum(TOLERANCE * np.abs(self.difference), ROUNDING * total)


def integrated_gradients(
    cnn: Cnn,
    pixels: np.ndarray,
    classes: int | np.ndarray | None = None,
    steps: tuple[int, ...] = STEPS,
) -> Integrated:
    """Attributions of images (n, h, w[, c]) as the network takes them.

    classes  class number for all or for each row; None: the most probable class of each
    steps    numbers of steps to try, rising; the later ones only for rows that need them

    LearnError for another size or type of image or an unknown class.
    Cost: about 6 predictions a step, one compiled program.
    """
    wanted = score.chosen(cnn, pixels, classes)
    result = _all(cnn, pixels, wanted, steps[0])
    for more in steps[1:]:
        open_rows = np.flatnonzero(~result.complete)
        if not open_rows.size:
            break
        better = _all(cnn, pixels[open_rows], wanted[open_rows], more)
        for name in ("maps", "difference", "gap", "steps"):
            getattr(result, name)[open_rows] = getattr(better, name)
    return result


def _all(cnn: Cnn, pixels: np.ndarray, classes: np.ndarray, steps: int) -> Integrated:
    def function(rows: np.ndarray, targets: np.ndarray) -> tuple[jax.Array, ...]:
        model = (cnn.design, score.network_of(cnn))
        return _integrate(cnn.params, cnn.state, rows, targets, jnp.int32(steps), *model)

    maps, difference, gap = score.in_batches(function, pixels, classes)
    return Integrated(maps.copy(), difference.copy(), gap.copy(), np.full(len(pixels), steps))


@partial(jax.jit, static_argnames=("design", "network"))
def _integrate(
    params: Any,
    state: Any,
    pixels: jax.Array,
    classes: jax.Array,
    steps: jax.Array,
    design: Design,
    network: Network,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Maps, differences and gaps; the number of steps is data, so that one program serves all."""
    images = scale(pixels, design)
    pixel_axes = tuple(range(1, images.ndim))
    blank = jnp.broadcast_to(images.mean(axis=pixel_axes[:-1], keepdims=True), images.shape)

    def logit(at: jax.Array) -> jax.Array:
        return score.of_class(design.task, network.apply(params, state, at, False)[0], classes)

    slope = jax.grad(lambda at: logit(at).sum())

    def step(index: jax.Array, total: jax.Array) -> jax.Array:
        share = (index + 0.5) / steps
        return total + slope(blank + share * (images - blank))

    total = jax.lax.fori_loop(0, steps, step, jnp.zeros_like(images))
    parts = (images - blank) * total / steps
    difference = logit(images) - logit(blank)
    return parts.sum(axis=-1), difference, difference - parts.sum(axis=pixel_axes)
