"""The PTX interpreter against NumPy: what compiled kernels compute, opcode family by family."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from medkern.bench.ptx import Interpreter, PtxError, Stats
from medkern.kernels._cuda import Cuda, Macro, running

SOURCE = Cuda(Path(__file__).with_name("ptx_opcodes.cu"))
N = 300  # two blocks of 256, the last one ragged


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def launch(name, grid, block, *args, smem=0, **macros: Macro) -> Stats:
    with running(Interpreter()) as run:
        SOURCE.function(name, **macros)(grid, block, *args, smem=smem)
    return run.stats[name]


def same_bits(result, expected):
    """Equal floats of the same sign; NaN equals NaN."""
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


def unsigned_bits(rng, n=N):
    values = rng.integers(0, 2**32, n, dtype=np.uint32)
    values[:6] = 0, 1, 2**31, 2**32 - 1, 7, 2**16
    return values


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8"])
def test_integer_arithmetic_wraps_and_divides_like_c(rng, dtype):
    dtype = np.dtype(dtype)
    info = np.iinfo(dtype)
    a = rng.integers(info.min, info.max, N, dtype=dtype, endpoint=True)
    b = rng.integers(info.min, info.max, N, dtype=dtype, endpoint=True)
    b[: N // 2] = rng.integers(max(info.min, -50), 50, N // 2)
    a[:3], b[:3] = (info.max, info.min + 1, 0), (1, 7, 3)
    out = np.zeros((11, N), dtype)
    launch("integers", 2, 256, a, b, out, N, INTEGER=dtype)

    exact = [divmod(abs(int(x)), abs(int(y))) if y else (0, 0) for x, y in zip(a, b, strict=True)]
    sign_a, sign_b = np.where(a < 0, -1, 1), np.where(b < 0, -1, 1)
    quotient = [int(s) * q for s, (q, _) in zip(sign_a * sign_b, exact, strict=True)]
    remainder = [int(s) * r for s, (_, r) in zip(sign_a, exact, strict=True)]
    expected = [a + b, a - b, a * b, np.array(quotient, dtype), np.array(remainder, dtype)]
    expected += [np.minimum(a, b), np.maximum(a, b), (a & b) ^ (a | ~b)]
    expected += [a << (b & 7), a >> (b & 7), np.where(a < b, a, b + dtype.type(1))]
    for row, (result, answer) in enumerate(zip(out, expected, strict=True)):
        np.testing.assert_array_equal(result, answer, err_msg=f"row {row}")


def test_bit_instructions(rng):
    a, b = unsigned_bits(rng), unsigned_bits(rng)[::-1].copy()
    out = np.zeros((21, N), np.uint32)
    launch("bits", 2, 256, a, b, out, N)
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        assert out[:, i].tolist() == [int(v) & 0xFFFFFFFF for v in _bits(x, y)], (hex(x), hex(y))


def _bits(x: int, y: int) -> list[int]:
    """One column of the kernel `bits`, in Python's integers."""
    bytes_ = [*x.to_bytes(4, "little"), *y.to_bytes(4, "little")]
    sx, sy = x - (x >> 31 << 32), y - (y >> 31 << 32)
    xy, yx = x << 32 | y, y << 32 | x
    sxy, syx = sx << 32 | y, sy << 32 | x
    place, length = y & 31, y >> 8 & 31
    field = x >> place & (1 << length) - 1
    sign = x >> min(31, place + length - 1) & 1 if length else 0
    valid = min(length, 32 - place)
    mask = ((1 << length) - 1) << place & 0xFFFFFFFF
    halves = [(x & 0xFFFF, y & 0xFFFF), (x >> 16, y >> 16)]
    signed = [(p - (p >> 15 << 16), q - (q >> 15 << 16)) for p, q in halves]
    return [
        x.bit_count(),
        32 - x.bit_length(),
        (x & -x).bit_length(),
        int(f"{x:032b}"[::-1], 2),
        int.from_bytes([bytes_[1], bytes_[3], bytes_[5], bytes_[7]], "little"),
        int.from_bytes(bytes(_permuted(bytes_, y >> 4 * i) for i in range(4)), "little"),
        yx << (y & 31) >> 32,
        yx >> min(y & 63, 32),
        (x & y) | (~x & 0x0F0F0F0F),
        x * y >> 32,
        sx * sy >> 32,
        xy * yx >> 64 >> 7,
        sxy * syx >> 64,
        abs(x - y) + 3,
        sum(p * q for p, q in zip(bytes_[:4], bytes_[4:], strict=True)) + 5,
        field,
        (field & (1 << valid) - 1) | (-sign << valid),
        (y & ~mask) | (x << place & mask),
        x >> 16 | x << 16,
        min(halves[0]) | min(halves[1]) << 16,
        (max(signed[0]) & 0xFFFF) | max(signed[1]) << 16,
    ]


