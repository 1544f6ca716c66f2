"""The one contract every kernel keeps, run over the whole catalogue.

reference = CPU = GPU code, for every dtype and example; the GPU code runs in the PTX interpreter,
and on a real card where there is one.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
from cases import CATALOGUE, beside, every_case, every_kernel, full, masks_of, needed, on_gpu

from medkern.bench.ptx import Interpreter
from medkern.kernels import Filter, Kernel, Measure, _cuda

SHAPES = {
    3: [(2, 37, 41), (1, 1, 1), (3, 1, 19), (2, 23, 1), (1, 64, 130), (33, 2, 3)],
    4: [(2, 5, 18, 21), (1, 1, 1, 1), (2, 1, 3, 17), (1, 9, 1, 1), (1, 3, 20, 35)],
}
SMALL = {3: [(2, 19, 23), (1, 1, 1), (33, 1, 3)], 4: [(2, 4, 7, 9), (1, 1, 1, 1), (1, 3, 1, 5)]}


def images_of(
    kernel: Kernel, shape: tuple[int, ...], dtype: str, parameters: Mapping[str, Any]
) -> np.ndarray:
    """Images with smooth structure, noise, ties and both ends of the dtype's range."""
    rng = np.random.default_rng(np.prod(shape))
    y, x = np.indices(shape[-2:])
    smooth, shape = np.sin(y / 5.0) + np.cos(x / 7.0), full(kernel, shape)
    if kernel.channels > 1:
        smooth = smooth[..., None] * np.linspace(0.5, 1, kernel.channels)
    values = smooth + rng.normal(0, 0.4, shape)
    values = (values - values.min()) / max(np.ptp(values), 1e-9)
    if dtype == "float32":
        return (values * 300 - 100).astype(np.float32)
    info = np.iinfo(dtype)
    top = min(info.max, 2 ** parameters.get("bits", 16) - 1)
    low = info.min // 2 if info.min else 0
    images = np.rint(low + values * (top - low)).astype(dtype)
    images[rng.random(shape) < 0.05] = top
    images[rng.random(shape) < 0.05] = low
    return images


def call(kernel: Kernel, images: Any, **parameters: Any) -> Any:
    """The kernel's result as one array, whatever its kind."""
    parameters = needed(kernel, images) | parameters
    if isinstance(kernel, Measure):
        values, names = kernel(images, masks_of(kernel, images), **parameters)
        assert values.shape == (len(images), len(names))
        return values
    return kernel(images, **parameters)


def reference(kernel: Kernel, images: np.ndarray, **parameters: Any) -> np.ndarray:
    further = {name: parameters.pop(name) for name in kernel.inputs if name in parameters}
    chosen = kernel.settle(images, kernel.resolve(parameters))
    chosen |= needed(kernel, images) | further
    if isinstance(kernel, Measure):
        return kernel.reference(images, kernel.place(images, masks_of(kernel, images)), **chosen)
    return kernel.reference(images, **chosen)


def interpreted(kernel: Kernel, images: np.ndarray, **parameters: Any) -> np.ndarray:
    """What the compiled GPU code gives for NumPy arrays, in the interpreter."""
    return on_gpu(kernel, images, Interpreter(), **parameters)


def agree(
    kernel: Kernel, got: np.ndarray, want: np.ndarray, images: np.ndarray, tolerance: float
) -> None:
    """Bit for bit, or within the tolerance (see `Kernel`)."""
    what = f"{kernel.name} {images.shape} {images.dtype}"
    assert got.shape == want.shape, what
    assert not isinstance(kernel, Filter) or got.dtype == want.dtype, what
    if tolerance == 0:
        np.testing.assert_array_equal(got, want, what)
        return
    rest = tolerance
    if isinstance(kernel, Filter):
        finite = images[np.isfinite(images)].astype(np.float64)
        allowed = tolerance * float(np.abs(finite).max(initial=1.0))
        if got.dtype.kind in "iu":
            allowed, got, want = max(allowed, 1.0), got.astype(float), want.astype(float)
        rest = 0.0
    else:
        allowed = tolerance * float(np.nanmax(np.abs(want), initial=1.0)) * 1e-3
    np.testing.assert_allclose(got, want, rtol=rest, atol=allowed, err_msg=what)


@every_case
def test_the_cpu_code_equals_the_reference(kernel, dtype, parameters, rank):
    for shape in SHAPES[rank]:
        images = images_of(kernel, shape, dtype, parameters)
        want = reference(kernel, images, **parameters)
        agree(kernel, call(kernel, images, **parameters), want, images, kernel.tolerance)


@every_case
def test_the_gpu_code_equals_the_cpu_code(kernel, dtype, parameters, rank):
    for shape in SMALL[rank]:
        images = images_of(kernel, shape, dtype, parameters)
        want = call(kernel, images, **parameters)
        got = interpreted(kernel, images, **parameters)
        agree(kernel, got, want, images, kernel.gpu_tolerance)


