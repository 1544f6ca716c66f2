"""Reports: pages that hold everything themselves, drawings that are true, texts that stay texts."""

import base64
import json
import math
import re
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, strategies as st
from making_reports import EVIL, RECIPE, an_evaluation, check_self_contained
from sklearn import metrics

from medkern.engine.learn.judge.metrics import result
from medkern.engine.report import (
    Picture,
    data_uri,
    environment,
    evaluation,
    evaluation_page,
    screen_page,
    svg,
)
from medkern.engine.report.evaluation import about_recipe
from medkern.engine.report.figures import confusion, roc


def screen_report(**changes):
    return {
        "run": "run",
        "rows_in": 1234,
        "done": 1230,
        "quarantined": 4,
        "seconds": 12.5,
        "images_per_s": 98.4,
        "startup_seconds": 3.25,
        "stages": {"read": 2.0, "texture": 5.0, "write": 0.5},
        "medkern": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "model": None,
        "scores": {},
        "picked_by": "",
        "pictures": [],
        "reasons": [],
        "features": None,
        "recipe": about_recipe(RECIPE),
        "environment": environment("cpu"),
    } | changes


# ---- pages


def test_a_screening_page_is_whole_and_says_the_figures():
    text = screen_page(screen_report())
    check_self_contained(text)
    for figure in ("1,234", "1,230", "98.4", "every image has a row"):
        assert figure in text


def test_texts_stay_texts_in_a_screening_page():
    score = {
        "of": EVIL, "edges": [0, 0.5, 1], "counts": [3, 4], "predicted": {EVIL: 7}, "threshold": 0.3
    }  # fmt: skip
    reason = {"code": EVIL, "count": 4, "examples": [{"id": EVIL, "detail": EVIL}]}
    feature = {"name": EVIL, "low": None, "median": 1.0, "high": 2.0, "not_finite": 1}
    uri = data_uri(np.eye(4, dtype=np.uint8), 1)
    picture = Picture(EVIL, EVIL, {EVIL: 0.5}, uri, uri)
    report = screen_report(
        run=EVIL,
        model={"hash": EVIL, "labels": [EVIL]},
        scores={EVIL: score},
        picked_by=EVIL,
        reasons=[reason],
        features={"count": 1, "rows": [feature]},
        recipe={"name": EVIL, "modality": EVIL, "hash": EVIL, "text": EVIL},
        environment={EVIL: EVIL},
    )
    check_self_contained(screen_page(report, [picture]))


def test_texts_stay_texts_in_an_evaluation_page():
    _, _, report = an_evaluation(
        (EVIL, "b" + EVIL), training={EVIL: {EVIL: ([1, 2], [0.1, math.nan])}}, ceiling={EVIL: 0.9}
    )
    check_self_contained(evaluation_page(report))


def test_unknown_groups_are_stamped_and_known_ones_are_not():
    known = {"name": "test", "n": 9, "groups": 4, "labels": {"normal": 5, "ill": 4}}
    _, _, unknown_groups = an_evaluation()
    _, _, known_groups = an_evaluation(groups_known=True, splits=[known])
    assert "Row-level split: groups unknown." in evaluation_page(unknown_groups)
    assert 'class="stamp"' not in evaluation_page(known_groups)
    assert "stands on both sides of a split" in evaluation_page(known_groups)


def test_the_evaluation_page_holds_every_metric_with_its_interval():
    _, _, report = an_evaluation()
    text = evaluation_page(report)
    for metric in report["models"]["forest"]["metrics"].values():
        assert f"{metric['value']:.3f}" in text
        assert f"{metric['low']:.3f} – {metric['high']:.3f}" in text


def test_more_than_two_classes_and_absent_classes_have_a_page_too():
    _, _, report = an_evaluation(("a", "b", "c"))
    assert report["models"]["forest"]["roc"] is None
    check_self_contained(evaluation_page(report))
    truth = np.zeros(5, int)
    p = np.tile([0.7, 0.3], (5, 1))
    row = result("svm", "x", truth, p, 0.5, None, resamples=10)
    one = evaluation("T", "d", RECIPE, ("a", "b"), truth, {"svm": p}, [row], groups_known=True)
    check_self_contained(evaluation_page(one))


def test_the_json_of_a_report_is_strict_json():
    _, _, report = an_evaluation()
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))


