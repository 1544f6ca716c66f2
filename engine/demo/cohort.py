"""A cohort whose best possible classifier is known: a faint nodule in CT-like noise.

The standard task of the model-observer literature: the signal s is known exactly, the background is
Gaussian with a known covariance. Here it is stationary on a torus, so the covariance is diagonal in
Fourier space with eigenvalues L(f), the power spectrum:

    image      = mean + [s] + noise,            noise ~ N(0, K),  K = F* diag(L) F / N
    SNR^2      = s' K^-1 s = sum_f |S(f)|^2 / (N L(f))
    ideal AUC  = Phi(SNR / sqrt 2)

The ideal observer is linear here (it is the Hotelling observer), so no model, however large, can
beat that AUC on average: it is printed beside every result as the ceiling.

source  Barrett & Myers, Foundations of Image Science (2004), sections 13.2.8 and 13.2.12;
        Burgess, Jacobson, Judy, Med Phys 28 (2001) 419, for power-law backgrounds
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm


@dataclass(frozen=True)
class Task:
    """A detection task; lengths in pixels, intensities in HU."""

    size: int = 32
    mean: float = 40.0  # soft tissue
    lumps: float = 30.0  # standard deviation of the power-law background
    exponent: float = 3.0  # of the power law, about that of anatomy
    noise: float = 22.0  # standard deviation of the ramp-filtered (CT-like) noise
    white: float = 4.0  # electronic noise
    radius: float = 3.0  # standard deviation of the nodule's Gaussian profile
    ceiling: float = 0.995  # ideal observer's AUC that sets the nodule's contrast

    def frequencies(self) -> np.ndarray:
        """Radial frequency (size, size) in cycles a pixel."""
        f = np.fft.fftfreq(self.size)
        return np.hypot(f[:, None], f[None, :])

    def spectrum(self) -> np.ndarray:
        """Noise power L(f), (size, size), in HU^2: the eigenvalues of the covariance."""
        f = self.frequencies()
        lumps = (f + 1.5 / self.size) ** -self.exponent
        ramp = f * np.exp(-((f / 0.28) ** 2))
        lumps *= self.lumps**2 / lumps.mean()
        ramp *= self.noise**2 / ramp.mean()
        return lumps + ramp + self.white**2

    def profile(self) -> np.ndarray:
        """The nodule with unit contrast at the centre, (size, size)."""
        y, x = np.indices((self.size, self.size)) - self.size // 2
        return np.exp(-(x**2 + y**2) / (2 * self.radius**2))

    def snr(self, contrast: float) -> float:
        """Detectability of the ideal observer for a nodule of that contrast (HU)."""
        power = np.abs(np.fft.fft2(contrast * self.profile())) ** 2
        return sqrt(float((power / self.spectrum()).sum()) / self.size**2)

    def contrast(self) -> float:
        """Contrast in HU at which the ideal observer reaches `ceiling`."""
        wanted = sqrt(2) * norm.ppf(self.ceiling)
        return float(np.asarray(brentq(lambda c: self.snr(c) - wanted, 0.0, 1e4)))

    def ideal_auc(self) -> float:
        """AUC of the ideal (Hotelling) observer for the nodule that `sample` draws."""
        return float(norm.cdf(self.snr(self.contrast()) / sqrt(2)))

    def sample(self, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One slice for each entry of `present` (n,), int16 HU (n, size, size)."""
        shape = (len(present), self.size, self.size)
        amplitude = np.sqrt(self.spectrum())
        noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal(shape)) * amplitude).real
        signal = self.contrast() * self.profile() * np.asarray(present)[:, None, None]
        return np.rint(self.mean + noise + signal).astype(np.int16)

    def ideal_scores(self, images: np.ndarray) -> np.ndarray:
        """The ideal observer's test statistic s' K^-1 (image - mean), (n,)."""
        template = np.fft.ifft2(np.fft.fft2(self.profile()) / self.spectrum()).real
        return np.tensordot(images - self.mean, template, axes=2)
