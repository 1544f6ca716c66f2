"""The features of PyRadiomics, by its names, from the kernels of the standard.

    original_<class>_<feature> = change(family.feature)

The table `CLASSES` says where each feature comes from. Most are the standard's under another name;
the others follow from a column by the formula that stands in the table, and only MCC and the three
planar diameters are measured anew. The chain differs from the standard's as PyRadiomics does:

    bins             of a width, their edges multiples of it: the first holds the region's minimum
    new grid         shares the corner of the old one
    new mask         of the nearest voxel
    new intensities  B-spline; of a volume of integers the fraction is cut off
    normalise        to the whole image's mean and standard deviation, before all else
    directions       averaged; 2D (slices = "merged") sums the slices' matrices of each direction
    shape            of the region as drawn, before re-segmentation

PyRadiomics ends with an error where a region is empty or has one voxel; here some features have no
value then, and region.status tells why. What remains different from its own published baselines:

    MeshVolume, SurfaceArea,    up to 0.5 %. Its table holds half of the 256 kinds of cubes, and the
    Sphericity,                 other half are their negatives: a face with two opposed corners
    SurfaceVolumeRatio          inside may be cut one way from one side and another from the other,
                                and the surface then has a hole. The standard's is closed

source  van Griethuysen et al. 2017, Cancer Research 77(21); PyRadiomics' documentation, features
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from medkern.kernels.texture.glcm import matrices
from medkern.kernels.texture.morphology import planar_diameter

from .errors import UserError
from .radiomics import Grid, Radiomics, Region

# ---- where the features come from


class Known(NamedTuple):
    """What formulas may use besides their own column."""

    columns: Mapping[str, float]  # ours, family.feature
    region: Region
    chain: PyRadiomics

    @property
    def voxel(self) -> float:
        """Volume of a voxel in mm^3."""
        return float(np.prod(self.region.spacing))


class Rule(NamedTuple):
    """One feature: our column, and what becomes of it."""

    source: str  # family.feature, or the family alone of what is measured anew
    formula: str = ""  # of a change; x is the source
    change: Callable[[float, Known], float] | None = None
    unit: str = ""  # of a change


def _renamed(family: str, names: Mapping[str, str]) -> dict[str, Rule]:
    return {theirs: Rule(f"{family}.{ours}") for theirs, ours in names.items()}


def _energy(energy: float, known: Known) -> float:
    """Of intensities that are raised by the chain's shift."""
    shift, mean = known.chain.shift, known.columns["statistics.mean"]
    return energy + known.columns["region.voxels"] * shift * (2 * mean + shift)


def _total_energy(energy: float, known: Known) -> float:
    return known.voxel * _energy(energy, known)


def _root_mean_square(energy: float, known: Known) -> float:
    voxels = known.columns["region.voxels"]
    return float(np.sqrt(_energy(energy, known) / voxels)) if voxels else np.nan


def _axis_length(length: float, known: Known) -> float:
    """From the covariance with N - 1 to that with N."""
    voxels = known.columns["morphology.approximate_volume"] / known.voxel
    return float(length * np.sqrt(1 - 1 / voxels)) if voxels > 0 else np.nan


def _across(axis: int) -> Rule:
    plane = "zyx"[axis]
    return Rule(
        "morphology",
        f"greatest distance of two vertices of the mesh that have the same {plane}",
        lambda _, known: planar_diameter(known.region.drawn, known.region.spacing, axis),
        "mm",
    )


_AXIS = ("x sqrt((N - 1) / N), N voxels in the region", _axis_length, "mm")


