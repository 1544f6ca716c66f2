"""Proof of the intensity families against the Image Biomarker Standardisation Initiative's phantom.

Every consensus value of intensity statistics, intensity histogram, intensity-volume histogram and
local intensity, by the CPU code and by the GPU code in the interpreter.
"""

from itertools import pairwise
from typing import Any

import ibsi
import numpy as np
import pytest

from medkern.kernels import Measure
from medkern.kernels.texture.histogram import histogram
from medkern.kernels.texture.ivh import ivh
from medkern.kernels.texture.local import local
from medkern.kernels.texture.statistics import statistics

SPREAD = {
    "mean": "mean", "variance": "var", "skewness": "skew", "kurtosis": "kurt", "median": "median",
    "minimum": "min", "percentile_10": "p10", "percentile_90": "p90", "maximum": "max",
    "interquartile_range": "iqr", "range": "range", "mean_absolute_deviation": "mad",
    "robust_mean_absolute_deviation": "rmad", "median_absolute_deviation": "medad",
    "coefficient_of_variation": "cov", "quartile_coefficient_of_dispersion": "qcod",
}  # fmt: skip
TAGS = {
    "statistics": {"energy": "energy", "root_mean_square": "rms", **SPREAD},
    "histogram": {
        "mode": "mode", "entropy": "entropy", "uniformity": "uniformity",
        "maximum_gradient": "max_grad", "maximum_gradient_level": "max_grad_g",
        "minimum_gradient": "min_grad", "minimum_gradient_level": "min_grad_g", **SPREAD,
    },
    "ivh": {
        "volume_at_intensity_fraction_10": "v10", "volume_at_intensity_fraction_90": "v90",
        "intensity_at_volume_fraction_10": "i10", "intensity_at_volume_fraction_90": "i90",
        "volume_fraction_difference": "diff_v10_v90", "intensity_difference": "diff_i10_i90",
    },
    "local": {"local_peak": "peak_loc", "global_peak": "peak_glob"},
}  # fmt: skip
FAMILY = {"statistics": "stat", "histogram": "ih", "ivh": "ivh", "local": "loc"}
SETTINGS: dict[str, tuple[Measure, dict[str, Any]]] = {
    "statistics": (statistics, {}),
    "histogram": (histogram, {"levels": 6, "binning": "none"}),
    "ivh": (ivh, {}),
    "local": (local, {"spacing": (2.0, 2.0, 2.0)}),
}


def mismatches(found, agreed, family):
    """Features off the consensus."""
    wrong = []
    for name, tag in TAGS[family].items():
        wanted = agreed[f"{FAMILY[family]}_{tag}"]
        if ibsi.misses(found[name], wanted):
            wrong.append(f"{name}: {found[name]}, consensus {wanted}")
    return wrong


@pytest.mark.parametrize("measure", [ibsi.on_the_cpu, ibsi.on_the_gpu])
@pytest.mark.parametrize("family", SETTINGS)
def test_every_feature_meets_the_consensus(phantom, consensus, family, measure):
    kernel, parameters = SETTINGS[family]
    values, names = measure(kernel, *phantom, **parameters)
    found = dict(zip((name.split(".")[1] for name in names), values[0].tolist(), strict=True))
    wrong = mismatches(found, consensus, family)
    assert not wrong, wrong


def test_every_value_of_the_table_is_compared(consensus):
    """49 values: all but the area under the curve, on which there is no consensus."""
    compared = {f"{FAMILY[family]}_{tag}" for family, tags in TAGS.items() for tag in tags.values()}
    prefixes = tuple(f"{prefix}_" for prefix in FAMILY.values())
    assert compared == {tag for tag in consensus if tag.startswith(prefixes)}
    assert {family: len(tags) for family, tags in TAGS.items()} == {
        "statistics": 18, "histogram": 23, "ivh": 6, "local": 2,
    }  # fmt: skip


def test_the_curve_is_the_manual_s(phantom):
    """Its table: nu = 1, 0.324, 0.324, 0.311, 0.095, 0.095 at intensities 1 to 6."""
    image, mask = phantom
    nu = [1.0, 24 / 74, 24 / 74, 23 / 74, 7 / 74, 7 / 74]
    area = sum((a + b) / 2 / 5 for a, b in pairwise(nu))
    values, names = ivh(image, mask)
    assert names[6] == "ivh.area_under_curve"
    assert values[0, 6] == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize(
    "binning", [{"binning": "count"}, {"binning": "width", "width": 1, "low": 1}]
)
def test_the_phantom_is_its_own_discretisation(phantom, binning):
    want, _ = histogram(*phantom, levels=6, binning="none")
    np.testing.assert_array_equal(histogram(*phantom, levels=6, **binning)[0], want)


@pytest.fixture(scope="module")
def ct(data):
    """(image, mask, spacing) of configuration A: no interpolation, intensities -500 to 400 HU."""
    nibabel = pytest.importorskip("nibabel")
    folder = data("ibsi_phantoms") / "ibsi_1_ct_radiomics_phantom" / "nifti"
    image = nibabel.load(folder / "image" / "phantom.nii.gz")
    mask = nibabel.load(folder / "mask" / "mask.nii.gz")
    hounsfield = np.asanyarray(image.dataobj).T.astype(np.int16)
    inside = np.asanyarray(mask.dataobj).T > 0
    inside &= (hounsfield >= -500) & (hounsfield <= 400)
    spacing = tuple(float(step) for step in image.header.get_zooms()[::-1])
    return hounsfield[None], inside[None], spacing


@pytest.mark.parametrize("family", SETTINGS)
def test_every_feature_of_configuration_a_of_the_ct_phantom(ct, data, family):
    agreed = ibsi.agreed(data("ibsi_phantoms"), "chest_config_a")
    image, mask, spacing = ct
    parameters = {
        "statistics": {},
        "histogram": {"binning": "width", "width": 25.0, "low": -500.0, "levels": 36},
        "ivh": {"units": "discrete", "bounds": "both", "low": -500.0, "high": 400.0},
        "local": {"spacing": spacing},
    }[family]
    kernel, _ = SETTINGS[family]
    values, names = kernel(image, mask, **parameters)
    found = dict(zip((name.split(".")[1] for name in names), values[0].tolist(), strict=True))
    wrong = mismatches(found, agreed, family)
    assert not wrong, wrong