@every_case
@pytest.mark.gpu
def test_the_card_equals_the_cpu_code(kernel, dtype, parameters, rank):
    if reason := _cuda.available():
        pytest.skip(f"no GPU: {reason}")
    import cupy  # pyright: ignore[reportMissingImports]

    for shape in SHAPES[rank]:
        images = images_of(kernel, shape, dtype, parameters)
        if isinstance(kernel, Measure):
            masks = cupy.asarray(masks_of(kernel, images))
            there = {name: cupy.asarray(a) for name, a in needed(kernel, images).items()}
            got, _ = kernel(cupy.asarray(images), masks, **there, **parameters)
        else:
            got = kernel(cupy.asarray(images), **parameters)
        want = call(kernel, images, **parameters)
        agree(kernel, cupy.asnumpy(got), want, images, kernel.gpu_tolerance)


@every_kernel
def test_further_arrays_are_taken_and_checked(kernel: Kernel):
    if not kernel.inputs:
        pytest.skip("takes no array but its images")
    images = images_of(kernel, (2, 19, 23), kernel.dtypes[0], {})
    given = beside(kernel, images)
    got = call(kernel, images, **given)
    agree(kernel, got, reference(kernel, images, **given), images, kernel.tolerance)
    on_card = on_gpu(kernel, images, Interpreter(), **given)
    agree(kernel, on_card, got, images, kernel.gpu_tolerance)
    for name, array in given.items():
        with pytest.raises(ValueError, match=f"{name} is .*the images"):
            kernel(images, **given | {name: array[:, 1:]})
    for name in kernel.required:
        with pytest.raises(TypeError, match=f"{kernel.name} needs {name}: "):
            kernel(images, **{n: a for n, a in given.items() if n != name})


