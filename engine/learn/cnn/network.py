"""Residual networks in plain JAX: pure functions, parameters and state as nested dicts.

    params, state = network.init(key, shape)
    logits, features, state = network.apply(params, state, images, train)

Images are float32 `(n, h, w, c)` or `(n, d, h, w, c)`, channels last; convolution weights
`(kh, kw, c_in, c_out)` or `(kd, kh, kw, c_in, c_out)`; padding is explicit and symmetric. After a
convolutional stem come stages of residual blocks

    y = relu(norm(conv3(relu(norm(conv3(x))))) + shortcut(x))

The first block of each later stage halves every side and doubles the channels; its shortcut is a
mean over 2x2 (2x2x2) and a convolution of size 1 (ResNet-D: no activation is thrown away). The
mean over all positions gives the features, one dense layer the logits.

light     3 stages. The stem brings images to a side of 28 to 55 (side / s for s = 1, 2, 4, ...,
          with a kernel of 2 s + 1), so that the cost hardly depends on the size of the images.
resnet18  4 stages of 2 blocks, 64 .. 512 channels. The stem is a convolution of 3 with stride 1
          for sides up to 64; above, one of 7 with stride 2 and a 3x3 maximum with stride 2.

Anyone's network can take their place: two pure functions make a `Network`.

Source: He et al., Deep Residual Learning, CVPR 2016; He et al., Bag of Tricks, CVPR 2019;
Ioffe and Szegedy, Batch Normalization, ICML 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..errors import LearnError
from . import winograd

Tree = dict[str, Any]

SIDE = 28  # light: least side after the stem, where the image is larger
SMALL = 64  # resnet18: largest side that the small stem takes
EPSILON = 1e-5
DECAY = 0.9  # of the running mean and variance, a step


class Network(NamedTuple):
    """What training and prediction need of a network.

    init   (key, shape (h, w, c) or (d, h, w, c)) -> params, state: trees of float32 arrays; what
           the optimiser changes, and what `apply` itself remembers (running means)
    apply  (params, state, images, train) -> logits (n, outputs), features (n, f), new state; pure,
           `train` is a Python bool; without it the state comes back unchanged
    """

    init: Callable[..., tuple[Any, Any]]
    apply: Callable[..., tuple[jax.Array, jax.Array, Any]]


class Plan(NamedTuple):
    """An architecture: its number of stages; channels of the first one and blocks in each."""

    stages: int
    width: int
    blocks: int


PLANS = {
    "light": Plan(stages=3, width=16, blocks=1),
    "resnet18": Plan(stages=4, width=64, blocks=2),
}


@cache
def residual(
    outputs: int,
    architecture: str = "light",
    width: int = 0,
    blocks: int = 0,
    ordinal: bool = False,
    dtype: str | None = None,
) -> Network:
    """One of our networks, for images of any rank and number of channels.

    outputs       number of logits
    architecture  one of `PLANS`, which also gives `width` and `blocks` where they are 0
    ordinal       one score for all logits, which differ by their bias alone (cut points)
    dtype         of the convolutions, "float32" or "bfloat16"; None: bfloat16 on a GPU. Weights,
                  normalisation statistics, features and logits are float32 in any case

    The same arguments give the same object, so that nothing is compiled twice. LearnError outside
    the ranges.
    """
    if architecture not in PLANS:
        raise LearnError(
            f"cnn: architecture is {architecture!r}; allowed: {', '.join(PLANS)} or a Network"
        )
    plan = PLANS[architecture]
    plan = plan._replace(width=width or plan.width, blocks=blocks or plan.blocks)
    if min(outputs, plan.width) < 1 or not 1 <= plan.blocks <= 9:
        raise LearnError(
            f"cnn: {outputs} outputs, width {plan.width}, {plan.blocks} blocks; allowed: counts of "
            f"at least 1, at most 9 blocks"
        )
    return Network(
        partial(init, outputs=outputs, architecture=architecture, plan=plan, ordinal=ordinal),
        partial(apply, architecture=architecture, dtype=dtype),
    )


def init(
    key: jax.Array,
    shape: tuple[int, ...],
    outputs: int,
    architecture: str,
    plan: Plan,
    ordinal: bool,
) -> tuple[Tree, Tree]:
    """Parameters and normalisation state for images of `shape` (h, w, c) or (d, h, w, c).

    Weights are He-normal (variance 2 / fan-in), the last scale of every block is 0 (each block
    starts as the identity), the dense layer starts at 0 (all classes equally likely).

    LearnError for another rank or a side below 4.
    """
    *sides, channels = shape
    if len(sides) not in (2, 3) or min(sides) < 4 or channels < 1:
        raise LearnError(
            f"cnn: images are {shape}; allowed: (h, w, c) or (d, h, w, c), sides of at least 4"
        )
    rank = len(sides)
    kernel, _, _ = stem(architecture, tuple(sides))
    params: Tree = {"stem": _conv_norm(kernel, rank, channels, plan.width)}
    inside = plan.width
    for stage in range(plan.stages):
        outside = plan.width * 2**stage
        for block in range(plan.blocks):
            part: Tree = {
                "first": _conv_norm(3, rank, inside, outside),
                "second": _conv_norm(3, rank, outside, outside),
            }
            part["second"]["scale"] = jnp.zeros(outside)
            if inside != outside:
                part["shortcut"] = _conv_norm(1, rank, inside, outside)
            params[f"stage{stage}_block{block}"] = part
            inside = outside
    params["dense"] = _dense(inside, outputs, ordinal)
    return _drawn(params, key), _fresh_state(params)


def apply(
    params: Tree,
    state: Tree,
    images: jax.Array,
    train: bool,
    architecture: str = "light",
    dtype: str | None = None,
) -> tuple[jax.Array, jax.Array, Tree]:
    """Logits `(n, outputs)`, features `(n, f)` and the new normalisation state.

    With `train` the batch's own mean and variance normalise it and enter the running averages;
    without, the running averages normalise and the state comes back unchanged, so that no row can
    influence another.
    """
    x, state = _trunk(params, state, images, train, architecture, dtype)
    features = x.mean(axis=_positions(x))
    return features @ params["dense"]["weight"] + params["dense"]["bias"], features, state


def _trunk(
    params: Tree, state: Tree, images: jax.Array, train: bool, architecture: str, dtype: str | None
) -> tuple[jax.Array, Tree]:
    """The last feature maps `(n, ..., f)` float32 and the new normalisation state."""
    new: Tree = {}
    _, stride, pooled = stem(architecture, images.shape[1:-1])
    x = images.astype(dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16"))
    x, new["stem"] = _apply_conv_norm(params["stem"], state["stem"], x, train, stride)
    x = jax.nn.relu(x)
    if pooled:
        x = _largest(x)
    for name in sorted(key for key in params if key.startswith("stage")):
        x, new[name] = _apply_block(params[name], state[name], x, train)
    return x.astype(jnp.float32), new


def stem(architecture: str, sides: tuple[int, ...]) -> tuple[int, int, bool]:
    """Kernel and stride of the first convolution; whether a maximum with stride 2 follows."""
    if architecture == "resnet18":
        return (3, 1, False) if max(sides) <= SMALL else (7, 2, True)
    stride = 1
    while min(sides) >= 2 * stride * SIDE:
        stride *= 2
    return 2 * stride + 1, stride, False


def _conv_norm(size: int, rank: int, inside: int, outside: int) -> Tree:
    """A layer whose weights, still to be drawn, hold their standard deviation."""
    he = (2.0 / (size**rank * inside)) ** 0.5
    weight = jnp.full((size,) * rank + (inside, outside), he)
    return {"weight": weight, "scale": jnp.ones(outside), "offset": jnp.zeros(outside)}


def _dense(inside: int, outputs: int, ordinal: bool) -> Tree:
    """Zeros. Ordinal: one score, and cut points at which all outputs + 1 classes are as likely."""
    if not ordinal:
        return {"weight": jnp.zeros((inside, outputs)), "bias": jnp.zeros(outputs)}
    below = jnp.arange(1, outputs + 1) / (outputs + 1)
    return {"weight": jnp.zeros((inside, 1)), "bias": jnp.log((1 - below) / below)}


def _drawn(params: Tree, key: jax.Array) -> Tree:
    """Every convolution's weights times normal noise, of one draw for all: it compiles faster."""
    leaves, structure = jax.tree.flatten(params)
    sizes = [leaf.size if leaf.ndim >= 4 else 0 for leaf in leaves]
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    noise = jax.random.normal(key, (ends[-1],))
    leaves = [
        leaf * noise[end - size : end].reshape(leaf.shape) if size else leaf
        for leaf, size, end in zip(leaves, sizes, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, leaves)


def _fresh_state(params: Tree) -> Tree:
    """Mean 0 and variance 1 beside every scale."""
    if "scale" in params:
        return {"mean": jnp.zeros_like(params["scale"]), "var": jnp.ones_like(params["scale"])}
    return {name: _fresh_state(part) for name, part in params.items() if name != "dense"}


def _apply_block(params: Tree, state: Tree, x: jax.Array, train: bool) -> tuple[jax.Array, Tree]:
    new: Tree = {}
    stride = 2 if "shortcut" in params else 1
    y, new["first"] = _apply_conv_norm(params["first"], state["first"], x, train, stride)
    y, new["second"] = _apply_conv_norm(params["second"], state["second"], jax.nn.relu(y), train)
    if stride == 2:
        x, new["shortcut"] = _apply_conv_norm(
            params["shortcut"], state["shortcut"], _halve(x), train
        )
    return jax.nn.relu(x + y), new


def _apply_conv_norm(
    params: Tree, state: Tree, x: jax.Array, train: bool, stride: int = 1
) -> tuple[jax.Array, Tree]:
    """norm(y) = scale (y - mean) / sqrt(var + epsilon) + offset of y = conv(x), and the state.

    Without `train` the norm is a fixed line, y gain + shift, and the gain goes into the weights.
    """
    if not train:
        gain, shift = _line(params, state["mean"], state["var"])
        return _conv(x, params["weight"] * gain, stride) + shift.astype(x.dtype), state
    y = _conv(x, params["weight"], stride)
    exact = y.astype(jnp.float32)
    mean, var = exact.mean(_positions(y, 0)), exact.var(_positions(y, 0))
    state = {
        "mean": DECAY * state["mean"] + (1 - DECAY) * mean,
        "var": DECAY * state["var"] + (1 - DECAY) * var,
    }
    gain, shift = _line(params, mean, var)
    return (exact * gain + shift).astype(x.dtype), state


def _line(params: Tree, mean: jax.Array, var: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gain and shift of the normalisation."""
    gain = params["scale"] * jax.lax.rsqrt(var + EPSILON)
    return gain, params["offset"] - mean * gain


def _conv(x: jax.Array, weight: jax.Array, stride: int) -> jax.Array:
    """Zeros around the image; on a CPU by other sums where XLA's own are slow."""
    if winograd.pays(x, weight, stride):
        return winograd.conv(x, weight)
    if weight.shape[:-1] == (3, 3, 1) and stride == 1 and jax.default_backend() == "cpu":
        return _shifted(x, weight)
    rank = x.ndim - 2
    border = (weight.shape[0] // 2, weight.shape[0] // 2)
    axes = ("NHWC", "HWIO", "NHWC") if rank == 2 else ("NDHWC", "DHWIO", "NDHWC")
    return jax.lax.conv_general_dilated(
        x, weight.astype(x.dtype), (stride,) * rank, (border,) * rank, dimension_numbers=axes
    )


def _shifted(x: jax.Array, weight: jax.Array) -> jax.Array:
    """The convolution of one channel as the sum of 9 shifted images."""
    h, w = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [x[:, i : i + h, j : j + w] * weight[i, j] for i in range(3) for j in range(3)]
    return sum(parts[1:], parts[0])


def _halve(x: jax.Array) -> jax.Array:
    """Mean over 2 along every side; an odd last row or column stands for itself twice."""
    n, *sides, c = x.shape
    x = jnp.pad(x, ((0, 0), *((0, side % 2) for side in sides), (0, 0)), mode="edge")
    pairs = [part for side in sides for part in ((side + 1) // 2, 2)]
    return x.reshape(n, *pairs, c).mean(axis=tuple(range(2, 2 + len(pairs), 2)))


def _largest(x: jax.Array) -> jax.Array:
    """Maximum over 3 with stride 2 along every side."""
    rank = x.ndim - 2
    window, stride = (1, *(3,) * rank, 1), (1, *(2,) * rank, 1)
    border = ((0, 0), *((1, 1),) * rank, (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, border)


def _positions(x: jax.Array, first: int = 1) -> tuple[int, ...]:
    """The axes from `first` to the channels, which are last."""
    return tuple(range(first, x.ndim - 1))
