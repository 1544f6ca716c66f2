"""The 29 IBSI features of morphology, and the formulas of a few numbers that they share.

The definition and the compiled code both end here: neither counts, both only put results together.
"""

import numpy as np

from .._kernel import Feature
from ._ellipsoid import ellipsoid_area

FEATURES = tuple(
    Feature(*row)
    for row in (
        ("volume", "RNU0", "V = |sum a . (b x c)| / 6 of the mesh", "mm^3"),
        ("approximate_volume", "YEKZ", "voxels times their volume", "mm^3"),
        ("surface_area", "C0JK", "A = sum |ab x ac| / 2 of the mesh", "mm^2"),
        ("surface_to_volume_ratio", "2PR5", "A / V", "1/mm"),
        ("compactness_1", "SKGS", "V / sqrt(pi A^3)"),
        ("compactness_2", "BQWJ", "36 pi V^2 / A^3"),
        ("spherical_disproportion", "KRCK", "A / (36 pi V^2)^(1/3)"),
        ("sphericity", "QCFX", "(36 pi V^2)^(1/3) / A"),
        ("asphericity", "25C7", "(A^3 / (36 pi V^2))^(1/3) - 1"),
        ("centre_of_mass_shift", "KLMA", "|mean x - sum v x / sum v|", "mm"),
        ("maximum_diameter", "L0JK", "greatest distance of two vertices", "mm"),
        ("major_axis_length", "TDIC", "2a = 4 sqrt(lambda_1) of the voxels' covariance", "mm"),
        ("minor_axis_length", "P9VJ", "2b = 4 sqrt(lambda_2)", "mm"),
        ("least_axis_length", "7J51", "2c = 4 sqrt(lambda_3)", "mm"),
        ("elongation", "Q3CK", "b / a"),
        ("flatness", "N17B", "c / a"),
        ("volume_density_aabb", "PBX1", "V / volume of the axis-aligned bounding box"),
        ("area_density_aabb", "R59B", "A / area of the axis-aligned bounding box"),
        ("volume_density_ombb", "ZH1A", "V / volume of the least box with a face on the hull"),
        ("area_density_ombb", "IQYR", "A / area of the least box with a face on the hull"),
        ("volume_density_aee", "6BDE", "3 V / (4 pi a b c)"),
        ("area_density_aee", "RDD2", "A / area of the ellipsoid a, b, c"),
        ("volume_density_mvee", "SWZ1", "V / volume of the least ellipsoid around the mesh"),
        ("area_density_mvee", "BRI8", "A / area of the least ellipsoid around the mesh"),
        ("volume_density_convex_hull", "R3ER", "V / volume of the convex hull"),
        ("area_density_convex_hull", "7T7F", "A / area of the convex hull"),
        ("integrated_intensity", "99N0", "V mean(v)"),
        ("morans_i", "N365", "N sum w_kl d_k d_l / (sum w_kl sum d_k^2), w = 1 / distance, k != l"),
        ("gearys_c", "NPT7", "(N - 1) sum w_kl (v_k - v_l)^2 / (2 sum w_kl sum d_k^2)"),
    )
)

ALL = "all"
SCOPES = {  # numbers of the features
    ALL: list(range(len(FEATURES))),
    "shape": [*range(9), *range(10, 16)],
}

FLAT = 1e-12  # a variance that much smaller than the greatest is rounding and counts as 0


def surface_features(area: float, volume: float, counted: float) -> list[float]:
    """The nine features of the mesh's area and volume."""
    ball = (36 * np.pi * volume**2) ** (1 / 3)  # area of the sphere of that volume
    return [
        volume, counted, area, area / volume,
        volume / np.sqrt(np.pi * area**3), (ball / area) ** 3,
        area / ball, ball / area, area / ball - 1,
    ]  # fmt: skip


def box_area(sides: np.ndarray) -> float:
    """Surface of a box."""
    return 2 * float(sides[0] * sides[1] + sides[1] * sides[2] + sides[2] * sides[0])


def ellipsoid_densities(area: float, volume: float, axes: np.ndarray) -> tuple[float, float]:
    """V and A over those of an ellipsoid of these semi-axes; NaN where it has none."""
    a, b, c = map(float, axes)
    content, surface = 4 / 3 * np.pi * a * b * c, ellipsoid_area(a, b, c)
    return volume / (content or np.nan), area / (surface or np.nan)


def variances(covariance: np.ndarray) -> np.ndarray:
    """Eigenvalues, the greatest first; exactly 0 where the region has no extent."""
    found = np.linalg.eigvalsh(covariance)[::-1]
    return np.where(found > FLAT * found[0], found, 0.0)
