"""The whole road, files to scores: images/s and the share of each stage, against today's code.

Same files, same steps, same parameters, all cores on both sides; see `today.py`. With OpenCV's
median and CLAHE the images must be equal; scikit-image's CLAHE is another function, so there they
must correlate. Either way a logistic regression on each side's features must tell the two classes
apart on files that it was not fitted on. Fitting, compiling and starting processes come before.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medkern.bench import road, today
from medkern.bench.rows import Rival, make_row
from medkern.bench.timing import Timed, turn_of
from medkern.kernels import Cost

TURNS = 7
CT_WINDOW = (40.0, 400.0)
DATA = Path(os.environ.get("MEDKERN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
# syntaxes that pydicom decodes by itself
NATIVE = ("*LittleEndian*", "*BigEndian*", "*Deflated*", "*RLE*")


@dataclass(frozen=True)
class Files:
    """Files of two classes; those after the first `len(classes)` are unlabelled."""

    name: str
    task: today.Task
    paths: Sequence[Path]
    classes: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.paths), *self.task.size


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Files:
    """CT slices: made ones with two textures, and real ones where the test data are present."""
    measuring = request.config.getoption("benchmark_enable")
    n, size = (96, 512) if measuring else (24, 64)
    made = road.write_slices(tmp_path_factory.mktemp("slices"), n, size)
    folder = DATA / "dicom_syntaxes" / "ctimage_matrix"
    real = (
        sorted({path for name in NATIVE for path in folder.glob(f"CTImage.dcm_{name}")})
        if measuring
        else []
    )
    return Files("ct-slices", today.Task((size, size), CT_WINDOW), made + real, road.truth(made))


@pytest.fixture(scope="module")
def pictures(request: pytest.FixtureRequest) -> Files:
    """JPEG thumbnails 64 x 64 of two of MedNIST's kinds."""
    folder = DATA / "mednist_subset" / "images"
    if not folder.exists():
        pytest.skip("mednist_subset not found; set MEDKERN_DATA to the folder that holds it")
    n = None if request.config.getoption("benchmark_enable") else 12
    kinds = [sorted((folder / kind).iterdir())[:n] for kind in ("Hand", "ChestCT")]
    paths = [path for pair in zip(*kinds, strict=True) for path in pair]
    classes = np.array([path.parent.name == "ChestCT" for path in paths], np.int64)
    return Files("mednist-jpeg", today.Task((64, 64), None), paths, classes)


@pytest.mark.parametrize("library", today.LIBRARIES)
@pytest.mark.parametrize("kind", ["slices", "pictures"])
def bench_road(
    kind: str,
    library: str,
    request: pytest.FixtureRequest,
    benchmark: Any,
    machine: Any,
    report: Any,
) -> None:
    files: Files = request.getfixturevalue(kind)
    ours, theirs = road.Ours(files.task), today.Today(files.task, library)
    check = check_images(files, library)
    mine = classifier(files, ours(files.paths).values)
    other = classifier(files, theirs(files.paths))
    seconds: list[dict[str, float]] = []

    def our_road() -> None:
        answer = ours(files.paths)
        mine(answer.values)
        seconds.append(answer.seconds)

    a, b = Timed(our_road), Timed(lambda: other(theirs(files.paths)))
    benchmark.group = "road"
    benchmark.pedantic(a, setup=turn_of(b), rounds=TURNS, warmup_rounds=1)
    rival = Rival(f"today ({library})", "pydicom, mahotas, scikit-learn", "process pool",
                  b.seconds[-TURNS:])  # fmt: skip
    note(files, a.seconds[-TURNS:], seconds[-TURNS:], rival, check, machine, report)


