"""The interpreter finds the mistakes of GPU programmers, and lets legal kernels pass."""

from pathlib import Path

import numpy as np
import pytest

from medkern.bench.ptx import Interpreter, PtxError, schedule
from medkern.kernels._cuda import Cuda, running

SOURCE = Cuda(Path(__file__).with_name("ptx_mutants.cu"))
H, W = 61, 77


def run_mean(macros):
    image = np.random.default_rng(0).random((H, W), dtype=np.float32)
    out = np.zeros_like(image)
    SOURCE.function("mean", **macros)((-(-W // 32), -(-H // 8)), (32, 8), image, out, H, W)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 2, mode="edge"), (5, 5))
    np.testing.assert_allclose(out, windows.mean(axis=(2, 3)), rtol=1e-5)


def run_histogram(macros):
    values = np.random.default_rng(0).integers(0, 64, 5000).astype(np.uint8)
    counts = np.zeros(64, np.uint32)
    SOURCE.function("histogram", **macros)(4, 128, values, counts, values.size)
    np.testing.assert_array_equal(counts, np.bincount(values, minlength=64))


def run_total(macros, shift=0):
    values = np.random.default_rng(0).random(4096 + shift, dtype=np.float32)[shift:]
    out = np.zeros(1, np.float32)
    SOURCE.function("total", **macros)(1, 256, values, out, values.size // 4)
    np.testing.assert_allclose(out[0], values.sum(), rtol=1e-5)


def run_reversed(macros):
    rows = np.random.default_rng(0).integers(0, 256, (3, 77)).astype(np.uint8)
    out = np.zeros_like(rows)
    SOURCE.function("reversed", **macros)(3, 64, rows, out, 77, smem=77)
    np.testing.assert_array_equal(out, rows[:, ::-1])


def run_piece(name, *more, **macros):
    out = np.zeros(64, np.float32)
    SOURCE.function(name, **macros)(1, 64, out, *more)
    return out


@pytest.fixture(autouse=True)
def interpreter():
    with running(Interpreter()) as run:
        yield run


WHOLE = {"mean": run_mean, "histogram": run_histogram, "total": run_total, "reversed": run_reversed}


@pytest.mark.parametrize("name", WHOLE)
def test_the_kernels_without_mistakes_are_right(name):
    WHOLE[name]({})


@pytest.mark.parametrize(
    ("name", "macro", "message"),
    [
        ("mean", "NO_BARRIER", "uninitialised shared memory|race, read after write"),
        ("mean", "NO_BOUNDS", "global access out of bounds"),
        ("mean", "NO_CLAMP", "global access out of bounds"),
        ("mean", "HALO=1", "race|shared access out of bounds"),
        ("histogram", "NO_BARRIER", "uninitialised shared memory|race, atomic after write"),
        ("histogram", "NO_SECOND_BARRIER", "race, read after atomic|uninitialised"),
        ("histogram", "NO_ATOMIC", "race"),
        ("histogram", "NO_CLEAR", "uninitialised shared memory"),
        ("total", "ONE_TOO_MANY", "global access out of bounds"),
        ("total", "NO_BARRIER", "race|uninitialised shared memory"),
        ("reversed", "NO_BARRIER", "race|uninitialised shared memory"),
    ],
)
def test_a_mistake_in_a_kernel_is_found(name, macro, message):
    key, _, value = macro.partition("=")
    with pytest.raises(PtxError, match=message) as caught:
        WHOLE[name]({key: value or "1"})
    assert caught.value.kernel == name
    assert caught.value.line.startswith(("ptx_mutants.cu:", "_cuda.cuh:"))
    assert caught.value.thread is not None and caught.value.block is not None


def test_a_view_that_starts_between_vectors():
    run_total({}, shift=4)
    with pytest.raises(PtxError, match="misaligned 16-byte access"):
        run_total({}, shift=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("barrier_in_both_branches", "deadlock"),
        ("shuffle_in_a_branch", "deadlock"),
        ("shuffle_from_an_absent_lane", "a lane that is not there"),
        ("shuffle_outside_its_mask", "not in its own member mask"),
        ("neighbours_of_a_warp", "race, read after write"),
        ("neighbours_over_a_shuffle", "race, read after write"),
        ("syncwarp_for_two_warps", "race, read after write"),
        ("write_after_read", "race, write after read"),
        ("everybody_writes", "two threads write at once"),
        ("one_pixel_for_all", "global-memory race, two threads write at once"),
        ("global_neighbours", "global-memory race, read after write"),
        ("misaligned_store", "misaligned 16-byte access"),
        ("traps", "trap"),
    ],
)
def test_a_mistake_in_a_piece_is_found(name, message):
    with pytest.raises(PtxError, match=message):
        run_piece(name)


def test_a_local_array_that_is_overrun():
    with pytest.raises(PtxError, match="local access out of bounds"):
        run_piece("local_overrun", SHIFT=3)


def test_a_null_pointer():
    with pytest.raises(PtxError, match="global access to no buffer"):
        run_piece("null_pointer", None)


def test_a_filter_that_runs_in_place():
    image = np.arange(1000, dtype=np.float32)
    out = np.zeros_like(image)
    SOURCE.function("neighbour_sum")(4, 256, image, out, image.size)
    np.testing.assert_array_equal(out, image + np.minimum(image + 1, 999))
    with pytest.raises(PtxError, match="global-memory race"):
        SOURCE.function("neighbour_sum")(4, 256, image, image, image.size)


@pytest.mark.parametrize("step", [1, 200])
def test_blocks_that_write_the_same_pixels(step):
    """At once, or long after another."""
    message = "two threads write at once" if step == 1 else "between blocks, write after write"
    with pytest.raises(PtxError, match=f"global-memory race.*{message}"):
        SOURCE.function("block_number")(step + 1, 64, np.zeros(64, np.float32), step)


def test_blocks_may_be_ordered_by_a_fence():
    image = np.ones(64 * 10, np.float32)
    partial, done, out = np.zeros(10, np.float32), np.zeros(1, np.uint32), np.zeros(1, np.float32)
    SOURCE.function("last_block")(10, 64, image, partial, done, out)
    assert out[0] == 640


def test_a_kernel_that_does_not_end(monkeypatch):
    monkeypatch.setattr(schedule, "_MOST_SECTIONS", 1000)
    with pytest.raises(PtxError, match="does not end"):
        run_piece("endless")


def test_a_write_to_a_read_only_array():
    weights = np.zeros(64, np.float32)
    weights.flags.writeable = False
    run_piece("null_pointer", weights)  # const in the signature
    with pytest.raises(ValueError, match="'out' is written by the kernel"):
        SOURCE.function("aligned_store")(1, 64, weights)


THREADS = np.arange(64, dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "macros", "expected"),
    [
        ("barrier_for_the_living", {}, np.where(THREADS < 40, 39 - THREADS, 0)),
        (
            "shuffle_with_a_partial_mask",
            {},
            np.where(THREADS % 2 == 1, THREADS + (np.arange(64) ^ 2), THREADS),
        ),
        ("neighbours_of_a_warp", {"SYNCWARP": 1}, np.arange(64) ^ 1),
        ("write_after_read", {"BARRIER_BETWEEN": 1}, 64 - THREADS),
        ("everybody_writes", {"THE_SAME": 1}, np.full(64, 3)),
        ("global_neighbours", {"BARRIER_BETWEEN": 1}, 63 - THREADS),
        ("aligned_store", {}, np.where(THREADS < 16, 1 + THREADS % 4, 0)),
        ("local_overrun", {}, THREADS + THREADS % 8),
    ],
)
def test_legal_variants_pass(name, macros, expected):
    np.testing.assert_array_equal(run_piece(name, **macros), expected)


def test_the_error_says_where():
    with pytest.raises(PtxError) as caught:
        run_piece("misaligned_store")
    error = caught.value
    lines = SOURCE.path.read_text().splitlines()
    assert error.line == f"ptx_mutants.cu:{1 + _line_of('(out + 1 +', lines)}"
    assert error.instruction.startswith("st.global")
    assert (error.thread, error.block) == ((0, 0, 0), (0, 0, 0))
    assert "thread (0, 0, 0) of block (0, 0, 0) and 63 more threads" in str(error)


def _line_of(text: str, lines: list[str]) -> int:
    return next(i for i, line in enumerate(lines) if text in line)
