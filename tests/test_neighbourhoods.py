"""What tone differences and dependences share: the definition, the GPU's bits, invariances."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from medkern.bench.ptx import Interpreter
from medkern.kernels import _cuda
from medkern.kernels.texture.ngldm import ngldm
from medkern.kernels.texture.ngtdm import ngtdm

SLICES = ("volume", "averaged", "merged")
ZERO = {"ngtdm": 0.0, "ngldm": 1e-9}  # entropies and variances of one size are rounding
regions = arrays.arrays(np.uint8, (3, 9, 11), elements=st.integers(0, 40))
areas = arrays.arrays(np.bool_, (3, 9, 11))
both = pytest.mark.parametrize("kernel", [ngtdm, ngldm], ids=lambda kernel: kernel.name)


def known(kernel, **parameters) -> dict[str, Any]:
    """The parameters that the kernel has."""
    return {name: value for name, value in parameters.items() if name in kernel.parameters}


def name(value: Any) -> str:
    """Of a kernel or of parameters, as test ids."""
    return getattr(value, "name", str(value))


def of_both(*sets: dict[str, Any], **more: dict[str, Any]):
    """Each kernel with each set of parameters, and those of ngldm alone."""
    cases = [(kernel, known(kernel, **each)) for kernel in (ngtdm, ngldm) for each in sets]
    cases += [(ngldm, each) for each in more.values()]
    return pytest.mark.parametrize(("kernel", "parameters"), cases, ids=name)


# ---- the compiled code


@both
@given(regions, areas, st.sampled_from(SLICES), st.integers(1, 4), st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_the_compiled_code_equals_the_definition(
    kernel, images, masks, slices, distance, coarseness
):
    chosen = {"levels": 7, "slices": slices, "distance": distance, "coarseness": coarseness}
    chosen = kernel.resolve(known(kernel, **chosen))
    for grey, area in ((images, masks), (images[None], masks[None])):  # slices and a volume
        values, _ = kernel(grey, area, **chosen)
        want = kernel.reference(grey, kernel.place(grey, area), **chosen)
        np.testing.assert_allclose(values, want, rtol=1e-6, atol=ZERO[kernel.name])


@of_both(
    {"levels": 1024, "coarseness": 1024},
    {"levels": 1024, "distance": 4, "coarseness": 3},
    {"levels": 2},
    {"levels": 200, "coarseness": 200},
)
def test_many_levels_and_large_distances(kernel, parameters):
    volume = np.random.default_rng(7).integers(0, 4000, (1, 12, 30, 40), np.uint16)
    want = kernel.reference(volume, kernel.place(volume), **kernel.resolve(parameters))
    values, _ = kernel(volume, **parameters)
    np.testing.assert_allclose(values, want, rtol=1e-6, atol=ZERO[kernel.name])


@of_both(
    {},
    {"levels": 70, "distance": 2, "coarseness": 3},
    {"slices": "averaged"},
    coarse={"levels": 300, "coarseness": 20},
)
def test_the_gpu_code_gives_the_bits_of_the_cpu_code(kernel, parameters):
    rng = np.random.default_rng(8)
    volume = rng.integers(0, 900, (1, 3, 16, 21), np.uint16)
    mask = (rng.random(volume.shape) < 0.8).astype(np.uint8)
    values, _ = kernel(volume, mask, **parameters)
    found = np.empty_like(values)
    with _cuda.running(Interpreter()):
        kernel.gpu(volume, kernel.place(volume, mask), found, **kernel.resolve(parameters))
    np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))


# ---- properties


@both
@given(regions, areas, st.sampled_from(SLICES), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_turning_and_flipping_a_slice_changes_nothing(kernel, images, masks, slices, coarseness):
    chosen = known(kernel, slices=slices, coarseness=coarseness)
    want, _ = kernel(images[None], masks[None], **chosen)
    for turned in (lambda a: a[..., ::-1], lambda a: a[..., ::-1, :], lambda a: a.swapaxes(-1, -2)):
        got, _ = kernel(turned(images[None]), turned(masks[None]), **chosen)
        np.testing.assert_array_equal(got, want)


@both
def test_one_slice_makes_the_2d_2_5d_and_3d_features_equal(kernel):
    image = np.random.default_rng(4).integers(0, 300, (2, 1, 20, 22), np.uint16)
    for slices in SLICES:
        np.testing.assert_array_equal(kernel(image, slices=slices)[0], kernel(image[:, 0])[0])
