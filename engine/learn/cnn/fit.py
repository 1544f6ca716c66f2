"""Training a network: the averaged weights of the epoch with the best validation AUC are kept.

    training    the loop over the epochs
    step        one step, compiled: views, loss, gradient, weights
    augment     the views
    schedule    how far a step goes
    resident    where the images lie
    checkpoint  a training on disk
    history     figures, and the choice of an epoch

The same data, settings and machine give the same network, bit for bit, also where the training was
stopped in between, by whatever, and started again from its folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import LearnError
from ..settings import Progress, Settings
from .history import History
from .network import PLANS, Network
from .trained import CUSTOM, Cnn, Design, check_pixels
from .training import Part, Training


def fit(
    train: Part,
    val: Part,
    bits: int,
    classes: int,
    settings: Settings,
    progress: Progress,
    folder: str | Path | None = None,
    network: Network | None = None,
) -> tuple[Cnn, History]:
    """Train on images and truth, choose the epoch on those of `val`.

    train, val  images uint8 or uint16 (n, h, w), (n, h, w, 3) or (n, d, h, w), grey levels
                0 .. 2^bits - 1, and class numbers (n,), for the task "labels" (n, classes) bool
    folder      for checkpoints, at least every 20 s of work; one that is there already is gone on
                from. Its training must have been of these data and settings
    network     another network than `settings` would give

    Where the device's memory does not suffice, a batch is worked on in parts, whose gradients are
    averaged: `History.notes` and a RuntimeWarning say so. Cost: about 60 MFLOP an image and epoch
    for "light" and sides of 28 to 55.

    LearnError for data nothing can be learned from, a loss that is not finite in the first epoch,
    memory too small for one image, a checkpoint that is damaged or of another training.
    """
    design = describe(train[0], bits, classes, settings, network)
    for part, (pixels, truth) in (("train", train), ("val", val)):
        check_pixels(pixels, design)
        _check_truth(part, pixels, truth, design)
    training = Training(design, network, settings, train, val, progress)
    if folder is not None:
        training.keep_in(Path(folder))
    return Cnn(design, *training.run(), network), training.history


def describe(
    images: np.ndarray, bits: int, classes: int, settings: Settings, network: Network | None = None
) -> Design:
    """The design for these training images. Four axes of which the last is 3 long are colour."""
    channels = 3 if images.ndim == 4 and images.shape[3] == 3 else 1
    size = tuple(int(side) for side in images.shape[1 : 3 if channels == 3 else None])
    if images.ndim not in (3, 4) or not len(images):
        raise LearnError(f"cnn: images are {images.shape}; allowed: (n, h, w), (n, h, w, 3), "
                         f"(n, d, h, w), n at least 1")  # fmt: skip
    if "depth" in settings.flips and len(size) == 2:
        raise LearnError("cnn: only volumes can be flipped along their depth")
    share = 1 / (2**bits - 1)
    mean, deviation = float(images.mean()) * share, float(images.std(dtype=np.float64)) * share
    name = settings.architecture if network is None else CUSTOM
    plan = PLANS[settings.architecture]
    return Design(
        size, bits, classes, settings.width or plan.width, settings.blocks or plan.blocks,
        settings.standardise, min(mean, 1.0), min(deviation, 1.0), name, settings.task, channels,
        len(size),
    )  # fmt: skip


def _check_truth(part: str, pixels: np.ndarray, truth: np.ndarray, design: Design) -> None:
    n, k = len(pixels), design.classes
    many = design.task == "labels"
    shape, kinds = ((n, k), "b") if many else ((n,), "iu")
    if truth.shape != shape or truth.dtype.kind not in kinds:
        raise LearnError(
            f"cnn: the truth of {part} is {truth.dtype} {truth.shape}; allowed: "
            f"{'bool' if many else 'class numbers'} {shape}"
        )
    if not many and n and not 0 <= truth.min() <= truth.max() < k:
        raise LearnError(f"cnn: the truth of {part} has a class outside 0 .. {k - 1}")
