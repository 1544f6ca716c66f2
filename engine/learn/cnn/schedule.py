"""How far a step goes: AdamW on a rate that rises, then falls as a cosine.

    rate(s) = peak (s + 1) / warm                                   for s < warm = total / 10
    rate(s) = peak (0.01 + 0.99 (1 + cos(pi (s - warm) / (total - warm))) / 2)        after

The rate is a function of its own and no part of the optimiser, so that `total` can be an argument
of the compiled step: trainings of another length, on other folds of the data, share one program.

Source: Loshchilov and Hutter, SGDR, ICLR 2017, and Decoupled Weight Decay Regularization, ICLR
2019; Goyal et al., Accurate, Large Minibatch SGD, arXiv 1706.02677 (2017; warm-up).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

WARM_UP = 0.1  # share of the steps in which the rate rises
LAST = 0.01  # of the peak, at the end


def rate(step: jax.Array, total: jax.Array, peak: float) -> jax.Array:
    """The learning rate of step 0 .. total - 1, a float32 scalar."""
    warm = jnp.maximum(1.0, jnp.round(WARM_UP * total))
    share = jnp.clip((step - warm) / jnp.maximum(total - warm, 1.0), 0.0, 1.0)
    fall = LAST + (1 - LAST) * (1 + jnp.cos(jnp.pi * share)) / 2
    return peak * jnp.where(step < warm, (step + 1) / warm, fall)


def directions(decay: float) -> optax.GradientTransformation:
    """What is subtracted, times the rate: Adam's direction plus `decay` times the parameter.

    Gradients are cut to norm 1. All parameters are handled as one vector: that compiles three
    times faster than one update a layer.
    """
    return optax.flatten(
        optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(),
            optax.add_decayed_weights(decay),
        )
    )
