"""Judge methods on truths: a row for each pair that belongs together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .methods import METHODS, Method
from .scores import cnr, psnr, ssim
from .truth import Truth

FACTORS = tuple(2.0 ** (k / 3) for k in range(-6, 7))  # of the true level: 1/4 to 4


@dataclass(frozen=True)
class Verdict:
    """What a method makes of a truth; PSNR in dB. Peer and best level are None where not asked.

    level, true_level   the mean of what "auto" found, and the standard deviation of the noise
    best, best_level    PSNR with the best level of a sweep that knows the truth
    """

    method: str
    truth: str
    noise: str
    psnr: float
    psnr_noisy: float
    ssim: float
    ssim_noisy: float
    cnr: float | None
    cnr_noisy: float | None
    peer: str
    psnr_peer: float | None
    ssim_peer: float | None
    level: float | None
    true_level: float
    best: float | None
    best_level: float | None

    def describe(self) -> dict[str, Any]:
        return asdict(self)


def verdicts(
    truths: Iterable[Truth], methods: Iterable[Method] = METHODS, sweep: bool = True
) -> Iterator[Verdict]:
    """Every method on every truth that it is made for."""
    chosen = tuple(methods)
    for truth in truths:
        for method in chosen:
            if truth.noise in method.noises:
                yield verdict(method, truth, sweep)


def verdict(method: Method, truth: Truth, sweep: bool = True) -> Verdict:
    got, other = method.ours(truth.noisy), method.of_peer(truth)
    levels = method.levels(truth.noisy)
    true = np.sqrt(((truth.noisy - truth.clean).astype(np.float64) ** 2).mean(axis=(1, 2)))
    if method.stabilised:
        true = np.ones(len(true))
    best, best_level = None, None
    if levels is not None and sweep and truth.noise != "speckle":
        best, best_level = max(by_hand(method, truth, true, factor) for factor in FACTORS)
    return Verdict(
        method=method.name,
        truth=truth.name,
        noise=truth.noise,
        psnr=psnr(truth.clean, got, truth.top),
        psnr_noisy=psnr(truth.clean, truth.noisy, truth.top),
        ssim=ssim(truth.clean, got, truth.top),
        ssim_noisy=ssim(truth.clean, truth.noisy, truth.top),
        cnr=None if truth.regions is None else cnr(got, truth.regions),
        cnr_noisy=None if truth.regions is None else cnr(truth.noisy, truth.regions),
        peer=method.peer,
        psnr_peer=None if other is None else psnr(truth.clean, other, truth.top),
        ssim_peer=None if other is None else ssim(truth.clean, other, truth.top),
        level=None if levels is None else float(np.mean(levels)),
        true_level=float(true.mean()),
        best=best,
        best_level=None if best_level is None else float(best_level * true.mean()),
    )


def by_hand(method: Method, truth: Truth, true: np.ndarray, factor: float) -> tuple[float, float]:
    """PSNR with a multiple of the true level, and the multiple."""
    got = method.ours(truth.noisy, (factor * true).astype(np.float32))
    return psnr(truth.clean, got, truth.top), factor
