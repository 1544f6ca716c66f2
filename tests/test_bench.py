"""The yardstick itself: turns are fair, wrong answers are not timed, unequal work is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from medkern import kernels as mk
from medkern.bench.cases import cases, contests
from medkern.bench.check import WrongResult
from medkern.bench.compare import CannotCompare, Verdict, compare, main, select
from medkern.bench.contest import NoContest, prepare
from medkern.bench.machine import Machine, this_machine
from medkern.bench.peers import Peer, peers_of
from medkern.bench.peers.peer import same_images
from medkern.bench.rows import Rival, Row, aligned, make_row, show
from medkern.bench.shapes import SHAPES
from medkern.bench.timing import Spread, interleaved, interval, ratios
from medkern.kernels import Cost

PROMISED = {
    *("kernel", "backend", "shape", "dtype", "parameters", "median_s", "low_s", "high_s"),
    *("mpx_per_s", "gb_per_s", "roof_share", "peer", "peer_version", "peer_median_s"),
    *("ratio", "ratio_low", "ratio_high", "checked", "machine"),
}
PATCH = SHAPES["patch-2x40x48"]


class FakeClock:
    """A clock that moves only when a contender works."""

    def __init__(self) -> None:
        self.now, self.log = 0.0, ""

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, *seconds: float) -> Any:
        turns = iter(seconds)

        def run() -> None:
            self.now += next(turns)
            self.log += name

        return run


def test_contenders_take_turns_and_warm_up_is_not_counted():
    clock = FakeClock()
    a, b = clock.contender("a", 9, 1, 2, 3), clock.contender("b", 9, 4, 6, 15)
    ours, theirs = interleaved(a, b, repeats=3, clock=clock)
    assert clock.log == "abababab"
    assert (ours, theirs) == ([1, 2, 3], [4, 6, 15])
    assert Spread.of(ratios(ours, theirs)) == Spread(median=4, low=3, high=5)


def test_a_drifting_machine_leaves_the_ratio_alone():
    clock = FakeClock()
    drift = [1.0, 1.3, 2.0, 0.7, 3.0]
    a = clock.contender("a", *drift)
    b = clock.contender("b", *(2 * s for s in drift))
    found = ratios(*interleaved(a, b, repeats=5, warmup=0, clock=clock))
    assert found == pytest.approx([2.0] * 5)


def test_turns_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="3 turns of one side and 2"):
        ratios([1, 2, 3], [1, 2])


def test_the_interval_of_the_median_is_the_sign_test_s():
    assert interval(range(1, 16)) == (4, 12)  # n = 15: 96.5 %, as in the tables
    assert interval([5, 1, 3]) == (1, 5)  # too few: the whole range


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_interval_holds_the_median(values: list[float]):
    low, high = interval(values)
    assert low <= np.median(values) <= high or len(values) % 2 == 0


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shapes_are_deterministic_within_their_range_and_smooth(shape: Any):
    images = shape.images(2)
    assert images.shape == (2, *shape.full[1:], *(3,) * (shape.channels == 3))
    assert images.dtype == shape.dtype
    np.testing.assert_array_equal(images[:1], shape.images(1))
    top = 1 if shape.dtype == "float32" else shape.levels(shape.dtype) - 1
    assert images.max() <= top
    assert np.ptp(images) > 0.3 * top
    assert (images[0] != images[1]).any()
    grey = images[0].astype(float) - images[0].mean()
    along = np.diff(grey, axis=len(shape.full) - 2)
    assert (along**2).mean() < 0.8 * (grey**2).mean()  # of white noise it is twice the variance


def test_objects_are_labelled_and_windows_lie_everywhere():
    cells = SHAPES["cells-1x64x64"].where()
    assert isinstance(cells, mk.Regions)
    assert cells.label.tolist() == [1, 2, 3, 4]
    assert cells.table[3, 4:].min() >= 32  # in the last quarter
    windows = SHAPES["map-1x16x16"].where(2)
    assert isinstance(windows, mk.Regions)
    assert len(windows) == 2 * 12 * 12
    organ = SHAPES["organ-1x144"].masks(1)
    assert organ is not None and 0.5e6 < organ.sum() < 1.5e6


def test_regions_have_masks_and_images_have_none():
    masks = SHAPES["cell-rois-8x16x16"].masks()
    assert masks is not None and masks.shape == (8, 16, 16)
    assert set(np.unique(masks)) == {0, 1}
    assert 0.2 < masks.mean() < 0.8
    assert PATCH.masks() is None


def broken(result: Any) -> Any:
    """The median kernel, but with another answer."""
    median = mk.catalogue()["median"]

    def cpu(images: np.ndarray, out: np.ndarray, **parameters: Any) -> None:
        median.cpu(images, out, **parameters)
        result(out)

    return replace(median, cpu=cpu)


def spoil_last_pixel(out: np.ndarray) -> None:
    out[-1, -1, -1] += 1


def test_a_wrong_result_is_never_timed():
    with pytest.raises(WrongResult, match="median differs from its reference in 1 of"):
        prepare(broken(spoil_last_pixel), PATCH, "uint16", {})


def test_a_wrong_result_in_a_large_image_is_never_timed():
    large = replace(PATCH, name="xray-2048", n=1, height=2048, width=2048)

    def spoil_centre_of_a_batch(out: np.ndarray) -> None:
        out[:, out.shape[1] // 2, out.shape[2] // 2] += 1

    with pytest.raises(WrongResult, match="crop"):
        prepare(broken(spoil_centre_of_a_batch), large, "uint16", {})


def test_a_peer_that_answers_otherwise_is_never_timed():
    wrong = fake_peer(lambda images, masks, **_: lambda: images + 1)
    with pytest.raises(WrongResult, match=r"median and fake disagree: .* pixels differ"):
        prepare(mk.catalogue()["median"], PATCH, "uint16", {}, wrong)


def test_unequal_parameters_and_missing_libraries_make_no_row():
    clahe, glcm = mk.catalogue()["clahe"], mk.catalogue()["glcm"]
    opencv, skimage, *_ = peers_of("clahe")
    mahotas, *_ = peers_of("glcm")
    regions = SHAPES["cell-rois-8x16x16"]
    for kernel, shape, chosen, peer, reason in (
        (clahe, PATCH, {"bits": 12}, replace(skimage, package="json"), "another function"),
        (glcm, regions, {"directions": "merged"}, replace(mahotas, package="json"), "averages"),
        (clahe, PATCH, {"bits": 16}, replace(opencv, package="no_such"), "is not installed; pip"),
    ):
        with pytest.raises(NoContest, match=reason):
            prepare(kernel, shape, "uint16", chosen, peer)


def fake_peer(mode: Any) -> Peer:
    return Peer(
        name="fake",
        package="json",
        distribution="numpy",
        modes={"only": mode},
        refuses=lambda dtype, **_: "",
        difference=same_images(),
        agreement="exact",
    )


def test_the_fastest_mode_of_a_peer_is_taken():
    median = mk.catalogue()["median"]

    def slow(images: np.ndarray, masks: Any, **chosen: Any) -> Any:
        def run() -> np.ndarray:
            __import__("time").sleep(0.05)
            return median.reference(images, **chosen)

        return run

    def fast(images: np.ndarray, masks: Any, **chosen: Any) -> Any:
        return lambda: median.reference(images, **chosen)

    peer = replace(fake_peer(slow), modes={"slow": slow, "fast": fast})
    contest = prepare(median, PATCH, "uint16", {}, peer)
    assert contest.mode == "fast"
    assert "fake on all" in contest.check


def test_every_peer_a_kernel_names_has_an_adapter():
    for name, kernel in mk.catalogue().items():
        adapters = {peer.name for peer in peers_of(name)}
        assert set(kernel.peers) <= adapters, f"{name}: bench/peers/{name}.py lacks an adapter"


def test_every_kernel_has_cases_with_names_of_their_own():
    for smoke in (True, False):
        assert {case.kernel.name for case in cases(smoke)} == set(mk.catalogue())
        names = [case.id for case in contests(smoke)]
        assert len(names) == len(set(names))


def a_row(rival: Rival | None = None) -> Row:
    return make_row(
        kernel="median",
        backend="cpu",
        data="patch-2x40x48",
        images=PATCH.images(),
        parameters={"radius": 1},
        cost=Cost(bytes=4, operations=20),
        seconds=[2.0, 1.0, 4.0],
        rival=rival,
        check="reference on 2 of 2 images",
        machine="a-machine",
        roof_gb_s=1e-5,
    )


def test_a_row_has_every_promised_field_and_is_json():
    row = json.loads(json.dumps(a_row(Rival("peer", "1.0", "mode", [4.0, 3.0, 4.0])).describe()))
    assert set(row) >= PROMISED
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (2.0, 1.0, 3.0)
    assert row["ratio_best"] == 3.0
    assert (row["median_s"], row["low_s"], row["high_s"]) == (2.0, 1.0, 4.0)
    assert row["mpx_per_s"] == pytest.approx(2 * 40 * 48 / 2.0 / 1e6)
    assert row["gb_per_s"] == pytest.approx(4 * row["mpx_per_s"] / 1e3)
    assert row["roof_share"] == pytest.approx(row["gb_per_s"] / 1e-5)
    assert row["checked"] is True and row["shape"] == [2, 40, 48]
    assert "2x" in aligned([show(row)])


def test_a_row_without_a_peer_or_without_a_check():
    assert a_row().ratio is None
    with pytest.raises(ValueError, match="checked"):
        make_row(**{**vars(SimpleNamespace(**row_arguments())), "check": ""})


def row_arguments() -> dict[str, Any]:
    return {
        "kernel": "median",
        "backend": "cpu",
        "data": "patch-2x40x48",
        "images": PATCH.images(),
        "parameters": {},
        "cost": Cost(bytes=4, operations=20),
        "seconds": [1.0],
        "rival": None,
        "machine": "a-machine",
        "roof_gb_s": 1.0,
    }


def test_this_machine_is_described_and_a_busy_one_says_so():
    here = this_machine()
    assert here.name.endswith(f"-{here.cores}-cores")
    assert 0.1 < here.copy_gb_s < 5000
    assert here.versions["numpy"] == np.__version__
    json.dumps(here.describe())
    quiet: Machine = replace(here, noise=0.01, load=0.0)
    assert quiet.noisy == ""
    assert "trust ratios" in replace(quiet, noise=0.5).noisy


# ---- two commits

KERNELS = """
import time
from types import SimpleNamespace
def catalogue():
    def median(images, **parameters):
        time.sleep({seconds})
        return images + {answer}
    return {{"median": median}}
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits: 5 ms, 30 ms with the same answer, no kernels at all."""
    folder = tmp_path_factory.mktemp("repo")

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)

    git("init", "--quiet", "--initial-branch=main")
    (folder / "kernels").mkdir()
    for tag, text in (
        ("fast", KERNELS.format(seconds=0.005, answer=1)),
        ("slow", KERNELS.format(seconds=0.03, answer=1)),
        ("broken", "raise ImportError('no kernels here')"),
    ):
        (folder / "kernels" / "__init__.py").write_text(text)
        git("add", ".")
        git("commit", "--quiet", "--message", tag)
        git("tag", tag)
    return folder


CASE = "median-radius=1-patch-2x40x48-uint16"


def verdict(repo: Path, a: str, b: str) -> Verdict:
    (found,) = compare(a, b, select(CASE), repo, repeats=11)
    return found


def test_a_slower_commit_is_found_and_a_faster_one_is_no_regression(repo: Path):
    slower = verdict(repo, "fast", "slow")
    assert slower.slower and slower.same and slower.ratio > 2
    assert not verdict(repo, "slow", "fast").slower


def test_a_regression_is_exit_code_1_and_the_worktrees_are_gone(repo: Path, capsys: Any):
    assert main(["fast", "slow", CASE, "--repo", str(repo), "--repeats", "11"]) == 1
    assert "SLOWER" in capsys.readouterr().out
    listed = subprocess.run(
        ["git", "-C", str(repo), "worktree", "list"], capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 1


def test_what_cannot_be_compared_is_said_in_one_sentence(repo: Path, capsys: Any):
    assert main(["fast", "nowhere", CASE, "--repo", str(repo)]) == 2
    assert "unknown commit 'nowhere'" in capsys.readouterr().err
    with pytest.raises(CannotCompare, match="no case holds 'nothing'"):
        select("nothing")
    with pytest.raises(CannotCompare, match="broken: its kernels cannot be imported"):
        verdict(repo, "fast", "broken")


def test_a_kernel_that_only_one_commit_has_is_named(repo: Path):
    glcm = next(case for case in cases(smoke=True) if case.kernel.name == "glcm")
    (found,) = compare("fast", "slow", [glcm], repo, repeats=1)
    assert "fast: KeyError: 'glcm'" in found.note and not found.slower


def test_the_script_runs_by_its_path():
    script = Path(__file__).resolve().parents[1] / "bench" / "compare.py"
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "side by side" in done.stdout
