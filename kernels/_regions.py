"""Regions: the parts of images that are measured, and the kernels that measure each of them.

    regions(labels)             every labelled object of a batch
    windows(shape, size, step)  every window of a grid: feature maps
    masks (n, h, w)             one region an image; no masks: the whole images

A region is a box and, unless it fills the box, the pixels there that carry its label. A thousand
cells of one image are a thousand rows, measured in one call without a thousand masks:

    where = mk.regions(labels)
    values, names = mk.glcm(images, where)          # row k: where.image[k], where.label[k]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import find_objects

from . import _cuda
from ._cpu import compiled
from ._kernel import Measure, _native, _readable
from ._threads import run

ANY = 0  # the label of a mask's region: every pixel that is not 0
WORTH_A_THREAD = 1 << 20  # pixels
LABELS = ("uint8", "uint16", "int32")

_source = _cuda.Cuda(__file__)


@dataclass(frozen=True, eq=False)
class Regions:
    """A table of m regions, and the array that holds their labels.

    shape   of the images: (n, h, w) or (n, d, h, w), without colours
    table   int64 (m, 8): image, label, z0, z1, y0, y1, x0, x1; no pixel of a region lies outside
            its box. Ordered by image, then by label. Always in NumPy
    labels  None (regions are whole boxes), uint8 masks or int32 labels of that shape, where the
            images live
    """

    shape: tuple[int, ...]
    table: np.ndarray
    labels: Any = None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def image(self) -> np.ndarray:
        """Number of the image of each region, int64 (m,)."""
        return self.table[:, 0]

    @property
    def label(self) -> np.ndarray:
        """Label of each region, int64 (m,); 0 for masks, windows and whole images."""
        return self.table[:, 1]

    @property
    def sizes(self) -> np.ndarray:
        """Depth, height and width of each box, int64 (m, 3)."""
        return self.table[:, 3::2] - self.table[:, 2::2]

    def some(self, rows: np.ndarray) -> Regions:
        """The regions of these rows of the table."""
        return replace(self, table=self.table[rows])

    def crops(self, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(pixels, inside) of each region: its box (d, h, w), and a bool array of that shape.

        The pixels of colour images are (d, h, w, channels).
        """
        images = images if len(self.shape) == 4 else images[:, None]
        labels = None if self.labels is None else volumes(self.labels)
        for image, label, z0, z1, y0, y1, x0, x1 in self.table:
            box = (image, slice(z0, z1), slice(y0, y1), slice(x0, x1))
            pixels = images[box]
            if labels is None:
                yield pixels, np.ones(pixels.shape[:3], bool)
            else:
                yield pixels, labels[box] != 0 if label == ANY else labels[box] == label


def volumes(array: Any) -> Any:
    """(n, h, w) as n volumes of one slice."""
    return array if array.ndim == 4 else array[:, None]


# ---- how to say what is measured


def regions(labels: Any) -> Regions:
    """Every object of label images: a region for each image and each label that it has.

    labels  (n, h, w) or (n, d, h, w) uint8, uint16 or int32; 0 and below is background. On the
            GPU the table is made there, with 24 bytes for each image and label, and waited for
    """
    labels, _ = _native(labels)
    found = getattr(labels, "dtype", type(labels).__name__)
    if str(found) not in LABELS:
        raise TypeError(f"regions: labels must be {', '.join(LABELS)}, got {found}")
    if labels.ndim not in (3, 4):
        raise ValueError(f"regions: labels are (n, h, w) or (n, d, h, w), got {labels.shape}")
    labels = _readable(labels.astype(np.int32))
    boxes = _boxes if isinstance(labels, np.ndarray) else _boxes_on_gpu
    return Regions(labels.shape, boxes(volumes(labels)), labels)


def _boxes(labels: np.ndarray) -> np.ndarray:
    rows = [
        (image, label, *(end for side in box for end in (side.start, side.stop)))
        for image, of_image in enumerate(labels)
        for label, box in enumerate(find_objects(of_image), start=1)
        if box is not None
    ]
    return np.array(rows, np.int64).reshape(-1, 8)