def _permuted(bytes_: list[int], selector: int) -> int:
    byte = bytes_[selector & 7]
    return (255 if byte > 127 else 0) if selector & 8 else byte


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_float_arithmetic_is_rounded_once_and_keeps_zero_signs_and_nan(rng, dtype):
    a, b, c = (rng.normal(size=N) * 10.0 ** rng.integers(-3, 3, N) for _ in range(3))
    a, b, c = a.astype(dtype), b.astype(dtype), c.astype(dtype)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, np.finfo(dtype).max], dtype)
    a[:49], b[:49] = np.repeat(special, 7), np.tile(special, 7)
    c[50:150] = -(a[50:150] * b[50:150])  # cancellation shows the bits a second rounding loses
    out = np.zeros((12, N), dtype)
    launch("floats", 2, 256, a, b, c, out, N, REAL=np.dtype(dtype))

    with np.errstate(all="ignore"):
        expected = [a + b, a - b, a * b, a / b]
        for row, answer in enumerate(expected):
            same_bits(out[row], answer)
        np.testing.assert_array_equal(out[4, :49], a[:49] * b[:49] + c[:49])
        fused = list(map(_fused, a[49:], b[49:], c[49:]))
        np.testing.assert_array_equal(out[4, 49:], np.array(fused, dtype))
        low = np.where((a == 0) & (b == 0), np.minimum(np.copysign(0, a), b), np.fmin(a, b))
        np.testing.assert_array_equal(out[5], low)
        np.testing.assert_array_equal(out[6], np.fmax(a, b))
        same_bits(out[7], np.sqrt(a))
        same_bits(out[8], np.dtype(dtype).type(1) / a)
        same_bits(out[9], np.abs(a))
        same_bits(out[10], np.where(a < b, -a, b))
        np.testing.assert_array_equal(
            out[11], np.where(np.isnan(a), 7, np.where(~(a <= b), 1, 0)).astype(dtype)
        )
    both_zero = (a == 0) & (b == 0)
    assert both_zero.sum() == 4
    assert (np.signbit(out[5]) == (np.signbit(a) | np.signbit(b)))[both_zero].all()
    assert (np.signbit(out[6]) == (np.signbit(a) & np.signbit(b)))[both_zero].all()


