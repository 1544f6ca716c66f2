"""A row: one kernel on one shape, checked, timed against one peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .timing import Spread, ratios

if TYPE_CHECKING:
    from medkern.kernels import Cost


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a benchmark reports, in a file, in `medkern bench --json` and in `extra_info`.

    Seconds are of one whole batch. `gb_per_s` counts the bytes the kernel's cost model calls
    unavoidable, `roof_share` is its share of the machine's measured copy bandwidth. `ratio` is
    peer / medkern, above 1 where medkern is faster: median and range over turns taken side by side.
    """

    kernel: str
    backend: str
    data: str  # name in `shapes.SHAPES`
    shape: tuple[int, ...]  # as timed: slow peers get fewer images
    dtype: str
    parameters: dict[str, Any]
    median_s: float
    low_s: float
    high_s: float
    mpx_per_s: float
    gb_per_s: float
    roof_share: float
    peer: str | None
    peer_version: str | None
    peer_mode: str | None
    peer_median_s: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    ratio_best: float | None  # of the best turns: what is left when the noise is taken away
    checked: bool
    check: str  # with what the timed answer was compared
    repeats: int
    machine: str

    def describe(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Rival:
    """The peer's side of a row."""

    name: str
    version: str
    mode: str
    seconds: Sequence[float]


def make_row(
    *,
    kernel: str,
    backend: str,
    data: str,
    images: Any,
    parameters: Mapping[str, Any],
    cost: Cost,
    seconds: Sequence[float],
    rival: Rival | None,
    check: str,
    machine: str,
    roof_gb_s: float,
    channels: int = 1,
) -> Row:
    """Turn the seconds of both sides into a row; `check` says what was compared, never empty."""
    if not check:
        raise ValueError(f"{kernel}: a row needs a checked result; nothing says it was checked")
    ours, pixels = Spread.of(seconds), images.size // channels
    gb_per_s = cost.bytes * pixels / ours.median / 1e9
    side = Spread.of(ratios(seconds, rival.seconds)) if rival else None
    return Row(
        kernel=kernel,
        backend=backend,
        data=data,
        shape=tuple(images.shape),
        dtype=str(images.dtype),
        parameters=dict(parameters),
        median_s=ours.median,
        low_s=ours.low,
        high_s=ours.high,
        mpx_per_s=pixels / ours.median / 1e6,
        gb_per_s=gb_per_s,
        roof_share=gb_per_s / roof_gb_s,
        peer=rival.name if rival else None,
        peer_version=rival.version if rival else None,
        peer_mode=rival.mode if rival else None,
        peer_median_s=float(np.median(rival.seconds)) if rival else None,
        ratio=side.median if side else None,
        ratio_low=side.low if side else None,
        ratio_high=side.high if side else None,
        ratio_best=min(rival.seconds) / ours.low if rival else None,
        checked=True,
        check=check,
        repeats=len(seconds),
        machine=machine,
    )


def show(row: Mapping[str, Any]) -> dict[str, str]:
    """A row as the columns of the printed table."""
    against = row["peer"] is not None
    return {
        "kernel": row["kernel"] + ("" if row["backend"] == "cpu" else f" ({row['backend']})"),
        "shape": "x".join(map(str, row["shape"])),
        "dtype": row["dtype"],
        "parameters": " ".join(f"{k}={v}" for k, v in row["parameters"].items()) or "defaults",
        "Mpx/s": f"{row['mpx_per_s']:.4g}",
        "roof": f"{row['roof_share']:.0%}",
        "peer": f"{row['peer']} {row['peer_version']}, {row['peer_mode']}" if against else "-",
        "ratio": f"{row['ratio']:.3g}x" if against else "-",
        "range": f"{row['ratio_low']:.3g} to {row['ratio_high']:.3g}" if against else "-",
        "best": f"{row['ratio_best']:.3g}x" if against else "-",
    }


def aligned(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of equal columns as plain text, a header first."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
