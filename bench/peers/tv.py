"""Who else minimises |u - f|^2 / 2 + weight TV(u).

Both peers run Chambolle's fixed-point iteration of 2004. Before the race each image is given as
many iterations as it needs to come down to the duality gap that our kernel is asked for; the peer
is told that number and need not look at the gap itself. Afterwards both results must lie within
that gap of one lower bound of the objective, which a third algorithm finds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..machine import cores
from .peer import Mode, Peer, Row, Run, thread_pool, use_library_threads

LOOK = 5  # iterations between two looks at the gap
MOST = 5000  # iterations
BOUND = 300  # iterations of the algorithm that bounds the objective


# ---- the iteration, for any number of axes, on one image


def _gradient(xp: Any, u: Any) -> list[Any]:
    """Forward differences; the last one of an axis is zero."""
    return [xp.pad(xp.diff(u, axis=a), _one_zero(u.ndim, a, 1)) for a in range(u.ndim)]


def _adjoint(xp: Any, p: list[Any]) -> Any:
    """Differences p[i - 1] - p[i]; p is zero at the end of each axis."""
    before = [xp.pad(_but_last(q, a), _one_zero(q.ndim, a, 0)) for a, q in enumerate(p)]
    return sum(b - q for b, q in zip(before, p, strict=True))


def _one_zero(axes: int, axis: int, end: int) -> list[tuple[int, int]]:
    return [((1 - end, end) if a == axis else (0, 0)) for a in range(axes)]


def _but_last(q: Any, axis: int) -> Any:
    return q[tuple(slice(0, -1) if a == axis else slice(None) for a in range(q.ndim))]


def _length(xp: Any, g: list[Any]) -> Any:
    return xp.sqrt(sum(x * x for x in g))


@cache
def _compiled() -> Callable[..., Any]:
    """(f, p, weight, iterations) -> (u, p); the number of iterations is not fixed.

    Written with pads, which XLA fuses: ten times as fast as with concatenations.
    """
    import jax
    import jax.numpy as jnp

    def run(f: Any, p: Any, weight: Any, iterations: Any) -> Any:
        tau = 1 / (2 * f.ndim)

        def step(_: Any, p: Any) -> Any:
            g = _gradient(jnp, f - weight * _adjoint(jnp, p))
            share = 1 / (1 + tau / weight * _length(jnp, g))
            return [(q + tau / weight * x) * share for q, x in zip(p, g, strict=True)]

        p = jax.lax.fori_loop(0, iterations, step, p)
        return f - weight * _adjoint(jnp, p), p

    return jax.jit(run)


@cache
def _gap() -> Callable[..., Any]:
    """(u, p, weight) -> the duality gap a pixel."""
    import jax
    import jax.numpy as jnp

    def gap(u: Any, p: Any, weight: Any) -> Any:
        g = _gradient(jnp, u)
        product = sum(x * q for x, q in zip(g, p, strict=True))
        return weight * (_length(jnp, g) - product).mean()

    return jax.jit(gap)


def _iterations(image: np.ndarray, weight: float, most: float) -> int:
    """How many iterations bring the gap down to `most` a pixel."""
    f = image.astype(np.float32)
    p = _start(f)
    for done in range(LOOK, MOST + 1, LOOK):
        u, p = _compiled()(f, p, np.float32(weight), LOOK)
        if _gap()(u, p, np.float32(weight)) <= most:
            return done
    return MOST


@cache
def _fast_gradient() -> Callable[..., Any]:
    """(f, weight, iterations) -> p, by Beck and Teboulle's fast gradient projection of 2009."""
    import jax
    import jax.numpy as jnp

    def run(f: Any, weight: Any, iterations: Any) -> Any:
        def step(_: Any, state: Any) -> Any:
            p, ahead, t = state
            g = _gradient(jnp, f - weight * _adjoint(jnp, ahead))
            new = [q + x / (4 * f.ndim * weight) for q, x in zip(ahead, g, strict=True)]
            share = 1 / jnp.maximum(_length(jnp, new), 1)
            new = [share * q for q in new]
            faster = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
            onwards = (t - 1) / faster
            return new, [q + onwards * (q - o) for q, o in zip(new, p, strict=True)], faster

        start = [jnp.zeros_like(f)] * f.ndim
        return jax.lax.fori_loop(0, iterations, step, (start, start, jnp.float32(1)))[0]

    return jax.jit(run)


def _least(image: np.ndarray, weight: float) -> float:
    """A lower bound of the objective: the dual objective of a p that is nearly the best."""
    p = _fast_gradient()(image.astype(np.float32), np.float32(weight), BOUND)
    f, flow = image.astype(np.float64), [np.asarray(q, np.float64) for q in p]
    longest = max(float(_length(np, flow).max()), 1.0)  # float32 rounds lengths of 1 up, too
    v = f - weight * _adjoint(np, flow) / longest
    return float((f**2).sum() - (v**2).sum()) / 2


