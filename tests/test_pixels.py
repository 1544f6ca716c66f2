"""What CPU kernels share: rounding to pixels, tiles with borders, the exponential, threads."""

import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from medkern.kernels import _threads
from medkern.kernels._cpu import compiled
from medkern.kernels._pixels import exp32, load_block, load_tile, store_tile


@compiled
def _exp(x, out):
    for i in range(x.size):
        out[i] = exp32(x[i])


def test_the_exponential_is_good_to_its_last_bits_and_keeps_nan():
    x = np.linspace(-86.9, 87.9, 100_001).astype(np.float32)
    got = np.empty_like(x)
    _exp(x, got)
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=2e-7)
    odd = np.array([np.nan, -np.inf, -1e30, 0], np.float32)
    got = np.empty_like(odd)
    _exp(odd, got)
    assert np.isnan(got[0])
    assert 0 < got[1] == got[2] < 2e-38
    assert got[3] == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_are_rounded_to_the_nearest_and_kept_in_range(dtype: str):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    values = rng.uniform(info.min - 2000, info.max + 2000, (30, 40)).astype(np.float32)
    values[0, :6] = [0.5, 1.5, 2.5, info.max - 0.5, np.inf, -np.inf]
    image = np.empty((30, 40), dtype)
    store_tile(image, 0, 0, values)
    np.testing.assert_array_equal(image, np.rint(np.clip(values, info.min, info.max)))


@pytest.mark.parametrize("corner", [(0, 0), (-3, -5), (30, 40), (-100, -90), (99, 99)])
def test_tiles_repeat_the_nearest_pixel(corner: tuple[int, int]):
    volume = np.arange(4 * 35 * 44, dtype=np.uint16).reshape(4, 35, 44)
    volume.flags.writeable = False
    block = np.empty((6, 40, 80), np.float32)
    load_block(block, volume, -1, *corner)
    z, y, x = np.clip(np.indices(block.shape) + np.array([-1, *corner])[:, None, None, None], 0, 99)
    want = volume[np.minimum(z, 3), np.minimum(y, 34), np.minimum(x, 43)]
    np.testing.assert_array_equal(block, want)
    load_tile(block[0], volume[2], *corner)
    np.testing.assert_array_equal(block[0], block[3])


@pytest.mark.parametrize("items", [0, 1, 7, 1000])
def test_chunks_cover_every_item_once(items: int):
    seen = np.zeros(items, int)

    def work(first: int, stop: int) -> None:
        seen[first:stop] += 1

    _threads.run(work, items)
    assert (seen == 1).all()


def test_an_error_in_a_thread_reaches_the_caller():
    def work(first: int, stop: int) -> None:
        raise ArithmeticError(first)

    with pytest.raises(ArithmeticError):
        _threads.run(work, 100)


def test_no_more_threads_work_than_numba_is_told_to_use():
    names: set[str] = set()
    default = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        _threads.run(lambda first, stop: names.add(threading.current_thread().name), 100)
    finally:
        numba.set_num_threads(default)
    assert names == {threading.current_thread().name}


FORK = """
import os
from medkern.kernels import _threads

_threads.run(lambda first, stop: None, 100)
child = os.fork()
if not child:
    _threads.run(lambda first, stop: None, 100)
    os._exit(7)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gets_threads_of_its_own():
    assert subprocess.run([sys.executable, "-c", FORK], timeout=60, check=False).returncode == 7
