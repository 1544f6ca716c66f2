"""Grey level co-occurrence: peers that define the same, invariances, degenerate regions."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture._glcm_features import FEATURES
from medkern.kernels.texture._information import exp_minus, information_table
from medkern.kernels.texture._levels import levels_of, scale
from medkern.kernels.texture.glcm import glcm, matrices

AGGREGATIONS = [
    {"slices": s, "directions": d}
    for s in ("volume", "averaged", "merged")
    for d in ("averaged", "merged")
]
NAMES = [feature.name for feature in FEATURES]
POSITION = {name: k for k, name in enumerate(NAMES)}
regions = arrays.arrays(np.uint8, (2, 9, 11), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (2, 9, 11))


def smooth(seed: int, shape: tuple[int, ...], top: int) -> np.ndarray:
    """Noise summed over neighbours: grey values 0..top with texture."""
    noise = np.random.default_rng(seed).random((*shape[:-2], shape[-2] + 2, shape[-1] + 2))
    h, w = shape[-2:]
    blurred = np.sum([noise[..., y : y + h, x : x + w] for y in range(3) for x in range(3)], axis=0)
    return np.floor((blurred - blurred.min()) / np.ptp(blurred) * top).astype(np.uint16)


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, POSITION[name]]


# ---- peers


@pytest.mark.parametrize("distance", [1, 2, 5])
def test_counts_equal_scikit_image(distance):
    feature = pytest.importorskip("skimage.feature")
    image = smooth(1, (1, 33, 40), 15)
    offsets = [(0, 1), (1, 1), (1, 0), (1, -1)]
    counts = matrices(image + 1, binning="none", levels=16, distance=distance)[0]
    for (dy, dx), found in zip(offsets, counts, strict=True):
        # scikit-image takes a length and an angle; a diagonal step d is sqrt(2) d long
        length, angle = distance * np.hypot(dy, dx), np.arctan2(dy, dx)
        want = feature.graycomatrix(image[0], [length], [angle], levels=16, symmetric=True)
        np.testing.assert_array_equal(found, want[:, :, 0, 0])


def test_haralick_features_equal_mahotas():
    features = pytest.importorskip("mahotas.features")
    image = smooth(2, (1, 48, 40), 15).astype(np.uint8)
    values, _ = glcm(image + np.uint8(1), binning="none", levels=16)
    want = features.haralick(image[0]).mean(axis=0)
    # Left out: mahotas takes its variance over P(i - j) instead of |i - j| (difference variance),
    # log base e in the second information measure, and counts levels from 0 (sum average).
    same = {
        "angular_second_moment": 0, "contrast": 1, "correlation": 2, "joint_variance": 3,
        "inverse_difference_moment": 4, "sum_variance": 6, "sum_entropy": 7, "joint_entropy": 8,
        "difference_entropy": 10, "information_correlation_1": 11,
    }  # fmt: skip
    for name, at in same.items():
        np.testing.assert_allclose(column(values, name)[0], want[at], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(column(values, "sum_average")[0], want[5] + 2, rtol=1e-6)


# ---- properties


@given(regions, areas, st.sampled_from(AGGREGATIONS))
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks, aggregation):
    chosen = glcm.resolve({"levels": 7, **aggregation})
    for grey, area in ((images, masks), (images[None], masks[None])):  # slices and a volume
        values, _ = glcm(grey, area, **chosen)
        want = glcm.reference(grey, glcm.place(grey, area), **chosen)
        np.testing.assert_allclose(values, want, rtol=1e-6, atol=1e-7)


@given(regions, areas)
@settings(max_examples=40, deadline=None)
def test_every_pair_is_counted_once_in_each_sense(images, masks):
    counts = matrices(images, masks, levels=9)
    np.testing.assert_array_equal(counts, counts.swapaxes(2, 3))
    steps = [
        (slice(None), slice(1, None)),
        (slice(1, None), slice(1, None)),
        (slice(1, None), slice(None)),
    ]
    for k, (y, x) in enumerate(steps):
        dy, dx = y.start or 0, x.start or 0
        pairs = masks[:, y, x] & masks[:, : 9 - dy, : 11 - dx]
        np.testing.assert_array_equal(counts[:, k].sum(axis=(1, 2)), 2 * pairs.sum(axis=(1, 2)))


@given(regions, areas)
@settings(max_examples=30, deadline=None)
def test_inverting_the_greys_changes_only_what_names_a_level(images, masks):
    """Levels i -> Ng + 1 - i mirror the matrix; "none" binning, so that no bin edge moves."""
    grey = images % 8 + 1
    values, _ = glcm(grey, masks, binning="none", levels=8)
    mirrored, _ = glcm(9 - grey, masks, binning="none", levels=8)
    names_a_level = {"joint_average", "sum_average", "autocorrelation", "cluster_shade"}
    top_matters = {n for n in NAMES if n.startswith("normalised")}  # Ng is the highest level met
    for name in set(NAMES) - names_a_level - top_matters:
        np.testing.assert_allclose(
            column(mirrored, name), column(values, name), rtol=1e-5, atol=1e-6, err_msg=name
        )
    np.testing.assert_allclose(
        column(mirrored, "cluster_shade"), -column(values, "cluster_shade"), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        column(mirrored, "sum_average"), 18 - column(values, "sum_average"), rtol=1e-6
    )


@given(regions, areas, st.integers(0, 5), st.integers(0, 6), st.integers(0, 255))
@settings(max_examples=30, deadline=None)
def test_a_region_may_lie_anywhere_and_what_surrounds_it_does_not_count(images, masks, y, x, paint):
    wide, area = np.full((2, 14, 17), paint, np.uint8), np.zeros((2, 14, 17), bool)
    wide[:, y : y + 9, x : x + 11] = np.where(masks, images, paint)
    area[:, y : y + 9, x : x + 11] = masks
    here, _ = glcm(images, masks)
    there, _ = glcm(wide, area)
    np.testing.assert_allclose(there, here, rtol=1e-6)
    np.testing.assert_array_equal(matrices(wide, area), matrices(images, masks))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_the_dtype_does_not_matter(dtype):
    image = smooth(3, (3, 30, 31), 200)
    want, _ = glcm(image.astype(np.uint8))
    np.testing.assert_array_equal(glcm(image.astype(dtype))[0], want)


def test_one_slice_makes_the_2d_2_5d_and_3d_aggregations_equal():
    image = smooth(4, (2, 1, 20, 22), 300)
    for directions in ("averaged", "merged"):
        for slices in ("volume", "averaged", "merged"):
            got, _ = glcm(image, slices=slices, directions=directions)
            np.testing.assert_array_equal(got, glcm(image[:, 0], directions=directions)[0])


def test_levels_are_the_standard_s():
    """Fixed bin number: floor(Ng (x - min) / (max - min)) + 1, the maximum in the last bin."""
    x = np.arange(0, 4096, 7, dtype=np.uint16)[None]
    found = levels_of(x, np.ones_like(x), scale(32, "count", 1.0, 0.0))[0]
    low, spread = int(x.min()), int(np.ptp(x))
    assert found.tolist() == [min(32, 32 * (int(v) - low) // spread + 1) for v in x[0]]
    hounsfield = np.array([[-501, -500, -476, -475, 299, 300]], np.int16)
    assert levels_of(hounsfield, np.ones_like(hounsfield), scale(32, "width", 25.0, -500.0))[
        0
    ].tolist() == [0, 1, 1, 2, 32, 0]


@pytest.mark.parametrize("parameters", [{}, {"levels": 70, "directions": "merged"}], ids=str)
def test_the_gpu_code_gives_the_bits_of_the_cpu_code(parameters):
    image = smooth(8, (1, 2, 16, 21), 900)
    mask = (np.random.default_rng(8).random(image.shape) < 0.9).astype(np.uint8)
    values, _ = glcm(image, mask, **parameters)
    found = np.empty_like(values)
    with _cuda.running(Interpreter()):
        glcm.gpu(image, glcm.place(image, mask), found, **glcm.resolve(parameters))
    np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- degenerate regions


def test_a_region_without_a_pair_is_nan():
    images = np.arange(75, dtype=np.float32).reshape(3, 5, 5)
    masks = np.zeros((3, 5, 5), np.uint8)
    masks[1, 2, 2] = 1  # one pixel
    masks[2, 0, 0] = masks[2, 4, 4] = 1  # two, apart
    values, _ = glcm(images, masks)
    assert np.isnan(values).all()
    assert matrices(images, masks).sum() == 0


@pytest.mark.parametrize("aggregation", AGGREGATIONS, ids=str)
def test_a_flat_region_has_the_limit_values(aggregation):
    values, _ = glcm(np.full((1, 3, 6, 7), 400, np.uint16), **aggregation)
    found = dict(zip(NAMES, values[0].tolist(), strict=True))
    one = {name for name in NAMES if "inverse_difference" in name} | {
        "joint_maximum", "joint_average", "angular_second_moment", "correlation", "autocorrelation",
    }  # fmt: skip
    want = {name: 1.0 if name in one else 0.0 for name in NAMES} | {"sum_average": 2.0}
    assert found == want


def test_pixels_that_are_not_numbers_leave_the_region():
    image = smooth(5, (1, 20, 20), 99).astype(np.float32)
    mask = np.ones(image.shape, np.uint8)
    mask[0, 3:5, 4] = mask[0, 0, 0] = 0
    spoilt = image.copy()
    spoilt[0, 3, 4], spoilt[0, 4, 4], spoilt[0, 0, 0] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(glcm(spoilt)[0], glcm(image, mask)[0])


def test_a_direction_without_pairs_takes_no_part():
    """One row has pairs in one direction only; the average is that direction's value."""
    row = smooth(6, (1, 1, 30), 50)
    np.testing.assert_array_equal(glcm(row)[0], glcm(row, directions="merged")[0])


