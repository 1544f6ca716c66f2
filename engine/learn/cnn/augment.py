"""Another view of each image, made inside the training step: other pixels, the same label.

    geometry   shift, rotation, zoom, flips: one map of positions, sampled once
    gamma      x -> low + span ((x - low) / span)^exp(g u), low .. low + span the image's own range
    intensity  x -> exp(s u) x + s v
    colour     the part of a colour that is not grey, turned about the grey axis and stretched
    cutout     a square (volumes: a cuboid) set to 0, the mean of a standardised image

u, v, ... are uniform in -1 .. 1, of their own for each image: no image influences another. A
setting of 0 leaves its part out of the program. Every part draws its own numbers, so that one
setting does not change what the others do.

Source: DeVries and Taylor, Improved Regularization with Cutout, arXiv 1708.04552 (2017); Isensee
et al., nnU-Net, Nature Methods 2021 (rotation, scaling, gamma for medical images).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..settings import Settings


class Chance(NamedTuple):
    """What is drawn for each image: (n,) float32 in -1 .. 1."""

    down: jax.Array
    across: jax.Array
    deep: jax.Array
    turn: jax.Array
    zoom: jax.Array
    horizontal: jax.Array
    vertical: jax.Array
    depth: jax.Array
    gamma: jax.Array
    gain: jax.Array
    offset: jax.Array
    hue: jax.Array
    saturation: jax.Array
    side: jax.Array
    hole_down: jax.Array
    hole_across: jax.Array
    hole_deep: jax.Array


def augment(key: jax.Array, x: jax.Array, settings: Settings) -> jax.Array:
    """A view of each standardised image, float32 (n, h, w, c) or (n, d, h, w, c); c = 1 or 3.

    The same key gives the same views. Where nothing turns or zooms, shifts are by whole pixels
    and no value is interpolated. Beyond the border the edge is repeated.
    """
    chance = Chance(*jax.random.uniform(key, (len(Chance._fields), len(x)), minval=-1.0))
    volumes = x if x.ndim == 5 else x[:, None]
    if settings.shift or settings.rotate or settings.zoom or settings.flips:
        volumes = _move(volumes, chance, settings)
    if settings.gamma:
        volumes = _gamma(volumes, jnp.exp(settings.gamma * chance.gamma))
    if settings.intensity:
        gain, offset = jnp.exp(settings.intensity * chance.gain), settings.intensity * chance.offset
        volumes = volumes * _each(gain) + _each(offset)
    if settings.colour and x.shape[-1] == 3:
        stretch = jnp.exp(settings.colour * chance.saturation)
        volumes = _recolour(volumes, settings.colour * chance.hue, stretch)
    if settings.cutout:
        volumes = _cut(volumes, chance, settings.cutout)
    return volumes.reshape(x.shape)


def _move(x: jax.Array, chance: Chance, settings: Settings) -> jax.Array:
    """Position p of the view is read at  R (p - centre) / zoom + centre + shift  of the image.

    R is the rotation in the plane, after the flips; slices of a volume move by whole slices.
    """
    _, d, h, w, _ = x.shape
    y = _flipped(h, chance.vertical, "vertical" in settings.flips)[:, :, None]
    across = _flipped(w, chance.horizontal, "horizontal" in settings.flips)[:, None, :]
    if not (settings.rotate or settings.zoom):
        rows = y + (h - 1) / 2 + _whole(chance.down, settings.shift, h)
        columns = across + (w - 1) / 2 + _whole(chance.across, settings.shift, w)
        moved = _nearest(x, rows, columns)
    else:
        angle = jnp.deg2rad(settings.rotate) * chance.turn[:, None, None]
        size = jnp.exp(-settings.zoom * chance.zoom)[:, None, None]
        cos, sin = size * jnp.cos(angle), size * jnp.sin(angle)
        down, right = (settings.shift * u[:, None, None] for u in (chance.down, chance.across))
        rows = cos * y - sin * across + (h - 1) / 2 + down * h
        columns = sin * y + cos * across + (w - 1) / 2 + right * w
        moved = _bilinear(x, rows, columns)
    if d == 1:
        return moved
    z = _flipped(d, chance.depth, "depth" in settings.flips) + (d - 1) / 2
    z = z + _whole(chance.deep, settings.shift, d)[:, 0]
    return jax.vmap(lambda volume, slices: volume[slices])(moved, _inside(z, d).astype(jnp.int32))


def _flipped(side: int, coin: jax.Array, may: bool) -> jax.Array:
    """(n, side): distances from the centre, of half of the images backwards where that `may` be."""
    sign = jnp.where(coin < 0, -1.0, 1.0) if may else jnp.ones_like(coin)
    return sign[:, None] * (jnp.arange(side) - (side - 1) / 2)


def _whole(chance: jax.Array, share: float, side: int) -> jax.Array:
    """(n, 1, 1): -most .. most pixels, each number equally likely; most = share of the side."""
    most = round(share * side)
    return jnp.clip(jnp.round(chance * (most + 0.5)), -most, most)[:, None, None]


def _nearest(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The pixels at whole rows (n, h, 1) and columns (n, 1, w)."""
    _, _, h, w, _ = x.shape
    rows, columns = _inside(rows, h), _inside(columns, w)
    return _pixels(x, (rows * w + columns).astype(jnp.int32))


