"""How near a denoised image is to the truth, and what it did to an edge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RING = 10  # pixels around a region that count as its background


def psnr(clean: np.ndarray, got: np.ndarray, top: float) -> float:
    """10 log10(top^2 / mean squared error) in dB, the mean over the images of a batch."""
    error = (clean.astype(np.float64) - got) ** 2
    return float(np.mean(10 * np.log10(top**2 / error.mean(axis=(1, 2)))))


def ssim(clean: np.ndarray, got: np.ndarray, top: float) -> float:
    """Structural similarity (Wang 2004: Gaussian window of 1.5 pixels), mean over the images."""
    from skimage.metrics import structural_similarity

    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = zip(clean.astype(np.float64), got.astype(np.float64), strict=True)
    return float(
        np.mean([structural_similarity(a, b, data_range=top, **settings) for a, b in pairs])
    )


def cnr(got: np.ndarray, regions: np.ndarray) -> float:
    """Contrast-to-noise ratio of the regions against a ring around each, mean over all.

    |mean inside - mean outside| / sqrt((variance inside + variance outside) / 2)
    """
    from scipy import ndimage

    found = []
    for image, labels in zip(got.astype(np.float64), regions, strict=True):
        for label in np.unique(labels[labels > 0]):
            inside = labels == label
            ring = ndimage.binary_dilation(inside, iterations=RING) & (labels == 0)
            spread = np.sqrt((image[inside].var() + image[ring].var()) / 2)
            found.append(abs(image[inside].mean() - image[ring].mean()) / spread)
    return float(np.mean(found))


def edge_width(
    denoise: Callable[[np.ndarray], np.ndarray], noise: float = 1, step: float = 20
) -> float:
    """10-90 % width in pixels of a vertical step edge after denoising; 0.8 for the sharp step.

    The step is `step` high with Gaussian noise of standard deviation `noise`; the profile is the
    mean of 192 rows, so what is left of the noise does not count.
    """
    rng = np.random.default_rng(7)
    clean = np.zeros((1, 192, 96), np.float32)
    clean[:, :, 48:] = step
    noisy = (clean + noise * rng.standard_normal(clean.shape)).astype(np.float32)
    profile = denoise(noisy)[0].astype(np.float64).mean(axis=0)
    low, high = profile[:24].mean(), profile[-24:].mean()
    share = (profile - low) / (high - low)
    return _crossing(share, 0.9) - _crossing(share, 0.1)


def _crossing(share: np.ndarray, level: float) -> float:
    """Where the profile first reaches `level`, interpolated between pixels."""
    after = int(np.argmax(share >= level))
    before = after - 1
    return before + (level - share[before]) / (share[after] - share[before])