def _fused(a, b, c):
    """a * b + c, rounded once: the neighbour that is nearest to the exact fraction."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = a.dtype.type(float(exact))  # exact for double; for float32 rounded a second time
    if a.dtype == np.float64:
        return near
    around = [near, np.nextafter(near, -np.float32(np.inf)), np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda one: (abs(Fraction(float(one)) - exact), one.view(np.int32) & 1))


def test_functions_are_accurate(rng):
    x = rng.uniform(0.1, 50, N).astype(np.float32)
    out = np.zeros((14, N), np.float32)
    launch("functions", 2, 256, x, out, N)
    d = x.astype(np.float64)
    big = (np.float32(1e5) * x).astype(np.float64)
    expected = [np.exp(-d), np.log(d), np.log2(d), np.sin(d), np.cos(big), d**1.7]
    expected += [np.tanh(0.1 * d), np.vectorize(math.erf)(0.05 * d), np.arctan2(d, 3)]
    expected += [1 / np.sqrt(d), np.cbrt(d), np.exp(-d), np.exp(-d)]
    expected += [np.rint(d) + np.floor(d) + np.ceil(d) + np.trunc(d)]
    for row, (result, answer) in enumerate(zip(out, expected, strict=True)):
        np.testing.assert_allclose(result, answer, rtol=5e-6, atol=1e-6, err_msg=f"row {row}")


@pytest.mark.parametrize(
    ("of", "to"),
    [
        *(("f4", to) for to in ("i4", "u1", "i2", "u8", "f8")),
        ("f8", "f4"),
        ("u1", "f4"),
        ("i8", "f4"),
        ("i4", "i2"),
        ("i2", "i8"),
        ("u4", "f8"),
    ],
)
def test_conversions(rng, of, to):
    values = (rng.uniform(0, 100, N) if "u" in of + to else rng.uniform(-1e4, 1e4, N)).astype(of)
    out = np.zeros(N, to)
    launch("convert", 2, 256, values, out, N, FROM=np.dtype(of), TO=np.dtype(to))
    np.testing.assert_array_equal(out, values.astype(to))


def test_rounding_modes_and_saturation(rng):
    x = rng.uniform(-400, 400, N).astype(np.float32)
    x[:8] = 0.5, 1.5, -0.5, 254.5, 255.5, np.nan, 1e20, -1e20
    out, back = np.zeros((5, N), np.int32), np.zeros((5, N), np.float32)
    launch("rounded", 2, 256, x, out, back, N)
    finite = np.nan_to_num(x, nan=0).astype(np.float64)
    for row, function in enumerate([np.rint, np.floor, np.ceil, np.trunc]):
        expected = np.clip(function(finite), -(2**31), 2**31 - 1).astype(np.int32)
        np.testing.assert_array_equal(out[row], expected)
    np.testing.assert_array_equal(out[4], np.clip(np.rint(finite), 0, 255))

    with np.errstate(all="ignore"):
        inverse = 1 / x.astype(np.float64)
    down, up = back[0].astype(np.float64), back[1].astype(np.float64)
    good = np.isfinite(inverse)
    assert (down[good] <= inverse[good]).all() and (inverse[good] <= up[good]).all()
    assert (np.nextafter(back[0], np.float32(np.inf)) >= back[1])[good].all()
    integer = x.view(np.int32).astype(np.float64)
    assert (np.abs(back[2].astype(np.float64)) <= np.abs(integer)).all()
    assert (np.abs(np.nextafter(back[2], 2 * back[2])) > np.abs(integer)).all()
    np.testing.assert_array_equal(back[3], np.clip(finite, 0, 1).astype(np.float32))
    np.testing.assert_array_equal(back[4], x)


def test_exchanges_within_a_warp(rng):
    n = 256
    a = rng.integers(-50, 50, n).astype(np.int32)
    a[32:64] = np.abs(a[32:64]) | 1
    out = np.zeros((13, n), np.int32)
    launch("warps", 2, 128, a, out, n)
    warps, lane = a.reshape(-1, 32), np.arange(32)
    packed = (((warps & 1) << lane).sum(axis=1) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    equal = ((warps[:, :, None] & 3) == (warps[:, None, :] & 3)).astype(np.int64)
    groups = ((equal << lane).sum(axis=2)).astype(np.uint32).view(np.int32)
    whole = np.ones((1, 32), np.int32)
    expected = [
        np.where(lane >= 3, warps[:, np.maximum(lane - 3, 0)], warps),
        np.where(lane % 8 < 5, warps[:, np.minimum(lane + 3, 31)], warps),
        warps[:, lane ^ 5],
        np.take_along_axis(warps, warps & 31, axis=1),
        packed[:, None] * whole,
        ((warps >= 0).all(axis=1) + 2 * (warps == 7).any(axis=1))[:, None] * whole,
        warps.sum(axis=1)[:, None] * whole,
        warps.min(axis=1)[:, None] * whole,
        groups,
        np.cumsum(warps, axis=1),
        warps.max(axis=1)[:, None] * whole,
        np.repeat((a & 1).reshape(2, 128).sum(axis=1), 128).reshape(-1, 32),
        np.where(lane < 16, warps[:, lane ^ 1], -1),
    ]
    for row, (result, answer) in enumerate(zip(out, expected, strict=True)):
        np.testing.assert_array_equal(result.reshape(-1, 32), answer, err_msg=f"row {row}")


def test_atomics_lose_nothing_and_return_what_they_found(rng):
    a = rng.integers(0, 1000, N).astype(np.uint32)
    counts, order = np.zeros(17, np.uint32), np.zeros(N, np.uint32)
    swapped, extremes = np.zeros(19, np.uint32), np.zeros(2, np.int32)
    total, whole = np.zeros(1, np.float32), np.zeros(1, np.uint64)
    stats = launch("atomics", 3, 128, a, counts, order, swapped, extremes, total, whole, N)
    np.testing.assert_array_equal(counts, [*np.bincount(a % 16, minlength=16), N])
    np.testing.assert_array_equal(np.sort(order), np.arange(N))
    assert all(value == 0 or value % 16 == i for i, value in enumerate(swapped[:16]))
    assert extremes.tolist() == [min(0, int(a.min()) - 500), max(0, int(a.max()) - 500)]
    assert total[0] == N / 4 and whole[0] == int(a.sum()) << 20
    assert swapped[16] == 9 and swapped[17] == N % 7
    assert swapped[18] == np.bitwise_or.reduce(np.uint32(1) << a % 32)
    assert stats.atomic_turns > 4  # 32 lanes meet at one counter


def test_vector_loads_and_stores(rng):
    a = rng.random((N, 4), dtype=np.float32)
    b = rng.integers(0, 256, (N, 4)).astype(np.uint8)
    out = np.zeros((N, 2), np.float32)
    stats = launch("vectors", 3, 128, a, b, out, N)
    product = a * b
    np.testing.assert_array_equal(out, product[:, ::2] + product[:, 1::2])
    assert stats.sector_efficiency > 0.98


def test_local_arrays_constants_calls_and_divergent_loops(rng):
    a = rng.integers(1, 2000, N).astype(np.int32)
    out = np.zeros((3, N), np.int32)
    stats = launch("locals", 3, 128, a, out, N)

    def steps(x: int) -> int:
        count = 0
        while x != 1:
            x = 3 * x + 1 if x % 2 else x // 2
            count += 1
        return count

    primes = np.array([2, 3, 5, 7, 11, 13, 17, 19])
    lengths = np.array([steps(int(x)) for x in a])
    np.testing.assert_array_equal(out[0], a[(np.arange(N) + (a & 15)) % N] * primes[a & 7])
    np.testing.assert_array_equal(out[1], lengths + 1)
    np.testing.assert_array_equal(out[2], lengths)
    assert stats.lane_use < 0.9


def test_switch_statements(rng):
    a = rng.integers(1, 2000, N).astype(np.int32)
    out = np.zeros((2, N), np.int32)
    launch("switches", 3, 128, a, out, N)
    cases = [a * 3, a ^ 77, a - 5, a, a // 3, -a, a % 7, a << 2, np.bitwise_count(a)]
    expected = np.select([(a & 15) == i for i in range(9)], cases, 1000)
    np.testing.assert_array_equal(out[0], expected)
    np.testing.assert_array_equal(out[1], np.roll(np.where((a & 15) == 3, a, 0), 1))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_borders(size):
    index = np.arange(-40, 40, dtype=np.int32)
    reflected, clamped = np.zeros_like(index), np.zeros_like(index)
    launch("borders", 1, 128, index, reflected, clamped, size, len(index))
    expected = np.pad(np.arange(size), 40, mode="symmetric")[: len(index)]
    np.testing.assert_array_equal(reflected, expected)
    np.testing.assert_array_equal(clamped, np.clip(index, 0, size - 1))


def test_asynchronous_copies_and_dynamic_shared_memory(rng):
    a = rng.random((128, 4), dtype=np.float32)
    out = np.zeros(512, np.float32)
    stats = launch("asynchronous", 1, 128, a, out, smem=2048)
    np.testing.assert_array_equal(out, a.ravel()[::-1])
    assert stats.shared_bytes == 2048


def test_dynamic_shared_memory_that_was_not_asked_for():
    with pytest.raises(PtxError, match="shared access out of bounds"):
        launch("asynchronous", 1, 128, np.zeros((128, 4), "f4"), np.zeros(512, "f4"), smem=1024)


@pytest.mark.parametrize(("pad", "factor"), [(0, 16.5), (1, 1.0)])
def test_bank_conflicts_and_sectors_are_counted(rng, pad, factor):
    """Half of the shared accesses, the column reads, take 32 cycles without the padding."""
    a = rng.random((64, 64), dtype=np.float32)
    out = np.zeros_like(a)
    stats = launch("transposed", (2, 2), (32, 8), a, out, 64, PAD=pad)
    np.testing.assert_array_equal(out, a.T)
    assert stats.bank_conflict_factor == factor
    assert stats.sector_efficiency == 1
    assert stats.global_bytes == 2 * a.nbytes and stats.global_sectors == 2 * a.nbytes // 32
    assert stats.barriers == stats.blocks == 4
    assert bool(stats.worst()) == (pad == 0)


def test_strided_accesses_waste_sectors():
    out = np.zeros((2 * 3 * 4 * 5 * 6 * 7, 4), np.int32)
    stats = launch("coordinates", (2, 3, 4), (5, 6, 7), out)
    assert 0.24 < stats.sector_efficiency < 0.26
    assert stats.efficiency("load") == 1
    assert "global store: efficiency 0.2" in stats.worst(1)[0]


def test_coordinates_of_threads_and_blocks():
    grid, block = (2, 3, 4), (5, 6, 7)
    out = np.zeros((math.prod(grid) * math.prod(block), 4), np.int32)
    launch("coordinates", grid, block, out)

    def codes(size):
        z, y, x = np.meshgrid(*map(np.arange, size[::-1]), indexing="ij")
        return (x + 100 * y + 10000 * z).ravel()

    np.testing.assert_array_equal(out[:, 0], np.tile(codes(block), math.prod(grid)))
    np.testing.assert_array_equal(out[:, 1], np.repeat(codes(grid), math.prod(block)))
    assert (out[:, 2] == 70605).all() and (out[:, 3] == 40302).all()


def test_many_blocks_run_in_several_batches(rng):
    n = 40_000
    index = rng.integers(-n, 2 * n, n).astype(np.int32)
    reflected, clamped = np.zeros_like(index), np.zeros_like(index)
    stats = launch("borders", -(-n // 128), 128, index, reflected, clamped, n, n)
    np.testing.assert_array_equal(clamped, np.clip(index, 0, n - 1))
    assert stats.blocks == -(-n // 128) and stats.launches == 1


def test_nothing_is_counted_unless_asked(rng):
    a = rng.random((64, 64), dtype=np.float32)
    with running(Interpreter(checks=False, count=False)) as run:
        SOURCE.function("transposed", PAD=0)((2, 2), (32, 8), a, np.zeros_like(a), 64)
    assert run.stats == {}


def test_an_unknown_instruction_is_named(tmp_path):
    path = tmp_path / "mma.cu"
    path.write_text(
        'extern "C" __global__ void k(int* o) {\n'
        "  int d;\n"
        '  asm volatile("vadd.s32.s32.s32 %0, %1, %1;" : "=r"(d) : "r"(o[0]));\n'
        "  o[0] = d;\n"
        "}\n"
    )
    with (
        running(Interpreter()),
        pytest.raises(PtxError, match=r"not supported at mma\.cu:3: `vadd\.s32"),
    ):
        Cuda(path).function("k")(1, 1, np.zeros(1, np.int32))
