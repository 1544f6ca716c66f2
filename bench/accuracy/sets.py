"""The three sets as cohorts: pixels, features, labels, groups."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from medkern import kernels as mk
from medkern.engine.features import Features
from medkern.engine.ingest import index, read, read_colours
from medkern.engine.recipe import load_recipe
from medkern.engine.stages import Stages

HALF = 40  # pixels from the centre of a cell to the border of its picture


@dataclass(frozen=True, eq=False)
class Labelled:
    """Arguments of `train` and `cross_validate`: n images, their features, labels and groups."""

    pixels: np.ndarray
    features: Features
    labels: Sequence[str]
    groups: Sequence[str | None]
    parts: Sequence[str | None]

    def rows(self, chosen: np.ndarray) -> Labelled:
        """These rows alone."""
        at = np.flatnonzero(chosen)

        def of(column: Sequence) -> list:
            return [column[row] for row in at.tolist()]

        return Labelled(
            self.pixels[at], self.features.rows(at),
            of(self.labels), of(self.groups), of(self.parts),
        )  # fmt: skip


def pneumonia(folder: Path) -> Labelled:
    """5,856 chest X-rays of 28 x 28 pixels with the official split; label 1: pneumonia."""
    return _prepared(folder / "pneumoniamnist.npz", "chest-xray")


def breast(folder: Path) -> Labelled:
    """780 ultrasound images: benign, malignant, normal; groups of near-duplicates are known."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as made:
        manifest = Path(made) / "breast.csv"
        with manifest.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "group"])
            writer.writerows(
                [(folder / row["file"]).resolve(), row["label"], row["near_dup_group"]]
                for row in rows
            )
        return _prepared(manifest, "ultrasound")


def _prepared(source: Path, name: str) -> Labelled:
    """What the shipped recipe makes of a source."""
    recipe, items, rejects = load_recipe(name), index(source), []
    measured = Stages(recipe, "cpu").measure_all(read(items, recipe.layout, rejects.append))
    if rejects:
        raise SystemExit(f"{len(rejects)} images of {source} cannot be read: {rejects[0]}")
    known = {item.id: item for item in items}
    items = [known[name] for name in measured.ids]
    return Labelled(
        measured.pixels,
        measured.features,
        [str(item.label) for item in items],
        [item.group for item in items],
        [item.split for item in items],
    )


# ---- red blood cells


def cells(folder: Path) -> Labelled:
    """5,138 cells cut out of 150 smear images, 80 x 80 pixels in colour; the group is the image."""
    with (folder / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = {
        name: read_colours(folder / name)[0] for name in dict.fromkeys(r["image"] for r in rows)
    }
    wide = {name: np.pad(image, ((HALF, HALF), (HALF, HALF), (0, 0)), mode="reflect")
            for name, image in images.items()}  # fmt: skip
    pixels = np.stack([_cut(wide[r["image"]], int(r["y"]), int(r["x"])) for r in rows])
    ids = tuple(f"{r['image']}#{number}" for number, r in enumerate(rows))
    return Labelled(
        pixels,
        cell_features(pixels, ids),
        [r["class_name"] for r in rows],
        [r["image"] for r in rows],
        [None] * len(rows),
    )


def _widened(path: Path) -> np.ndarray:
    """The picture with half a cell around it, mirrored."""
    border = ((HALF, HALF), (HALF, HALF), (0, 0))
    return np.pad(read_colours(path)[0], border, mode="reflect")


def _cut(image: np.ndarray, y: int, x: int) -> np.ndarray:
    return image[y : y + 2 * HALF, x : x + 2 * HALF]


def cell_features(pixels: np.ndarray, ids: tuple[str, ...]) -> Features:
    """Colour, texture and shape of the cell in the middle of each picture (n, 80, 80, 3)."""
    green = np.ascontiguousarray(pixels[..., 1])  # haemoglobin absorbs green
    inside = np.stack([middle_cell(image) for image in green])
    parts = [
        mk.colour(pixels, inside),
        mk.colour_glcm(pixels, inside, distance=1),
        mk.shape2d(green, inside),
        mk.moments(green, inside),
        mk.zernike(green, inside),
        mk.radial(green, inside),
        mk.intensity(green, inside),
        mk.granularity(green, inside),
        *(
            mk.glcm(green, inside, levels=32, binning="width", width=8, distance=distance)
            for distance in (1, 4)
        ),
        *(mk.lbp(green, inside, points=8 * r, radius=r) for r in (1, 2)),
        mk.zernike(255 * inside, inside),
    ]
    values = np.concatenate([values for values, _ in parts], axis=1)
    names = [f"{number}.{name}" for number, (_, names) in enumerate(parts) for name in names]
    return Features(values.astype(np.float32), tuple(names), ids)


def middle_cell(image: np.ndarray) -> np.ndarray:
    """uint8 (h, w): 1 in the dark object nearest to the middle, its holes filled.

    Dark is below the grey level that divides the blurred picture best (Otsu 1979).
    """
    soft = ndimage.gaussian_filter(image.astype(np.float32), 1.1)
    dark = ndimage.binary_opening(soft < between(soft), np.ones((3, 3)))
    filled = np.asarray(ndimage.binary_fill_holes(dark))
    if not filled.any():
        return np.ones(image.shape, np.uint8)
    objects = np.empty(image.shape, np.int32)
    ndimage.label(filled, output=objects)
    y, x = np.nonzero(filled)
    middle = np.argmin((y - image.shape[0] / 2) ** 2 + (x - image.shape[1] / 2) ** 2)
    return (objects == objects[y[middle], x[middle]]).astype(np.uint8)


def between(values: np.ndarray) -> float:
    """Otsu's threshold: where the variance between the two sides is greatest."""
    counts, edges = np.histogram(values, 256, (0, 256))
    weight = np.cumsum(counts)
    total = np.cumsum(counts * edges[:-1])
    low, high = weight[:-1], weight[-1] - weight[:-1]
    apart = np.divide(total[:-1], low, where=low > 0, out=np.zeros(255)) - np.divide(
        total[-1] - total[:-1], high, where=high > 0, out=np.zeros(255)
    )
    return float(edges[1 + np.argmax(low * high * apart**2)])


def without(labelled: Labelled, label: str) -> Labelled:
    """The rows of all other labels."""
    return labelled.rows(np.array(labelled.labels) != label)


def ungrouped(labelled: Labelled) -> Labelled:
    """The same rows as if no group were known."""
    return replace(labelled, groups=[None] * len(labelled.labels))
