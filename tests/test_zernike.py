"""Zernike moments: the circle, mahotas' and CellProfiler's values, turns, degenerate objects."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern import kernels as mk
from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture._circle import NO_ROW, enclosing_circle, smallest_circle
from medkern.kernels.texture._polynomials import INDEXES, angle
from medkern.kernels.texture.zernike import polynomials, zernike

SIZE = len(INDEXES)
shapes = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def cell(seed: int, h: int = 50, w: int = 44) -> tuple[np.ndarray, np.ndarray]:
    """A tilted ellipse with a bite, and uint16 intensities."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((h, w))
    u, v = (y - h / 2) + 0.4 * (x - w / 2), (x - w / 2) - 0.3 * (y - h / 2)
    inside = ((u / h * 2.2) ** 2 + (v / w * 2.9) ** 2 < 1) & ((y - 9) ** 2 + (x - 20) ** 2 > 30)
    return rng.integers(100, 4000, (1, h, w)).astype(np.uint16), inside[None].astype(np.uint8)


def circle_of(mask: np.ndarray) -> tuple[float, float, float]:
    """Centre y, x and radius, as compiled."""
    rows = [np.flatnonzero(row) for row in mask]
    ends = np.array([(r[0], r[-1]) if len(r) else (NO_ROW, NO_ROW) for r in rows], np.int64)
    y, x, dy, dx, radius = enclosing_circle(ends)
    return y + dy, x + dx, radius


# ---- the circle


@given(shapes.filter(lambda mask: mask.any()))
@settings(max_examples=200, deadline=None)
def test_the_circle_is_the_smallest(mask):
    """Two ways to it agree, all pixels are inside, and it rests on its pixels."""
    points = np.argwhere(mask)
    y, x, radius = circle_of(mask)
    centre, want = smallest_circle(points)
    np.testing.assert_allclose((y, x, radius), (*centre, want), rtol=1e-12, atol=1e-12)
    distance = np.hypot(*(points - (y, x)).T)
    assert distance.max() <= radius * (1 + 1e-12)
    rim = points[distance > radius * (1 - 1e-9)] - (y, x)
    if len(points) > 1:  # the centre lies among the pixels of the rim: no smaller circle holds them
        turn = np.sort(np.arctan2(*rim.T))
        assert np.diff(turn, append=turn[0] + 2 * np.pi).max() <= np.pi + 1e-9


def test_a_large_circle_is_exact_enough():
    mask = np.zeros((16000, 3), bool)
    mask[0, 0] = mask[-1, 2] = mask[7000, 1] = True
    np.testing.assert_allclose(circle_of(mask), (7999.5, 1, np.hypot(7999.5, 1)), rtol=1e-14)


# ---- peers


@pytest.mark.parametrize("weights", ["mask", "intensities"])
def test_values_are_mahotas_s_but_for_the_factor(weights):
    features = pytest.importorskip("mahotas.features")
    image, mask = cell(1)
    values, _ = zernike(image, mask)
    (y, x), radius = smallest_circle(np.argwhere(mask[0]))
    f = (mask if weights == "mask" else mask * image)[0].astype(np.float64)
    # a hair more, so that rounding leaves no pixel of the rim outside, as it may there
    want = features.zernike_moments(f, radius * (1 + 1e-9), 9, (y, x))
    factor = (np.array([n for n, _ in INDEXES]) + 1) / (np.pi * f.sum())
    if weights == "mask":
        found = values[0, :SIZE] * np.pi * radius**2 * factor
    else:
        found = values[0, SIZE : 2 * SIZE] * mask.sum() * factor
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-8)


