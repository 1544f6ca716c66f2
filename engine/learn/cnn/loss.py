"""What a network's outputs mean, task by task: their number, the loss, the probabilities.

classes   one of k: k logits z, p = softmax(z), loss -log p_truth (cross-entropy)
labels    each of k or not: k logits, p = sigmoid(z), loss the mean cross-entropy of the k answers
ordinal   one of k in an order: k - 1 logits, one a cut point, put in descending order

              q_j = P(truth > j) = sigmoid(z_j), z_0 >= z_1 >= ...,     p_j = q_(j-1) - q_j

          and the loss is the sum of the cross-entropies of the k - 1 answers "above j?". With
          z_j = score + cut_j, as `residual` makes them, these are proportional odds.

Smoothing s moves each target by s towards "cannot tell": 1/k for classes, 1/2 for an answer.

Source: McCullagh, Regression Models for Ordinal Data, J. R. Stat. Soc. B 1980; Cao, Mirjalili and
Raschka, Rank consistent ordinal regression (CORAL), Pattern Recognition Letters 2020; Szegedy et
al., Rethinking the Inception Architecture, CVPR 2016 (smoothing).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..errors import LearnError
from ..settings import TASKS

Array = jax.Array | np.ndarray


def outputs(task: str, classes: int) -> int:
    """How many logits the network gives for k classes or labels; LearnError for another task."""
    _known(task)
    return classes - 1 if task == "ordinal" else classes


def loss(
    task: str, logits: Array, truth: Array, weights: Array, smoothing: float = 0.0
) -> jax.Array:
    """The weighted mean loss of a batch, a float32 scalar.

    logits     (n, outputs(task, k))
    truth      (n,) class numbers, or (n, k) bool for "labels"
    weights    (k,) positive: of a row by its class, or of the answer "yes" for "labels"; the mean
               is divided by the weights' sum, so that their scale does not count
    smoothing  0 .. 1
    """
    _known(task)
    logits, truth, weights = jnp.float32(logits), jnp.asarray(truth), jnp.asarray(weights)
    k = len(weights)
    if task == "classes":
        target = optax.smooth_labels(jax.nn.one_hot(truth, k), smoothing)
        each, weight = optax.softmax_cross_entropy(logits, target), weights[truth]
    elif task == "ordinal":
        above = truth[:, None] > jnp.arange(k - 1)
        each, weight = _answers(_descending(logits), above, smoothing).sum(1), weights[truth]
    else:
        each, weight = _answers(logits, truth, smoothing), jnp.where(truth, weights, 1.0)
    return (weight * each).sum() / weight.sum()


def probabilities(task: str, logits: Array) -> jax.Array:
    """(n, outputs) -> (n, k) float32 in 0 .. 1; rows sum to 1 but for "labels"."""
    _known(task)
    logits = jnp.float32(logits)
    if task == "classes":
        return jax.nn.softmax(logits)
    if task == "labels":
        return jax.nn.sigmoid(logits)
    above = jax.nn.sigmoid(_descending(logits))
    return -jnp.diff(above, axis=1, prepend=1.0, append=0.0)


def _answers(logits: Array, yes: Array, smoothing: float) -> jax.Array:
    """Cross-entropy of every yes-or-no answer."""
    target = (1 - smoothing) * yes.astype(jnp.float32) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits, target)


def _descending(logits: Array) -> jax.Array:
    """Sorted, so that P(truth > j) falls with j whatever the weights are."""
    return -jnp.sort(-logits, axis=1)


def _known(task: str) -> None:
    if task not in TASKS:
        raise LearnError(f"cnn: task is {task!r}; allowed: {', '.join(TASKS)}")