@pytest.mark.parametrize("kind", ["slices", "pictures"])
def bench_road_with_network(
    kind: str, request: pytest.FixtureRequest, benchmark: Any, machine: Any, report: Any
) -> None:
    """The same road with the network's scores; random weights cost what trained ones do."""
    import jax

    from medkern.engine.learn.cnn.trained import Cnn, Design

    files: Files = request.getfixturevalue(kind)
    design = Design(files.task.size, 8, 2, 16, 1, "image", 0.5, 0.2)
    ours = road.Ours(files.task, Cnn(design, *design.fresh(jax.random.key(0))))
    answer = ours(files.paths)
    assert answer.scores is not None and answer.scores.shape == (len(files.paths), 2)
    np.testing.assert_allclose(answer.scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(answer.values, road.Ours(files.task)(files.paths).values)
    seconds: list[dict[str, float]] = []
    a = Timed(lambda: seconds.append(ours(files.paths).seconds))
    benchmark.group = "road"
    benchmark.pedantic(a, setup=turn_of(None), rounds=TURNS, warmup_rounds=1)
    check = "features equal those without the network; probabilities sum to 1"
    note(files, a.seconds[-TURNS:], seconds[-TURNS:], None, check, machine, report)


def check_images(files: Files, library: str) -> str:
    """Compare both sides' enhanced images of some files; say what was found, or fail."""
    some = files.paths[:: max(1, len(files.paths) // 12)]
    own = road.Ours(files.task, keep_pixels=True)(some).pixels
    other = np.stack([today.process(path, files.task, library) for path in some])
    if library == "OpenCV":
        apart = np.abs(own.astype(int) - other)
        assert (apart > 1).mean() < 1e-3, f"{(apart > 1).mean():.2%} of the pixels differ"
        return f"{len(some)} images: {(apart == 0).mean():.3%} of the pixels equal"
    close = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(own, other, strict=True)]
    assert min(close) > 0.9, f"an enhanced image correlates only {min(close):.2f} with today's"
    return f"{len(some)} images: correlation at least {min(close):.3f} (another CLAHE)"


def classifier(files: Files, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Logistic regression fitted on every other pair of files; it must be right on the rest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = values[: len(files.classes)]
    train = np.arange(len(known)) // 2 % 2 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(known[train], files.classes[train])
    score = model.predict_proba(known[~train])[:, 1]
    auc = float(roc_auc_score(files.classes[~train], score))
    assert auc > 0.9, f"features that tell the classes apart with AUC {auc:.2f} only"
    return model.predict_proba


def note(
    files: Files,
    total: Sequence[float],
    stages: Sequence[dict[str, float]],
    rival: Rival | None,
    check: str,
    machine: Any,
    report: Any,
) -> None:
    """The row: images/s and each stage's median share of our time."""
    n, size = len(files.paths), sum(path.stat().st_size for path in files.paths)
    pixels = np.broadcast_to(np.uint8(0), files.shape)
    row = make_row(
        kernel="road" if rival else "road with network",
        backend="cpu",
        data=files.name,
        images=pixels,
        parameters={"radius": files.task.radius, "clip": files.task.clip},
        cost=Cost(bytes=size / pixels.size, operations=0),  # of the road: the files' bytes
        seconds=total,
        rival=rival,
        check=check,
        machine=machine.name,
        roof_gb_s=machine.copy_gb_s,
    ).describe()
    share = {
        stage: float(np.median([s[stage] / t for s, t in zip(stages, total, strict=True)]))
        for stage in stages[0]
    }
    row |= {"images_per_s": n / row["median_s"], "stages": share}
    row["peer_images_per_s"] = n / row["peer_median_s"] if rival else None
    shown = {
        "files": f"{n} {files.name} {files.task.size[0]}x{files.task.size[1]}",
        "images/s": f"{row['images_per_s']:.4g}",
        "share": " ".join(f"{stage} {part:.0%}" for stage, part in share.items()),
        "against": rival.name if rival else "- (with the network)",
        "its images/s": f"{row['peer_images_per_s']:.4g}" if rival else "-",
        "ratio": f"{row['ratio']:.3g}x" if rival else "-",
        "range": f"{row['ratio_low']:.3g} to {row['ratio_high']:.3g}" if rival else "-",
        "best": f"{row['ratio_best']:.3g}x" if rival else "-",
    }
    report("The whole road: files to scores", row, shown)
