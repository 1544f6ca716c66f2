"""The model card: what a reader must know of a model before its figures, from the report's data.

The headings are those that CLAIM 2024 and TRIPOD+AI ask for. Nothing is invented: what neither the
data nor the model file tell is said to be not known.

Source: Tejani et al., Radiology: Artificial Intelligence 2024 (CLAIM); Collins et al., BMJ 2024
(TRIPOD+AI); Mitchell et al., FAccT 2019 (model cards).
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN = "not known"
# what people alone can tell; texts in report["facts"]
STATEMENTS = {
    "sources": "where and when the images were acquired",
    "eligibility": "who and what was included and left out",
    "ground_truth": "how the labels were made, and by whom",
    "demographics": "age, sex and origin of the patients",
    "contact": "who answers questions",
}
# what the model file knows; mappings in report["facts"]
FACTS = ("training", "provenance", "statistics", *STATEMENTS)
TITLES = {
    "auc": "AUC", "accuracy": "accuracy", "sensitivity": "sensitivity",
    "specificity": "specificity", "balanced_accuracy": "balanced accuracy", "f1": "F1",
    "kappa": "kappa", "quadratic_kappa": "quadratic kappa", "average_precision": "AP",
    "brier": "Brier", "ece": "ECE",
}  # fmt: skip
TASKS = {
    "classes": "classes that exclude one another",
    "ordinal": "classes in a given order",
    "labels": "independent labels, any number of them to an image",
}
GROUPS = {
    "given": "whole groups (patient, plate) as the data name them",
    "near-duplicates": "no group is known; images that look the same stay in one part",
    "none": "by image; no group is known",
}
Table = dict[str, Any]  # {"columns": [...], "rows": [[text, ...], ...]}


def card(report: Mapping[str, Any]) -> dict[str, Any]:
    """The card as data, ready for JSON, from what `evaluation` makes (or its JSON, read again).

    {"title", "stamp", "sections": [{"heading", "rows": [[name, text]], "tables": [{"columns",
    "rows"}], "sentences": [text]}], "created", "medkern", "recipe", "environment"}

    Pass it to `card_page` for HTML and to `card_markdown` for Markdown; both are str. All texts in
    it are plain: those two escape them. report["facts"] may have, each as far as it is known:
        training, provenance, statistics   of `learn.Model`
        sources, eligibility, ground_truth, demographics, contact   sentences of the data's owner
    """
    facts = report["facts"]
    training, provenance = facts.get("training", {}), facts.get("provenance", {})
    return {
        "title": f"Model card: {_title(report)}",
        "stamp": report["stamp"],
        "sections": [
            _identity(report, provenance),
            _use(),
            _data(report, facts),
            _section("Eligibility", [("criteria", _told(facts, "eligibility"))]),
            _section(
                "Ground truth",
                [
                    ("source of the labels", _told(facts, "ground_truth")),
                    ("labels", ", ".join(report["labels"])),
                    ("positive class", report["positive"] or "none: see the task"),
                ],
            ),
            _partitions(report, training),
            _model(report, training),
            _training(provenance, training),
            _evaluation(report),
            _performance(report),
            _subgroups(report),
            _limitations(report, facts),
            _other(report, facts, training),
        ],
        **{key: report[key] for key in ("created", "medkern", "recipe", "environment")},
    }


def card_markdown(about: Mapping[str, Any]) -> str:
    """The card as Markdown with tables, from `card`."""
    lines = [f"# {_plain(about['title'])}", "", "**For research use only.**", ""]
    if about["stamp"]:
        lines += [f"> **{_plain(about['stamp'])}.**", ""]
    for section in about["sections"]:
        lines += [f"## {_plain(section['heading'])}", ""]
        if about["stamp"]:
            lines += [f"*{_plain(about['stamp'])}*", ""]
        lines += _bullets(section["rows"])
        for table in section["tables"]:
            lines += [*_markdown_table(table), ""]
        for sentence in section["sentences"]:
            lines += [_plain(sentence), ""]
    lines.append(f"Made by medkern {_plain(about['medkern'])}, {_plain(about['created'])}.")
    return "\n".join(lines) + "\n"


def _section(
    heading: str,
    rows: Iterable[tuple[str, Any]] = (),
    tables: Sequence[Table] = (),
    sentences: Sequence[str] = (),
) -> dict[str, Any]:
    shown = [[name, _text(value)] for name, value in rows]
    return {
        "heading": heading,
        "rows": shown,
        "tables": list(tables),
        "sentences": list(sentences),
    }


def _title(report: Mapping[str, Any]) -> str:
    return f"{', '.join(report['models'])} on {report['data']}"


def _identity(report: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        ("models", ", ".join(report["models"])),
        ("task", TASKS.get(report["task"], report["task"])),
        ("model file", report["model"][:16]),
        ("made", provenance.get("created")),
        ("evaluated", report["created"]),
    ]
    return _section("Title", rows)


def _use() -> dict[str, Any]:
    return _section(
        "Intended use",
        [("use", "research"), ("users", "people who can judge the figures below")],
        sentences=[
            "For research use only. The output is a score of an image, not a statement about a "
            "patient, and no decision about a patient may rest on it."
        ],
    )


def _data(report: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    pixels = facts.get("statistics", {}).get("pixels")
    seen = pixels and f"mean {pixels['mean']:.3f}, deviation {pixels['deviation']:.3f} of the range"
    rows = [
        ("evaluated on", report["data"]),
        ("images evaluated", f"{report['n']:,}"),
        ("modality", report["recipe"]["modality"]),
        ("sources", _told(facts, "sources")),
        ("patients", _told(facts, "demographics")),
        ("grey levels in training", seen),
        ("preparation", f"recipe {report['recipe']['name']}, {report['recipe']['hash'][:16]}"),
    ]
    return _section("Data sources", rows)


def _partitions(report: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    how = training.get("groups")
    rows = [
        ("divided", GROUPS.get(how, how) if how else None),
        ("split file", (training.get("split") or "")[:16]),
    ]
    columns = ["part", "images", "groups", *report["labels"]]
    parts = [
        [part["name"], f"{part['n']:,}", _text(part["groups"])]
        + [f"{part['labels'].get(label, 0):,}" for label in report["labels"]]
        for part in report["splits"]
    ]
    tables = [{"columns": columns, "rows": parts}] if parts else []
    return _section("Partitions", rows, tables, [report["groups"]["sentence"]])


def _model(report: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    parameters = training.get("parameters")
    warm = all(model["calibration"]["temperature"] for model in report["models"].values())
    rows = [
        ("kinds", ", ".join(report["models"])),
        ("parameters of the network", f"{parameters:,}" if parameters else None),
        ("output", "a probability of each label" + (", calibrated" if warm else "")),
        ("decision", _decision(report)),
    ]
    return _section("Model", rows)


def _decision(report: Mapping[str, Any]) -> str:
    if report["positive"] is None:
        return "the most probable class" if report["task"] != "labels" else "each label by itself"
    found = [
        f"{name} {model['threshold']:.3f}"
        for name, model in report["models"].items()
        if model["threshold"] is not None
    ]
    where = f"{report['positive']} from a probability of: " if found else "the most probable class"
    return where + ", ".join(found)


def _training(provenance: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    settings = provenance.get("settings", {})
    seconds = training.get("seconds", {})
    rows = [
        *((name.replace("_", " "), value) for name, value in settings.items()),
        ("seconds", ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())),
        *((f"version of {name}", v) for name, v in provenance.get("versions", {}).items()),
    ]
    return _section("Training", rows if settings else [("settings", None), *rows])


def _evaluation(report: Mapping[str, Any]) -> dict[str, Any]:
    notes = dict.fromkeys(note for model in report["models"].values() for note in model["notes"])
    rows = [
        ("thresholds, temperatures, quantiles", "chosen on validation images, applied here"),
        ("intervals", "95 %, stratified bootstrap of whole groups, of images where none is known"),
        ("comparisons", "DeLong (AUC), exact McNemar (decisions), adjusted by Holm"),
        ("calibration error", "15 bins of equal width"),
    ]
    return _section(
        "Evaluation", rows, sentences=[f"{note[:1].upper()}{note[1:]}." for note in notes]
    )


def _performance(report: Mapping[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(n for model in report["models"].values() for n in model["metrics"]))
    models = list(report["models"].items())
    rows = [
        [TITLES.get(name, name), *(_figure(model["metrics"].get(name)) for _, model in models)]
        for name in names
    ]
    tables = [{"columns": ["figure", *(name for name, _ in models)], "rows": rows}]
    sets = [
        [name, _percent(row["promised"]), _percent(row["coverage"]), f"{row['mean']:.2f}"]
        for name, model in models
        for row in model["conformal"]
        if row["mean"] is not None
    ]
    if sets:
        columns = ["sets of classes", "promised to hold the truth", "held it", "mean size"]
        tables.append({"columns": columns, "rows": sets})
    alike = [
        f"{row['a']} and {row['b']}"
        for row in report["pairs"]
        if not any(row["distinguishable"].values())
    ]
    sentences = [f"Not distinguishable on these images: {', '.join(alike)}."] if alike else []
    if (novel := report["novelty"]) is not None:
        sentences.append(
            f"{novel['flagged']:,} of {novel['n']:,} images are unlike the training images."
        )
    return _section("Performance", tables=tables, sentences=sentences)


def _subgroups(report: Mapping[str, Any]) -> dict[str, Any]:
    tables = []
    for name, model in report["models"].items():
        if model["subgroups"]:
            metrics = list(model["subgroups"][0]["metrics"])
            rows = [
                [f"{row['column']}: {row['value']}", f"{row['n']:,}"]
                + [_figure(row["metrics"][metric]) for metric in metrics]
                for row in model["subgroups"]
            ]
            columns = [name, "images", *(TITLES.get(metric, metric) for metric in metrics)]
            tables.append({"columns": columns, "rows": rows})
    return _section("Subgroups", [] if tables else [("figures by subgroup", None)], tables)


def _limitations(report: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    found = []
    if report["stamp"]:
        found.append(report["groups"]["sentence"])
    if missing := [what for key, what in STATEMENTS.items() if not facts.get(key)]:
        found.append(f"Not known: {'; '.join(missing)}.")
    if not any(model["subgroups"] for model in report["models"].values()):
        found.append("Figures for parts of the patients (sex, age, site, device) were not made.")
    found += facts.get("training", {}).get("concerns", ())
    found.append(
        "The figures hold for images that come as these did; other devices, sites and patients "
        "need an evaluation of their own."
    )
    return _section("Limitations", sentences=found)


def _other(
    report: Mapping[str, Any], facts: Mapping[str, Any], training: Mapping[str, Any]
) -> dict[str, Any]:
    rows = [
        ("contact", _told(facts, "contact")),
        ("recipe, SHA-256", report["recipe"]["hash"]),
        ("model file, SHA-256", report["model"]),
        ("split file, SHA-256", training.get("split")),
    ]
    return _section("Other information", rows)


def _told(facts: Mapping[str, Any], key: str) -> str | None:
    return facts.get(key) or None


def _text(value: Any) -> str:
    if value is None or value == "" or value == () or value == []:
        return UNKNOWN
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _figure(metric: Mapping[str, float | None] | None) -> str:
    if metric is None or metric["value"] is None:
        return "not defined"
    if metric["low"] is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _plain(text: str) -> str:
    """A text that Markdown shows as it is, in one line."""
    marked = re.sub(r"([\\`*_\[\]#|~])", r"\\\1", " ".join(str(text).split()))
    return html.escape(marked, quote=False)


def _bullets(rows: Sequence[Sequence[str]]) -> list[str]:
    found = [f"- {_plain(name)}: {_plain(value)}" for name, value in rows]
    return [*found, ""] if found else []


def _markdown_table(table: Table) -> list[str]:
    rows = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return [
        "| " + " | ".join(cell if cell == "---" else _plain(cell) for cell in row) + " |"
        for row in rows
    ]
