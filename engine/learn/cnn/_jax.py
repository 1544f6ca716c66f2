"""JAX as the learning code wants it; importing this module sets it up, before JAX's first use.

Compiled programs are kept in the private cache folder: whoever can write there can run code, so
JAX's own habit of a shared temporary folder is not followed. On a GPU JAX takes memory as it needs
it, because the kernels live on the same card.
"""

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax

from medkern.kernels._cpu import cache_folder


def devices() -> tuple[str, ...]:
    """The devices networks can run on, the one they do run on first: ("cpu",) or ("gpu ...",)."""
    return tuple(
        device.platform if device.platform == "cpu" else f"{device.platform} {device.device_kind}"
        for device in jax.devices()
    )


if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (_folder := cache_folder()) is not None:
    jax.config.update("jax_compilation_cache_dir", str(_folder / f"jax-{jax.__version__}"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
