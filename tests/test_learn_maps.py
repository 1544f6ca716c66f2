"""Maps that can be trusted: they sum up to the logit, and follow the weights."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from medkern.engine.learn import LearnError
from medkern.engine.learn.cnn.network import Network
from medkern.engine.learn.cnn.trained import Cnn, Design, scale
from medkern.engine.learn.explain import gradcam as cam, integrated as ig
from medkern.engine.learn.explain.gradcam import gradcam
from medkern.engine.learn.explain.integrated import integrated_gradients
from medkern.engine.learn.explain.waists import cut

SMALL = Design((12, 12), 8, 3, 4, 1, "image", 0.5, 0.2)


def drawn(seed: int, design: Design = SMALL) -> Cnn:
    """A network whose every weight is random: a fresh one ignores its blocks and has no logits."""
    params, state = design.fresh(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    # both kinds of weights that start at 0 get a value; the others keep their deviation
    params = jax.tree.map(lambda w: np.asarray(w + rng.normal(0, 0.3, w.shape), np.float32), params)
    return Cnn(design, params, jax.tree.map(np.asarray, state))


def programs(jitted: Any) -> int:
    """How many programs were compiled for a jitted function."""
    return jitted._cache_size()


def photographs(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *(shape or (12, 12)))).astype(np.uint8)


def network(function: Any) -> Network:
    """A plugged-in network from a function (weight, bias, images) -> (last map, logits)."""

    def apply(params: Any, state: Any, images: jax.Array, train: bool) -> Any:
        maps, logits = function(params["weight"], params["bias"], images)
        return logits, maps.mean(axis=(1, 2)), state

    return Network(lambda key, shape: ({}, {}), apply)


def plugged(own: Network, weight: Any, bias: Any, size: tuple[int, int] = (12, 12)) -> Cnn:
    design = replace(SMALL, size=size, classes=len(bias), architecture="custom")
    params = {"weight": np.asarray(weight, np.float32), "bias": np.asarray(bias, np.float32)}
    return Cnn(design, params, {}, own)


def two_channels(weight: jax.Array, bias: jax.Array, images: jax.Array) -> Any:
    """Bright and dark places are a channel each; their means make the logits."""
    maps = jnp.concatenate([jax.nn.relu(images), jax.nn.relu(-images)], axis=-1)
    return maps, maps.mean(axis=(1, 2)) @ weight + bias


def straight(weight: jax.Array, bias: jax.Array, images: jax.Array) -> Any:
    return images, jnp.einsum("nhwc,hwk->nk", images, weight) + bias


TWO_CHANNELS, STRAIGHT = network(two_channels), network(straight)


# ---- where a network can be cut


@pytest.mark.parametrize("stage", [0, 1, 2, -1])
def test_a_network_cut_at_a_waist_is_the_same_network(stage: int):
    cnn = drawn(1)

    @jax.jit
    def whole_and_parts(images: jax.Array) -> tuple[jax.Array, ...]:
        def logits(x: jax.Array) -> jax.Array:
            return SMALL.network().apply(cnn.params, cnn.state, x, False)[0]

        maps, rest = cut(logits, images, stage)
        return logits(images), maps, rest(maps), rest(0 * maps)

    whole, maps, parts, without = whole_and_parts(scale(jnp.asarray(photographs(5)), SMALL))
    side = (12, 6, 3)[stage]
    assert maps.shape == (5, side, side, 4 * 12 // side)
    np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-5)
    assert (np.asarray(maps) >= 0).all()  # the stage's output, after its last activation
    # all that reaches the logits goes through the map: without it no image differs from another
    assert np.ptp(np.asarray(whole), axis=0).min() > 0 == np.ptp(np.asarray(without), axis=0).max()


# ---- Grad-CAM


def test_where_a_mean_and_a_dense_layer_follow_the_map_shares_out_the_logit():
    weight, bias = [[1.0, -2.0], [3.0, 0.5]], [0.25, -1.0]
    cnn, images = plugged(TWO_CHANNELS, weight, bias), photographs(4)
    for k in (0, 1):
        maps = gradcam(cnn, images, k, signed=True)
        logits = TWO_CHANNELS.apply(cnn.params, {}, scale(jnp.asarray(images), cnn.design), False)
        np.testing.assert_allclose(
            maps.sum(axis=(1, 2)) + bias[k], logits[0][:, k], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(gradcam(cnn, images, k), np.maximum(maps, 0), atol=1e-6)


def test_it_points_at_what_the_network_looks_for():
    images = np.full((2, 12, 12), 100, np.uint8)
    images[0, 2:5, 7:10], images[1, 2:5, 7:10] = 250, 250
    images[0, 8:11, 1:4], images[1, 8:11, 1:4] = 5, 5
    cnn = plugged(TWO_CHANNELS, [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    bright, dark = gradcam(cnn, images, np.array([0, 1]))
    assert bright[2:5, 7:10].sum() > 0.9 * bright.sum() > 0
    assert dark[8:11, 1:4].min() > 3 * dark[2:5, 7:10].max()


def test_every_row_is_explained_for_its_own_class_by_itself():
    cnn, images = drawn(2), photographs(40)
    called = cnn.predict(images).argmax(axis=1)
    classes = np.arange(40) % 3
    maps = gradcam(cnn, images, classes, signed=True)
    before = programs(cam._gradcam)
    default = gradcam(cnn, images, signed=True)
    for k in range(3):
        alone = gradcam(cnn, images[k::3], k, signed=True)
        np.testing.assert_allclose(alone, maps[classes == k], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(default[classes == called], maps[classes == called])
    assert gradcam(cnn, images[:0], signed=True).shape == (0, 12, 12)
    assert programs(cam._gradcam) == before  # one program for any class and number of rows


@pytest.mark.parametrize(
    ("design", "shape"),
    [
        (replace(SMALL, channels=3), (13, 18, 3)),
        (replace(SMALL, rank=3, size=(8, 12, 12)), (8, 12, 12)),
        (replace(SMALL, task="ordinal", width=8), (32, 32)),  # large enough for other algorithms
    ],
)
def test_maps_have_the_image_s_places_whatever_its_kind(design: Design, shape: tuple[int, ...]):
    design = replace(design, size=shape[: design.rank])
    cnn, images = drawn(3, design), photographs(3, *shape)
    maps = gradcam(cnn, images, 1, signed=True)
    assert maps.shape == (3, *design.size) and np.isfinite(maps).all() and np.ptp(maps) > 0
    if design.channels == 3:
        parts = integrated_gradients(cnn, images, 1, (32,))
        assert parts.maps.shape == (3, *design.size) and np.isfinite(parts.maps).all()


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    pairs = zip(a.reshape(len(a), -1), b.reshape(len(b), -1), strict=True)
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs]))


def test_maps_depend_on_the_weights_and_not_on_the_image_alone():
    """The sanity check of Adebayo et al., NeurIPS 2018: other weights, other maps."""
    images, first, again = photographs(8), drawn(4), drawn(4)
    for explain in (
        lambda cnn: gradcam(cnn, images, 0, signed=True),
        lambda cnn: integrated_gradients(cnn, images, 0, (32,)).maps,
    ):
        assert correlation(explain(first), explain(again)) > 0.999
        others = [correlation(explain(first), explain(drawn(seed))) for seed in (5, 6)]
        assert max(np.abs(others)) < 0.6


def test_an_unknown_class_or_stage_or_another_image_is_refused_in_words():
    cnn, images = drawn(0), photographs(2)
    for wrong in (3, -1, np.array([0]), np.array([0.0, 1.0])):
        with pytest.raises(LearnError, match=r"allowed: 0 \.\. 2"):
            gradcam(cnn, images, wrong)
    with pytest.raises(LearnError, match="no stage 3; it has 3"):
        gradcam(cnn, images, stage=3)
    with pytest.raises(LearnError, match="the network takes"):
        integrated_gradients(cnn, photographs(2, 8, 8))


# ---- integrated gradients


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(0, 2))
def test_attributions_sum_to_the_difference_of_the_logits(seed: int, k: int):
    cnn, images = drawn(seed), photographs(16, seed=seed)
    found = integrated_gradients(cnn, images, k)
    z = scale(jnp.asarray(images), SMALL)
    blank = jnp.broadcast_to(z.mean(axis=(1, 2), keepdims=True), z.shape)
    run = jax.jit(SMALL.network().apply, static_argnums=3)
    logit = [np.asarray(run(cnn.params, cnn.state, x, False)[0])[:, k] for x in (z, blank)]
    difference = logit[0] - logit[1]
    np.testing.assert_allclose(found.difference, difference, rtol=1e-3, atol=1e-4)
    total = found.maps.sum(axis=(1, 2))
    np.testing.assert_allclose(total + found.gap, found.difference, rtol=1e-4, atol=1e-4)
    size = np.abs(found.maps).sum(axis=(1, 2))
    good = np.abs(total - difference) <= np.maximum(0.0101 * np.abs(difference), 2e-4 * size)
    assert good[found.complete].all()
    assert found.complete.all() or (found.steps[~found.complete] == ig.STEPS[-1]).all()
    assert found.complete.mean() >= 0.75


def test_of_a_linear_network_they_are_weight_times_input():
    weight = np.random.default_rng(0).normal(size=(12, 12, 2))
    cnn, images = plugged(STRAIGHT, weight, [0.0, 0.0]), photographs(3)
    z = np.asarray(scale(jnp.asarray(images), cnn.design))[..., 0]
    found = integrated_gradients(cnn, images, 1, steps=(1,))
    expected = (z - z.mean(axis=(1, 2), keepdims=True)) * weight[..., 1]
    np.testing.assert_allclose(found.maps, expected, rtol=1e-4, atol=1e-5)
    assert found.complete.all()


def test_more_steps_are_spent_only_where_they_are_needed_and_a_miss_is_said():
    cnn, images = drawn(7), photographs(40)
    few = integrated_gradients(cnn, images, 0, steps=(2,))
    assert not few.complete.all() and (few.steps == 2).all()
    more = integrated_gradients(cnn, images, 0, steps=(2, 256))
    assert (more.steps == np.where(few.complete, 2, 256)).all()
    assert more.complete.mean() > few.complete.mean()
    np.testing.assert_array_equal(more.maps[few.complete], few.maps[few.complete])
