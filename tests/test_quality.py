"""Denoising on images of known truth: not worse than a peer, near to the best level by hand."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from medkern import kernels as mk
from medkern.bench.quality.__main__ import judge_all, page
from medkern.bench.quality.judge import Verdict, verdict
from medkern.bench.quality.methods import METHODS, Method
from medkern.bench.quality.scores import cnr, edge_width, psnr
from medkern.bench.quality.truth import Truth, truths

Data = Callable[[str], Path]
WITH_PEER = [
    m for m in METHODS if m.theirs and m.kernel not in ("lee",) and not m.parameters.get("noise")
]
ESTIMATED = [m for m in METHODS if "white" in m.noises and m.level and m.kernel != "guided"]


@cache
def sets(folder: Path) -> dict[str, Truth]:
    """Two images of each set are enough for a test; the page takes all."""
    return {truth.name: truth.first(2) for truth in truths(folder)}


def judged(folder: Path, method: Method, name: str, sweep: bool) -> Verdict:
    return verdict(method, sets(folder)[name], sweep)


def named(methods: list[Method]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", methods, ids=lambda m: m.name)


@named(WITH_PEER)
@pytest.mark.parametrize("name", ["white 25", "MR repeats", "Rician 5 %"])
def test_no_method_is_worse_than_a_peer_with_equal_parameters(
    data: Data, method: Method, name: str
):
    found = judged(data("denoise_truth"), method, name, False)
    assert found.psnr_peer is not None
    assert found.psnr >= found.psnr_peer - 0.05


@named(ESTIMATED)
def test_the_measured_noise_serves_nearly_as_well_as_the_best_level_by_hand(data: Data, method):
    found = judged(data("denoise_truth"), method, "white 10", True)
    assert found.best is not None
    assert found.psnr >= found.best - 0.3
    assert found.psnr > found.psnr_noisy + 6


@pytest.mark.parametrize("name", ["white 10", "white 25", "MR repeats"])
def test_similar_patches_together_beat_non_local_means(data: Data, name: str):
    truth = sets(data("denoise_truth"))[name]
    together = psnr(truth.clean, mk.collaborative(truth.noisy), truth.top)
    means = psnr(truth.clean, mk.nlm(truth.noisy), truth.top)
    assert together >= means + 0.5


def test_a_noise_model_that_fits_is_worth_decibels(data: Data):
    folder = data("denoise_truth")
    rician, poisson = sets(folder)["Rician 5 %"], sets(folder)["Poisson 20"].first(1)
    plain, fitting = (
        psnr(rician.clean, mk.nlm(rician.noisy, noise=n), 1) for n in ("gaussian", "rician")
    )
    assert fitting > plain + 8
    between = next(m for m in METHODS if m.name == "anscombe nlm")
    got = psnr(poisson.clean, between.ours(poisson.noisy), 1)
    assert got > psnr(poisson.clean, mk.nlm(poisson.noisy), 1) + 1


@named([m for m in METHODS if m.level and "white" in m.noises])
def test_a_step_edge_keeps_its_width(method: Method):
    assert edge_width(method.ours) <= edge_width(lambda image: image) + 0.25


def test_scores_know_what_they_are_given():
    clean = np.zeros((2, 8, 8))
    assert psnr(clean, clean + 1, 100) == pytest.approx(40)
    assert edge_width(lambda image: image, noise=0) == pytest.approx(0.8)
    regions = np.zeros((1, 40, 40), np.uint8)
    regions[0, 15:25, 15:25] = 1
    image = np.random.default_rng(0).normal(0, 2, (1, 40, 40)) + 6 * regions
    assert cnr(image, regions) == pytest.approx(3, rel=0.15)


def test_the_page_holds_every_row_and_nothing_from_elsewhere(data: Data):
    truth = sets(data("denoise_truth"))["MR repeats"].first(1)
    report, parts = judge_all([truth])
    json.dumps(report)
    html = page(report, parts)
    assert all(row["method"] in html for row in report["rows"])
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
