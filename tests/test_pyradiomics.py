"""The preset of PyRadiomics against the baselines that its authors publish with it."""

import ast
import csv
import gzip
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from medkern.engine.errors import UserError
from medkern.engine.features import Features, column_metadata
from medkern.engine.presets import PRESETS
from medkern.engine.pyradiomics import (
    CLASSES,
    PyRadiomics,
    planar_diameter,
    second_correlation,
)
from medkern.engine.radiomics import Case, Grid
from medkern.kernels.texture.morphology import vertices_of

PATIENTS = ("brain1", "brain2", "breast1")  # of these the images are public
SETTINGS = (
    "", "_2d", "_FBN", "_combined", "_flatRegion", "_normalization", "_resampling",
    "_resegmentation",
)  # fmt: skip
FAMILIES = {
    "firstorder": ("statistics", "histogram"), "shape": ("morphology",), "gldm": ("ngldm",),
    "glcm": ("glcm",), "glrlm": ("glrlm",), "glszm": ("glszm",), "ngtdm": ("ngtdm",),
}  # fmt: skip

# Surfaces that PyRadiomics leaves open; see the module
OPEN = {"MeshVolume", "SurfaceArea", "Sphericity", "SurfaceVolumeRatio"}
APART = {"brain1": OPEN, "brain1_resampling": OPEN, "brain2": OPEN}


# ---- files


@pytest.fixture(scope="module")
def folder(data) -> Path:
    return data("radiomics_3d") / "pyradiomics"