@every_case
def test_nan_and_infinity_follow_the_reference_and_stay_in_their_image(
    kernel, dtype, parameters, rank
):
    if dtype != "float32" or isinstance(kernel, Measure):
        pytest.skip("integers have neither; a measure states its policy")
    shape = SHAPES[rank][0]
    images = images_of(kernel, shape, dtype, parameters)
    alone = call(kernel, images[1:], **parameters)
    middle = tuple(size // 2 for size in shape[1:])
    for odd in (np.nan, np.inf, -np.inf):
        images[0][middle] = odd
        got = call(kernel, images, **parameters)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            want = reference(kernel, images, **parameters)
        agree(kernel, got[:1], want[:1], images, kernel.tolerance)
        np.testing.assert_array_equal(got[1:], alone)
        inner = (*(slice(None),) * (rank - 2), slice(10, 26), slice(10, 31))
        small = np.ascontiguousarray(images[inner])
        agree(
            kernel,
            interpreted(kernel, small, **parameters),
            call(kernel, small, **parameters),
            small,
            kernel.gpu_tolerance,
        )


LAYOUTS = {3: (3, 22, 34), 4: (3, 4, 8, 12)}


@every_case
def test_inputs_of_any_layout_are_taken_and_never_changed(kernel, dtype, parameters, rank):
    images = images_of(kernel, LAYOUTS[rank], dtype, parameters)
    want = call(kernel, images, **parameters)
    read_only = images.copy()
    read_only.flags.writeable = False
    wide = np.repeat(np.repeat(images, 2, axis=-2), 3, axis=-1)
    for view in (read_only, np.asfortranarray(images), wide[..., ::2, ::3]):
        before = view.copy()
        np.testing.assert_array_equal(call(kernel, view, **parameters), want)
        np.testing.assert_array_equal(view, before)


@every_case
def test_an_image_s_result_does_not_depend_on_its_batch(kernel, dtype, parameters, rank):
    images = images_of(kernel, {3: (4, 17, 29), 4: (4, 5, 7, 11)}[rank], dtype, parameters)
    together = call(kernel, images, **parameters)
    for i in range(4):
        np.testing.assert_array_equal(call(kernel, images[i : i + 1], **parameters)[0], together[i])


@every_case
def test_any_number_of_threads_gives_the_same_bits(kernel, dtype, parameters, rank):
    images = images_of(kernel, {3: (3, 40, 50), 4: (3, 6, 20, 20)}[rank], dtype, parameters)
    want = call(kernel, images, **parameters)
    default = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(call(kernel, images, **parameters), want)
    finally:
        numba.set_num_threads(default)
    with ThreadPoolExecutor(4) as pool:  # callers in several Python threads at once
        for got in pool.map(lambda _: call(kernel, images, **parameters), range(8)):
            np.testing.assert_array_equal(got, want)


@every_kernel
def test_an_empty_batch_gives_an_empty_result(kernel: Kernel):
    for dtype in kernel.dtypes:
        bits = {"bits": 16} if dtype == "uint16" and "bits" in kernel.parameters else {}
        assert len(call(kernel, np.empty(full(kernel, (0, 8, 8)), dtype), **bits)) == 0


@every_kernel
def test_out_receives_the_result(kernel: Kernel):
    if not isinstance(kernel, Filter):
        pytest.skip("a measure makes a new, small table: it takes no out")
    images = images_of(kernel, (2, 16, 20), kernel.dtypes[0], {"bits": 8})
    out = np.empty_like(images, kernel.result_dtype(images.dtype, **kernel.resolve({})))
    assert kernel(images, out=out) is out
    np.testing.assert_array_equal(out, kernel(images))
    if images.dtype == out.dtype:
        with pytest.raises(ValueError, match="must not share memory"):
            kernel(images, out=images)
    for wrong in (np.empty_like(out[:, 1:]), np.empty_like(out, np.float64)):
        with pytest.raises(ValueError, match=f"{kernel.name}: out must"):
            kernel(images, out=wrong)
    locked = np.empty_like(out)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        kernel(images, out=locked)


@every_kernel
def test_outputs_are_aligned_for_jax(kernel: Kernel):
    if isinstance(kernel, Filter):
        assert kernel(images_of(kernel, (1, 9, 9), kernel.dtypes[0], {})).ctypes.data % 64 == 0


@every_kernel
def test_jax_arrays_come_back_as_jax_arrays(kernel: Kernel):
    jax = pytest.importorskip("jax")
    images = images_of(kernel, (2, 12, 14), kernel.dtypes[0], {"bits": 8})
    given = jax.numpy.asarray(images)
    further = needed(kernel, images)
    there = {name: jax.numpy.asarray(array) for name, array in further.items()}
    got, want = kernel(given, **there), kernel(images, **further)
    if isinstance(kernel, Measure):
        got, want = got[0], want[0]
    assert isinstance(got, jax.Array)
    np.testing.assert_array_equal(np.asarray(got), want)


@every_kernel
def test_a_wrong_call_says_what_is_allowed(kernel: Kernel):
    images = images_of(kernel, (1, 8, 8), kernel.dtypes[0], {"bits": 8})
    further = needed(kernel, images)
    with pytest.raises(TypeError, match="no parameter 'raduis'; it knows: "):
        kernel(images, raduis=3, **further)
    with pytest.raises(TypeError, match=rf"{kernel.name} takes .*{kernel.dtypes[0]}.*got float64"):
        kernel(images.astype(np.float64), **{k: v.astype(np.float64) for k, v in further.items()})
    with pytest.raises(ValueError, match=r"one image is images\[None\]"):
        kernel(images[0], **{k: v[0] for k, v in further.items()})
    with pytest.raises(TypeError, match="takes an array"):
        kernel([[1, 2], [3, 4]])
    for name, parameter in kernel.parameters.items():
        if isinstance(parameter.default, bool):
            with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be True or False"):
                kernel(images, **further, **{name: 2})
            continue
        if parameter.above is not None:
            with pytest.raises(ValueError, match=rf"{kernel.name}: {name} must be .*above"):
                kernel(images, **further, **{name: parameter.above})
        if parameter.estimate:
            with pytest.raises(ValueError, match=rf"{kernel.name}: {name} must be 'auto' or"):
                kernel(images, **further, **{name: "many"})
        if parameter.differs:
            with pytest.raises(ValueError, match=rf"{name} has shape \(2,\) for 1 images"):
                kernel(images, **further, **{name: np.ones(2, np.float32)})
        if isinstance(parameter.default, int | float):
            with pytest.raises(TypeError, match=rf"{kernel.name}: {name} must be a number"):
                kernel(images, **further, **{name: "many"})
            with pytest.raises(ValueError, match=rf"{kernel.name}: {name} must be"):
                kernel(images, **further, **{name: float("nan")})
        if isinstance(parameter.default, int | float) and parameter.high is not None:
            with pytest.raises(ValueError, match=rf"{kernel.name}: {name} must be"):
                kernel(images, **further, **{name: parameter.high + 1})


@every_kernel
def test_the_catalogue_entry_is_complete(kernel: Kernel):
    entry = json.loads(json.dumps(kernel.describe()))
    assert entry["name"] == kernel.name
    assert entry["summary"]
    assert entry["source"]
    assert all(p["meaning"] and p["range"] for p in entry["parameters"].values())
    cost = kernel.cost(2, **kernel.resolve({}))
    assert cost.bytes > 0
    assert cost.operations > 0


def test_masks_are_checked():
    for kernel in CATALOGUE.values():
        images = np.zeros(full(kernel, (2, 8, 8)), np.uint8)
        if isinstance(kernel, Measure):
            further = needed(kernel, images)
            with pytest.raises(ValueError, match="masks are"):
                kernel(images, np.ones((2, 8, 9), np.uint8), **further)
            with pytest.raises(TypeError, match="masks must be uint8 or bool"):
                kernel(images, np.ones((2, 8, 8), np.float32), **further)
            boolean, _ = kernel(images, np.ones((2, 8, 8), bool), **further)
            np.testing.assert_array_equal(boolean, kernel(images, **further)[0])


def test_a_jax_free_process_never_imports_jax_or_cupy():
    code = "import sys, medkern.kernels; print([m for m in ('jax', 'cupy') if m in sys.modules])"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
