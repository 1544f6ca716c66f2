"""Files that are either whole or absent, whatever happens: a kill, a crash, a full disk.

Written to a temporary name in the same folder, flushed to the disk, read back and compared, moved
into place, and the folder's entry flushed too. A reader never meets half a file under its name.
"""

import os
from pathlib import Path

TEMPORARY = ".new-"  # dot files are skipped by Arrow, DuckDB and Spark


class UnreadBack(OSError):
    """What was written does not read back equal: the disk is not to be trusted."""


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` durably. OSError where that fails; nothing is left behind then."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if temporary.read_bytes() != content:
            raise UnreadBack(0, "what was written does not read back equal; check the disk", path)
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        _remove(temporary)
        raise


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
