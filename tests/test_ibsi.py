"""Proof against the Image Biomarker Standardisation Initiative's digital phantom.

The published co-occurrence matrices are met cell by cell, and every consensus value of the 2D,
2.5D and 3D aggregations within its tolerance, by the CPU code and the GPU code in the interpreter.
"""

import ibsi
import numpy as np
import pytest

from medkern.kernels.texture._aggregation import EVERY
from medkern.kernels.texture._glcm_features import FEATURES
from medkern.kernels.texture.glcm import glcm, matrices

LEVELS = {"binning": "none", "levels": 6}
TABLES = {  # (slices, directions)
    ("averaged", "averaged"): "2D_avg",
    ("averaged", "merged"): "2D_comb",
    ("merged", "averaged"): "2_5D_avg",
    ("merged", "merged"): "2_5D_comb",
    ("volume", "averaged"): "3D_avg",
    ("volume", "merged"): "3D_comb",
}
TAGS = [  # of the consensus table, in the order of FEATURES
    "joint_max", "joint_avg", "joint_var", "joint_entr",
    "diff_avg", "diff_var", "diff_entr", "sum_avg", "sum_var", "sum_entr",
    "energy", "contrast", "dissimilarity",
    "inv_diff", "inv_diff_norm", "inv_diff_mom", "inv_diff_mom_norm", "inv_var",
    "corr", "auto_corr", "clust_tend", "clust_shade", "clust_prom", "info_corr1", "info_corr2",
]  # fmt: skip


@pytest.fixture(scope="module")
def published(data):
    """{section: [matrix (6, 6)]} of the manual's tables."""
    tables: dict[str, list[np.ndarray]] = {}
    for table in ibsi.published_tables(data("ibsi_phantoms")):
        if table["columns"] == ["i", "j", "n"]:
            matrix = np.zeros((6, 6), int)
            for i, j, n in table["rows"]:
                matrix[int(i) - 1, int(j) - 1] = n
            tables.setdefault(table["section"], []).append(matrix)
    return tables


def test_the_counts_are_the_published_matrices(phantom, published):
    image, mask = phantom
    counts = matrices(image[0], mask[0], **LEVELS)  # four slices as four regions
    order = [EVERY.index((0, *d)) for d in ((1, 0), (1, -1), (0, 1), (1, 1))]  # that of the manual
    directional = published["Grey level co-occurrence matrix (2D)"]
    np.testing.assert_array_equal(counts[:, order].swapaxes(0, 1).reshape(-1, 6, 6), directional)
    merged = published["Grey level co-occurrence matrix (2D, merged)"]
    np.testing.assert_array_equal(counts.sum(axis=1), merged)
    slices = matrices(image, mask, slices="merged", **LEVELS)
    np.testing.assert_array_equal(slices[0], counts.sum(axis=0))


def test_the_counts_of_the_volume_are_the_published_matrices(phantom, published):
    counts = matrices(*phantom, **LEVELS)[0]  # the manual's order of directions is another
    want = published["Grey level co-occurrence matrix (3D)"]
    assert sorted(m.tolist() for m in counts) == sorted(m.tolist() for m in want)
    (merged,) = published["Grey level co-occurrence matrix (3D, merged)"]
    np.testing.assert_array_equal(counts.sum(axis=0), merged)


@pytest.mark.parametrize("measure", [ibsi.on_the_cpu, ibsi.on_the_gpu])
@pytest.mark.parametrize(("slices", "directions"), TABLES)
def test_all_25_features_meet_the_consensus(phantom, consensus, slices, directions, measure):
    values, names = measure(glcm, *phantom, slices=slices, directions=directions, **LEVELS)
    wrong = []
    for value, name, tag in zip(values[0].tolist(), names, TAGS, strict=True):
        wanted = consensus[f"cm_{tag}_{TABLES[slices, directions]}"]
        if ibsi.misses(value, wanted):
            wrong.append(f"{name}: {value}, consensus {wanted}")
    assert not wrong, wrong


def test_the_names_carry_the_standard_s_tags():
    assert len({feature.tag for feature in FEATURES}) == len(FEATURES) == 25
    assert {"ACUI", "8ZQL", "NI2N", "R8DG"} <= {feature.tag for feature in FEATURES}


@pytest.mark.parametrize(
    "binning", [{"binning": "count"}, {"binning": "width", "width": 1, "low": 1}]
)
def test_the_phantom_is_its_own_discretisation(phantom, binning):
    """The manual: six bins over the range, or bins of width 1, leave the phantom as it is."""
    image, mask = phantom
    want = matrices(image, mask, **LEVELS)
    np.testing.assert_array_equal(matrices(image, mask, levels=6, **binning), want)
