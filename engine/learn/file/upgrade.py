"""Older versions of the header, brought to the present one before anything is checked."""

from __future__ import annotations

from typing import Any

from ..errors import ModelError

# what a network of version 1 could only be
_NETWORK = {"architecture": "light", "task": "classes", "channels": 1, "rank": 2}
_FIELDS = {
    "format", "version", "labels", "recipe", "features", "cnn", "heads", "thresholds", "training",
    "provenance",
}  # fmt: skip


def from_1(header: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew one task, grey images, and heads on measured features alone; no calibration.

    Fingerprints of the images seen stood among the facts of the training, and stay there.
    """
    if unknown := sorted(set(header) - _FIELDS):
        raise ModelError(f"its header has the unknown field {unknown[0][:60]!r}")
    heads, cnn = header.get("heads"), header.get("cnn")
    return header | {
        "version": 2,
        "task": "classes",
        "cnn": _NETWORK | cnn if isinstance(cnn, dict) else cnn,
        "inputs": dict.fromkeys(heads, "texture") if isinstance(heads, dict) else {},
        "calibration": {},
        "conformal": {},
        "novelty": False,
        "statistics": {},
    }