# ---- figures


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 5))
def test_the_roc_curve_goes_through_scikit_learn_s_points_and_has_its_area(seed, n, distinct):
    generator = np.random.default_rng(seed)
    positive = generator.random(n) < 0.5
    score = generator.integers(0, distinct * 4, n) / (distinct * 4)
    found = roc(positive, score)
    if positive.all() or not positive.any():
        assert found is None
        return
    assert found is not None
    every = metrics.roc_curve(positive, score, drop_intermediate=False)[:2]
    points = set(zip(*(axis.round(9).tolist() for axis in every), strict=True))
    assert {(round(x, 9), round(y, 9)) for x, y in zip(*found, strict=True)} <= points
    assert metrics.auc(*found) == pytest.approx(metrics.roc_auc_score(positive, score))


def test_a_roc_curve_of_many_images_is_thinned_and_keeps_its_ends():
    generator = np.random.default_rng(0)
    positive = generator.random(20_000) < 0.5
    found = roc(positive, generator.normal(size=20_000) + positive)
    assert found is not None
    assert len(found[0]) <= 500
    assert (found[0][0], found[1][0], found[0][-1], found[1][-1]) == (0, 0, 1, 1)


def test_the_confusion_table_counts_true_by_predicted():
    truth, decided = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2])
    assert confusion(truth, decided, 3) == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_the_threshold_decides_the_confusion_table():
    truth, p, report = an_evaluation()
    called = (p[:, 1] >= 0.45).astype(int)
    assert called.tolist() != p.argmax(axis=1).tolist()
    assert (
        report["models"]["forest"]["confusion"] == metrics.confusion_matrix(truth, called).tolist()
    )


def test_histograms_count_every_image():
    truth, _, report = an_evaluation()
    counts = report["models"]["forest"]["histogram"]["counts"]
    assert sum(counts["normal"]) == (truth == 0).sum()
    assert sum(counts["ill"]) == (truth == 1).sum()


# ---- drawings


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low, width):
    high = low + width
    if not high - low > 1e-9 * max(1, abs(low)):
        return
    found = svg.ticks(low, high)
    assert len(found) <= 7
    margin = 1e-6 * (high - low) + 1e-9
    assert all(low - margin <= tick <= high + margin for tick in found)


def test_bars_are_as_high_as_their_counts():
    text = str(svg.histogram("t", [0, 1, 2], {"": [10, 5]}, "x"))
    heights = [float(h) for h in re.findall(r'<rect[^>]* height="([\d.]+)"', text)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)


def test_a_histogram_of_nothing_and_a_flat_curve_can_be_drawn():
    assert "<svg" in svg.histogram("t", [0, 1], {"a": [0]}, "x")
    assert "<svg" in svg.curves("t", {"a": ([1], [0.5])}, "x", "y")
    assert svg.shares("t", {"a": 0.0}) == ""


def test_values_that_are_not_finite_leave_a_gap():
    text = str(svg.curves("t", {"a": ([1, 2, 3, 4, 5], [1, 2, math.nan, 2, 1])}, "x", "y"))
    (path,) = re.findall(r' d="([^"]*)"', text)
    assert path.count("M") == 2
    assert "nan" not in text


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([8, 12, 16]))
def test_a_picture_is_a_png_of_the_very_pixels(height, width, bits):
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = np.random.default_rng(height * width).integers(0, 2**bits, (height, width), dtype)
    file = base64.b64decode(data_uri(pixels, bits).removeprefix("data:image/png;base64,"))
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", file[16:24]) == (width, height)
    at, content = 8, b""
    while at < len(file):
        (length,), kind = struct.unpack(">I", file[at : at + 4]), file[at + 4 : at + 8]
        body = file[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", file[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + body)
        content += body if kind == b"IDAT" else b""
        at += 12 + length
    grey = np.frombuffer(zlib.decompress(content), np.uint8).reshape(height, width + 1)
    assert (grey[:, 0] == 0).all()
    exact = pixels.astype(np.float64) * 255 / (2**bits - 1)
    np.testing.assert_array_equal(grey[:, 1:], np.floor(exact + 1e-9))


def test_small_pictures_are_enlarged_by_whole_pixels():
    file = base64.b64decode(data_uri(np.zeros((10, 20), np.uint8), 8, 95).partition(",")[2])
    assert struct.unpack(">II", file[16:24]) == (200, 100)


def test_a_picture_must_be_whole_numbers():
    with pytest.raises(TypeError, match="integers"):
        data_uri(np.zeros((4, 4), np.float32), 8)
