"""Morphology against the consensus of the Image Biomarker Standardisation Initiative.

All 25 values that the digital phantom has a consensus for, within its tolerance, by the CPU code
and by the GPU code in the interpreter.
"""

import ibsi
import pytest

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


@pytest.mark.parametrize("measure", [ibsi.on_the_cpu, ibsi.on_the_gpu])
def test_all_features_meet_the_consensus(phantom, consensus, measure):
    values, _ = measure(morphology, *phantom, spacing=SPACING)
    found = dict(zip(TAGS, values[0].tolist(), strict=True))
    known = {tag[6:]: wanted for tag, wanted in consensus.items() if tag.startswith("morph_")}
    assert set(TAGS) - set(known) == WITHOUT_CONSENSUS
    wrong = [
        f"{tag}: {found[tag]}, consensus {wanted}"
        for tag, wanted in known.items()
        if ibsi.misses(found[tag], wanted)
    ]
    assert not wrong, wrong


def test_the_names_carry_the_standard_s_tags():
    assert len({feature.tag for feature in FEATURES}) == len(FEATURES) == 29
    assert {"RNU0", "C0JK", "L0JK", "N365"} <= {feature.tag for feature in FEATURES}