@cache
def nrrd(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Values (z, y, x) and spacing of a file with its data inside."""
    header, _, values = path.read_bytes().partition(b"\n\n")
    lines = [line for line in header.decode().splitlines()[1:] if not line.startswith("#")]
    field = dict(line.split(": ", 1) for line in lines)
    if field["encoding"] == "gzip":
        values = gzip.decompress(values)
    kind = {"short": np.int16, "int": np.int32, "unsigned char": np.uint8}[field["type"]]
    sizes = [int(n) for n in field["sizes"].split()]
    axes = [np.array(ast.literal_eval(axis)) for axis in field["space directions"].split()]
    x, y, z = (float(np.linalg.norm(axis)) for axis in axes)
    return np.frombuffer(values, kind).reshape(sizes[::-1]), (z, y, x)


@cache
def baseline(folder: Path, group: str) -> dict[str, dict[str, str]]:
    """{test case: {row: value}} of a class."""
    with (folder / "baseline" / f"baseline_{group}.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    return {
        name: {row[0]: row[column] for row in rows} for column, name in enumerate(names) if column
    }


def chain_of(text: str) -> PyRadiomics:
    """PyRadiomics' settings of a test case in the preset's words."""
    theirs = ast.literal_eval(text)
    ours = {"width": float(theirs.get("binWidth", 25)), "shift": theirs.get("voxelArrayShift", 0)}
    if theirs.get("binCount"):
        ours |= {"binning": "count", "levels": theirs["binCount"]}
    if theirs["force2D"]:
        ours["slices"] = "merged"
    if theirs.get("weightingNorm") == "no_weighting":
        ours["directions"] = "merged"
    if theirs["normalize"]:
        ours["normalise"] = float(theirs["normalizeScale"])
    if theirs["resampledPixelSpacing"]:
        ours["spacing"] = tuple(theirs["resampledPixelSpacing"][::-1])
    if limits := theirs["resegmentRange"]:
        if theirs.get("resegmentMode") == "sigma":
            ours["outliers"] = limits[1]
        else:
            ours["range"] = (limits[0], np.inf)
    return PyRadiomics(**ours)


# ---- the baselines


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("patient", PATIENTS)
def test_the_baselines_are_met(folder, patient, setting):
    name, known, chains, families = patient + setting, {}, [], ()
    for group in CLASSES:
        if case := baseline(folder, group).get(name):
            known |= {k: float(v) for k, v in case.items() if k.startswith("original_")}
            chains.append(chain_of(case["diagnostics_Configuration_Settings"]))
            families += FAMILIES[group]
    assert chains.count(chains[0]) == len(chains)
    image, spacing = nrrd(folder / f"{patient}_image.nrrd")
    mask, _ = nrrd(folder / f"{patient}_label.nrrd")
    row = replace(chains[0], families=families).row(Case(name, image, mask == 1, spacing))
    found = dict(zip(row.names, row.values[0].tolist(), strict=True))
    apart = {k for k, v in known.items() if found[k] != pytest.approx(v, rel=1e-4, abs=1e-9)}
    assert apart == {f"original_shape_{feature}" for feature in APART.get(name, ())}
    for feature in apart:
        assert found[feature] == pytest.approx(known[feature], rel=5e-3)


def test_the_names_are_those_of_pyradiomics(folder):
    expected = {
        name for group in CLASSES for case in baseline(folder, group).values()
        for name in case if name.startswith("original_")
    }  # fmt: skip
    assert set(PyRadiomics().rules()) == expected
    assert len(expected) == 107


# ---- what is measured beyond our families


def ball(side: int = 12, radius: float = 4) -> Case:
    place = np.indices((side,) * 3) - (side - 1) / 2
    return Case("ball", place[2] * 10.0 + place[0] ** 2, (place**2).sum(axis=0) <= radius**2)


@pytest.mark.parametrize("seed", range(4))
def test_planar_diameters_are_those_of_the_mesh(seed):
    rng = np.random.default_rng(seed)
    spacing = (2.5, 0.7, 0.9)
    inside = rng.random((5, 6, 7)) < (0.08, 0.3, 0.6, 0.95)[seed]
    vertices = vertices_of(inside, np.array(spacing))
    for axis in range(3):
        planes = np.round(vertices[:, axis], 9)
        pairs = [pdist(vertices[planes == plane]).max(initial=0) for plane in np.unique(planes)]
        assert planar_diameter(inside, spacing, axis) == pytest.approx(max(pairs))


def test_the_maximal_correlation_of_known_tables():
    assert second_correlation(np.array([[4.0]])) == 1  # one level
    assert second_correlation(np.diag([1.0, 2.0, 3.0])) == pytest.approx(1)  # each knows the other
    assert second_correlation(np.outer([1.0, 2, 3], [1, 2, 3])) == pytest.approx(0, abs=1e-7)
    p, q = 3.0, 1.0  # two levels: Pearson's correlation
    assert second_correlation(np.array([[p, q], [q, p]])) == pytest.approx((p - q) / (p + q))


@pytest.mark.parametrize("voxels", [0, 1, 2])
@pytest.mark.parametrize("flat", [False, True])
def test_regions_with_little_to_measure_have_a_row(voxels, flat):
    case = ball()
    inside = np.zeros_like(case.mask)
    inside[5, 5, 5 : 5 + voxels] = True
    image = np.ones_like(case.image) if flat else case.image
    row = PyRadiomics().row(Case("x", image, inside))
    assert row.names == PyRadiomics().row(case).names
    assert row.values[0, 0] == voxels


def test_a_new_grid_shares_the_corner_of_the_old_one():
    grid = Grid.of(np.ones((4, 4, 4)), (1, 1, 1), (2, 2, 3), "corner")
    assert grid.start == (0.5, 0.5, 1.0) and grid.shape == (2, 2, 2)


def test_resampled_integers_lose_their_fraction():
    case = ball()
    whole = Case("whole", np.rint(case.image).astype(np.int16), case.mask)
    chain = PyRadiomics(spacing=(1.5, 1.5, 1.5))
    fine, cut = (replace(whole, image=i) for i in (whole.image.astype(np.float64), whole.image))
    np.testing.assert_array_equal(chain.prepare(cut).image, np.trunc(chain.prepare(fine).image))


def test_the_settings_are_checked():
    with pytest.raises(UserError, match="PyRadiomics has no features of 'ivh'"):
        PyRadiomics(families=("glcm", "ivh"))
    with pytest.raises(UserError, match="align must be centre or corner, got 'edge'"):
        PyRadiomics(align="edge")
    with pytest.raises(UserError, match=r"are 14\d+ levels: at most 1024"):
        PyRadiomics(width=0.05, families=("glcm",)).row(ball())


# ---- the command


def test_the_command_writes_the_columns_with_their_meaning(medkern, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    case = ball()
    for kind, volume in (("scans", case.image), ("masks", case.mask)):
        path = tmp_path / kind / "one.nii.gz"
        path.parent.mkdir()
        nibabel.save(nibabel.Nifti1Image(volume.T.astype(np.float32), np.eye(4)), path)
    out = tmp_path / "features.parquet"
    ended = medkern(
        "features", tmp_path / "scans", "--masks", tmp_path / "masks",
        "--preset", "pyradiomics", "--out", out,
    )  # fmt: skip
    assert ended.code == 0
    table, facts = Features.from_parquet(out), column_metadata(out)
    chain = PRESETS["pyradiomics"]
    assert isinstance(chain, PyRadiomics)
    assert table.names == ("region.voxels", "region.status", *chain.rules())
    expected = chain.row(replace(case, image=case.image.astype(np.float32)))
    np.testing.assert_array_equal(table.values[0], expected.values[0])
    joint = facts["original_glcm_JointEnergy"]
    assert (joint["family"], joint["feature"], joint["tag"]) == ("glcm", "JointEnergy", "8ZQL")
    kurtosis = facts["original_firstorder_Kurtosis"]
    assert (kurtosis["tag"], kurtosis["formula"]) == ("", "statistics.kurtosis + 3")
    assert all(found["preset"] == "pyradiomics" for found in facts.values())
