"""Banks of separable filters: the kernels of the axes, their right-angle rotations, and pooling.

A response is the convolution with an outer product of kernels, one an axis,

    r = f * (g_1 x g_2 x g_3)

A kernel has odd length and its pivot in the middle. Pooling over the right-angle rotations of the
product, 4 in images and 24 in volumes, takes the largest or the mean response:

    max      the distinct rotations; two that differ in the sign alone are one, |r|
    average  with g = e + o, the even and the odd part, the rotations that permute the axes in one
             way have the mean  e x e x e + s (o x o x o),  s the sign of the permutation; many of
             these are equal or cancel

source  IBSI reference manual on convolutional filters (arXiv 2006.05470)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from math import prod
from typing import Any

import numpy as np
from scipy import ndimage

from .._kernel import Parameter

Kernels = tuple[np.ndarray, ...]  # one an axis, float64, of odd length
BORDERS = ("mirror", "nearest", "periodic", "zero")
SCIPY: dict[str, Any] = {
    "mirror": "reflect",
    "nearest": "nearest",
    "periodic": "wrap",
    "zero": "constant",
}

BORDER = Parameter(
    "mirror",
    "what lies outside: d c b a | a b c d, a a a | a b c d, the other end, or 0",
    choices=BORDERS,
)
POOLING = ("none", "max", "average")


@dataclass(frozen=True)
class Bank:
    """Products of kernels whose responses are added or, with `largest`, compared.

    `both[t]` says that product t also stands for its negative: its response is |r|.
    """

    terms: tuple[Kernels, ...]
    both: tuple[bool, ...]
    largest: bool = False

    @classmethod
    def added(cls, terms: list[Kernels]) -> Bank:
        """The sum of all responses; products that begin alike stand side by side."""
        ordered = sorted(terms, key=_key)
        return cls(tuple(ordered), (False,) * len(ordered))

    @classmethod
    def compared(cls, terms: list[Kernels]) -> Bank:
        """The largest of all responses."""
        ordered = sorted(terms, key=_key)
        known = {_product_key(term) for term in ordered}
        seen: set[bytes] = set()
        chosen: list[Kernels] = []
        both: list[bool] = []
        for term in ordered:
            name, opposite = _product_key(term), _product_key(_scaled(term, -1.0))
            if name not in seen and opposite not in seen:
                seen.add(name)
                chosen.append(term)
                both.append(opposite in known)
        return cls(tuple(chosen), tuple(both), largest=True)

    @property
    def axes(self) -> int:
        return len(self.terms[0])

    @property
    def radii(self) -> np.ndarray:
        """Half the length of every kernel, (terms, axes)."""
        return np.array([[len(g) // 2 for g in term] for term in self.terms])

    def first_new(self) -> list[int]:
        """For each product the first axis whose kernel is not that of the product before it."""
        same = [0]
        for before, term in zip(self.terms, self.terms[1:], strict=False):
            equal = (np.array_equal(a, b) for a, b in zip(before, term, strict=True))
            same.append(next((i for i, e in enumerate(equal) if not e), len(term) - 1))
        return same

    def taps(self) -> np.ndarray:
        """float32 (terms, axes, longest), in the order in which they meet the pixels."""
        taps = np.zeros((*self.radii.shape, 2 * self.radii.max() + 1), np.float32)
        for t, term in enumerate(self.terms):
            for axis, g in enumerate(term):
                taps[t, axis, : len(g)] = g[::-1]
        return taps

    def operations(self) -> float:
        """A pixel: a product and a sum a tap."""
        new = self.first_new()
        return float(sum((4 * r[k:] + 2).sum() for r, k in zip(self.radii, new, strict=True)))


def _key(term: Kernels) -> list[bytes]:
    return [g.tobytes() for g in term]


def _product_key(term: Kernels) -> bytes:
    """The same for products that are equal, however their sign is spread over the kernels."""
    sign, lines = 1.0, []
    for g in term:
        lead = g[np.flatnonzero(g)[0]] if g.any() else 1.0
        sign *= float(np.sign(lead))
        lines.append(g * np.sign(lead) + 0.0)  # + 0.0: no zero keeps a sign
    return b"|".join([str(sign).encode(), *(line.tobytes() for line in lines)])


def _scaled(term: Kernels, factor: float) -> Kernels:
    return (term[0] * factor, *term[1:])


def rotations(kernels: Kernels) -> Iterator[Kernels]:
    """All right-angle rotations of the product: permuted axes, of which an even or odd number is
    reversed so that no rotation becomes a reflection."""
    for order in permutations(range(len(kernels))):
        for flips in product((1, -1), repeat=len(kernels)):
            if _sign(order) * prod(flips) == 1:
                yield tuple(kernels[a][::flip] for a, flip in zip(order, flips, strict=True))


def pooled(kernels: Kernels, pooling: str) -> Bank:
    """The few products that give what pooling over all rotations gives."""
    if pooling == "none":
        return Bank.added([kernels])
    if pooling == "max":
        return Bank.compared(list(rotations(kernels)))
    even = tuple((g + g[::-1]) / 2 for g in kernels)
    odd = tuple((g - g[::-1]) / 2 for g in kernels)
    orders = list(permutations(range(len(kernels))))
    weights: dict[bytes, float] = {}
    found: dict[bytes, Kernels] = {}
    for part, signed in ((even, False), (odd, True)):
        for order in orders:
            term = tuple(part[a] for a in order)
            name = b"|".join(_key(term))
            found[name] = term
            weight = (_sign(order) if signed else 1) / len(orders)
            weights[name] = weights.get(name, 0.0) + weight
    terms = [
        _scaled(term, weights[name])
        for name, term in found.items()
        if abs(weights[name]) > 1e-12 and all(g.any() for g in term)
    ]
    return Bank.added(terms or [tuple(np.zeros_like(g) for g in kernels)])


def _sign(order: tuple[int, ...]) -> int:
    """+1 for an even permutation, -1 for an odd one."""
    pairs = ((i, j) for j in range(len(order)) for i in range(j))
    return prod(1 if order[i] < order[j] else -1 for i, j in pairs)


# ---- the definition


def finite(images: np.ndarray) -> np.ndarray:
    """float64, NaN where a pixel is infinite: it makes all windows that hold it NaN."""
    values = images.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def respond(images: np.ndarray, kernels: Kernels, borders: str) -> np.ndarray:
    """The convolution with the product of the kernels, in float64."""
    values = images
    for axis, g in enumerate(kernels, start=1):
        values = ndimage.convolve1d(values, g, axis, mode=SCIPY[borders])
    return values


def respond_pooled(images: np.ndarray, kernels: Kernels, pooling: str, borders: str) -> np.ndarray:
    """One response a rotation, and the largest or the mean of them."""
    if pooling == "none":
        return respond(images, kernels, borders)
    responses = [respond(images, rotated, borders) for rotated in rotations(kernels)]
    return np.max(responses, axis=0) if pooling == "max" else np.mean(responses, axis=0)
