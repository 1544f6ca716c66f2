"""`python -m medkern.bench.quality FOLDER --out quality.html --json quality.json`"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medkern.engine.report import data_uri, environment, render
from medkern.engine.whole import write

from .judge import Verdict, verdict
from .methods import METHODS, Method
from .scores import edge_width
from .truth import Truth, truths

CROP = 128  # pixels of the pictures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="medkern.bench.quality", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder denoise_truth of the test data")
    parser.add_argument("--out", type=Path, help="an HTML page")
    parser.add_argument("--json", type=Path, help="the same rows as JSON")
    parser.add_argument("--images", type=int, default=12, help="of each set, at most")
    chosen = parser.parse_args(arguments)
    report, parts = judge_all([t.first(chosen.images) for t in truths(chosen.folder)])
    if chosen.json:
        write(chosen.json, json.dumps(report, indent=1).encode())
    if chosen.out:
        write(chosen.out, page(report, parts).encode())
    return 0


def judge_all(sets: Sequence[Truth]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report as JSON holds it, and the same by truth with pictures."""
    parts: list[dict[str, Any]] = []
    for truth in sets:
        methods = [method for method in METHODS if truth.noise in method.noises]
        rows = [verdict(method, truth) for method in methods]
        parts.append(
            {
                "name": truth.name,
                "what": truth.what,
                "n": len(truth.noisy),
                "level": rows[0].true_level,
                "cnr": truth.regions is not None,
                "rows": rows,
                "pictures": pictures(truth, methods, rows),
            }
        )
        print(f"{truth.name}: {max(row.psnr for row in rows):.2f} dB at best", flush=True)
    report = {
        "rows": [row.describe() for part in parts for row in part["rows"]],
        "edges": {m.name: edge_width(m.ours) for m in METHODS if "white" in m.noises},
        "environment": environment("cpu"),
        "medkern": environment("cpu")["medkern"],
        "created": "",
    }
    return report, parts


def page(report: dict[str, Any], parts: list[dict[str, Any]]) -> str:
    """One self-contained HTML page."""
    names = list(dict.fromkeys(row.method for part in parts for row in part["rows"]))
    matrix = {"methods": names, "rows": [matrix_row(part, names) for part in parts]}
    return render(
        "quality.html",
        "Denoising against the truth",
        report,
        package="medkern.bench.quality",
        truths=parts,
        matrix=matrix,
    )


def matrix_row(part: dict[str, Any], names: list[str]) -> dict[str, Any]:
    rows: dict[str, Verdict] = {row.method: row for row in part["rows"]}
    found = [rows[name].psnr if name in rows else None for name in names]
    return {
        "truth": part["name"],
        "noisy": part["rows"][0].psnr_noisy,
        "psnr": found,
        "best": max(value for value in found if value is not None),
    }


def pictures(
    truth: Truth, methods: Sequence[Method], rows: Sequence[Verdict]
) -> list[dict[str, str]]:
    """The middle of the first image: noisy, the three best methods, the truth."""
    order = sorted(zip(rows, methods, strict=True), key=lambda pair: -pair[0].psnr)[:3]
    shown = [("noisy", truth.noisy[0])]
    shown += [(f"{row.method}, {row.psnr:.2f} dB", m.ours(truth.noisy[:1])[0]) for row, m in order]
    shown.append(("truth", truth.clean[0]))
    middle = tuple(
        slice((s - min(s, CROP)) // 2, (s + min(s, CROP)) // 2) for s in shown[0][1].shape
    )
    low, high = np.percentile(truth.clean[0][middle], (0.5, 99.5))
    made = []
    for title, image in shown:
        grey = np.clip((image[middle] - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
        made.append({"title": title, "uri": data_uri(grey, 8, enlarge=2 * CROP)})
    return made


if __name__ == "__main__":
    raise SystemExit(main())
