"""3x3 convolutions by Winograd's minimal filtering: 16 products for 2x2 outputs, instead of 36.

    Y = A' [ (G g G') * (B' d B) ] A

d is a 4x4 tile of the image, g the kernel, * the product of each of the 16 positions: a matrix
product over the channels, which a CPU does at its full rate. Sums and differences are all the
rest. Float32 results differ from the direct sum by about 1e-6 of their largest value.

Source: Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Line = Sequence[jax.Array]
Grid = Sequence[Line]

CHANNELS = 64  # from these on, in and out, this is faster than XLA's direct sum, measured ...
VALUES = 8192  # ... where an image has as many values in one layer


def pays(x: jax.Array, weight: jax.Array, stride: int) -> bool:
    """Whether `conv` can do this convolution, and faster than XLA's direct one."""
    channels, (h, w) = min(weight.shape[-2:]), x.shape[1:3]
    able = weight.shape[:-2] == (3, 3) and stride == 1 and x.dtype == jnp.float32
    large = channels >= CHANNELS and h * w * channels >= VALUES
    return able and large and jax.default_backend() == "cpu"


@jax.custom_vjp
def conv(x: jax.Array, weight: jax.Array) -> jax.Array:
    """(n, h, w, c), (3, 3, c, k) float32 -> (n, h, w, k): stride 1, zeros around the image."""
    return _filtered(x, _kernel(weight))


def _forward(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return conv(x, weight), (x, weight)


def _backward(saved: tuple[jax.Array, jax.Array], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The slope by x is the convolution of y's slope with the kernel turned by 180 degrees. G maps
    a reversed kernel to itself with its ends exchanged, so that nothing is turned."""
    x, weight = saved
    kernel, ends = _kernel(weight), (3, 1, 2, 0)
    turned = [[kernel[i][j].T for j in ends] for i in ends]
    (by_weight,) = jax.vjp(lambda weight: _filtered(x, _kernel(weight)), weight)[1](slope)
    return _filtered(slope, turned), by_weight


conv.defvjp(_forward, _backward)


def _filtered(x: jax.Array, kernel: Grid) -> jax.Array:
    tiles = _tiles(x)
    products = [[tiles[i][j] @ kernel[i][j] for j in range(4)] for i in range(4)]
    return _joined(_on_both(_a, products), x.shape)


def _tiles(x: jax.Array) -> Grid:
    """B' d B: 4x4 arrays (tiles, channels) of an image cut into tiles that overlap by 2."""
    n, h, w, c = x.shape
    down, across = (h + 1) // 2, (w + 1) // 2
    x = jnp.pad(x, ((0, 0), (1, 2 * down - h + 1), (1, 2 * across - w + 1), (0, 0)))
    pairs = x.reshape(n, down + 1, 2, across + 1, 2, c)

    def part(i: int, j: int) -> jax.Array:
        top, left = i // 2, j // 2
        return pairs[:, top : top + down, i % 2, left : left + across, j % 2].reshape(-1, c)

    return _on_both(_b, [[part(i, j) for j in range(4)] for i in range(4)])


def _kernel(weight: jax.Array) -> Grid:
    """G g G': 4x4 arrays (channels in, channels out)."""
    return _on_both(_g, [[weight[i, j] for j in range(3)] for i in range(3)])


def _joined(parts: Grid, shape: tuple[int, ...]) -> jax.Array:
    """2x2 arrays (tiles, k) of even and odd rows and columns -> (n, h, w, k)."""
    n, h, w, _ = shape
    down, across = (h + 1) // 2, (w + 1) // 2
    rows = [jnp.stack([part.reshape(n, down, across, -1) for part in row], 3) for row in parts]
    return jnp.stack(rows, 2).reshape(n, 2 * down, 2 * across, -1)[:, :h, :w]


def _on_both(line: Callable[[Line], Line], grid: Grid) -> Grid:
    """L grid L' of a linear map L of lines: of every column, then of every row."""
    columns = [line(column) for column in zip(*grid, strict=True)]
    return [line(row) for row in zip(*columns, strict=True)]


def _a(m: Line) -> Line:
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _b(d: Line) -> Line:
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


def _g(g: Line) -> Line:
    return g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]
