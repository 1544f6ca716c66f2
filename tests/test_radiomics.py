"""The chain of radiomics: the standard's CT phantom, its grid and masks, and the command."""

from dataclasses import replace
from pathlib import Path

import ibsi
import numpy as np
import pytest

from medkern.engine.cases import pairs, read_cases
from medkern.engine.errors import UserError
from medkern.engine.features import Features, column_metadata
from medkern.engine.radiomics import FAMILIES, Case, Grid, Radiomics

# The five configurations of the manual, section 5.3
CONFIGURATIONS = {
    "a": Radiomics(range=(-500, 400), binning="width"),
    "b": Radiomics(spacing=(0, 2, 2), range=(-500, 400)),
    "c": Radiomics(
        spacing=(2, 2, 2), range=(-1000, 400), binning="width",
        parameters={"ivh": {"units": "continuous", "width": 2.5, "bounds": "both", "low": -1000,
                            "high": 400}},
    ),
    "d": Radiomics(spacing=(2, 2, 2), outliers=3),
    "e": Radiomics(
        spacing=(2, 2, 2), interpolation="cubic", range=(-1000, 400), outliers=3,
        parameters={"ivh": {"units": "arbitrary"}},
    ),
}  # fmt: skip
PREFIX = {
    "morphology": "morph", "local": "loc", "statistics": "stat", "histogram": "ih", "ivh": "ivh",
    "glcm": "cm", "glrlm": "rlm", "glszm": "szm", "gldzm": "dzm", "ngtdm": "ngt", "ngldm": "ngl",
}  # fmt: skip
DIMENSION = {"averaged": "2D", "merged": "2_5D", "volume": "3D"}
COMBINED = {"averaged": "avg", "merged": "comb"}


@pytest.fixture(scope="module")
def phantom(data) -> Case:
    """The CT phantom with its tumour, in whole Hounsfield units."""
    nibabel = pytest.importorskip("nibabel")
    folder = data("ibsi_phantoms") / "ibsi_1_ct_radiomics_phantom" / "nifti"
    image = nibabel.load(folder / "image" / "phantom.nii.gz")
    mask = nibabel.load(folder / "mask" / "mask.nii.gz")
    x, y, z = (float(mm) for mm in image.header.get_zooms())
    return Case("phantom", np.rint(image.get_fdata()).T, np.rint(mask.get_fdata()).T, (z, y, x))


def tags(folder: Path, name: str, family: str, ending: str) -> list[str]:
    """Tags of a family in the order of the table, which is that of the manual and of the kernel."""
    known = [row["tag"] for row in ibsi.tags(folder, f"chest_config_{name}")]
    known = [t for t in known if not t.startswith("morph_mask")]  # these describe the chain
    return [t for t in known if t.startswith(PREFIX[family] + "_") and t.endswith(ending)]


def aggregations(name: str, family: str) -> list[tuple[str, str, str]]:
    """(slices, directions, ending of the tags) in which the table has this family."""
    if family in ("glcm", "glrlm"):
        slices = ("volume",) if name in "cde" else ("averaged", "merged")
        return [(s, d, f"_{DIMENSION[s]}_{COMBINED[d]}") for s in slices for d in COMBINED]
    if family in ("glszm", "gldzm", "ngtdm", "ngldm"):
        slices = ("volume",) if name in "cde" else ("averaged", "merged")
        return [(s, "averaged", f"_{DIMENSION[s]}") for s in slices]
    return [("volume", "averaged", "")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_consensus_on_the_ct_phantom_is_met(data, phantom, name, family):
    folder = data("ibsi_phantoms")
    known, missed = ibsi.agreed(folder, f"chest_config_{name}"), []
    for slices, directions, ending in aggregations(name, family):
        chain = replace(
            CONFIGURATIONS[name], slices=slices, directions=directions, families=(family,)
        )
        values = chain.row(phantom).values[0, 2:].tolist()
        named = tags(folder, name, family, ending)
        for found, tag in zip(values, named, strict=True):
            if tag in known and ibsi.misses(found, known[tag]):
                missed.append(f"{tag}: {found}, consensus {known[tag]}")
    assert not missed, missed


# ---- the chain


def ball(side: int = 24, radius: float = 7) -> Case:
    """A ball in the middle of a volume whose intensity rises along x."""
    place = np.indices((side,) * 3) - (side - 1) / 2
    return Case("ball", place[2] * 10.0, (place**2).sum(axis=0) <= radius**2)


def test_a_resampled_grid_has_the_centre_of_the_old_one():
    case = ball()
    image, drawn, inside, spacing = Radiomics(spacing=(2, 2, 2), whole=False).prepare(case)
    assert spacing == (2, 2, 2)
    centre = np.array(np.nonzero(drawn)).mean(axis=1)
    z, y, x = (int(c) for c in centre)
    assert drawn.sum() == pytest.approx(case.mask.sum() / 8, rel=0.06)
    # the ramp is met exactly: symmetric about the centre, 20 from voxel to voxel
    np.testing.assert_allclose(np.diff(image[z, y, x - 2 : x + 3]), 20, rtol=1e-5)
    assert image[inside].mean() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_the_surroundings_that_are_cut_away_do_not_matter(interpolation):
    """The grid and its values are those of the whole volume, resampled."""
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(70, 60, 80))
    mask = np.zeros(volume.shape)
    mask[30:40, 25:33, 40:52] = 1
    old, new = (1.5, 1.0, 1.2), (2.0, 2.0, 2.0)
    whole = np.ones(volume.shape)
    order = {"linear": 1, "cubic": 3}[interpolation]
    everything = Grid.of(whole, old, new).sample(volume, order)
    part = Grid.of(mask, old, new)
    found = part.sample(volume, order)
    views = np.lib.stride_tricks.sliding_window_view(everything, found.shape)
    assert np.abs(views - found).max(axis=(3, 4, 5)).min() < 1e-4


