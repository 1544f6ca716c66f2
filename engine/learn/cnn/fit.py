"""Training the network: AdamW on a cosine, augmentation inside the compiled step, averaged weights,
the epoch with the best validation AUC kept.

Every step has the same shape, so one program is compiled: the last batch of an epoch is filled up
with the first rows of that epoch's order, which also keeps the batch statistics those of real
images. The weights that predict are a running average of the trained ones (Polyak), which makes
the choice of an epoch far less noisy than the last weights would.

Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019; Polyak and
Juditsky, SIAM J. Control Optim. 1992.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..errors import LearnError
from ..judge.metrics import auc
from ..settings import Progress, Settings
from . import network
from .trained import Cnn, Design, check_pixels, scale

AVERAGE = 0.99  # decay of the averaged weights, a step
WARM_UP = 0.1  # share of the steps in which the rate rises


class Carry(NamedTuple):
    """What a step changes."""

    params: network.Tree
    state: network.Tree
    average: tuple[network.Tree, network.Tree]
    optimiser: Any
    step: jax.Array


@dataclass
class History:
    """One value an epoch; `best` is the epoch that was kept, from 0."""

    loss: list[float] = field(default_factory=list)
    val_auc: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    best: int = 0


def fit(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    bits: int,
    classes: int,
    settings: Settings,
    progress: Progress,
) -> tuple[Cnn, History]:
    """Train on images (n, h, w) uint8/uint16 and class numbers (n,), choose the epoch on `val`.

    The same data, settings and machine give the same network. Cost: about 60 MFLOP an image and
    epoch at width 16. LearnError if the loss stops being finite.
    """
    design = describe(train[0], bits, classes, settings)
    check_pixels(train[0], design)
    order_seed, key = np.random.default_rng(settings.seed), jax.random.key(settings.seed)
    steps_an_epoch = -(-len(train[0]) // settings.batch)
    optimiser = schedule(settings, steps_an_epoch * settings.epochs)
    carry = jax.jit(start, static_argnums=(1, 2))(key, design, optimiser)
    weights = jnp.asarray(class_weights(train[1], classes))
    step = make_step(design, settings, optimiser)
    history, best, total = History(), None, settings.epochs * len(train[0])
    for epoch in range(settings.epochs):
        losses = []
        for images, truth in batches(*train, settings.batch, order_seed):
            carry, loss = step(carry, key, images, truth, weights)
            losses.append(loss)
            done = min(len(losses) * settings.batch, len(train[0]))
            progress("cnn", epoch * len(train[0]) + done, total, {})
        current = Cnn(design, *jax.device_get(carry.average))
        better = _judge(history, current, val, float(np.mean(losses)))
        if better:
            best = current
        progress("cnn", (epoch + 1) * len(train[0]), total, _latest(history, epoch))
        if epoch - history.best >= settings.patience:
            break
    if best is None:
        raise LearnError("cnn: the loss is not finite in any epoch; lower the rate")
    return best, history


def describe(images: np.ndarray, bits: int, classes: int, settings: Settings) -> Design:
    """The design for these training images."""
    share = 1 / (2**bits - 1)
    mean, deviation = float(images.mean()) * share, float(images.std(dtype=np.float64)) * share
    size = (images.shape[1], images.shape[2])
    return Design(
        size, bits, classes, settings.width, settings.blocks, settings.standardise, mean, deviation
    )


def start(key: jax.Array, design: Design, optimiser: optax.GradientTransformation) -> Carry:
    """The carry before the first step."""
    params, state = design.fresh(key)
    average = jax.tree.map(jnp.copy, (params, state))
    return Carry(params, state, average, optimiser.init(params), jnp.zeros((), jnp.int32))


def schedule(settings: Settings, steps: int) -> optax.GradientTransformation:
    """AdamW: the rate rises for a tenth of the steps, then falls as a cosine to 1 %.

    Gradients are cut to norm 1. All parameters are handled as one vector: that compiles three
    times faster than one update a layer.
    """
    warm = max(1, round(WARM_UP * steps))
    rate = optax.warmup_cosine_decay_schedule(
        0.0, settings.rate, warm, max(steps, warm + 1), 0.01 * settings.rate
    )
    adam = optax.adamw(rate, weight_decay=settings.decay)
    return optax.flatten(optax.chain(optax.clip_by_global_norm(1.0), adam))


def make_step(design: Design, settings: Settings, optimiser: optax.GradientTransformation) -> Any:
    """step(carry, key, images (b, h, w), truth (b,), class weights (k,)) -> carry, loss; jitted."""

    def loss_of(
        params: network.Tree, state: network.Tree, x: jax.Array, truth: jax.Array, w: jax.Array
    ) -> tuple[jax.Array, network.Tree]:
        logits, _, state = network.apply(params, state, x, train=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, truth)
        return (w[truth] * loss).sum() / w[truth].sum(), state

    @partial(jax.jit, donate_argnums=0)
    def step(
        carry: Carry, key: jax.Array, images: jax.Array, truth: jax.Array, w: jax.Array
    ) -> tuple[Carry, jax.Array]:
        x = augment(jax.random.fold_in(key, carry.step), scale(images, design), settings)
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, state), slope = gradient(carry.params, carry.state, x, truth, w)
        updates, inner = optimiser.update(slope, carry.optimiser, carry.params)
        params: Any = optax.apply_updates(carry.params, updates)
        keep = jnp.minimum(AVERAGE, (1.0 + carry.step) / (10.0 + carry.step))
        average = jax.tree.map(
            lambda old, new: keep * old + (1 - keep) * new, carry.average, (params, state)
        )
        return Carry(params, state, average, inner, carry.step + 1), loss

    return step


def augment(key: jax.Array, x: jax.Array, settings: Settings) -> jax.Array:
    """Another view of each image (n, h, w, 1): shifted, brighter or darker, flipped.

    x -> exp(s u1) x + s u2 with u uniform in -1 .. 1 and s `intensity`; a shift by whole pixels, up
    to `shift` of each side, repeats the edge. One draw for all of it compiles fastest.
    """
    n, h, w, _ = x.shape
    draw = jax.random.uniform(key, (4 + len(settings.flips), n, 1, 1, 1), minval=-1)
    gain, offset, down, across, *coins = draw
    x = x * jnp.exp(settings.intensity * gain) + settings.intensity * offset
    x = _shift(x, down, round(settings.shift * h), axis=1)
    x = _shift(x, across, round(settings.shift * w), axis=2)
    for coin, flip in zip(coins, settings.flips, strict=True):
        x = jnp.where(coin < 0, jnp.flip(x, 2 if flip == "horizontal" else 1), x)
    return x


def batches(
    images: np.ndarray, truth: np.ndarray, batch: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All rows once in a random order; the last batch is filled up from the order's start."""
    n = len(images)
    order = np.resize(generator.permutation(n), -(-n // batch) * batch)
    for rows in order.reshape(-1, batch):
        yield images[rows], truth[rows].astype(np.int32)


def class_weights(truth: np.ndarray, classes: int) -> np.ndarray:
    """n / (classes count_k): every class weighs the same in sum."""
    return (len(truth) / (classes * np.bincount(truth, minlength=classes))).astype(np.float32)


def _shift(x: jax.Array, chance: jax.Array, most: int, axis: int) -> jax.Array:
    """Image i moved by round(chance_i (most + 1/2)) pixels: -most .. most equally likely."""
    side = x.shape[axis]
    by = jnp.clip(jnp.round(chance * (most + 0.5)), -most, most).astype(jnp.int32)
    along = jnp.arange(side).reshape((1, side, 1, 1) if axis == 1 else (1, 1, side, 1))
    return jnp.take_along_axis(x, jnp.clip(along + by, 0, side - 1), axis=axis)


def _judge(history: History, current: Cnn, val: tuple[np.ndarray, np.ndarray], loss: float) -> bool:
    """Append this epoch's figures; whether it is the best so far (AUC, then the lower loss)."""
    p = current.predict(val[0])
    likelihood = np.log(np.maximum(p[np.arange(len(p)), val[1]], 1e-12))
    figures = (auc(val[1], p), -float(likelihood.mean()))
    sound = bool(np.isfinite([loss, *figures]).all())
    first = not history.loss
    history.loss.append(loss)
    history.val_auc.append(figures[0])
    history.val_loss.append(figures[1])
    before = (history.val_auc[history.best], -history.val_loss[history.best])
    if sound and (first or not np.isfinite(before).all() or (figures[0], -figures[1]) > before):
        history.best = len(history.loss) - 1
        return True
    return False


def _latest(history: History, epoch: int) -> dict[str, float]:
    return {
        "epoch": epoch + 1,
        "loss": history.loss[-1],
        "val_auc": history.val_auc[-1],
        "val_loss": history.val_loss[-1],
    }
