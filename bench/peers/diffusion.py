"""Who else diffuses anisotropically."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, same_images, thread_pool, use_library_threads


@cache
def _perona_malik(rational: bool) -> Callable[..., Any]:
    """(u, kappa, step, iterations) -> u for one image of any number of axes, jitted."""
    import jax
    import jax.numpy as jnp

    def run(u: Any, kappa: Any, step: Any, iterations: Any) -> Any:
        def change(u: Any) -> Any:
            total = jnp.zeros_like(u)
            for axis in range(u.ndim):
                d = jnp.diff(u, axis=axis)
                squares = (d / kappa) ** 2
                flux = d / (1 + squares) if rational else d * jnp.exp(-squares)
                sides = [(0, 0)] * u.ndim
                sides[axis] = (1, 1)
                total += jnp.diff(jnp.pad(flux, sides), axis=axis)
            return total

        return jax.lax.fori_loop(0, iterations, lambda _, u: u + step * change(u), u)

    return jax.jit(run)


def _jax(pool: bool) -> Mode:
    """Image after image, the threads of XLA inside each; or images side by side."""

    def prepare(
        images: np.ndarray,
        masks: np.ndarray | None,
        *,
        sigma: float,
        strength: float,
        conductance: str,
        iterations: int,
        step: float,
    ) -> Run:
        use_library_threads(1 if pool else cores())
        out, diffuse = np.empty_like(images), _perona_malik(conductance == "rational")
        numbers = np.float32(strength * sigma), np.float32(step), iterations

        def work(i: int) -> None:
            u = np.asarray(diffuse(images[i].astype(np.float32, copy=False), *numbers))
            if out.dtype.kind in "iu":
                u = np.clip(np.rint(u), np.iinfo(out.dtype).min, np.iinfo(out.dtype).max)
            out[i] = u

        def run() -> np.ndarray:
            list((thread_pool().map if pool else map)(work, range(len(images))))
            return out

        return run

    return prepare


def _jax_refuses(dtype: str, *, sigma: Any, conductance: str, **_: Any) -> str:
    if isinstance(sigma, str):
        return "it takes a kappa: give sigma a number"
    return "it has no curvature motion" if conductance == "curvature" else ""


def _close(ours: np.ndarray, theirs: np.ndarray, **parameters: Any) -> str:
    """Integers may be one level apart, where a value lies between two."""
    whole = ours.dtype.kind in "iu"
    return same_images(1 if whole else 1e-5 * float(np.abs(ours).max()))(ours, theirs, **parameters)


# fastest first
PEERS = (
    Peer(
        name="jax:Perona-Malik",
        package="jax",
        distribution="jax",
        modes={"threads inside": _jax(False), "image pool": _jax(True)},
        refuses=_jax_refuses,
        difference=_close,
        agreement="to 1e-5 of the largest pixel; integers to one level",
    ),
)

# SimpleITK's GradientAnisotropicDiffusion and CurvatureAnisotropicDiffusion do another job: they
# take kappa relative to the mean gradient of each iteration, and the gradient between two pixels
# from their neighbours along the other axes too, so that no parameters make them equal.
ROWS = tuple(
    Row(
        shape,
        dtype,
        {"sigma": sigma, "conductance": conductance, "iterations": 20, "strength": 2.0},
    )
    for shape, dtype, sigma, conductance in (
        ("image-1024", "float32", 0.02, "exp"),
        ("image-1024", "float32", 0.02, "rational"),
        ("ct-chest-64x512x512", "uint16", 82.0, "exp"),
        ("mr-head-128", "float32", 0.02, "exp"),
    )
)