def test_resegmentation_takes_range_and_outliers_away():
    case = ball()
    case.image[12, 12, 12] = 5000
    _, drawn, inside, _ = Radiomics(range=(-30, 60)).prepare(case)
    assert inside.sum() < drawn.sum() == case.mask.sum()
    image, drawn, inside, _ = Radiomics(outliers=3).prepare(case)
    assert (drawn & ~inside).sum() == 1 and image[drawn & ~inside] == 5000


@pytest.mark.parametrize(
    ("mask", "image", "status"),
    [(0, "ramp", 1), ("one", "ramp", 2), ("ball", "flat", 3), ("ball", "ramp", 0)],
)
def test_a_region_with_little_to_measure_says_so(mask, image, status):
    case = ball()
    inside = {0: case.mask & False, "ball": case.mask}.get(mask)
    if inside is None:
        inside = np.zeros_like(case.mask)
        inside[3, 4, 5] = True
    pixels = case.image if image == "ramp" else np.full(case.image.shape, 7.0)
    row = Radiomics().row(Case("x", pixels, inside))
    assert row.names[:2] == ("region.voxels", "region.status")
    assert row.values[0, :2].tolist() == [inside.sum(), status]
    assert len(row.names) == len(Radiomics().row(case).names)


def test_settings_and_cases_are_checked():
    with pytest.raises(UserError, match="interpolation must be nearest, linear, cubic, got 'sinc'"):
        Radiomics(interpolation="sinc")
    with pytest.raises(UserError, match="range must rise"):
        Radiomics(range=(5, 5))
    with pytest.raises(UserError, match="no family 'glmc'; known are"):
        Radiomics(families=("glmc",))
    with pytest.raises(UserError, match="a: image and mask must be volumes"):
        Case("a", np.zeros((2, 3, 4)), np.zeros((2, 3)))
    with pytest.raises(UserError, match="a: spacing must be three positive mm"):
        Case("a", np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), (1, 0, 1))


# ---- files


def write(path: Path, volume: np.ndarray, spacing=(0.8, 0.7, 3.0)) -> None:
    nibabel = pytest.importorskip("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume.T, np.diag([*spacing, 1.0])), path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two scans with masks, the second with two labels; a scan without a mask."""
    case = ball(16, 5)
    scans, masks = tmp_path / "scans", tmp_path / "masks"
    for name in ("a/one", "a/two", "three"):
        write(scans / f"{name}.nii.gz", case.image.astype(np.int16))
    write(masks / "a" / "one.nii.gz", case.mask.astype(np.uint8))
    labels = case.mask.astype(np.uint8)
    labels[:, :, 8:] *= 4
    write(masks / "a" / "two.nii", labels)
    return scans, masks


def test_masks_belong_to_images_of_the_same_name_and_labels_are_regions(folders):
    rejects = []
    found = list(read_cases(pairs(*folders), rejects.append))
    assert not rejects
    assert [case.id for cases in found for case in cases] == ["a/one:1", "a/two:1", "a/two:4"]
    one, two, four = (case for cases in found for case in cases)
    assert one.spacing == pytest.approx((3.0, 0.7, 0.8))
    assert (two.mask | four.mask).sum() == one.mask.sum() == ball(16, 5).mask.sum()


def test_what_cannot_be_measured_is_set_aside(folders):
    scans, masks = folders
    write(masks / "three.nii.gz", np.zeros((3, 4, 5), np.uint8))
    (scans / "a" / "one.nii.gz").write_bytes(b"no image")
    rejects = []
    found = list(read_cases(pairs(scans, masks), rejects.append))
    assert [cases[0].id for cases in found] == ["a/two:1"]
    assert [(r.id, r.code.value) for r in rejects] == [
        ("a/one", "not_an_image"), ("three", "bad_geometry"),
    ]  # fmt: skip


def test_the_command_writes_one_row_a_region(medkern, folders, tmp_path):
    scans, masks = folders
    write(masks / "three.nii.gz", np.zeros((3, 4, 5), np.uint8))
    settings = tmp_path / "settings.toml"
    settings.write_text('spacing = [3, 1, 1]\nrange = [-60, 60]\nfamilies = ["glcm"]\n')
    out = tmp_path / "out" / "features.parquet"
    ended = medkern(
        "features", scans, "--masks", masks, "--preset", "ibsi",
        "--settings", settings, "--out", out, "--json",
    )  # fmt: skip
    assert ended.code == 3  # complete, with inputs set aside
    assert ended.json["rows"] == 3
    assert [r["code"] for r in ended.json["set_aside"]] == ["bad_geometry"]
    table = Features.from_parquet(out)
    assert table.ids == ("a/one:1", "a/two:1", "a/two:4")
    assert np.isfinite(table.values).all()
    facts = column_metadata(out)["glcm.contrast.d1.averaged"]
    assert facts["tag"] == "ACUI" and '"range": [-60, 60]' in facts["settings"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("spacin = 1", "'spacin' is unknown; known are"), ("range = [2, 1]", "range must rise")],
)
def test_the_command_refuses_wrong_settings(medkern, folders, tmp_path, text, says):
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    scans, masks = folders
    ended = medkern("features", scans, "--masks", masks, "--preset", "ibsi", "--settings", settings)
    assert ended.code == 2
    assert says in ended.err
