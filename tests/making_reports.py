"""Reports to test pages with, and the check that a page holds everything itself."""

import html.parser
import re
from typing import Any

import numpy as np

from medkern.engine.learn.judge.metrics import result
from medkern.engine.learn.judge.subgroups import by_subgroup
from medkern.engine.recipe import parse
from medkern.engine.report import evaluation

RECIPE = parse('name = "test"\n[ingest]\nsize = [16, 16]\n')
EVIL = "<script>alert(1)</script>\"'>&"


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and whether tags close in order."""

    VOID = frozenset(("meta", "img", "br", "line", "rect", "path", "link", "input", "hr"))

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def check_self_contained(text):
    """No script, no handler, nothing loaded from anywhere; well-formed."""
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on"), f"handler {name}"
        if name in ("src", "href", "action", "data"):
            assert value.startswith("data:image/png;base64,"), f"{name}={value[:60]}"
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    assert "research use only" in text
    return page


def an_evaluation(labels=("normal", "ill"), n=200, seed=0, models=("forest",), **changes):
    generator = np.random.default_rng(seed)
    settings: dict[str, Any] = {"groups_known": False, "task": "classes"} | changes
    truth, scores = generator.integers(0, len(labels), n), {}
    hot = np.eye(len(labels))[truth]
    if settings["task"] == "labels":
        truth = hot.astype(bool)
    for model in models:
        raw = generator.random((n, len(labels))) + hot
        scores[model] = raw / raw.sum(axis=1, keepdims=True)
    threshold = 0.45 if len(labels) == 2 and settings["task"] != "labels" else None
    results = [
        result(model, "test", truth, p, threshold, None, 50, settings["task"], labels)
        for model, p in scores.items()
    ]
    report = evaluation("Evaluation", "data", RECIPE, labels, truth, scores, results, **settings)
    return truth, scores[models[0]], report


FULL: dict[str, Any] = {
    "models": ("forest", "svm"),
    "calibration": {"forest": 1.6, "svm": 0.8},
    "conformal": {"forest": {"0.1": 0.6, "0.05": 0.7}},
    "operating": {"forest": {"specificity 0.90": 0.62}},
    "novelty": (np.arange(200), 190.5),
    "facts": {
        "training": {"groups": "given", "split": "e" * 64, "parameters": 12345},
        "provenance": {"settings": {"seed": 7}, "versions": {"numpy": "2.4"}, "created": "now"},
        "sources": "three clinics, 2019",
    },
    "splits": [{"name": "train", "n": 9, "groups": None, "labels": {"normal": 5, "ill": 4}}],
}


def subgroup_rows(truth, p):
    return {"forest": by_subgroup(truth, p, 0.45, {"sex": ["f", "m"] * 100}, None, 20)}
