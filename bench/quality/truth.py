"""Images whose truth is known: the folder `denoise_truth` of the test data, and white noise on it.

    for truth in truths(folder):
        score = psnr(truth.clean, denoise(truth.noisy), truth.top)

Everything is read from the arrays that lie there; the white noise has fixed seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

DOSES = (100000, 20000, 5000)  # photons a ray
PERCENT = (1, 3, 5, 7, 9)  # of the 99.9th percentile
PEAKS = (5, 20, 80)  # photons in the brightest pixel
WHITE = (10, 25)  # standard deviation, with the image's range as 0 .. 255
REPEATS = 4  # of the 16 real acquisitions, each against the mean of the others


@dataclass(frozen=True, eq=False)
class Truth:
    """noisy and clean (n, h, w) float32 in the data's units; `top` is the range that PSNR takes.

    noise    white, ct (coloured, of a reconstruction), mr (of repeats), rician, poisson, speckle
    regions  (n, h, w) uint8, 0 the background, for the contrast-to-noise ratio; or None
    """

    name: str
    noise: str
    what: str
    noisy: np.ndarray
    clean: np.ndarray
    top: float
    regions: np.ndarray | None = None

    def first(self, count: int) -> Truth:
        """The first images only."""
        regions = None if self.regions is None else self.regions[:count]
        return replace(self, noisy=self.noisy[:count], clean=self.clean[:count], regions=regions)


def truths(folder: Path) -> Iterator[Truth]:
    """Every set, in the order of the page."""
    yield from _white(folder)
    yield from _ct(folder)
    yield _repeats(folder)
    yield from _rician(folder)
    yield from _poisson(folder)
    yield _speckle(folder)


def _white(folder: Path) -> Iterator[Truth]:
    """Gaussian noise on CT, MR and fluorescence, scaled to 0 .. 255; 256 x 256 pixels each."""
    ct = np.load(folder / "ct_lowdose_sim.npz")["reference"][::4]
    mr = np.load(folder / "mr_rician_sim.npz")["clean"][None]
    with np.load(folder / "fluorescence_poisson_gauss_sim.npz") as file:
        cells = np.stack([file[f"clean_{i}"][128:384, 128:384] for i in range(3)])
    parts = [(np.clip(ct, -1000, 1000) + 1000) / 2000, mr / mr.max(), cells / cells.max()]
    clean = 255 * np.concatenate(parts).astype(np.float32)
    for sigma in WHITE:
        noise = np.random.default_rng(sigma).standard_normal(clean.shape, np.float32)
        what = f"CT, MR and cells with Gaussian noise of {sigma} in 255"
        yield Truth(f"white {sigma}", "white", what, clean + np.float32(sigma) * noise, clean, 255)


def _ct(folder: Path) -> Iterator[Truth]:
    with np.load(folder / "ct_lowdose_sim.npz") as file:
        for dose in DOSES:
            yield Truth(
                name=f"CT {dose}",
                noise="ct",
                what=f"CT reconstructed from {dose:,} photons a ray, in HU",
                noisy=file[f"dose_{dose}"].astype(np.float32),
                clean=file["reference"].astype(np.float32),
                top=2000,
            )


def _repeats(folder: Path) -> Truth:
    frames = np.load(folder / "mr_epi_repeats_real.npz")["frames"].astype(np.float32)
    others = (frames.sum(1, keepdims=True) - frames)[:, :REPEATS] / (frames.shape[1] - 1)
    shape = (-1, *frames.shape[2:])
    clean = others.reshape(shape)
    return Truth(
        name="MR repeats",
        noise="mr",
        what="repeated EPI of a phantom, each against the mean of the others (real noise)",
        noisy=frames[:, :REPEATS].reshape(shape),
        clean=clean,
        top=float(clean.max()),
    )


def _rician(folder: Path) -> Iterator[Truth]:
    with np.load(folder / "mr_rician_sim.npz") as file:
        for percent in PERCENT:
            yield Truth(
                name=f"Rician {percent} %",
                noise="rician",
                what=f"T1 slice with {percent} % Rician noise",
                noisy=file[f"pct_{percent}"][None],
                clean=file["clean"][None],
                top=1,
            )


def _poisson(folder: Path) -> Iterator[Truth]:
    with np.load(folder / "fluorescence_poisson_gauss_sim.npz") as file:
        for peak in PEAKS:
            yield Truth(
                name=f"Poisson {peak}",
                noise="poisson",
                what=f"fluorescence, at most {peak} photons a pixel and Gaussian read noise",
                noisy=np.stack([file[f"noisy_{i}_peak{peak}"] for i in range(3)]),
                clean=np.stack([file[f"clean_{i}"] for i in range(3)]),
                top=1,
            )


def _speckle(folder: Path) -> Truth:
    with np.load(folder / "us_speckle_sim.npz") as file:
        return Truth(
            name="speckle",
            noise="speckle",
            what="ultrasound phantoms, log-compressed correlated Rayleigh speckle",
            noisy=file["noisy"].astype(np.float32),
            clean=file["clean_echo"].astype(np.float32),
            top=255,
            regions=file["regions"],
        )