def _boxes_on_gpu(labels: Any) -> np.ndarray:
    """The least and the greatest coordinate of each label, by atomics; see regions.cu."""
    n, *sides = labels.shape
    highest = max(int(labels.max()), 0) if labels.size else 0
    boxes = _cuda.empty(labels, (n, highest + 1, 6), np.int32)
    boxes[..., 0::2] = max(sides)
    boxes[..., 1::2] = 0
    if labels.size:
        _source.function("boxes")(min(labels.size // 256 + 1, 1 << 16), 256, labels, boxes,
                                  *labels.shape, highest + 1)  # fmt: skip
    return table_of(boxes.get())


def table_of(boxes: np.ndarray) -> np.ndarray:
    """Boxes (n, labels, 6), empty where a label is not there, as the table of `Regions`."""
    image, label = np.nonzero(boxes[:, 1:, 1])
    return np.column_stack([image, label + 1, boxes[image, label + 1]]).astype(np.int64)


def windows(shape: tuple[int, ...], size: int, step: int = 1) -> Regions:
    """Windows of `size` pixels a side, `step` apart, that lie inside images of this shape.

    A measure of them is a feature map: `values.reshape(n, *counts, features)`, where
    counts = (side - size) // step + 1 on each axis. Volumes get cubes.
    """
    n, *sides = shape
    if len(sides) not in (2, 3):
        raise ValueError(f"windows: the shape of images has 3 or 4 numbers, got {tuple(shape)}")
    if not 1 <= size <= min(sides) or step < 1:
        raise ValueError(
            f"windows: size must be 1 to {min(sides)} and step at least 1, "
            f"got size {size} and step {step}"
        )
    axes = [np.arange(0, side - size + 1, step) for side in sides]
    image, *corners = (a.ravel() for a in np.meshgrid(np.arange(n), *axes, indexing="ij"))
    table = np.zeros((len(image), 8), np.int64)
    table[:, 0], table[:, 3] = image, 1
    for column, corner in zip((6, 4, 2), reversed(corners), strict=False):
        table[:, column], table[:, column + 1] = corner, corner + size
    return Regions(tuple(shape), table)


def whole(shape: tuple[int, ...]) -> Regions:
    """Each image a region."""
    table = np.zeros((shape[0], 8), np.int64)
    table[:, 0] = np.arange(shape[0])
    table[:, 3::2] = (1, *shape[1:])[-3:]
    return Regions(tuple(shape), table)


def of_masks(masks: Any) -> Regions:
    """One region an image, of the pixels that are not 0. On the GPU its box is the whole image."""
    where = whole(masks.shape)
    if isinstance(masks, np.ndarray) and masks.size:
        run(
            _mask_boxes,
            len(masks),
            volumes(masks),
            where.table,
            least=1 + (1 << 17) // masks[0].size,
        )
    return Regions(where.shape, where.table, masks)


@compiled
def _mask_boxes(first, stop, masks, table):
    """Boxes of masks first .. stop - 1; of an empty one all zeros."""
    _, d, h, w = masks.shape
    columns = np.empty(w, np.uint8)
    for image in range(first, stop):
        z0, z1, y0, y1 = d, 0, h, 0
        columns[:] = np.uint8(0)
        for z in range(d):
            for y in range(h):
                row, used = masks[image, z, y], np.uint8(0)
                for x in range(w):
                    columns[x] |= row[x]
                    used |= row[x]
                if used:
                    z0, z1, y0, y1 = min(z0, z), z + 1, min(y0, y), max(y1, y + 1)
        x0, x1 = w, 0
        for x in range(w):
            if columns[x]:
                x0, x1 = min(x0, x), x + 1
        box = (z0, z1, y0, y1, x0, x1) if x1 else (0, 0, 0, 0, 0, 0)
        for k in range(6):
            table[image, 2 + k] = box[k]


# ---- the kernels that measure them


@dataclass(frozen=True, kw_only=True)
class RegionMeasure(Measure):
    """images and regions -> values (regions, features) and names.

    Regions are masks (one region an image), `Regions`, or by default the whole images. `cpu`,
    `gpu` and `reference` get `Regions`.
    """

    def place(self, images: Any, masks: Any = None) -> Regions:
        """The regions that masks, `Regions` or nothing stand for."""
        if masks is None:
            return whole(self.grid(images))
        if not isinstance(masks, Regions):
            return of_masks(_readable(self._masks(images, masks)))
        if masks.shape != self.grid(images):
            raise ValueError(
                f"{self.name}: the regions are of images {masks.shape}, "
                f"these are {self.grid(images)}"
            )
        if masks.labels is not None and type(masks.labels) is not type(images):
            raise TypeError(
                f"{self.name}: labels must live where the images live, as {type(images).__name__}"
            )
        return masks


def at_most(name: str, voxels: int = 1 << 26) -> Callable[..., None]:
    """A `validate` for 32-bit counts, of whose squares a 64-bit sum has room for so many voxels."""

    def check(dtype: np.dtype, shape: tuple[int, ...], **_: Any) -> None:
        if np.prod(shape[1:], dtype=np.int64) > voxels:
            power = voxels.bit_length() - 1
            raise ValueError(f"{name}: a region may have 2^{power} voxels, got one of {shape[1:]}")

    return check