CLASSES: dict[str, dict[str, Rule]] = {
    "shape": {
        **_renamed("morphology", {"Elongation": "elongation", "Flatness": "flatness"}),
        "LeastAxisLength": Rule("morphology.least_axis_length", *_AXIS),
        "MajorAxisLength": Rule("morphology.major_axis_length", *_AXIS),
        "Maximum2DDiameterColumn": _across(1),
        "Maximum2DDiameterRow": _across(2),
        "Maximum2DDiameterSlice": _across(0),
        "Maximum3DDiameter": Rule("morphology.maximum_diameter"),
        "MeshVolume": Rule("morphology.volume"),
        "MinorAxisLength": Rule("morphology.minor_axis_length", *_AXIS),
        **_renamed("morphology", {
            "Sphericity": "sphericity",
            "SurfaceArea": "surface_area",
            "SurfaceVolumeRatio": "surface_to_volume_ratio",
            "VoxelVolume": "approximate_volume",
        }),
    },
    "firstorder": {
        **_renamed("statistics", {
            "10Percentile": "percentile_10",
            "90Percentile": "percentile_90",
        }),
        "Energy": Rule(
            "statistics.energy", "sum (v + shift)^2", _energy, "intensity^2"
        ),
        "Entropy": Rule("histogram.entropy"),
        **_renamed("statistics", {"InterquartileRange": "interquartile_range"}),
        "Kurtosis": Rule("statistics.kurtosis", "x + 3", lambda x, _: x + 3),
        **_renamed("statistics", {
            "Maximum": "maximum",
            "MeanAbsoluteDeviation": "mean_absolute_deviation",
            "Mean": "mean",
            "Median": "median",
            "Minimum": "minimum",
            "Range": "range",
            "RobustMeanAbsoluteDeviation": "robust_mean_absolute_deviation",
        }),
        "RootMeanSquared": Rule(
            "statistics.energy", "sqrt(sum (v + shift)^2 / N)", _root_mean_square, "intensity"
        ),
        "Skewness": Rule("statistics.skewness"),
        "TotalEnergy": Rule(
            "statistics.energy", "sum (v + shift)^2 times the volume of a voxel", _total_energy,
            "intensity^2 mm^3",
        ),
        "Uniformity": Rule("histogram.uniformity"),
        "Variance": Rule("statistics.variance"),
    },
    "glcm": {
        **_renamed("glcm", {
            "Autocorrelation": "autocorrelation",
            "ClusterProminence": "cluster_prominence",
            "ClusterShade": "cluster_shade",
            "ClusterTendency": "cluster_tendency",
            "Contrast": "contrast",
            "Correlation": "correlation",
            "DifferenceAverage": "difference_average",
            "DifferenceEntropy": "difference_entropy",
            "DifferenceVariance": "difference_variance",
            "Id": "inverse_difference",
            "Idm": "inverse_difference_moment",
            "Idmn": "normalised_inverse_difference_moment",
            "Idn": "normalised_inverse_difference",
            "Imc1": "information_correlation_1",
            "Imc2": "information_correlation_2",
            "InverseVariance": "inverse_variance",
            "JointAverage": "joint_average",
            "JointEnergy": "angular_second_moment",
            "JointEntropy": "joint_entropy",
        }),
        "MCC": Rule(
            "glcm",
            "second singular value of p_ij / sqrt(p_i. p_.j)",
            lambda _, known: maximal_correlation(known.region, known.chain),
        ),
        **_renamed("glcm", {
            "MaximumProbability": "joint_maximum",
            "SumAverage": "sum_average",
            "SumEntropy": "sum_entropy",
            "SumSquares": "joint_variance",
        }),
    },
    "gldm": _renamed("ngldm", {
        "DependenceEntropy": "dependence_count_entropy",
        "DependenceNonUniformity": "dependence_count_non_uniformity",
        "DependenceNonUniformityNormalized": "normalised_dependence_count_non_uniformity",
        "DependenceVariance": "dependence_count_variance",
        "GrayLevelNonUniformity": "grey_level_non_uniformity",
        "GrayLevelVariance": "grey_level_variance",
        "HighGrayLevelEmphasis": "high_grey_level_count_emphasis",
        "LargeDependenceEmphasis": "high_dependence_emphasis",
        "LargeDependenceHighGrayLevelEmphasis": "high_dependence_high_grey_level_emphasis",
        "LargeDependenceLowGrayLevelEmphasis": "high_dependence_low_grey_level_emphasis",
        "LowGrayLevelEmphasis": "low_grey_level_count_emphasis",
        "SmallDependenceEmphasis": "low_dependence_emphasis",
        "SmallDependenceHighGrayLevelEmphasis": "low_dependence_high_grey_level_emphasis",
        "SmallDependenceLowGrayLevelEmphasis": "low_dependence_low_grey_level_emphasis",
    }),
    "glrlm": _renamed("glrlm", {
        "GrayLevelNonUniformity": "grey_level_non_uniformity",
        "GrayLevelNonUniformityNormalized": "normalised_grey_level_non_uniformity",
        "GrayLevelVariance": "grey_level_variance",
        "HighGrayLevelRunEmphasis": "high_grey_level_run_emphasis",
        "LongRunEmphasis": "long_runs_emphasis",
        "LongRunHighGrayLevelEmphasis": "long_run_high_grey_level_emphasis",
        "LongRunLowGrayLevelEmphasis": "long_run_low_grey_level_emphasis",
        "LowGrayLevelRunEmphasis": "low_grey_level_run_emphasis",
        "RunEntropy": "run_entropy",
        "RunLengthNonUniformity": "run_length_non_uniformity",
        "RunLengthNonUniformityNormalized": "normalised_run_length_non_uniformity",
        "RunPercentage": "run_percentage",
        "RunVariance": "run_length_variance",
        "ShortRunEmphasis": "short_runs_emphasis",
        "ShortRunHighGrayLevelEmphasis": "short_run_high_grey_level_emphasis",
        "ShortRunLowGrayLevelEmphasis": "short_run_low_grey_level_emphasis",
    }),
    "glszm": _renamed("glszm", {
        "GrayLevelNonUniformity": "grey_level_non_uniformity",
        "GrayLevelNonUniformityNormalized": "normalised_grey_level_non_uniformity",
        "GrayLevelVariance": "grey_level_variance",
        "HighGrayLevelZoneEmphasis": "high_grey_level_zone_emphasis",
        "LargeAreaEmphasis": "large_zone_emphasis",
        "LargeAreaHighGrayLevelEmphasis": "large_zone_high_grey_level_emphasis",
        "LargeAreaLowGrayLevelEmphasis": "large_zone_low_grey_level_emphasis",
        "LowGrayLevelZoneEmphasis": "low_grey_level_zone_emphasis",
        "SizeZoneNonUniformity": "zone_size_non_uniformity",
        "SizeZoneNonUniformityNormalized": "normalised_zone_size_non_uniformity",
        "SmallAreaEmphasis": "small_zone_emphasis",
        "SmallAreaHighGrayLevelEmphasis": "small_zone_high_grey_level_emphasis",
        "SmallAreaLowGrayLevelEmphasis": "small_zone_low_grey_level_emphasis",
        "ZoneEntropy": "zone_size_entropy",
        "ZonePercentage": "zone_percentage",
        "ZoneVariance": "zone_size_variance",
    }),
    "ngtdm": _renamed("ngtdm", {
        "Busyness": "busyness",
        "Coarseness": "coarseness",
        "Complexity": "complexity",
        "Contrast": "contrast",
        "Strength": "strength",
    }),
}  # fmt: skip