def test_many_levels_and_large_distances():
    image = smooth(7, (2, 40, 50), 4000)
    for parameters in (
        {"levels": 256},
        {"levels": 2},
        {"distance": 16},
        {"levels": 200, "distance": 3},
    ):
        chosen = glcm.resolve(parameters)
        want = glcm.reference(image, glcm.place(image), **chosen)
        np.testing.assert_allclose(glcm(image, **parameters)[0], want, rtol=1e-6, atol=1e-6)


# ---- words and errors


def test_column_names():
    _, names = glcm(np.zeros((1, 4, 4), np.uint8), distance=2, directions="merged")
    assert names[0] == "glcm.joint_maximum.d2.merged"
    assert len(set(names)) == 25


def test_bad_parameters_say_what_is_allowed():
    image = np.zeros((1, 4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"glcm: levels must be 2 to 1024, got 1025"):
        glcm(image, levels=1025)
    with pytest.raises(ValueError, match=r"glcm: directions must be 'averaged' or 'merged'"):
        glcm(image, directions="median")
    with pytest.raises(ValueError, match=r"2\^26 voxels"):
        glcm(np.broadcast_to(np.uint8(0), (1, 2**11, 2**9, 2**9)))


# ---- numerics


def test_own_logarithm_and_exponential_are_accurate():
    """Written out so that CPU and GPU agree to the last bit; here against NumPy's."""
    count = np.arange(1, len(information_table()))
    np.testing.assert_allclose(information_table()[1:], count * np.log2(count), rtol=5e-16)
    for t in np.linspace(0, 30, 400):
        assert exp_minus.py_func(t) == pytest.approx(np.exp(-t), rel=5e-15)
