"""Proof against the Image Biomarker Standardisation Initiative's digital phantom.

Tone differences and dependences: the published matrices are met cell by cell by the definition and
by the compiled code, every consensus value within its tolerance by the CPU and the GPU code.
"""

import ibsi
import numpy as np
import pytest

from medkern.kernels._regions import RegionMeasure
from medkern.kernels.texture import ngldm as dependence, ngtdm as tones
from medkern.kernels.texture._levels import TOP, VOXELS, cpu_crops, scale
from medkern.kernels.texture._neighbours import CHUNK, neighbourhood, piece, rows_around
from medkern.kernels.texture.ngldm import ngldm
from medkern.kernels.texture.ngtdm import ngtdm

LEVELS = {"binning": "none", "levels": 6}
TABLES = {"averaged": "2D", "merged": "2_5D", "volume": "3D"}
TAGS = {  # of the consensus table, in the order of FEATURES
    "ngtdm": ("ngt", ["coarseness", "contrast", "busyness", "complexity", "strength"]),
    "ngldm": (
        "ngl",
        [
            "lde", "hde", "lgce", "hgce", "ldlge", "ldhge", "hdlge", "hdhge",
            "glnu", "glnu_norm", "dcnu", "dcnu_norm", "dc_perc", "gl_var", "dc_var",
            "dc_entr", "dc_energy",
        ],
    ),
}  # fmt: skip
every_kernel = pytest.mark.parametrize("kernel", [ngtdm, ngldm], ids=["ngtdm", "ngldm"])


@pytest.fixture(scope="module")
def published(data):
    """{section: [rows]} of the manual's tables."""
    tables: dict[str, list[np.ndarray]] = {}
    for table in ibsi.published_tables(data("ibsi_phantoms")):
        tables.setdefault(table["section"], []).append(np.array(table["rows"]))
    return tables


def grey_of(phantom, slices):
    """Levels (d, h, w) of the pieces that have a matrix each: four slices, or the volume."""
    image, mask = phantom
    grey = (image * mask).astype(int)
    return grey if slices == "volume" else grey[0][:, None]


def compiled_pieces(phantom, slices):
    """(levels, crop, rows, first, size) as the compiled code gets them."""
    image, mask = phantom
    levels, crops = cpu_crops(image, ngtdm.place(image, mask), scale(6, "none", 1.0, 1.0), 1)
    sliced = slices == "averaged"
    rows = rows_around(crops[0], 1, sliced)
    for number in range(image.shape[1] if sliced else 1):
        yield levels, crops[0], rows, *piece(crops[0], number, sliced)


every_matrix = pytest.mark.parametrize(("slices", "what"), [("averaged", "2D"), ("volume", "3D")])


@every_matrix
def test_tone_differences_are_the_published_matrices(phantom, published, slices, what):
    tables = published[f"Neighbourhood grey tone difference matrix ({what})"]
    steps = neighbourhood(phantom[0], slices, 1)
    for grey, want in zip(grey_of(phantom, slices), tables, strict=True):
        i, n, s = tones.tone_differences(grey, steps)
        np.testing.assert_allclose(np.stack([i, s, n], axis=1), want, atol=1e-6)
    for given, want in zip(compiled_pieces(phantom, slices), tables, strict=True):
        levels, crop, rows, first, size = given
        unit = tones.unit_of_differences(crop)
        weights = np.append(0.0, unit / np.arange(1, len(steps) + 1))
        counts, sums = np.zeros(7, np.uint32), np.zeros(7, np.int64)
        chunk = np.empty(CHUNK + 2, np.uint32), np.empty(CHUNK, np.uint32), np.empty(CHUNK, int)
        tones.add_differences(levels, first, size, rows, weights, chunk, counts, sums)
        assert crop[TOP] == 6
        i = want[:, 0].astype(int)
        assert counts[1:].sum() == counts[i].sum()
        np.testing.assert_allclose(
            np.stack([i, sums[i] / unit, counts[i]], axis=1), want, atol=1e-6
        )


@every_matrix
def test_dependences_are_the_published_matrices(phantom, published, slices, what):
    tables = published[f"Neighbouring grey level dependence matrix ({what})"]
    steps = neighbourhood(phantom[0], slices, 1)
    matrices = []
    for table in tables:
        matrix = np.zeros((6, len(steps) + 1), int)
        i, j, n = table.astype(int).T
        matrix[i - 1, j - 1] = n
        matrices.append(matrix)
    for grey, want in zip(grey_of(phantom, slices), matrices, strict=True):
        np.testing.assert_array_equal(dependence.dependences(grey, steps, 0), want)
    voxels = 0
    for given, want in zip(compiled_pieces(phantom, slices), matrices, strict=True):
        levels, crop, rows, first, size = given
        counts = np.zeros((len(steps) + 2, 7), np.uint32)
        chunk = tuple(np.empty(CHUNK, np.uint16) for _ in range(3))
        dependence.add_dependences(levels, first, size, rows, 1, 0, chunk, counts.ravel(), 7)
        np.testing.assert_array_equal(counts[1:, 1:].T, want)
        voxels += counts[1:, 1:].sum()
        assert crop[VOXELS] == 74
    assert voxels == 74


@pytest.mark.parametrize("measure", [ibsi.on_the_cpu, ibsi.on_the_gpu], ids=["cpu", "gpu"])
@pytest.mark.parametrize("slices", TABLES)
@every_kernel
def test_all_features_meet_the_consensus(
    kernel: RegionMeasure, phantom, consensus, slices, measure
):
    values, names = measure(kernel, *phantom, slices=slices, **LEVELS)
    prefix, tags = TAGS[kernel.name]
    wrong = []
    for value, name, tag in zip(values[0].tolist(), names, tags, strict=True):
        wanted = consensus[f"{prefix}_{tag}_{TABLES[slices]}"]
        if ibsi.misses(value, wanted):
            wrong.append(f"{name}: {value}, consensus {wanted}")
    assert not wrong, wrong


def test_every_consensus_value_is_asked_for(consensus):
    tags = {f"{prefix}_{tag}" for prefix, tags in TAGS.values() for tag in tags}
    asked = {f"{tag}_{table}" for tag in tags for table in TABLES.values()}
    assert asked == {tag for tag in consensus if tag.startswith("ng")}


@every_kernel
def test_the_names_carry_the_standard_s_tags(kernel: RegionMeasure):
    tags = {feature.tag for feature in kernel.features}
    assert len(tags) == len(kernel.features) == {"ngtdm": 5, "ngldm": 17}[kernel.name]
