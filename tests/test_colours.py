"""Presets for colour pictures: the columns of the kernels, and the command that writes them."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from medkern import kernels as mk
from medkern.engine.colours import FAMILIES, Colours
from medkern.engine.errors import UserError
from medkern.engine.features import Features, column_metadata
from medkern.engine.ingest import read_colours
from medkern.engine.objects import Chain, Objects
from medkern.engine.presets import PRESETS

RNG = np.random.default_rng(0)
RGB = RNG.integers(60, 256, (48, 64, 3), np.uint8)


def labels() -> np.ndarray:
    """A disk, a flat square, and a single pixel."""
    y, x = np.indices(RGB.shape[:2])
    found = np.zeros(RGB.shape[:2], np.uint8)
    found[(y - 20) ** 2 + (x - 20) ** 2 < 150] = 1
    found[30:40, 45:60] = 4
    found[2, 60] = 7
    return found


def picture() -> Objects:
    flat = RGB.copy()
    flat[30:40, 45:60] = (200, 120, 90)
    return Objects("skin", flat, labels())


def test_the_columns_are_those_of_the_kernels():
    chain, where = Colours(families=FAMILIES), mk.regions(labels()[None].astype(np.int32))
    table = chain.table(picture())
    assert table.ids == ("skin:1", "skin:4", "skin:7")
    np.testing.assert_array_equal(table.values[:, :2], [[481, 0], [150, 3], [1, 2]])
    first = 2
    for family, chosen in chain.steps():
        kernel = mk.catalogue()[family]
        assert isinstance(kernel, mk.Measure)
        values, names = kernel(picture().image[None], where, **chosen)
        last = first + len(names)
        assert table.names[first:last] == names
        np.testing.assert_array_equal(table.values[:, first:last], values)
        first = last
    assert first == len(table.names)


def test_settings_reach_the_kernels():
    chain = Colours(families=("stains", "colour"), stains="H-DAB", bins=4)
    names = chain.table(picture()).names
    assert "stains.mean.dab" in names
    assert sum(name.startswith("colour.share.red.") for name in names) == 4
    with pytest.raises(UserError, match="stains must be 'H-E-DAB'"):
        Colours(families=("stains",), stains="blue")
    with pytest.raises(UserError, match="no family 'glcm'; known are colour, stains"):
        Colours(families=("glcm",))


def test_stained_cells_are_told_from_pale_ones(data):
    """Real smears: where the dye is, the picture is darker and more of one colour."""
    path = sorted((data("chula_rbc12") / "images").glob("*.jpg"))[0]
    rgb = read_colours(path)[0]
    dark = rgb.min(axis=2) < np.median(rgb.min(axis=2)) - 20
    found = Colours(families=("stains",), stains="Giemsa").table(
        Objects("smear", rgb, np.where(dark, 2, 1))
    )
    dye = found.values[:, found.names.index("stains.mean.eosin")]
    assert dye[1] > 1.5 * dye[0]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for folder in ("photos", "outlines"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        (tmp_path / f"outlines/{name}.png").write_bytes(imagecodecs.png_encode(labels()))
    (tmp_path / "photos/a.png").write_bytes(imagecodecs.png_encode(picture().image))
    (tmp_path / "photos/b.png").write_bytes(imagecodecs.png_encode(RGB[..., 0].copy()))
    return tmp_path


@pytest.mark.parametrize("preset", ["colour", "lesion", "tissue"])
def test_the_command_writes_a_row_a_label_and_sets_grey_aside(medkern, pictures, preset):
    out = pictures / "found.parquet"
    options = ("--masks", pictures / "outlines", "--preset", preset, "--out", out, "--json")
    ended = medkern("features", pictures / "photos", *options)
    assert ended.code == 3
    assert ended.json["set_aside"][0]["code"] == "bad_colour"
    table, chain = Features.from_parquet(out), PRESETS[preset]
    assert isinstance(chain, Chain)
    assert table.ids == ("a:1", "a:4", "a:7")
    assert table.names == chain.table(picture()).names
    facts = column_metadata(out)
    assert set(facts) == set(table.names)
    assert all(fact["preset"] == preset and fact["formula"] for fact in facts.values())
