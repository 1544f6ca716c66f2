"""Winograd's convolution: the same numbers as the direct sum, taken where it is faster."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medkern.engine.learn.cnn import winograd


@pytest.mark.parametrize("shape", [(2, 6, 8, 3), (1, 7, 5, 4), (3, 4, 4, 2)])
def test_winograd_is_the_convolution_and_so_are_its_slopes(shape):
    generator = np.random.default_rng(0)
    x, slope = generator.normal(size=(2, *shape)).astype(np.float32)
    weight = generator.normal(size=(3, 3, shape[-1], shape[-1])).astype(np.float32)

    def direct(x: jax.Array, weight: jax.Array) -> jax.Array:
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=axes)

    @jax.jit
    def both(x: jax.Array, weight: jax.Array, slope: jax.Array):
        y, back = jax.vjp(winograd.conv, x, weight)
        expected, expected_back = jax.vjp(direct, x, weight)
        return (y, *back(slope)), (expected, *expected_back(slope))

    for ours, expected in zip(*both(x, weight, slope), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


def test_winograd_stands_in_where_it_is_faster_alone():
    def pays(side: int, channels: int, size: int = 3, stride: int = 1) -> bool:
        weight = jnp.zeros((size, size, channels, channels))
        return winograd.pays(jnp.zeros((1, side, side, channels)), weight, stride)

    here = jax.default_backend() == "cpu"
    assert [pays(28, 64), pays(4, 512)] == [here, here]
    assert not any([pays(28, 16), pays(7, 64), pays(28, 64, stride=2), pays(28, 64, size=1)])
