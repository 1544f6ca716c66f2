"""From a .cu file to a launch: signatures, casts, checks, the compile cache, the static report."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from medkern.bench.ptx import Interpreter, report
from medkern.kernels import _cuda, _nvrtc
from medkern.kernels._cuda import CompileError, Cuda, Launch, available, empty, running

SAMPLE = Path(__file__).with_name("ptx_sample.cu")
N = 200


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A private, empty compile cache."""
    monkeypatch.setattr(_nvrtc, "cache_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def scaled():
    return Cuda(SAMPLE).function("scaled", PIXEL=np.dtype(np.uint16))


@pytest.fixture
def args():
    pixels = np.arange(N, dtype=np.uint16)
    return [pixels, np.zeros_like(pixels), None, N, 2, 3, np.zeros(1, np.uint32)]


def captured(function, *args, grid=2, block=128, smem=0) -> Launch:
    launches = []
    with running(launches.append):
        function(grid, block, *args, smem=smem)
    return launches[0]


def compiled(source: str, arch=(9, 0)) -> bytes:
    return _nvrtc.compile(source, arch, "ptx").binary


# ---- launching


def test_a_launch_computes(scaled, args):
    with running(Interpreter()) as run:
        scaled(2, 128, *args)
    expected = 2 * np.arange(N) + 3
    np.testing.assert_array_equal(args[1], expected)
    assert args[-1][0] == expected.sum()
    assert run.stats["scaled"].launches == 1


def test_scalars_become_the_c_type_of_the_signature(scaled, args):
    launch = captured(scaled, *args)
    assert [type(value) for value in launch.args[3:6]] == [np.int32, np.float32, np.uint8]
    assert launch.args[2] is None
    assert (launch.grid, launch.block, launch.smem) == ((2, 1, 1), (128, 1, 1), 0)
    args[3] = np.int64(N)
    assert type(captured(scaled, *args).args[3]) is np.int32


@pytest.mark.parametrize(
    ("position", "value", "error", "message"),
    [
        (3, 1.5, TypeError, "'n' must be an integer"),
        (3, 2**31, OverflowError, r"'n'=2147483648 does not fit int32 \(-2147483648"),
        (4, 1e39, OverflowError, "'scale'=1e\\+39 does not fit float32"),
        (4, "2", TypeError, "'scale' must be a number"),
        (5, -1, OverflowError, "'offset'=-1 does not fit uint8"),
        (0, np.zeros(N), TypeError, "'in' must have dtype uint16, got float64"),
        (0, np.zeros((N, 2), np.uint16)[:, 0], ValueError, "'in' must be C-contiguous"),
        (0, 7, TypeError, "'in' must be an array of uint16, got 7"),
        (6, np.zeros(1, np.int32), TypeError, "'sum' must have dtype uint32, got int32"),
    ],
)
def test_wrong_arguments_are_named(scaled, args, position, value, error, message):
    args[position] = value
    with running(Interpreter()), pytest.raises(error, match=message):
        scaled(2, 128, *args)


def test_a_missing_argument_is_named(scaled, args):
    with pytest.raises(TypeError, match=r"7 arguments \(in, out, .*, sum\), 6 given"):
        scaled(2, 128, *args[:-1])


@pytest.mark.parametrize(
    ("grid", "block", "message"),
    [
        ((1, 65536), 128, "65535 in y and z"),
        ((1, 1, -1), 128, "65535 in y and z"),
        (1, 1025, "1024 threads"),
        (1, (32, 33), "1024 threads"),
        (1, 0, "1..1024 threads"),
        ((1, 1, 1, 1), 128, "1 to 3 dimensions"),
    ],
)
def test_launches_that_no_gpu_takes(scaled, args, grid, block, message):
    with pytest.raises(ValueError, match=message):
        scaled(grid, block, *args)


def test_an_empty_grid_launches_nothing(scaled, args):
    scaled((1, 0), 128, *args)
    assert not args[1].any()


def test_numpy_arrays_without_a_runner(scaled, args):
    with pytest.raises(TypeError, match=r"needs CuPy arrays .*with running"):
        scaled(2, 128, *args)


def test_the_runner_is_gone_after_its_block(scaled, args):
    with pytest.raises(KeyError), running(Interpreter()):
        raise KeyError
    with pytest.raises(TypeError, match="needs CuPy arrays"):
        scaled(2, 128, *args)


def test_scratch_arrays_are_of_the_same_kind():
    scratch = empty(np.zeros(1), (2, 3), np.uint8)
    assert isinstance(scratch, np.ndarray)
    assert (scratch.shape, scratch.dtype) == ((2, 3), np.uint8)


def test_why_there_is_no_gpu_is_one_sentence():
    assert available() is None or str(available()).endswith(".")


class FakeArray:
    """What a launch looks at in a CuPy array."""

    def __init__(self, dtype, address=512):
        self.dtype = np.dtype(dtype)
        self.flags = SimpleNamespace(c_contiguous=True)
        self.data = SimpleNamespace(ptr=address)
        self.strides = (self.dtype.itemsize,)


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for CuPy on an sm_90 device, which records the launches."""
    launches = []

    class Kernel:
        max_dynamic_shared_size_bytes = 0

        def __init__(self, path):
            self.path = path

        def compile(self):
            self.cubin = Path(self.path).read_bytes()

        def __call__(self, grid, block, args, shared_mem):
            launches.append((self, grid, block, args, shared_mem))

    fake = ModuleType("cupy")
    device = SimpleNamespace(id=0, compute_capability="90")
    fake.__dict__["cuda"] = SimpleNamespace(Device=lambda: device)
    fake.__dict__["RawModule"] = lambda path: SimpleNamespace(
        get_function=lambda name: Kernel(path)
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(_cuda, "available", lambda: None)
    return launches


def test_gpu_arrays_go_to_a_cubin_of_the_device(scaled, cupy):
    pixels, total = FakeArray(np.uint16), FakeArray(np.uint32)
    for smem in (0, 100_000):
        scaled(2, 128, pixels, pixels, None, N, 2, 3, total, smem=smem)
    (kernel, grid, block, args, _), (again, *_, smem) = cupy
    assert kernel is again and kernel.cubin == scaled.compile((9, 0)).binary
    assert (grid, block) == ((2, 1, 1), (128, 1, 1))
    assert args == (pixels, pixels, np.uint64(0), N, 2, 3, total)
    assert [type(value) for value in args[2:6]] == [np.uint64, np.int32, np.float32, np.uint8]
    assert smem == kernel.max_dynamic_shared_size_bytes == 100_000


def test_gpu_arrays_between_vectors_are_refused(tmp_path, cupy):
    (tmp_path / "v.cu").write_text(
        'extern "C" __global__ void v(float4* x) { x[threadIdx.x].x = 1; }'
    )
    function = Cuda(tmp_path / "v.cu").function("v")
    function(1, 1, FakeArray(np.float32, 512 + 16))
    with pytest.raises(ValueError, match="'x' must start at a multiple of 16 bytes"):
        function(1, 1, FakeArray(np.float32, 512 + 4))
    assert len(cupy) == 1


def test_arrays_of_two_kinds_in_one_launch(scaled, args, cupy):
    args[0] = FakeArray(np.uint16)
    with pytest.raises(TypeError, match="NumPy and GPU arrays in one launch"):
        scaled(2, 128, *args)


def test_gpu_arrays_without_a_gpu(scaled, monkeypatch):
    monkeypatch.setattr(_cuda, "available", lambda: "There is no CUDA device.")
    pixels, total = FakeArray(np.uint16), FakeArray(np.uint32)
    with pytest.raises(RuntimeError, match=r"scaled: There is no CUDA device\."):
        scaled(2, 128, pixels, pixels, None, N, 2, 3, total)


# ---- sources


def test_the_source_stands_beside_the_python_file(tmp_path):
    (tmp_path / "twice.cu").write_text(
        'extern "C" __global__ void twice(TYPE* x) { x[threadIdx.x] *= FACTOR; }'
    )
    source = Cuda(tmp_path / "twice.py")
    for dtype in (np.uint8, np.int16, np.float32, np.float64):
        data = np.arange(8, dtype=dtype)
        with running(Interpreter()):
            source.function("twice", TYPE=np.dtype(dtype), FACTOR=2)(1, 8, data)
        np.testing.assert_array_equal(data, 2 * np.arange(8))


def test_a_function_is_made_once():
    source = Cuda(SAMPLE)
    assert source.function("scaled", PIXEL="float") is source.function("scaled", PIXEL="float")
    assert source.function("scaled", PIXEL="float") is not source.function("scaled", PIXEL="short")


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("void other(int* x)", "no __global__ function 'f'"),
        ("void f(Image x)", "'Image' of 'x' is not one of"),
        ("void f(int (*x)[4])", "no __global__ function 'f'|cannot read the parameter"),
        ("void f(int** x)", "cannot read the parameter"),
    ],
)
def test_signatures_that_cannot_be_read(declaration, message):
    with pytest.raises(ValueError, match=message):
        _cuda.signature(f'extern "C" __global__ {declaration} {{}}', "f", {})


def test_vector_pointers_take_arrays_of_their_scalars():
    text = "__global__ void f(const uchar4* a, float2 *b, const ulonglong2* c) {}"
    a, b, c = _cuda.signature(text, "f", {})
    assert [p.dtype for p in (a, b, c)] == [np.uint8, np.float32, np.uint64]
    assert [p.align for p in (a, b, c)] == [4, 8, 16]
    assert [p.const for p in (a, b, c)] == [True, False, True]


def test_compiler_messages_name_file_and_line(tmp_path):
    (tmp_path / "bad.cu").write_text('extern "C" __global__ void bad(int* x) {\n  x[0] = y;\n}')
    with pytest.raises(CompileError, match=r'bad\.cu\(2\): error: identifier "y" is undefined'):
        Cuda(tmp_path / "bad.cu").function("bad").compile((9, 0))


def test_unknown_architectures_are_refused():
    with pytest.raises(CompileError, match="invalid value for --gpu-architecture"):
        compiled('extern "C" __global__ void f() {}', (1, 0))


# ---- the compile cache

KERNEL = '#include "_cuda.cuh"\nextern "C" __global__ void f(int* x) { *x = ceil_div(*x, 2); }'


@pytest.fixture
def compiles(monkeypatch):
    """Counts the runs of the compiler."""
    runs = []
    original = _nvrtc.Nvrtc.compile

    def counted(self, *args):
        runs.append(args)
        return original(self, *args)

    monkeypatch.setattr(_nvrtc.Nvrtc, "compile", counted)
    return runs


def test_the_second_compilation_comes_from_the_cache(folder, compiles):
    assert compiled(KERNEL) == compiled(KERNEL)
    assert len(compiles) == 1


@pytest.mark.parametrize("kind", ["cubin", "ptx"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "one bit"])
def test_a_damaged_cache_file_is_compiled_again(folder, compiles, kind, damage):
    good = _nvrtc.compile(KERNEL, kind=kind).binary
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    content = file.read_bytes()
    flipped = bytes([content[-9] ^ 1])
    file.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "garbage": b"\x7fELF" * 100,
            "empty": b"",
            "one bit": content[:-9] + flipped + content[-8:],
        }[damage]
    )
    assert _nvrtc.compile(KERNEL, kind=kind).binary == good
    assert _nvrtc.compile(KERNEL, kind=kind).binary == good
    assert len(compiles) == 2


def test_an_edited_header_is_noticed(folder, compiles, tmp_path_factory, monkeypatch):
    before = compiled(KERNEL)
    package = tmp_path_factory.mktemp("package")
    for name, text in _nvrtc.headers().items():
        (package / name).write_text(text.replace("(a + b - 1) / b", "(a + b - 1) / b + 41"))
    monkeypatch.setattr(_nvrtc, "PACKAGE", package)
    assert compiled(KERNEL) != before
    assert len(compiles) == 2


def test_macros_options_and_architecture_have_their_own_entries(folder, compiles):
    variants = [{}, {"macros": {"A": "1"}}, {"options": ("--fmad=true",)}, {"arch": (8, 0)}]
    for variant in variants * 2:
        _nvrtc.compile(KERNEL, **variant)
    assert len(compiles) == 4


def test_without_a_cache_folder_everything_works(monkeypatch, compiles):
    monkeypatch.setattr(_nvrtc, "cache_folder", lambda: None)
    assert compiled(KERNEL) == compiled(KERNEL)
    assert len(compiles) == 2


# ---- the static report


def test_the_sample_is_clean_on_every_architecture(scaled):
    rows = report(scaled)
    assert [row.arch for row in rows] == [80, 90, 100, 120]
    for row in rows:
        assert (row.kernel, row.spills, row.stack) == ("scaled", 0, 0)
        assert 10 <= row.registers <= 40 and row.shared >= 16
        assert row.float64 == () and row.largest_block == 128
        assert row.occupancy() == 1


def test_double_precision_and_stacks_are_reported():
    source = SAMPLE.read_text()
    macros = {"PIXEL": "float", "DOUBLE": "1", "SPILLS": "1"}
    rows = {row.kernel: row for row in report(source, [90], macros)}
    assert set(rows) == {"scaled", "doubled", "stacked"}
    assert any("f64" in text for text in rows["doubled"].float64)
    assert rows["scaled"].float64 == ()
    assert rows["stacked"].stack >= 256
    assert "bytes stack" in str(rows["stacked"]) and "float64" in str(rows["doubled"])


def test_occupancy_follows_the_programming_guide(scaled):
    (row,) = report(scaled, [90])
    big = replace(row, registers=64)  # 64 * 1024 registers: two blocks of 512 threads
    assert big.occupancy(512) == 2 * 16 / 64
    assert replace(row, registers=255).occupancy(256) == 8 / 64
    assert row.occupancy(32) == 32 / 64  # at most 32 blocks
    assert row.occupancy(128, smem=100 * 1024) == 2 * 4 / 64
    with pytest.raises(ValueError, match="give the block's threads"):
        replace(row, largest_block=0).occupancy()
