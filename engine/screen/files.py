"""The files of a run: durable, canonical, and errors in one sentence."""

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

from .. import whole
from ..errors import Stopped, UserError


class RunError(UserError):
    """The run cannot be made or continued; the message says why and what to do."""


def write(path: Path, content: bytes) -> str:
    """Put `content` at `path` durably and return its SHA-256; Stopped where the disk is full."""
    try:
        whole.write(path, content)
    except OSError as error:
        raise explained(error, path) from error
    return sha256(content)


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
