"""Who else stabilises counts: here is what JAX makes of the formula."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .peer import Peer, Row, Run, same_images


@cache
def _compiled() -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def run(images: Any, gain: Any, sigma: Any, offset: Any) -> Any:
        counts = (images.astype(jnp.float32) - offset) / gain
        return 2 * jnp.sqrt(jnp.maximum(counts + 3 / 8 + (sigma / gain) ** 2, 0))

    return jax.jit(run)


def _whole_batch(
    images: np.ndarray, masks: np.ndarray | None, gain: float, sigma: float, offset: float
) -> Run:
    numbers = [np.float32(v) for v in (gain, sigma, offset)]
    return lambda: np.asarray(_compiled()(images, *numbers))


def _refuses(dtype: str, gain: Any, sigma: Any, **_: Any) -> str:
    given = not isinstance(gain, str) and not isinstance(sigma, str)
    return "" if given else "gain and sigma must be given"


PEERS = (
    Peer(
        name="jax:jit",
        package="jax",
        distribution="jax",
        modes={"whole batch": _whole_batch},
        refuses=_refuses,
        difference=same_images(1e-4),
        agreement="within 0.0001 of a standard deviation",
    ),
)

COUNTS = {"gain": 2.0, "sigma": 3.0, "offset": 10.0}
ROWS = (
    Row("image-1024", "float32", {"gain": 0.01, "sigma": 0.01}),
    Row("ct-chest-64x512x512", "uint16", COUNTS),
)