# ---- the race

_prepared: dict[str, Any] = {}  # the images of the last race, for the check of its results


def _wants(images: np.ndarray, sigma: float, strength: float, gap: float) -> list[int]:
    """Iterations for each image; the images are the same for all modes."""
    key = images.shape, images.dtype, sigma, strength, gap
    if _prepared.get("key") != key or _prepared["images"] is not images:
        counts = [_iterations(image, strength * sigma, gap * sigma**2) for image in images]
        _prepared.update(key=key, images=images, counts=counts)
    return _prepared["counts"]


def _mode(solve: Callable[..., None], pool: bool) -> Mode:
    """solve(image, out, weight, iterations), image after image or side by side."""

    def prepare(
        images: np.ndarray,
        masks: np.ndarray | None,
        *,
        sigma: float,
        strength: float,
        gap: float,
        **_: Any,
    ) -> Run:
        use_library_threads(1 if pool else cores())
        counts, out = _wants(images, sigma, strength, gap), np.empty_like(images)

        def work(i: int) -> None:
            solve(images[i], out[i], strength * sigma, counts[i])

        def run() -> np.ndarray:
            list((thread_pool().map if pool else map)(work, range(len(images))))
            return out

        return run

    return prepare


def _start(f: np.ndarray) -> list[np.ndarray]:
    return [np.zeros_like(f) for _ in range(f.ndim)]


def _store(out: np.ndarray, u: np.ndarray) -> None:
    if out.dtype.kind in "iu":
        u = np.clip(np.rint(u), np.iinfo(out.dtype).min, np.iinfo(out.dtype).max)
    out[...] = u


def _jax(image: np.ndarray, out: np.ndarray, weight: float, iterations: int) -> None:
    f = image.astype(np.float32, copy=False)
    _store(out, np.asarray(_compiled()(f, _start(f), np.float32(weight), iterations)[0]))


def _skimage(image: np.ndarray, out: np.ndarray, weight: float, iterations: int) -> None:
    from skimage.restoration import denoise_tv_chambolle

    f = image.astype(np.float32, copy=False)  # it scales integers
    _store(out, denoise_tv_chambolle(f, weight, eps=0, max_num_iter=iterations))


def _refuses(dtype: str, *, sigma: Any, isotropic: bool, **_: Any) -> str:
    if isinstance(sigma, str):
        return "it takes a weight: give sigma a number"
    return "" if isotropic else "its total variation is isotropic"


def _difference(
    ours: np.ndarray, theirs: np.ndarray, *, sigma: float, strength: float, gap: float, **_: Any
) -> str:
    """Whether one of the results lies above the least objective by more than the gap."""
    weight = strength * sigma
    for i in {0, len(ours) // 2, len(ours) - 1}:
        image = _prepared["images"][i]
        least, allowed = _least(image, weight), gap * sigma**2 * image.size
        for whose, u in (("ours", ours[i]), ("theirs", theirs[i])):
            above = _objective(u, image, weight) - least
            if above > allowed:
                return f"image {i}: {whose} is {above:.4g} above the bound, {allowed:.4g} allowed"
    return ""


def _objective(u: np.ndarray, f: np.ndarray, weight: float) -> float:
    u = u.astype(np.float64)
    lengths = _length(np, _gradient(np, u))
    return float(((u - f) ** 2).sum() / 2 + weight * lengths.sum())


_AGREEMENT = "both within the same duality gap, by a dual point of a third algorithm"

# fastest first
PEERS = (
    Peer(
        name="jax:Chambolle",
        package="jax",
        distribution="jax",
        modes={"threads inside": _mode(_jax, False), "image pool": _mode(_jax, True)},
        refuses=_refuses,
        difference=_difference,
        agreement=_AGREEMENT,
    ),
    Peer(
        name="skimage.restoration:denoise_tv_chambolle",
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": _mode(_skimage, True)},
        refuses=_refuses,
        difference=_difference,
        agreement=_AGREEMENT,
    ),
)

# The gap is that of 100 Chambolle iterations on the first of these shapes.
ROWS = (
    Row("image-1024", "float32", {"sigma": 0.02, "strength": 1.0, "gap": 0.005}),
    Row("ct-chest-64x512x512", "uint16", {"sigma": 82.0, "strength": 1.0, "gap": 0.005}),
    Row("mr-head-128", "float32", {"sigma": 0.02, "strength": 1.0, "gap": 0.005}),
)
