"""JAX as the learning code wants it; importing this module sets it up, before JAX's first use.

Compiled programs are kept in a private folder: whoever can write there can run code, so JAX's own
habit of a shared temporary folder is not followed, and a folder that others can write to is not
used. On a GPU JAX takes memory as it needs it, because the kernels live on the same card.
"""

import os
import stat
from pathlib import Path

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax

from medkern.kernels._cpu import cache_folder


def devices() -> tuple[str, ...]:
    """The devices networks can run on, the one they do run on first: ("cpu",) or ("gpu ...",)."""
    return tuple(
        device.platform if device.platform == "cpu" else f"{device.platform} {device.device_kind}"
        for device in jax.devices()
    )


def programs() -> Path | None:
    """The folder of compiled programs, made if need be with mode 0700; None where it or the cache
    folder around it is somebody else's or can be written to by others: then each process compiles
    for itself."""
    if (around := cache_folder()) is None:
        return None
    folder = around / f"jax-{jax.__version__}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return None
    shared = stat.S_IMODE(facts.st_mode) & 0o022
    if os.name == "posix" and (shared or facts.st_uid != os.getuid()):
        return None
    return folder


if "JAX_COMPILATION_CACHE_DIR" not in os.environ and (_folder := programs()) is not None:
    jax.config.update("jax_compilation_cache_dir", str(_folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
