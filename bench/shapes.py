"""Named shapes: the sizes, dtypes and grey levels that users really have.

Tests and benchmarks share this table, so what is timed is also what is checked. The images are
made, not read: a body with soft structure of several sizes, and noise of about two percent. White
noise alone would flatter or punish kernels (histograms, branches) in a way no patient does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from medkern import kernels as mk

NOISE = 0.02  # standard deviation of the noise, as a share of the grey range
_AIR = -1024  # int16 images are in HU
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])  # absorb red, green and blue light


@dataclass(frozen=True)
class Shape:
    """A batch (n, h, w) with its native dtype and grey levels 0 .. 2**bits - 1 (integers only).

    With a `depth` it is a batch of volumes (n, depth, h, w), with 3 `channels` one of colour images
    (n, h, w, 3). Its regions are one masked region an image, or labelled `objects`, or all windows
    of `window` pixels a side; without any of them it is made for filters.
    """

    name: str
    n: int
    height: int
    width: int
    dtype: str
    bits: int
    what: str
    masked: bool = False
    objects: int = 0
    window: int = 0
    depth: int = 0
    channels: int = 1

    @property
    def full(self) -> tuple[int, ...]:
        """The shape of the images, without their colours."""
        return (self.n, self.depth, *self.plane) if self.depth else (self.n, *self.plane)

    @property
    def regions(self) -> bool:
        return self.masked or self.objects > 0 or self.window > 0

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
        made = [self._image(seed + i) for i in range(count)]
        out = np.empty((count, *self._image(seed).shape), chosen)
        for image, result in zip(made, out, strict=True):
            result[:] = _grey(image, chosen, self.levels(chosen))
        return out

    def _image(self, seed: int) -> np.ndarray:
        if self.depth:
            return block(self.depth, *self.plane, seed)
        if self.channels == 1:
            return picture(*self.plane, seed)
        lesion = _region(self.plane, seed) if self.masked else np.zeros(self.plane)
        return stained(*self.plane, seed, lesion)

    def levels(self, dtype: np.dtype | str) -> int:
        """Grey levels of these images in `dtype`: 8 bits of a 12-bit image are left in uint8."""
        return 1 << min(self.bits, 8 * np.dtype(dtype).itemsize)

    def masks(self, n: int | None = None, seed: int = 0) -> np.ndarray | None:
        """Ellipses of varying size and tilt: uint8 masks, int32 labels of objects, or None."""
        count = self.n if n is None else n
        if self.objects:
            return np.stack([_cells(self.plane, self.objects, seed + i) for i in range(count)])
        if self.masked:
            return np.stack([_region(self.full[1:], seed + i) for i in range(count)])
        return None

    def where(self, n: int | None = None, seed: int = 0) -> np.ndarray | mk.Regions | None:
        """What a measure gets beside the images: masks, a table of regions, or nothing."""
        if self.window:
            return mk.windows((self.n if n is None else n, *self.full[1:]), self.window)
        masks = self.masks(n, seed)
        return mk.regions(masks) if self.objects else masks


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


def stained(h: int, w: int, seed: int, lesion: np.ndarray) -> np.ndarray:
    """A colour image in [0, 1]: light that two dyes absorb, and a lesion of both."""
    dyes = np.stack([picture(h, w, seed), picture(h, w, seed + 1000)], axis=-1)
    dyes += (0.3 + dyes) * lesion[..., None]
    return 10 ** -(0.8 * dyes @ _STAINS)


def _stretch(nodes: int, size: int) -> np.ndarray:
    """(size, nodes) matrix that interpolates linearly between equally spaced nodes."""
    at = np.linspace(0, nodes - 1, size)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(nodes)[None, :]))


def _region(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng((*shape[-2:], seed, 1))
    tilt, a, b = rng.uniform(0, np.pi), rng.uniform(0.6, 0.95), rng.uniform(0.6, 0.95)
    *z, y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    u, v = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    return ((u / a) ** 2 + (v / b) ** 2 + sum(side**2 for side in z) <= 1).astype(np.uint8)


def _cells(shape: tuple[int, int], objects: int, seed: int) -> np.ndarray:
    """One ellipse in each field of a square grid, labelled row by row."""
    labels, across = np.zeros(shape, np.int32), isqrt(objects)
    side = min(shape) // across
    for k in range(objects):
        y, x = divmod(k, across)
        field = labels[y * side : (y + 1) * side, x * side : (x + 1) * side]
        field[_region((side, side), seed * objects + k) != 0] = k + 1
    return labels


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
        Shape("cell-rois-8x16x16", 8, 16, 16, "uint16", 12, "the smallest regions", masked=True),
        Shape("cell-rois-1000x64x64", 1000, 64, 64, "uint16", 12, "cells in a plate", masked=True),
        Shape("lesions-64x128x128", 64, 128, 128, "uint16", 12, "outlined lesions", masked=True),
        Shape("cells-1x64x64", 1, 64, 64, "uint16", 16, "a few labelled cells", objects=4),
        Shape("cells-1x1024x1024", 1, 1024, 1024, "uint16", 16, "labelled cells", objects=256),
        Shape("map-1x16x16", 1, 16, 16, "uint8", 8, "the smallest feature map", window=5),
        Shape("map-1x96x96", 1, 96, 96, "uint8", 8, "a small feature map: 8,464 windows", window=5),
        Shape("map-1x512x512", 1, 512, 512, "uint8", 8, "a feature map: 258,064 windows", window=5),
        Shape("organ-1x144", 1, 144, 144, "int16", 12, "10^6 voxels", masked=True, depth=144),
        Shape("colour-2x40x48", 2, 40, 48, "uint8", 8, "the smallest in colour", channels=3),
        Shape("tissue-4x512x512", 4, 512, 512, "uint8", 8, "stained tissue", channels=3),
        Shape("derm-16x448x448", 16, 448, 448, "uint8", 8, "skin lesions", masked=True, channels=3),
    )
}
