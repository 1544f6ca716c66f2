"""A small residual network in plain JAX: pure functions, parameters and state as nested dicts.

    logits, features, state = apply(params, state, images, train)

Images are float32 `(n, h, w, c)` (NHWC), convolution weights `(kh, kw, c_in, c_out)` (HWIO),
padding explicit and symmetric. A convolutional stem brings images of any size to a side of 28 to
55 pixels (side / s for the stride s = 1, 2, 4, ..., with a kernel of 2 s + 1), so that the cost
hardly depends on the size of the images. Then 3 stages of residual blocks

    y = relu(norm(conv3x3(relu(norm(conv3x3(x))))) + shortcut(x))

The first block of each later stage halves h and w and doubles the channels; its shortcut is a
2x2 mean and a 1x1 convolution (ResNet-D: no activation is thrown away). The mean over h and w
gives the features, one dense layer the logits.

The shape of the dicts *is* the architecture: `apply` needs no other description, and a model
file is checked by comparing its arrays with those that `init` would make.

Source: He et al., Deep Residual Learning, CVPR 2016; He et al., Bag of Tricks, CVPR 2019;
Ioffe and Szegedy, Batch Normalization, ICML 2015.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

Tree = dict[str, Any]

STAGES = 3
SIDE = 28  # least side after the stem, where the image is larger
EPSILON = 1e-5
DECAY = 0.9  # of the running mean and variance, a step


def init(
    key: jax.Array, shape: tuple[int, int, int], classes: int, width: int = 16, blocks: int = 1
) -> tuple[Tree, Tree]:
    """Parameters and normalisation state for images of `shape` (h, w, c).

    `width` is the number of channels of the first stage; each of the 3 stages holds `blocks`
    blocks. Weights are He-normal (variance 2 / fan-in), the last scale of every block is 0 (each
    block starts as the identity), the dense layer starts at 0 (all classes equally likely).

    Raises ValueError if a count is below 1, `blocks` above 9 or the image smaller than 4x4.
    """
    h, w, channels = shape
    if min(classes, width, blocks, channels) < 1 or min(h, w) < 4 or blocks > 9:
        raise ValueError(
            f"network: images {shape}, {classes} classes, width {width}, {blocks} blocks; allowed: "
            f"images of at least 4x4, counts of at least 1, at most 9 blocks"
        )
    stride = 1
    while min(h, w) >= 2 * stride * SIDE:
        stride *= 2
    params: Tree = {"stem": _conv_norm(2 * stride + 1, channels, width)}
    inside = width
    for stage in range(STAGES):
        outside = width * 2**stage
        for block in range(blocks):
            part: Tree = {
                "first": _conv_norm(3, inside, outside),
                "second": _conv_norm(3, outside, outside),
            }
            part["second"]["scale"] = jnp.zeros(outside)
            if inside != outside:
                part["shortcut"] = _conv_norm(1, inside, outside)
            params[f"stage{stage}_block{block}"] = part
            inside = outside
    params["dense"] = {"weight": jnp.zeros((inside, classes)), "bias": jnp.zeros(classes)}
    return _drawn(params, key), _fresh_state(params)


def apply(
    params: Tree, state: Tree, images: jax.Array, train: bool
) -> tuple[jax.Array, jax.Array, Tree]:
    """Logits `(n, classes)`, features `(n, 4 width)` and the new normalisation state.

    With `train` the batch's own mean and variance normalise it and enter the running averages;
    without, the running averages normalise and the state comes back unchanged, so that no row can
    influence another.
    """
    new: Tree = {}
    stride = params["stem"]["weight"].shape[0] // 2
    x, new["stem"] = _apply_conv_norm(params["stem"], state["stem"], images, train, stride)
    x = jax.nn.relu(x)
    for name in sorted(key for key in params if key.startswith("stage")):
        x, new[name] = _apply_block(params[name], state[name], x, train)
    features = x.mean(axis=(1, 2))
    return features @ params["dense"]["weight"] + params["dense"]["bias"], features, new


def _conv_norm(size: int, inside: int, outside: int) -> Tree:
    """A layer whose weights, still to be drawn, hold their standard deviation."""
    he = (2.0 / (size * size * inside)) ** 0.5
    weight = jnp.full((size, size, inside, outside), he)
    return {"weight": weight, "scale": jnp.ones(outside), "offset": jnp.zeros(outside)}


def _drawn(params: Tree, key: jax.Array) -> Tree:
    """Every convolution's weights times normal noise, of one draw for all: it compiles faster."""
    leaves, structure = jax.tree.flatten(params)
    sizes = [leaf.size if leaf.ndim == 4 else 0 for leaf in leaves]
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
    y = _conv(x, params["weight"], stride)
    if train:
        mean, var = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
        state = {
            "mean": DECAY * state["mean"] + (1 - DECAY) * mean,
            "var": DECAY * state["var"] + (1 - DECAY) * var,
        }
    else:
        mean, var = state["mean"], state["var"]
    gain = params["scale"] * jax.lax.rsqrt(var + EPSILON)
    return y * gain + (params["offset"] - mean * gain), state


def _conv(x: jax.Array, weight: jax.Array, stride: int) -> jax.Array:
    border = (weight.shape[0] // 2, weight.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x, weight, (stride, stride), (border, border), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _halve(x: jax.Array) -> jax.Array:
    """2x2 mean; an odd last row or column stands for itself twice."""
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return x.reshape(n, (h + 1) // 2, 2, (w + 1) // 2, 2, c).mean(axis=(2, 4))