def test_values_are_cellprofiler_s():
    """Its definition, written out with powers, sines and cosines."""
    image, mask = cell(2)
    values, _ = zernike(image, mask)
    (cy, cx), radius = smallest_circle(np.argwhere(mask[0]))
    y, x = (np.argwhere(mask[0]) - (cy, cx)).T / radius
    v, rho, theta = image[mask != 0].astype(float), np.hypot(y, x), np.arctan2(x, y)
    for k, (n, m) in enumerate(INDEXES):
        lut = [(j, coefficient(n, m, j)) for j in range((n - m) // 2 + 1)]
        basis = sum(c * rho ** (n - 2 * j) for j, c in lut) * np.exp(1j * m * theta)
        z, weighted = basis.sum(), (v * basis).sum()
        np.testing.assert_allclose(values[0, k], abs(z) / (np.pi * radius**2), rtol=1e-5)
        np.testing.assert_allclose(values[0, SIZE + k], abs(weighted) / len(v), rtol=1e-5)
        want = np.arctan2(weighted.real, weighted.imag if m else 0.0)
        np.testing.assert_allclose(values[0, 2 * SIZE + k], want, rtol=1e-5, atol=1e-6)


def coefficient(n: int, m: int, j: int) -> float:
    from math import factorial as f

    return (-1) ** j * f(n - j) / (f(j) * f((n + m) // 2 - j) * f((n - m) // 2 - j))


# ---- properties


def test_polynomials_are_orthogonal_on_the_disk():
    y, x = (np.indices((401, 401)) - 200) / 200
    disk = y**2 + x**2 <= 1
    basis = polynomials(np.column_stack([y[disk], x[disk]]))
    gram = abs(basis.conj().T @ basis) * (np.pi / disk.sum())
    want = np.diag([np.pi / (n + 1) for n, _ in INDEXES])
    np.testing.assert_allclose(gram, want, atol=0.02)


def test_turns_and_flips_leave_shapes_and_magnitudes():
    image, mask = cell(3)
    values, _ = zernike(image, mask)
    for turned in (
        lambda a: np.rot90(a, axes=(1, 2)), lambda a: a[:, ::-1], lambda a: a.transpose(0, 2, 1),
    ):  # fmt: skip
        there, _ = zernike(np.ascontiguousarray(turned(image)), np.ascontiguousarray(turned(mask)))
        np.testing.assert_allclose(
            there[:, : 2 * SIZE], values[:, : 2 * SIZE], rtol=2e-5, atol=1e-5
        )


@given(arrays.arrays(np.uint16, (2, 9, 11)), arrays.arrays(np.bool_, (2, 9, 11)))
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(images, masks):
    values, _ = zernike(images, masks)
    want = zernike.reference(images, zernike.place(images, masks))
    np.testing.assert_allclose(values, want, rtol=1e-5, atol=1e-4)


def test_objects_are_measured_alone():
    image, mask = cell(4)
    wide, labels = np.full((2, 120, 130), 9999, np.uint16), np.zeros((2, 120, 130), np.int32)
    for at, label in (((0, 3, 5), 4), ((0, 60, 70), 1), ((1, 50, 0), 2)):
        n, y, x = at
        box = (n, slice(y, y + 50), slice(x, x + 44))
        wide[box] = np.where(mask[0], image[0], wide[box])
        labels[box][mask[0] != 0] = label
    values, _ = zernike(wide, mk.regions(labels))
    want, _ = zernike(image, mask)
    np.testing.assert_array_equal(values, np.repeat(want, 3, axis=0))


def test_the_gpu_code_gives_the_bits_of_the_cpu_code():
    image, mask = cell(5)
    labels = np.random.default_rng(5).integers(0, 3, image.shape).astype(np.int32) * mask
    wide = np.random.default_rng(6).random((1, 3, 300)).astype(np.float32)
    for images, where in (
        (image, mk.regions(labels)),
        (image, mk.windows(image.shape, 9, 16)),
        (wide, zernike.place(wide)),
    ):
        values, _ = zernike(images, where)
        found = np.empty_like(values)
        with _cuda.running(Interpreter()):
            zernike.gpu(images, where, found)
        np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- degenerate objects, numerics


def test_no_circle_no_value():
    image, masks = np.ones((3, 5, 6), np.uint8), np.zeros((3, 5, 6), np.uint8)
    masks[1, 2, 3] = masks[2, 0, :2] = 1
    values, names = zernike(image, masks)
    assert np.isnan(values[:2]).all()
    assert np.isfinite(values[2]).all()
    assert names[31] == "zernike.magnitude.1.1"
    assert values[2, 1] == 0  # two pixels either side of the centre


def test_pixels_that_are_not_numbers_leave_the_object():
    image, mask = cell(7)
    image, spoilt = image.astype(np.float32), image.astype(np.float32)
    y, x = np.argwhere(mask[0])[[0, 90]].T
    spoilt[0, y, x] = np.nan, np.inf
    less = mask.copy()
    less[0, y, x] = 0
    np.testing.assert_array_equal(zernike(spoilt, mask)[0], zernike(image, less)[0])


def test_the_angle_is_arctan2():
    rng = np.random.default_rng(8)
    y, x = rng.normal(size=(2, 3000)) * 10.0 ** rng.integers(-8, 9, (2, 3000))
    found = [angle(*point) for point in zip(y, x, strict=True)]
    np.testing.assert_allclose(found, np.arctan2(y, x), rtol=1e-15, atol=1e-15)
    for point in ((0.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 2.0), (3.0, 0.0), (1.0, 1.0)):
        assert angle(*point) == pytest.approx(np.arctan2(*point), abs=1e-15)


def test_sides_that_are_too_long_are_refused():
    with pytest.raises(ValueError, match="at most 16384 pixels"):
        zernike(np.broadcast_to(np.uint8(0), (1, 2, 20000)))
