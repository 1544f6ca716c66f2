"""Images and their masks -> cases for radiomics, one for each label; or cells with their labels.

The masks of a folder belong to the images of the same name in the same subfolder of another:
scans/a/p1.nii.gz and masks/a/p1.nii.gz. A CSV manifest has the columns image and mask, paths
relative to the manifest, and, if wanted, id.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from .errors import UserError
from .ingest import Limits, Reason, Reject, Unreadable, read_colours, read_volume
from .ingest.formats import open_source
from .ingest.frame import Frame
from .objects import Objects
from .radiomics import Case

T = TypeVar("T")
UNKNOWN_MM = 1.0  # spacing of a file that does not say it


class Pair(NamedTuple):
    """An image and its mask."""

    id: str
    image: Path
    mask: Path


def pairs(source: Path, masks: Path | None = None) -> list[Pair]:
    """What there is to measure; UserError where images and masks do not go together."""
    if source.is_file() and source.suffix.lower() == ".csv":
        return _listed(source)
    if masks is None:
        raise UserError("--masks is needed: a folder with a mask for each image, of the same name")
    if not source.is_dir() or not masks.is_dir():
        absent = source if not source.is_dir() else masks
        raise UserError(f"{absent} is no folder; a manifest of images and masks is a .csv file")
    images = _by_name(source)
    found = [
        Pair(name, images[name], path) for name, path in _by_name(masks).items() if name in images
    ]
    if not found:
        raise UserError(f"no mask in {masks} has the name of an image in {source}")
    return found


def _listed(manifest: Path) -> list[Pair]:
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"image", "mask"} <= set(rows[0]):
        raise UserError(f"{manifest}: needs the columns image and mask, and rows")
    folder = manifest.parent
    return [
        Pair(row.get("id") or row["image"], folder / row["image"], folder / row["mask"])
        for row in rows
    ]


def _by_name(folder: Path) -> dict[str, Path]:
    """Files by their path in the folder without endings, in order."""
    return {
        str(path.relative_to(folder).parent / path.name.partition(".")[0]): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def read_cases(
    found: Sequence[Pair], on_reject: Callable[[Reject], None], labels: Sequence[int] = ()
) -> Iterator[list[Case]]:
    """The cases of each pair, in order: one for each label of the mask, or for those given.

    An id is `pair:label`. What cannot be read, and masks of another shape, go to `on_reject`.
    """

    def cases(pair: Pair) -> list[Case]:
        image, mask = read_volume(pair.image), read_volume(pair.mask)
        _same_shape(image.values.shape, mask.values.shape)
        known = [mm if mm > 0 else UNKNOWN_MM for mm in image.spacing]
        spacing = (known[0], known[1], known[2])
        present = labels or np.unique(mask.values[mask.values > 0]).astype(int).tolist()
        return [
            Case(f"{pair.id}:{label}", image.values, mask.values == label, spacing)
            for label in present
        ]

    return _each(found, cases, on_reject)


def read_objects(
    found: Sequence[Pair], on_reject: Callable[[Reject], None], colour: bool = False
) -> Iterator[Objects]:
    """The image, grey or in colour, and the labels of each pair, in order; both are single images.

    What cannot be read, and labels of another shape, go to `on_reject`.
    """

    def objects(pair: Pair) -> Objects:
        mask = _single(pair.mask).stored
        image = _picture(pair.image) if colour else _single(pair.image).stored
        _same_shape(image.shape[:2], mask.shape)
        white = float(np.iinfo(image.dtype).max) if image.dtype.kind in "iu" else 1.0
        labels = mask.astype(np.int32)
        if (labels != mask).any():
            raise Unreadable(Reason.BAD_GEOMETRY, "labels are whole numbers below 2^31")
        return Objects(pair.id, image, labels, white)

    return _each(found, objects, on_reject)


def _each(
    found: Sequence[Pair], read: Callable[[Pair], T], on_reject: Callable[[Reject], None]
) -> Iterator[T]:
    for pair in found:
        try:
            ready = read(pair)
        except Unreadable as refused:
            on_reject(Reject(pair.id, refused.code, refused.detail))
        except OSError:
            on_reject(Reject(pair.id, Reason.READ_FAILED, "image or mask cannot be opened"))
        else:
            yield ready


def _single(path: Path) -> Frame:
    source = open_source(path, Limits())
    if source.frames != 1:
        raise Unreadable(Reason.BAD_GEOMETRY, f"{source.frames} frames: cells are in one image")
    return source.frame(0)


def _picture(path: Path) -> np.ndarray:
    pictures = read_colours(path)
    if len(pictures) != 1:
        raise Unreadable(Reason.BAD_GEOMETRY, f"{len(pictures)} frames: one picture is measured")
    return pictures[0]


def _same_shape(image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image != mask:
        raise Unreadable(Reason.BAD_GEOMETRY, f"image {image} and mask {mask} differ in shape")
