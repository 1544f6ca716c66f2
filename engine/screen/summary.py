"""The sealed parts of a run -> its report: HTML for people, JSON of the same data for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..ingest import Item, read
from ..report import Picture, about_recipe, data_uri, environment, screen_page
from ..stages import Stages, on_cpu
from . import files
from .folder import Folder
from .reader import Reader

BINS = np.linspace(0, 1, 21)
EXAMPLES = 3  # ids shown a reason
SHOWN = 50  # features whose distribution is shown
ENLARGE = 220  # pixels of a picture's shorter side


def write_report(
    folder: Folder,
    totals: Mapping[str, Any],
    parts: int,
    items: Sequence[Item],
    stages: Stages,
    reader: Reader | None,
    pictures: int,
) -> dict[str, int]:
    """report.html and report.json of the folder; returns how many were set aside, by reason."""
    aside = _columns(folder, parts, 1, ["id", "code", "detail"])
    ids = _columns(folder, parts, 0, ["id"])["id"].to_pylist()
    reasons = _reasons(aside)
    scores = _scores(folder, parts, reader) if reader else {}
    picked_by, picked = _pick(ids, scores, reader, pictures)
    report = {
        **totals,
        "medkern": version("medkern"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {"hash": reader.hash, "labels": list(reader.labels)} if reader else None,
        "scores": _distributions(folder, parts, scores, reader) if reader else {},
        "alien": _alien(folder, parts) if reader else None,
        "picked_by": picked_by,
        "pictures": [{"id": ids[row], "why": why} for row, why in picked.items()],
        "reasons": reasons,
        "features": _features(folder, parts, list(stages.columns)),
        "recipe": about_recipe(stages.recipe),
        "environment": environment(stages.device),
    }
    said = {ids[r]: {head: float(_shown(s)[r]) for head, s in scores.items()} for r in picked}
    shown = _pictures({ids[row]: why for row, why in picked.items()}, said, items, stages)
    files.write_json(folder.root / "report.json", report)
    files.write(folder.root / "report.html", screen_page(report, shown).encode())
    return {reason["code"]: reason["count"] for reason in reasons}


def _columns(folder: Folder, parts: int, which: int, names: list[str]) -> pa.Table:
    """Columns of all parts' rows (which 0) or quarantine (1), in the order of the manifest."""
    tables = [pq.read_table(folder.paths(n)[which], columns=names) for n in range(parts)]
    return pa.concat_tables(tables)


def _reasons(aside: pa.Table) -> list[dict[str, Any]]:
    """How many were set aside for each reason, most frequent first, with a few examples."""
    rows = aside.to_pylist()
    counts = Counter(row["code"] for row in rows)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    examples: dict[str, list[dict[str, str]]] = {code: [] for code in counts}
    for row in rows:
        if len(examples[row["code"]]) < EXAMPLES:
            examples[row["code"]].append({"id": row["id"], "detail": row["detail"]})
    return [{"code": code, "count": n, "examples": examples[code]} for code, n in ordered]


def _scores(folder: Folder, parts: int, reader: Reader) -> dict[str, np.ndarray]:
    """(rows, classes) scores by head."""
    found = {}
    for head in reader.names:
        names = [f"score.{head}.{label}" for label in reader.labels]
        table = _columns(folder, parts, 0, names)
        found[head] = np.stack([table[name].to_numpy() for name in names], axis=1)
    return found


def _distributions(
    folder: Folder, parts: int, scores: Mapping[str, np.ndarray], reader: Reader
) -> dict[str, Any]:
    """Histogram of what each head says: the last of two classes, or the likeliest of more."""
    two = len(reader.labels) == 2
    found = {}
    for head, score in scores.items():
        called = _columns(folder, parts, 0, [f"label.{head}"])[0].to_pylist()
        if reader.task == "labels":
            called = [name for cell in called for name in cell.split(";")]
        decided = Counter(called)
        found[head] = {
            "of": f"score of {reader.labels[1]}" if two else "score of the likeliest class",
            "edges": BINS.round(6).tolist(),
            "counts": np.histogram(_shown(score), BINS)[0].tolist(),
            "predicted": {label: decided[label] for label in reader.labels},
            "threshold": reader.threshold(head),
        }
    return found


def _alien(folder: Folder, parts: int) -> int:
    """How many images are too unlike the training images to be judged."""
    return sum(_columns(folder, parts, 0, ["alien"])["alien"].to_pylist())


def _shown(scores: np.ndarray) -> np.ndarray:
    """(rows, classes) -> the one number a row that histograms and pictures show."""
    return scores[:, 1] if scores.shape[1] == 2 else scores.max(axis=1)


def _features(folder: Folder, parts: int, names: list[str]) -> dict[str, Any] | None:
    """Quantiles of the first features over the run."""
    if not names:
        return None
    table = _columns(folder, parts, 0, names[:SHOWN])
    rows = []
    for name in names[:SHOWN]:
        values = table[name].to_numpy()
        finite = values[np.isfinite(values)]
        points = np.quantile(finite, (0.05, 0.5, 0.95)).tolist() if finite.size else [None] * 3
        quantiles = dict(zip(("low", "median", "high"), points, strict=True))
        rows.append({"name": name, **quantiles, "not_finite": len(values) - finite.size})
    return {"count": len(names), "rows": rows}


def _pick(
    ids: list[str], scores: Mapping[str, np.ndarray], reader: Reader | None, count: int
) -> tuple[str, dict[int, str]]:
    """Which rows to show, and why: by the first head's scores, else evenly over the run.

    A third each of the highest, the lowest and the most uncertain; equal scores in order of id.
    """
    if reader is None or not ids:
        rows = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
        return "", {int(row): f"image {row + 1:,} of {len(ids):,}" for row in rows}
    head, score = next(iter(scores.items()))
    shown = _shown(score)
    border = reader.threshold(head) or 0.5
    ranks = {"highest": -shown, "lowest": shown, "most uncertain": np.abs(shown - border)}
    picked: dict[int, str] = {}
    for why, key in ranks.items():
        order = sorted(range(len(ids)), key=lambda row: (key[row], ids[row]))
        for row in [row for row in order if row not in picked][: -(-count // len(ranks))]:
            picked[row] = why
    return head, picked


def _pictures(
    picked: Mapping[str, str],
    scores: Mapping[str, Mapping[str, float]],
    items: Sequence[Item],
    stages: Stages,
) -> list[Picture]:
    """The chosen images, read and filtered once more: nothing had to be kept during the run."""
    chosen = [item for item in items if item.id in picked]
    shown: dict[str, Picture] = {}
    for batch in read(chosen, stages.recipe.layout, lambda reject: None):
        after = on_cpu(stages.run(batch).pixels)
        for row, name in enumerate(batch.ids):
            if name:
                before = data_uri(batch.pixels[row], batch.bits, ENLARGE)
                shown[name] = Picture(
                    id=name,
                    why=picked[name],
                    scores=scores.get(name, {}),
                    before=before,
                    after=data_uri(after[row], batch.bits, ENLARGE),
                )
    return [shown[name] for name in picked if name in shown]
