"""Presets for cells: CellProfiler's names, its values, and the command that writes them."""

from pathlib import Path

import numpy as np
import pytest

from medkern import kernels as mk
from medkern.engine.cells import NAMES, Cells
from medkern.engine.errors import UserError
from medkern.engine.features import Features, column_metadata
from medkern.engine.objects import Objects
from medkern.engine.presets import PRESETS


def objects(dtype: str = "uint16", side: int = 60) -> Objects:
    """Three cells with structure, of labels that are not in a row; the last one is one pixel."""
    white = np.iinfo(dtype).max
    y, x = np.indices((side, side)) / side
    noise = np.random.default_rng(0).normal(0, 0.03, (side, side))
    share = np.clip(0.5 + 0.3 * np.sin(9 * y) * np.cos(7 * x) + noise, 0, 1)
    labels = np.zeros((side, side), np.uint16)
    labels[(y - 0.3) ** 2 + (x - 0.35) ** 2 < 0.05] = 2
    labels[((y - 0.7) / 1.5) ** 2 + (x - 0.7) ** 2 < 0.02] = 7
    labels[-2, 2] = 9
    return Objects("site", np.rint(share * white).astype(dtype), labels, float(white))


def column(table: Features, name: str) -> np.ndarray:
    return table.values[:, table.names.index(name)]


# ---- the table


def test_every_object_is_a_row():
    table = Cells(families=("haralick",), scales=(1, 3)).table(objects())
    assert table.ids == ("site:2", "site:7", "site:9")
    assert len(table.names) == 2 + 2 * 52
    np.testing.assert_array_equal(column(table, "region.status"), [0, 0, 2])
    np.testing.assert_array_equal(column(table, "region.voxels")[-1], 1)
    assert np.isfinite(table.values[:2]).all()
    assert np.isnan(table.values[2, 2:]).all()


def test_an_image_without_objects_has_the_columns_and_no_row():
    empty = objects()._replace(labels=np.zeros((60, 60), np.uint8))
    table = Cells().table(empty)
    assert table.names == Cells().table(objects()).names
    assert table.ids == ()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_textures_are_those_of_mahotas_under_cell_profiler_s_names(dtype):
    features, util = pytest.importorskip("mahotas.features"), pytest.importorskip("skimage.util")
    cells = objects(dtype)
    table = Cells(families=("haralick",), scales=(1, 3)).table(cells)
    greys = util.img_as_ubyte((cells.image / np.float32(cells.white)).astype(np.float32))
    for scale in (1, 3):
        want = features.haralick(greys * (cells.labels == 7), distance=scale, ignore_zeros=True)
        for feature, at in {"AngularSecondMoment": 0, "Variance": 3, "InfoMeas2": 12}.items():
            for direction in range(4):
                found = column(table, f"Texture_{feature}_{scale}_0{direction}_256")[1]
                assert found == pytest.approx(want[direction, at], rel=2e-6)


def test_names_and_values_are_cell_profiler_s():
    """A column of each family, by the steps of its module in NumPy or by the kernel alone."""
    cells = objects()
    table, where = Cells().table(cells), mk.regions(cells.labels[None])
    share, inside = (cells.image / cells.white).astype(np.float32), cells.labels == 2
    assert column(table, "AreaShape_Area")[0] == inside.sum()
    y, x = np.argwhere(inside).T
    assert column(table, "Location_Center_X")[0] == pytest.approx(x.mean(), rel=1e-6)
    mass = share[inside] / share[inside].sum(dtype=np.float64)
    found = column(table, "Location_CenterMassIntensity_Y")[0]
    assert found == pytest.approx(mass @ y, rel=1e-6)
    found = column(table, "Intensity_MADIntensity")[0]
    assert 0 < found < column(table, "Intensity_StdIntensity")[0]
    angle = mk.shape2d(share[None], where)[0][:, 8]
    found = column(table, "AreaShape_Orientation")
    np.testing.assert_allclose(found, np.degrees(angle), rtol=1e-6)
    rings = sum(column(table, f"RadialDistribution_FracAtD_{k}of4") for k in range(1, 5))
    np.testing.assert_allclose(rings, 1, rtol=1e-6)
    moments, names = mk.zernike(share[None], where)
    for ours, theirs in (
        ("zernike.shape.9.5", "AreaShape_Zernike_9_5"),
        ("zernike.magnitude.2.0", "RadialDistribution_ZernikeMagnitude_2_0"),
        ("zernike.phase.1.1", "RadialDistribution_ZernikePhase_1_1"),
    ):
        want = moments[:, names.index(ours)]
        np.testing.assert_array_equal(column(table, theirs), want)
    assert {f"Granularity_{k}" for k in range(1, 17)} < set(table.names)
    assert {"AreaShape_CentralMoment_2_3", "AreaShape_HuMoment_6"} < set(table.names)
    found = column(table, "Neighbors_FirstClosestObjectNumber_5")
    np.testing.assert_array_equal(found, [7, 2, 7])