FAMILIES = ("morphology", "statistics", "histogram", "glcm", "ngldm", "glrlm", "glszm", "ngtdm")


# ---- the chain


@dataclass(frozen=True, kw_only=True)
class PyRadiomics(Radiomics):
    """The chain with PyRadiomics' defaults and names.

    shift   is added to intensities in Energy, TotalEnergy and RootMeanSquared: its voxelArrayShift
    """

    align: str = "corner"
    interpolation: str = "cubic"
    mask_interpolation: str = "nearest"
    whole: bool = False
    binning: str = "aligned"
    families: tuple[str, ...] = FAMILIES
    shift: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if nameless := [name for name in self.families if name not in FAMILIES]:
            raise UserError(f"PyRadiomics has no features of {nameless[0]!r}")

    def columns(self, region: Region) -> dict[str, float]:
        """region.voxels, region.status, then PyRadiomics' features in its order."""
        ours = {_short(name): value for name, value in super().columns(region).items()}
        known = Known(ours, region, self)
        found = {name: value for name, value in ours.items() if name.startswith("region.")}
        for name, rule in self.rules().items():
            value = ours.get(rule.source, np.nan)
            found[name] = rule.change(value, known) if rule.change else value
        return found

    def arguments(
        self, family: str, intensities: np.ndarray, spacing: tuple[float, ...]
    ) -> dict[str, Any]:
        """What this family's kernel is given; of shape only what PyRadiomics has."""
        shape = {"scope": "shape"} if family == "morphology" else {}
        return super().arguments(family, intensities, spacing) | shape

    def rules(self) -> dict[str, Rule]:
        """{column: where it comes from} for the chain's families."""
        return {
            f"original_{group}_{feature}": rule
            for group, features in CLASSES.items()
            for feature, rule in features.items()
            if rule.source.partition(".")[0] in self.families
        }

    def resampled(self, grid: Grid, volume: np.ndarray) -> np.ndarray:
        """Intensities on the grid; integers stay integers unless they are normalised."""
        image = super().resampled(grid, volume)
        return np.trunc(image) if volume.dtype.kind in "iub" and not self.normalise else image

    def meaning(self, name: str) -> dict[str, Any]:
        """Of one column: the standard's tag where it is the standard's feature."""
        if name.startswith("region."):
            return super().meaning(name)
        _, group, feature = name.split("_")
        rule = self.rules()[name]
        if rule.change is None:
            return super().meaning(rule.source) | {"family": group, "feature": feature}
        formula = rule.formula
        if formula.startswith("x "):
            formula = f"{rule.source} {formula[2:]}"
        return {
            "family": group, "feature": feature, "tag": "", "unit": rule.unit, "formula": formula,
        }  # fmt: skip


def _short(name: str) -> str:
    """family.feature of a column, without what follows on directions and slices."""
    return ".".join(name.split(".")[:2])


# ---- what our families do not measure


def maximal_correlation(region: Region, chain: PyRadiomics) -> float:
    """MCC: the mean over the directions, or that of their sum."""
    image, _, inside, spacing = region
    chosen = chain.arguments("glcm", image[inside], spacing)
    counts = matrices(image[None], inside[None], **chosen)[0].astype(np.float64)
    if chosen["directions"] == "merged":
        counts = counts.sum(axis=0, keepdims=True)
    levels = counts.any(axis=(0, 1))
    values = [second_correlation(m[levels][:, levels]) for m in counts if m.any()]
    return float(np.mean(values)) if values else np.nan


def second_correlation(counts: np.ndarray) -> float:
    """Second greatest singular value of p_ij / sqrt(p_i. p_.j) of symmetric counts; 1 of one level.

    The matrix is symmetric: its singular values are its eigenvalues' magnitudes.
    """
    if len(counts) < 2:
        return 1.0
    margin = np.sqrt(counts.sum(axis=0))
    scale = np.divide(1.0, margin, out=np.zeros_like(margin), where=margin > 0)
    return float(np.sort(np.abs(np.linalg.eigvalsh(counts * np.outer(scale, scale))))[-2])
