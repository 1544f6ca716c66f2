"""One step of training, compiled: rows of the images -> views -> loss -> gradient -> weights.

    g = d loss / d params
    params <- params - rate(s) adamw(g)
    average <- a average + (1 - a) new,    a = min(0.99, (1 + s) / (10 + s))

The average of the trained weights (Polyak) predicts: it makes the choice of an epoch far less noisy
than the last weights would.

Everything random in step s comes from the training's key and s, and the carry holds the rest: who
has the carry can go on as if nothing had happened.

Source: Polyak and Juditsky, SIAM J. Control Optim. 1992.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..settings import Settings
from . import loss
from .augment import augment
from .network import Network
from .resident import Block
from .schedule import directions, rate
from .trained import Design, scale

AVERAGE = 0.99  # decay of the averaged weights, a step

# Convolutions whose sums depend on the threads' order are left out: a seed gives one network.
_OPTIONS = {"xla_gpu_exclude_nondeterministic_ops": True}


class Carry(NamedTuple):
    """What a step changes: trees of float32 arrays, but for the counts, which are int32.

    average  of params and state; loss  the sum over the steps of this epoch; step  from 0
    """

    params: Any
    state: Any
    average: tuple[Any, Any]
    optimiser: Any
    step: jax.Array
    loss: jax.Array


class Plan(NamedTuple):
    """What is compiled into the step. parts: how many parts of a batch are worked on in turn."""

    design: Design
    network: Network
    settings: Settings
    parts: int = 1


class Given(NamedTuple):
    """What the step is told anew: the key, the class weights (k,), the training's steps."""

    key: jax.Array
    weights: jax.Array
    total: jax.Array


@partial(jax.jit, static_argnames="plan")
def start(key: jax.Array, plan: Plan) -> Carry:
    """The carry before the first step."""
    shape = (*plan.design.size, plan.design.channels)
    params, state = plan.network.init(key, shape)
    average = jax.tree.map(jnp.copy, (params, state))
    optimiser = directions(plan.settings.decay).init(params)
    return Carry(params, state, average, optimiser, jnp.int32(0), jnp.float32(0))


def advance(carry: Carry, given: Given, block: Block, first: int, last: int, plan: Plan) -> Carry:
    """The carry after the block's steps first .. last - 1, when they are done.

    On an accelerator one program does them all. On a CPU each is a call: XLA runs convolutions
    inside a loop 14 times slower there (JAX 0.10), and a call costs nothing beside a step.
    """
    if jax.default_backend() != "cpu":
        carry = many(carry, given, block, jnp.int32(first), jnp.int32(last), plan)
    else:
        for index in range(first, last):
            carry = one(carry, given, block, jnp.int32(index), plan)
    return jax.block_until_ready(carry)


@partial(jax.jit, static_argnames="plan", compiler_options=_OPTIONS)
def one(carry: Carry, given: Given, block: Block, index: jax.Array, plan: Plan) -> Carry:
    """The carry after step `index` of the block."""
    return _step(carry, given, block, index, plan)


@partial(jax.jit, static_argnames="plan", compiler_options=_OPTIONS)
def many(
    carry: Carry, given: Given, block: Block, first: jax.Array, last: jax.Array, plan: Plan
) -> Carry:
    """The carry after steps first .. last - 1, whose number is no part of the program."""
    return jax.lax.fori_loop(
        first, last, lambda index, so_far: _step(so_far, given, block, index, plan), carry
    )


def _step(carry: Carry, given: Given, block: Block, index: jax.Array, plan: Plan) -> Carry:
    settings, rows = plan.settings, block.rows[index]
    pixels, truth = (part.at[rows].get(mode="clip") for part in (block.pixels, block.truth))
    key = jax.random.fold_in(given.key, carry.step)
    views = augment(key, scale(pixels, plan.design), settings)
    value, state, slope = _gradient(carry, views, truth, given.weights, plan)
    move, optimiser = directions(settings.decay).update(slope, carry.optimiser, carry.params)
    size = rate(carry.step, given.total, settings.rate)
    params = jax.tree.map(lambda old, by: old - size * by, carry.params, move)
    keep = jnp.minimum(AVERAGE, (1.0 + carry.step) / (10.0 + carry.step))
    average = jax.tree.map(
        lambda old, new: keep * old + (1 - keep) * new, carry.average, (params, state)
    )
    return Carry(params, state, average, optimiser, carry.step + 1, carry.loss + value)


def _gradient(
    carry: Carry, views: jax.Array, truth: jax.Array, weights: jax.Array, plan: Plan
) -> tuple[jax.Array, Any, Any]:
    """Loss, new state and gradient of a batch; in parts, the means over the parts."""

    def loss_of(params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
        logits, _, state = plan.network.apply(params, state, x, True)
        return loss.loss(plan.design.task, logits, y, weights, plan.settings.smoothing), state

    both = jax.value_and_grad(loss_of, has_aux=True)
    if plan.parts == 1:
        (value, state), slope = both(carry.params, carry.state, views, truth)
        return value, state, slope

    def add(so_far: Any, part: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
        value, state, slope = so_far
        (more, state), by = both(carry.params, state, *part)
        slope = jax.tree.map(lambda a, b: a + b / plan.parts, slope, by)
        return (value + more / plan.parts, state, slope), None

    nothing = jax.tree.map(jnp.zeros_like, carry.params)
    cut = jax.tree.map(lambda rows: rows.reshape(plan.parts, -1, *rows.shape[1:]), (views, truth))
    (value, state, slope), _ = jax.lax.scan(add, (jnp.float32(0), carry.state, nothing), cut)
    return value, state, slope