def test_intensities_are_shares_of_white():
    cells = objects("uint16")
    for dtype in ("int32", "float64"):
        other = cells._replace(image=cells.image.astype(dtype))
        np.testing.assert_array_equal(Cells().table(other).values, Cells().table(cells).values)
    mean = column(Cells(white=2 * cells.white).table(cells), "Intensity_MeanIntensity")
    np.testing.assert_allclose(
        2 * mean, column(Cells().table(cells), "Intensity_MeanIntensity"), rtol=1e-6
    )


def test_every_column_says_what_it_is():
    chain = PRESETS["cellprofiler"]
    assert isinstance(chain, Cells)
    names = chain.table(objects()).names
    facts = chain.facts(names, "cellprofiler")
    assert list(facts) == list(names)
    assert {fact["family"] for fact in facts.values()} == {"region", *NAMES}
    assert facts["Texture_Contrast_3_02_256"]["feature"] == "haralick.contrast.d3.02"
    assert facts["AreaShape_Orientation"]["unit"] == "degree"
    assert '"scales": [3]' in facts["Granularity_1"]["settings"]
    assert all(fact["formula"] for fact in facts.values())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scales": ()}, "scales must be"),
        ({"scales": (3, 3)}, "scales must be"),
        ({"scales": (0,)}, "haralick: distance must be 1 to"),
        ({"levels": 300}, "haralick: levels must be 2 to 256"),
        ({"white": -1.0}, "white must be"),
        ({"families": ("glcm",)}, "no family 'glcm'"),
    ],
)
def test_wrong_settings_say_what_is_allowed(given, says):
    with pytest.raises(UserError, match=says):
        Cells(**given)


# ---- the command


def write(path: Path, image: np.ndarray) -> None:
    tifffile = pytest.importorskip("tifffile")
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image)


def test_the_command_writes_one_row_a_cell(medkern, tmp_path):
    cells = objects()
    for name in ("A01/s1", "A02/s1"):
        write(tmp_path / "sites" / f"{name}.tif", cells.image)
        write(tmp_path / "labels" / f"{name}.tif", cells.labels)
    write(tmp_path / "sites" / "B01.tif", cells.image)
    write(tmp_path / "labels" / "B01.tif", cells.labels[1:])
    write(tmp_path / "sites" / "B02.tif", np.stack([cells.image] * 2))
    write(tmp_path / "labels" / "B02.tif", cells.labels)
    settings, out = tmp_path / "scales.toml", tmp_path / "cells.parquet"
    settings.write_text("scales = [1, 5]\nlevels = 64\n")
    ended = medkern(
        "features", tmp_path / "sites", "--masks", tmp_path / "labels", "--preset", "haralick",
        "--settings", settings, "--out", out, "--json",
    )  # fmt: skip
    assert ended.code == 3  # complete, with inputs set aside
    assert ended.json["rows"] == 6
    assert [(r["id"], r["code"]) for r in ended.json["set_aside"]] == [
        ("B01", "bad_geometry"), ("B02", "bad_geometry"),
    ]  # fmt: skip
    table = Features.from_parquet(out)
    assert table.ids[:4] == ("A01/s1:2", "A01/s1:7", "A01/s1:9", "A02/s1:2")
    want = Cells(families=("haralick",), scales=(1, 5), levels=64).table(cells)
    assert table.names == want.names
    np.testing.assert_array_equal(table.values[:3], want.values)
    fact = column_metadata(out)["Texture_Entropy_5_03_64"]
    assert (fact["preset"], fact["unit"]) == ("haralick", "bit")
