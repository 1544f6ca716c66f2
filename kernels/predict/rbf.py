"""Decisions of support vector machines with the Gaussian (RBF) kernel, many rows at a time.

    d[r, m] = bias_m + sum over the vectors v of machine m of dual_v exp(-gamma_m |z_r - v|^2)

rows     float32 or float64 (n, f); z = (x - mean) / scale in float64
result   float64 (n, machines), within 1e-10 of the formula relative to the sum of |dual|; on the
         GPU, where differences are float32 and their sums float64, within 1e-6
gaps     NaN, infinite and beyond float32: z = 0
cost     2 f + 30 operations a row and vector; on the CPU up to 32 MB of workspace
source   B. Schoelkopf, A. Smola, Learning with kernels, 2002

On the CPU |z - v|^2 = |z|^2 - 2 z.v + |v|^2, whose middle is a matrix product (BLAS); in float64
what cancels there is too little to matter. On the GPU differences are squared, so that float32 is
enough: nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _cuda, _threads
from .._cpu import compiled
from .._inner import inner
from ._rows import beside, known, rows_of

_ROWS = 4096  # of a product
_PRODUCT = 1 << 22  # its largest size in numbers: 32 MB; small ones cost the threads of BLAS dear
_LANES = 8  # partial sums, always as many: the order of a sum depends on nothing else
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.4286068203094172e-06
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the whole part in the last bits
_BIAS = np.int64(1023 - 0x4338000000000000)  # 0x433...: the bits of _ROUND
_LOWEST = -708.0  # e**x is below 1e-307 there
_TILE = 32  # rows, and vectors, of a block on the GPU

_source = _cuda.Cuda(__file__)


@dataclass(frozen=True, eq=False)
class Machines:
    """Support vector machines, packed: those of one machine side by side.

    vectors (s, f), square |v|^2 and dual (s,), stop (m,): where the vectors of a machine end.
    """

    mean: Any
    scale: Any
    vectors: Any
    near: Any  # the vectors in float32, which is what the GPU takes
    square: Any
    dual: Any
    stop: Any
    gamma: Any
    bias: Any

    @classmethod
    def pack(
        cls,
        mean: np.ndarray,
        scale: np.ndarray,
        vectors: np.ndarray,
        dual: np.ndarray,
        machine: np.ndarray,
        gamma: np.ndarray,
        bias: np.ndarray,
    ) -> Machines:
        """Machines from vectors in any order; `machine` (s,) is the one that each belongs to."""
        order = machine.argsort(kind="stable")
        vectors = np.ascontiguousarray(vectors[order])
        limit = float(np.finfo(np.float32).max)
        return cls(
            mean=mean,
            scale=scale,
            vectors=vectors,
            near=vectors.clip(-limit, limit).astype(np.float32),
            square=(vectors**2).sum(axis=1),
            dual=dual[order],
            stop=np.bincount(machine, minlength=len(bias)).cumsum().astype(np.int64),
            gamma=gamma,
            bias=bias,
        )


def rbf(values: Any, packed: Machines) -> Any:
    """d (n, machines) float64 of rows (n, f): see the head of this file."""
    values = rows_of(values, len(packed.mean))
    return (cpu if isinstance(values, np.ndarray) else gpu)(values, packed)


# ---- CPU


def cpu(values: np.ndarray, packed: Machines) -> np.ndarray:
    """A product of a block of rows with all vectors by BLAS, then the sums of its exponentials."""
    p = packed
    found = np.empty((len(values), len(p.bias)))
    block = max(1, min(_ROWS, _PRODUCT // max(len(p.vectors), 1), len(values)))
    z, near = np.empty((block, len(p.mean))), np.empty(block)
    product = np.empty((block, len(p.vectors)))
    for start in range(0, len(values), block):
        rows = values[start : start + block]
        n = len(rows)
        _threads.run(_fill, n, rows, p.mean, p.scale, z, near, least=64)
        np.dot(z[:n], p.vectors.T, out=product[:n])
        arrays = (product, near, p.square, p.dual, p.stop, p.gamma, p.bias)
        _threads.run(_sum_rows, n, *arrays, found[start : start + n], least=16)
    return found


@compiled
def _fill(begin, stop, rows, mean, scale, z, near):
    """z = standardised rows, near = |z|^2."""
    for i in range(begin, stop):
        total = 0.0
        for c in range(len(mean)):
            x = np.float64(rows[i, c])
            x = (x - mean[c]) / scale[c] if known(x) else 0.0
            z[i, c] = x
            total += x * x
        near[i] = total


@compiled
def _sum_rows(begin, stop, product, near, square, dual, ends, gamma, bias, found):
    """found[r, m] from product[r, v] = z_r . v."""
    for row in range(begin, stop):
        first = 0
        for machine in range(ends.size):
            end = ends[machine]
            found[row, machine] = bias[machine] + _weighted(
                product[row, first:end], near[row], square[first:end], dual[first:end],
                gamma[machine],
            )  # fmt: skip
            first = end


@inner
def _weighted(product, near, square, dual, gamma):
    """The sum of dual exp(-gamma |z - v|^2) of one row and one machine; product is spent."""
    for v in range(product.size):
        apart = max(near - 2 * product[v] + square[v], 0.0)
        product[v] = dual[v] * _exp(-gamma * apart)
    total, even = 0.0, product.size // _LANES * _LANES
    part = np.zeros(_LANES)
    for v in range(0, even, _LANES):
        for lane in range(_LANES):
            part[lane] += product[v + lane]
    for lane in range(_LANES):
        total += part[lane]
    for v in range(even, product.size):
        total += product[v]
    return total


@inner
def _exp(x):
    """e**x of x <= 0, relative error below 1e-11; below -708 it stays at e**-708.

    x = n ln 2 + r with |r| <= ln 2 / 2;  e**x = 2**n (1 + r + r^2 / 2 + ... + r^9 / 9!)
    """
    x = max(x, _LOWEST)
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = (p * (r * r) + r) + 1.0
    exponent = (np.float64(shifted).view(np.int64) + _BIAS) << np.int64(52)
    return p * np.int64(exponent).view(np.float64)


# ---- GPU: a block of threads a tile of rows


def gpu(values: Any, packed: Machines) -> Any:
    """`cpu` on the GPU: tiles of rows and vectors in shared memory, a fixed order of sums."""
    p = beside(values, packed)
    n, f = values.shape
    found = _cuda.empty(values, (n, len(p.bias)), np.float64)
    z = _cuda.empty(values, (n, f), np.float32)
    macros = {"VALUE": values.dtype}
    fill, decide = (_source.function(name, **macros) for name in ("fill", "decide"))
    fill(min(-(-n * f // 256), 1 << 20), 256, values, p.mean, p.scale, z, n, f)
    decide(
        (-(-n // _TILE), min(len(p.bias), 65535)), (_TILE, 8), z, p.near, p.dual, p.stop, p.gamma,
        p.bias, found, n, f, len(p.bias),
    )  # fmt: skip
    return found
