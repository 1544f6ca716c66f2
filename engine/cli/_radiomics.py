"""`medkern features --preset`: radiomics of scans with masks, or objects of label images."""

from __future__ import annotations

import tomllib
from collections.abc import Generator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import typer

from ..errors import UserError
from ._console import progress, say, show_json


def measure(
    source: Path, masks: Path | None, preset: str, settings: Path | None, out: Path, json: bool
) -> None:
    """Measure every region, write the table, say what was set aside."""
    from ..ahead import ahead
    from ..cases import pairs, read_cases, read_objects
    from ..features import Features
    from ..ingest import Reject
    from ..objects import Chain

    chain = chosen(preset, settings)
    found = pairs(source, masks)
    rejects: list[Reject] = []
    rows: list[Features] = []
    objects = isinstance(chain, Chain)
    what = "images" if objects else "volumes"

    def read() -> Generator[Any, None, None]:
        if isinstance(chain, Chain):
            yield from read_objects(found, rejects.append, chain.COLOUR)
        else:
            yield from read_cases(found, rejects.append)

    with progress(what, len(found), what) as advance:
        done = 0
        for regions in ahead(read()):
            if objects or regions:
                rows.append(chain.table(regions))
            advance(1)
            done += 1
        advance(len(found) - done)
    for reject in rejects:
        say(f"set aside: {reject.id}: {reject.code.value}: {reject.detail}")
    if not any(table.ids for table in rows):
        raise UserError(f"none of the {len(found)} pairs of image and mask could be measured")
    table = Features.concat(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(out, chain.facts(table.names, preset))
    if json:
        show_json(
            {
                "features": str(out),
                "rows": len(table.ids),
                "columns": list(table.names),
                "preset": preset,
                "settings": asdict(chain),
                "set_aside": [r._asdict() | {"code": r.code.value} for r in rejects],
            }
        )
    else:
        say(f"{len(table.ids)} regions of {len(table.names)} features in {out}")
    if rejects:
        from . import SET_ASIDE

        raise typer.Exit(SET_ASIDE)


def chosen(preset: str, settings: Path | None) -> Any:
    """The preset's chain with the settings of a TOML file, checked."""
    from ..presets import PRESETS

    if preset not in PRESETS:
        raise UserError(f"no preset {preset!r}; known are {', '.join(PRESETS)}")
    chain = PRESETS[preset]
    if settings is None:
        return chain
    try:
        given = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{settings}: {error}") from None
    known = {field.name for field in fields(chain)}
    if unknown := [key for key in given if key not in known]:
        names = ", ".join(sorted(known))
        raise UserError(f"{settings}: {unknown[0]!r} is unknown; known are {names}")
    ready = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return replace(chain, **ready)
