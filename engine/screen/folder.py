"""The folder of a run: what it is, its parts, and which of them can be trusted.

    run.json                    what is run: recipe, hashes of model and manifest, versions
    manifest.parquet            the id of every input, in order
    parts/part-00000.parquet    rows (id, scores, features) of one chunk of the manifest
    quarantine/part-00000.parquet   its inputs without a row: id, code, detail
    parts/part-00000.json       the seal: counts, seconds, SHA-256 of both files; written last

A part counts once its seal and both files agree. Everything else is made again, so a run killed
anywhere continues where it was, and a damaged part is redone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import whole
from ..clock import Clock
from . import files
from .files import RunError

FORMAT = 1
OWN = ("run.json", "manifest.parquet", "parts", "quarantine", "lock", "report.html", "report.json")


@dataclass(frozen=True)
class Seal:
    """What a trusted part says of itself; `seconds` by stage, and of the whole part."""

    rows: int
    quarantined: int
    stages: Mapping[str, float]
    seconds: float


class Folder:
    """A run's folder, opened for this run alone: `with Folder.opened(...) as folder:`."""

    def __init__(self, root: Path, key: str):
        self.root = root
        self.key = key  # hash of what the run is; a part of another run does not carry it

    @classmethod
    @contextmanager
    def opened(
        cls, root: Path, identity: Mapping[str, Any], facts: Mapping[str, Any], ids: list[str]
    ) -> Iterator[Folder]:
        """Make the folder, or take up the run it holds; RunError where it holds another one."""
        _make(root)
        with _locked(root):
            folder = cls(root, files.sha256(files.canonical(identity)))
            folder._begin(identity, facts, ids)
            yield folder

    def paths(self, number: int) -> tuple[Path, Path, Path]:
        """Rows, quarantine and seal of a part."""
        name = f"part-{number:05d}"
        return (
            self.root / "parts" / f"{name}.parquet",
            self.root / "quarantine" / f"{name}.parquet",
            self.root / "parts" / f"{name}.json",
        )

    def seal(self, number: int) -> Seal | None:
        """The seal of a part that can be trusted, else None."""
        rows, aside, seal = self.paths(number)
        value = files.read_json(seal)
        if not isinstance(value, dict) or value.pop("check", None) != _check(value):
            return None
        try:
            found = {"rows": _digest(rows), "quarantine": _digest(aside)}
        except OSError:
            return None
        if value["run"] != self.key or value["part"] != number or value["sha256"] != found:
            return None
        return Seal(value["rows"], value["quarantined"], value["stages"], value["seconds"])

    def commit(
        self, number: int, rows: pa.Table, aside: pa.Table, clock: Clock, start: float
    ) -> Seal:
        """Write a part durably; it is trusted from the moment its seal is in place.

        `clock` has the seconds of its stages, `start` (of `perf_counter`) is when it began.
        """
        to_rows, to_aside, to_seal = self.paths(number)
        with clock("write"):
            digests = {
                "rows": files.write(to_rows, parquet(rows)),
                "quarantine": files.write(to_aside, parquet(aside)),
            }
        value = {
            "run": self.key,
            "part": number,
            "rows": rows.num_rows,
            "quarantined": aside.num_rows,
            "sha256": digests,
            "stages": {name: round(value, 6) for name, value in clock.seconds.items()},
            "seconds": round(time.perf_counter() - start, 6),
        }
        files.write_json(to_seal, value | {"check": _check(value)})
        return Seal(rows.num_rows, aside.num_rows, value["stages"], value["seconds"])

    def _begin(self, identity: Mapping[str, Any], facts: Mapping[str, Any], ids: list[str]) -> None:
        about = self.root / "run.json"
        if about.exists():
            _refuse_other(about, identity)
        for folder in (self.root, self.root / "parts", self.root / "quarantine"):
            folder.mkdir(exist_ok=True)
            for left in folder.glob(whole.TEMPORARY + "*"):
                left.unlink(missing_ok=True)
        manifest = parquet(pa.table({"id": pa.array(ids, pa.string())}))
        path = self.root / "manifest.parquet"
        if not path.exists() or path.read_bytes() != manifest:
            files.write(path, manifest)
        if not about.exists():  # last: from here on the folder holds this run
            files.write_json(about, {"format": FORMAT, "identity": dict(identity), **facts})


def parquet(table: pa.Table) -> bytes:
    """The Parquet file of a table; equal tables give equal bytes.

    Measurements hardly compress: no dictionaries for them, and LZ4, which costs next to nothing.
    """
    texts = [field.name for field in table.schema if field.type == pa.string()]
    sink = pa.BufferOutputStream()
    options: Any = {"compression": "lz4", "use_dictionary": texts}  # the stubs know one list type
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def _make(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        strangers = sorted(p.name for p in root.iterdir() if p.name not in OWN)
    except OSError as error:
        raise RunError(f"{root}: cannot be used as run folder: {error.strerror}") from None
    strangers = [name for name in strangers if not name.startswith(whole.TEMPORARY)]
    if strangers and not (root / "run.json").exists():
        raise RunError(f"{root} holds other files ({strangers[0]}) and no run; choose a new --out")


def _refuse_other(about: Path, identity: Mapping[str, Any]) -> None:
    value = files.read_json(about)
    if not isinstance(value, dict) or not isinstance(value.get("identity"), dict):
        raise RunError(f"{about} is damaged; choose a new --out")
    if value.get("format") != FORMAT:
        raise RunError(
            f"{about} has format {value.get('format')!r}, this medkern writes {FORMAT}; "
            "choose a new --out"
        )
    other = [name for name, mine in identity.items() if value["identity"].get(name) != mine]
    if other:
        raise RunError(
            f"{about.parent} holds another run (different {', '.join(other)}); choose a new --out"
        )


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One process a folder; the lock goes with the process, also when it is killed."""
    try:
        import fcntl
    except ImportError:  # no such lock on this system
        yield
        return
    with (root / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{root} is in use by another medkern; choose a new --out") from None
        yield


def _check(value: Mapping[str, Any]) -> str:
    return files.sha256(files.canonical(value))


def _digest(path: Path) -> str:
    return files.sha256(path.read_bytes())