def _bilinear(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Values between pixels at rows and columns (n, h, w); all 4 neighbours come in one gather."""
    _, _, h, w, _ = x.shape
    rows, columns = _inside(rows, h), _inside(columns, w)
    top, left = (jnp.minimum(jnp.floor(v), s - 2) for v, s in ((rows, h), (columns, w)))
    low, right = (rows - top)[:, None, ..., None], (columns - left)[:, None, ..., None]
    first = (top * w + left).astype(jnp.int32)
    at = _pixels(x, first[:, None] + jnp.array([0, 1, w, w + 1])[:, None, None])
    a, b, c, e = (at[:, :, corner] for corner in range(4))
    upper, lower = a + right * (b - a), c + right * (e - c)
    return upper + low * (lower - upper)


def _pixels(x: jax.Array, index: jax.Array) -> jax.Array:
    """Pixels of (n, d, h, w, c) by their number in the plane, the same for every slice."""
    n, d, h, w, c = x.shape
    planes = x.reshape(n, d, h * w, c)
    pick = jax.vmap(lambda volume, at: volume.at[:, at].get(mode="promise_in_bounds"))
    return pick(planes, index)


def _inside(position: jax.Array, side: int) -> jax.Array:
    return jnp.clip(position, 0, side - 1)


def _gamma(x: jax.Array, exponent: jax.Array) -> jax.Array:
    axes = tuple(range(1, x.ndim))
    low, high = x.min(axes, keepdims=True), x.max(axes, keepdims=True)
    span = jnp.where(high > low, high - low, 1.0)
    return low + span * ((x - low) / span) ** _each(exponent)


def _recolour(x: jax.Array, angle: jax.Array, stretch: jax.Array) -> jax.Array:
    """Colours turned by `angle` about the grey axis (Rodrigues), their distance to it stretched."""
    grey = x.mean(axis=-1, keepdims=True)
    tint = x - grey
    cross = (jnp.roll(tint, 1, axis=-1) - jnp.roll(tint, -1, axis=-1)) / 3**0.5
    turned = _each(jnp.cos(angle)) * tint + _each(jnp.sin(angle)) * cross
    return grey + _each(stretch) * turned


def _cut(x: jax.Array, chance: Chance, share: float) -> jax.Array:
    """0 in a box whose side is up to `share` of each side, centred anywhere."""
    half = share * (chance.side + 1) / 4
    inside = jnp.ones((), bool)
    holes = (chance.hole_deep, chance.hole_down, chance.hole_across)
    for axis, centre in enumerate(holes, start=1):
        side = x.shape[axis]
        if side == 1:
            continue
        place = (jnp.arange(side) + 0.5) / side
        near = jnp.abs(place - (centre[:, None] + 1) / 2) < half[:, None]
        shape = [len(x), 1, 1, 1, 1]
        shape[axis] = side
        inside = inside & near.reshape(shape)
    return jnp.where(inside, 0.0, x)


def _each(value: jax.Array) -> jax.Array:
    """(n,) -> (n, 1, 1, 1, 1)."""
    return value.reshape(-1, 1, 1, 1, 1)
