"""Morphology against the consensus of the Image Biomarker Standardisation Initiative.

All 25 values that the digital phantom has a consensus for, within its tolerance, by the CPU code
and by the GPU code in the interpreter.
"""

import csv
from math import floor, log10

import numpy as np
import pytest

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.morphology import FEATURES, morphology

SPACING = (2.0, 2.0, 2.0)
TAGS = [  # of the consensus table, in the order of FEATURES
    "volume", "vol_approx", "area_mesh", "av", "comp_1", "comp_2", "sph_dispr", "sphericity",
    "asphericity", "com", "diam", "pca_maj_axis", "pca_min_axis", "pca_least_axis",
    "pca_elongation", "pca_flatness", "vol_dens_aabb", "area_dens_aabb", "vol_dens_ombb",
    "area_dens_ombb", "vol_dens_aee", "area_dens_aee", "vol_dens_mvee", "area_dens_mvee",
    "vol_dens_conv_hull", "area_dens_conv_hull", "integ_int", "moran_i", "geary_c",
]  # fmt: skip
WITHOUT_CONSENSUS = {"vol_dens_ombb", "area_dens_ombb", "vol_dens_mvee", "area_dens_mvee"}


@pytest.fixture(scope="module")
def phantom(data):
    """(image, mask), uint8 (1, z, y, x)."""
    arrays = np.load(data("ibsi_phantoms") / "ibsi_1_digital_phantom" / "digital_phantom_zyx.npz")
    return arrays["image"][None].astype(np.uint8), arrays["mask"][None]


@pytest.fixture(scope="module")
def consensus(data):
    """{tag: (value, tolerance)}"""
    path = data("ibsi_phantoms") / "reference_values_ibsi1" / "ibsi_1_dig_phantom.csv"
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter=";") if row["tag"][:6] == "morph_"]
    return {
        row["tag"][6:]: (float(row["reference value"]), float(row["tolerance"]))
        for row in rows
        if row["reference value"]
    }


def on_the_gpu(image, mask, spacing):
    values = np.empty((len(image), len(FEATURES)), np.float32)
    with _cuda.running(Interpreter()):
        morphology.gpu(image, morphology.place(image, mask), values, spacing=spacing)
    return values, morphology.names()


@pytest.mark.parametrize("measure", [morphology, on_the_gpu], ids=["cpu", "gpu"])
def test_all_features_meet_the_consensus(phantom, consensus, measure):
    values, _ = measure(*phantom, spacing=SPACING)
    found = dict(zip(TAGS, values[0].tolist(), strict=True))
    assert set(TAGS) - set(consensus) == WITHOUT_CONSENSUS
    wrong = []
    for tag, (reference, tolerance) in consensus.items():
        rounded = round(found[tag], 2 - floor(log10(abs(found[tag]))))  # IBSI compares three digits
        if abs(rounded - reference) > tolerance + 1e-9 * abs(reference):
            wrong.append(f"{tag}: {found[tag]}, consensus {reference} +- {tolerance}")
    assert not wrong, wrong


def test_the_names_carry_the_standard_s_tags():
    assert len({feature.tag for feature in FEATURES}) == len(FEATURES) == 29
    assert {"RNU0", "C0JK", "L0JK", "N365"} <= {feature.tag for feature in FEATURES}
