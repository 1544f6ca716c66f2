"""Who else has speckle reducing anisotropic diffusion: here is what JAX makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .lee import refuses, store
from .peer import Peer, Row, image_pool, one_by_one, same_images


@cache
def _compiled(log: bool) -> Callable[..., Any]:
    """All iterations in one compiled loop; their number is not fixed."""
    import jax
    import jax.numpy as jnp

    def run(image: Any, fade: Any, share: Any, speckle: Any) -> Any:
        def step(t: Any, u: Any) -> Any:
            south = jnp.diff(u, axis=0, append=u[-1:])
            east = jnp.diff(u, axis=1, append=u[:, -1:])
            north = jnp.pad(south[:-1], ((1, 0), (0, 0)))
            west = jnp.pad(east[:, :-1], ((0, 0), (1, 0)))
            laplacian = south - north + east - west
            q2 = (south**2 + north**2 + east**2 + west**2) / 2 - laplacian**2 / 16
            q02 = (speckle * fade[t]) ** 2
            mean2 = (u + laplacian / 4) ** 2
            top = q02 if log else (q02 + q02**2) * mean2
            bottom = q2 if log else q2 + q02**2 * mean2
            c = jnp.where(top < bottom, top / bottom, 1)
            down = jnp.concatenate([c[1:], c[-1:]]) * south - c * north
            right = jnp.concatenate([c[:, 1:], c[:, -1:]], axis=1) * east - c * west
            return u + share * (down + right)

        return jax.lax.fori_loop(0, fade.size, step, image.astype(jnp.float32))

    return jax.jit(run)


def _jax(
    image: np.ndarray,
    out: np.ndarray,
    iterations: int,
    step: float,
    decay: float,
    speckle: float,
    domain: str,
) -> None:
    fade = np.exp(-decay * step * np.arange(iterations)).astype(np.float32)
    done = _compiled(domain == "log")(image, fade, np.float32(step / 4), np.float32(speckle))
    store(out, np.asarray(done))


def _difference(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    return same_images(1e-4 if ours.dtype.kind == "f" else 1.0)(ours, theirs, **parameters)


PEERS = (
    Peer(
        name="jax:jit",
        package="jax",
        distribution="jax",
        modes={"threads inside": one_by_one(_jax), "image pool": image_pool(_jax)},
        refuses=refuses,
        difference=_difference,
        agreement="float32: 0.0001 of a range of 1; integers: one level",
    ),
)

LINEAR = {"iterations": 30, "speckle": 0.2, "domain": "linear"}
ROWS = (
    Row("ultrasound-64x256x256", "uint8", {"iterations": 30, "speckle": 20.0, "domain": "log"}),
    Row("image-1024", "float32", LINEAR),
    Row("ct-chest-64x512x512", "uint16", LINEAR),
)
