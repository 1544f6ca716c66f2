"""The page of an evaluation and the model card: stamped, complete, and no more than is known."""

import json
import re

import numpy as np
import pytest
from making_reports import EVIL, FULL, an_evaluation, check_self_contained, subgroup_rows

from medkern.engine.learn.judge import calibration
from medkern.engine.report import card, card_markdown, card_page, evaluation_page


def test_every_section_of_an_ungrouped_evaluation_is_stamped_on_screen_and_in_print():
    stamp = "Row-level split: groups unknown"
    report = an_evaluation(**FULL)[2]
    for page in (evaluation_page(report), card_page(card(report))):
        headings = re.findall(r"<h2>.*?</h2>", page)
        assert len(headings) > 8
        assert all(stamp in heading for heading in headings)
        assert re.search(rf'@page.*content: "For research use only · {stamp}"', page)
    text = card_markdown(card(report))
    for section in text.split("\n## ")[1:]:
        assert section.split("\n")[2] == f"*{stamp}*"
    known = an_evaluation(**FULL | {"groups_known": True})[2]
    for page in (
        evaluation_page(known), card_page(card(known)), card_markdown(card(known))
    ):  # fmt: skip
        assert stamp not in page
        assert "or research use only" in page


def test_the_page_shows_what_can_be_said_of_two_models():
    truth, p, _ = an_evaluation(**FULL)
    report = an_evaluation(**FULL, subgroups=subgroup_rows(truth, p))[2]
    text = evaluation_page(report)
    check_self_contained(text)
    (pair,) = report["pairs"]
    assert (pair["a"], pair["b"]) == ("forest", "svm")
    assert f"{pair['difference']:+.3f}" in text
    assert not pair["distinguishable"]["auc"] and "not distinguishable" in text
    for title in ("Reliability of forest", "Net benefit", "Risk against coverage"):
        assert f"<title>{title}</title>" in text
    forest = report["models"]["forest"]
    assert [row["promised"] for row in forest["conformal"]] == [0.95, 0.9]
    for row in forest["conformal"]:
        assert f"{100 * row['coverage']:.1f} %" in text
        assert row["empty"] + row["single"] + row["several"] == 200
    (point,) = forest["operating"]
    assert point["threshold"] == 0.62
    assert (
        point["specificity"]["value"]
        == ((p[:, 1] < 0.62) & (truth == 0)).sum() / (truth == 0).sum()
    )
    assert (report["novelty"]["flagged"], report["novelty"]["share"]) == (9, 0.045)
    assert "9 of 200 images (4.5 %)" in text
    assert "sex" in text and f"{forest['subgroups'][0]['metrics']['auc']['value']:.3f}" in text


def test_calibration_is_shown_before_and_after_the_temperature():
    truth, p, report = an_evaluation(**FULL)
    found = report["models"]["forest"]["calibration"]
    assert found["temperature"] == 1.6
    assert found["after"]["ece"] == pytest.approx(calibration.ece(truth, p))
    before = calibration.soften(p, 1 / 1.6)
    np.testing.assert_allclose(calibration.soften(before, 1.6), p, atol=1e-9)
    assert found["before"]["brier"] == pytest.approx(calibration.brier(truth, before))
    plain = an_evaluation()[2]["models"]["forest"]["calibration"]
    assert plain["before"] is None and plain["temperature"] is None


def test_more_models_are_compared_with_the_best_alone():
    names = tuple("abcdefgh")
    pairs = an_evaluation(models=names)[2]["pairs"]
    assert len(pairs) == 7
    assert len({pair["a"] for pair in pairs}) == 1
    assert all(pair["difference"] >= 0 for pair in pairs)
    assert all(pair["p_holm"] >= pair["p"] for pair in pairs)


@pytest.mark.parametrize("task", ["ordinal", "labels"])
def test_other_tasks_have_a_page_and_a_card(task):
    truth, p, report = an_evaluation(("a", "b", "c", "d", "e"), task=task)
    text = evaluation_page(json.loads(json.dumps(report, allow_nan=False)))
    check_self_contained(text)
    assert ("quadratic kappa" in text) == (task == "ordinal")
    assert ("true \\ predicted" in text) == (task == "ordinal")
    counts = report["models"]["forest"]["histogram"]["counts"]
    assert sum(sum(row) for row in counts.values()) == (p.size if task == "labels" else len(truth))
    check_self_contained(card_page(card(report)))


# ---- the card


def test_the_card_has_the_headings_and_says_what_is_not_known():
    truth, p, _ = an_evaluation(**FULL)
    report = an_evaluation(**FULL, subgroups=subgroup_rows(truth, p))[2]
    about = card(json.loads(json.dumps(report, allow_nan=False)))
    headings = [section["heading"] for section in about["sections"]]
    assert headings == [
        "Title", "Intended use", "Data sources", "Eligibility", "Ground truth", "Partitions",
        "Model", "Training", "Evaluation", "Performance", "Subgroups", "Limitations",
        "Other information",
    ]  # fmt: skip
    sections = dict(zip(headings, about["sections"], strict=True))
    assert ["use", "research"] in sections["Intended use"]["rows"]
    assert ["criteria", "not known"] in sections["Eligibility"]["rows"]
    assert ["sources", "three clinics, 2019"] in sections["Data sources"]["rows"]
    assert ["split file, SHA-256", "e" * 64] in sections["Other information"]["rows"]
    assert ["seed", "7"] in sections["Training"]["rows"]
    auc = report["models"]["forest"]["metrics"]["auc"]
    figure = f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    assert figure in sections["Performance"]["tables"][0]["rows"][0]
    limits = " ".join(sections["Limitations"]["sentences"])
    assert "how the labels were made" in limits and "where and when" not in limits
    assert "forest and svm" in " ".join(sections["Performance"]["sentences"])
    html, text = card_page(about), card_markdown(about)
    check_self_contained(html)
    for cell in ("0.900", "three clinics, 2019", "12,345"):
        assert (cell in html) == (cell in text)
    assert figure in html


def test_a_card_of_bare_figures_invents_nothing():
    about = card(an_evaluation()[2])
    rows = dict(tuple(row) for section in about["sections"] for row in section["rows"])
    for name in ("sources", "patients", "criteria", "source of the labels", "divided", "contact"):
        assert rows[name] == "not known"
    assert "calibrated" not in rows["output"]


def test_texts_stay_texts_in_a_card():
    evil = EVIL + "|`*_[x](y)\n# z"
    facts = {"sources": evil, "provenance": {"settings": {evil: evil}}}
    about = card(an_evaluation((evil, "b" + evil), models=(evil,), facts=facts)[2])
    check_self_contained(card_page(about))
    text = card_markdown(about)
    assert "<script" not in text and "\n# z" not in text
    tables = [line for line in text.split("\n") if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} <= {3}


def test_no_page_speaks_of_a_diagnosis():
    report = an_evaluation(**FULL)[2]
    for page in (evaluation_page(report), card_page(card(report)), card_markdown(card(report))):
        said = page.replace("not for diagnosis", "")
        assert not re.search(r"diagnos", said, re.I)
