"""Grad-CAM: which places of a network's map speak for a class.

    weight_k = mean over places of  d logit_class / d map_k
    cam      = max(0, sum_k weight_k map_k)                        enlarged to the image, bilinear

The map is that after a stage of the network (see `waists`). The last one tells most about the
class and least about the place: of a 28 x 28 image it has 7 x 7 places. Where a mean over places
and one dense layer follow it, sum_k weight_k map_k summed over places is the logit but for its
bias: the map shares the logit out.

It shows where a score comes from, not whether it is right, nor what the tissue there is.

Source: Selvaraju et al., Grad-CAM, ICCV 2017.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cnn.network import Network
from ..cnn.trained import Cnn, Design, scale
from . import score
from .waists import cut


def gradcam(
    cnn: Cnn,
    pixels: np.ndarray,
    classes: int | np.ndarray | None = None,
    stage: int = -1,
    signed: bool = False,
) -> np.ndarray:
    """Maps (n, h, w) or (n, d, h, w) float32 of images as the network takes them, in its logits.

    classes  class number for all or for each row; None: the most probable class of each
    stage    resolution of the map, 0 (finest) .. -1 (coarsest)
    signed   keep what speaks against the class as negative values

    A map that is 0 everywhere says that nothing in the image speaks for the class.
    LearnError for another size or type of image, an unknown class or stage.
    Cost: 1.1 predictions at the last stage; one program is compiled for each stage.
    """
    wanted = score.chosen(cnn, pixels, classes)

    def function(rows: np.ndarray, targets: np.ndarray) -> tuple[jax.Array]:
        model = (cnn.design, score.network_of(cnn))
        return (_gradcam(cnn.params, cnn.state, rows, targets, *model, stage, signed),)

    (maps,) = score.in_batches(function, pixels, wanted)
    return maps


@partial(jax.jit, static_argnames=("design", "network", "stage", "signed"))
def _gradcam(
    params: Any,
    state: Any,
    pixels: jax.Array,
    classes: jax.Array,
    design: Design,
    network: Network,
    stage: int,
    signed: bool,
) -> jax.Array:
    images = scale(pixels, design)
    maps, rest = cut(lambda x: network.apply(params, state, x, False)[0], images, stage)
    slope = jax.grad(lambda maps: score.of_class(design.task, rest(maps), classes).sum())(maps)
    places = tuple(range(1, maps.ndim - 1))
    cam = (slope.mean(axis=places, keepdims=True) * maps).sum(axis=-1, dtype=jnp.float32)
    cam = cam if signed else jax.nn.relu(cam)
    return jax.image.resize(cam, images.shape[:-1], "linear")
