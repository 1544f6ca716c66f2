"""Files that are either whole or absent, whatever happens: a kill, a crash, a full disk.

Written to a temporary name in the same folder, flushed to the disk, read back and compared, moved
into place, and the folder's entry flushed too. A reader never meets half a file under its name.
"""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ..errors import Stopped, UserError

TEMPORARY = ".new-"  # dot files are skipped by Arrow, DuckDB and Spark


class RunError(UserError):
    """The run cannot be made or continued; the message says why and what to do."""


def write(path: Path, content: bytes) -> str:
    """Put `content` at `path` durably and return its SHA-256; Stopped where the disk is full."""
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256(content)
        if sha256(temporary.read_bytes()) != digest:
            raise RunError(f"{path}: what was written does not read back equal; check the disk")
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise explained(error, path) from error
    return digest


def explained(error: OSError, path: Path) -> Stopped | RunError:
    """The error as one sentence; a full disk stops the run, everything else ends it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Stopped(f"the disk is full at {path.parent}: free some space and start again")
    return RunError(f"{path}: cannot be written: {error.strerror}")


def write_json(path: Path, value: Any) -> str:
    """`value` as canonical JSON (sorted keys, no spaces), durably; returns its SHA-256."""
    return write(path, canonical(value))


def read_json(path: Path) -> Any:
    """The value in a JSON file, or None where it is missing or damaged."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError):
        return None


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: equal values give equal bytes. NaN is refused."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows has no handle of a folder to flush
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a temporary file is never trusted, so it may stay
