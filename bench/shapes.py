"""Named shapes: the sizes, dtypes and grey levels that users really have.

Tests and benchmarks share this table, so what is timed is also what is checked. The images are
made, not read: a body with soft structure of several sizes, and noise of about two percent. White
noise alone would flatter or punish kernels (histograms, branches) in a way no patient does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOISE = 0.02  # standard deviation of the noise, as a share of the grey range
_AIR = -1024  # int16 images are in HU


@dataclass(frozen=True)
class Shape:
    """A batch (n, h, w) with its native dtype and grey levels 0 .. 2**bits - 1 (integers only).

    With a `depth` it is a batch of volumes (n, depth, h, w).
    """

    name: str
    n: int
    height: int
    width: int
    dtype: str
    bits: int
    what: str
    regions: bool = False  # every image holds one masked region
    depth: int = 0

    @property
    def full(self) -> tuple[int, ...]:
        return (self.n, self.depth, *self.plane) if self.depth else (self.n, *self.plane)

    @property
    def plane(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Of one image or volume."""
        return max(self.depth, 1) * self.height * self.width

    def images(self, n: int | None = None, dtype: str | None = None, seed: int = 0) -> np.ndarray:
        """(n, h, w) images in [0, 2**bits - 1]; float32 in [0, 1]; int16 as HU from -1024 up."""
        chosen = np.dtype(dtype or self.dtype)
        count = self.n if n is None else n
        out = np.empty((count, *self.full[1:]), chosen)
        for i in range(count):
            made = (
                block(self.depth, *self.plane, seed + i)
                if self.depth
                else picture(*self.plane, seed + i)
            )
            out[i] = _grey(made, chosen, self.levels(chosen))
        return out

    def levels(self, dtype: np.dtype | str) -> int:
        """Grey levels of these images in `dtype`: 8 bits of a 12-bit image are left in uint8."""
        return 1 << min(self.bits, 8 * np.dtype(dtype).itemsize)

    def masks(self, n: int | None = None, seed: int = 0) -> np.ndarray | None:
        """(n, h, w) uint8 ellipses of varying size and tilt, 0 outside; None without regions."""
        if not self.regions:
            return None
        count = self.n if n is None else n
        return np.stack([_region(self.height, self.width, seed + i) for i in range(count)])


def picture(h: int, w: int, seed: int) -> np.ndarray:
    """One image in [0, 1]: a bright body, structures of five sizes, Gaussian noise."""
    rng = np.random.default_rng((h, w, seed))
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
    body = 1 / (1 + np.exp(np.clip(25 * ((x / 0.85) ** 2 + (y / 0.9) ** 2 - 1), -50, 50)))
    structure = np.zeros((h, w), np.float32)
    for octave in range(1, 6):
        grid = rng.normal(size=(2**octave + 1, 2**octave + 1))
        structure += 2.0**-octave * (
            _stretch(2**octave + 1, h) @ grid @ _stretch(2**octave + 1, w).T
        )
    clean = body * (0.5 + 0.25 * np.tanh(structure)) + 0.03
    noise = NOISE * rng.standard_normal((h, w), np.float32)
    return np.clip(clean + noise, 0, 1)


def block(d: int, h: int, w: int, seed: int) -> np.ndarray:
    """A volume in [0, 1]: one picture that grows, turns bright and fades along the first axis."""
    rng = np.random.default_rng((d, h, w, seed))
    clean = picture(h, w, seed) - 0.03
    z = np.linspace(-1, 1, d)[:, None, None]
    noise = NOISE * rng.standard_normal((d, h, w), np.float32)
    return np.clip(clean * (1 - 0.6 * z**2) * (1 + 0.2 * np.sin(5 * z)) + 0.03 + noise, 0, 1)


def _stretch(nodes: int, size: int) -> np.ndarray:
    """(size, nodes) matrix that interpolates linearly between equally spaced nodes."""
    at = np.linspace(0, nodes - 1, size)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(nodes)[None, :]))


def _region(h: int, w: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng((h, w, seed, 1))
    tilt, a, b = rng.uniform(0, np.pi), rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95)
    y, x = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None, :]
    u, v = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    return ((u / a) ** 2 + (v / b) ** 2 <= 1).astype(np.uint8)


def _grey(image: np.ndarray, dtype: np.dtype, levels: int) -> np.ndarray:
    if dtype.kind == "f":
        return image.astype(dtype)
    grey = np.rint(image * (levels - 1))
    return (grey + (_AIR if dtype.kind == "i" else 0)).astype(dtype)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("patch-2x40x48", 2, 40, 48, "uint16", 12, "the smallest: a smoke test"),
        Shape("block-1x16x40x48", 1, 40, 48, "float32", 12, "the smallest volume", depth=16),
        Shape("slices-28", 1024, 28, 28, "uint8", 8, "thumbnails as in MedMNIST"),
        Shape("ultrasound-64x256x256", 64, 256, 256, "uint8", 8, "a scan's frames"),
        Shape("ct-chest-64x512x512", 64, 512, 512, "uint16", 12, "a chest CT, one batch of slices"),
        Shape("ct-series-128x512x512", 128, 512, 512, "uint16", 12, "a series, one GPU batch"),
        Shape("image-1024", 1, 1024, 1024, "float32", 12, "one image on its own"),
        Shape("mr-head-128", 1, 128, 128, "float32", 12, "an MR volume", depth=128),
        Shape("xray-2048", 4, 2048, 2048, "uint16", 12, "digital chest radiographs"),
        Shape("plate-16x1080x1080", 16, 1080, 1080, "uint16", 16, "sites of a microscopy plate"),
        Shape("cell-rois-8x16x16", 8, 16, 16, "uint16", 12, "the smallest regions", regions=True),
        Shape("cell-rois-1000x64x64", 1000, 64, 64, "uint16", 12, "cells in a plate", regions=True),
        Shape("lesions-64x128x128", 64, 128, 128, "uint16", 12, "outlined lesions", regions=True),
    )
}
