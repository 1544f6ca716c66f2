"""Who else estimates noise: scikit-image and DIPY, both slower and by other rules.

Their estimates agree with ours where the noise is white: within a few percent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .peer import Peer, Row, Run, thread_pool

_WITHIN = 0.1


def _skimage(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    from skimage.restoration import estimate_sigma

    return lambda: np.array(list(thread_pool().map(estimate_sigma, images)), np.float32)[:, None]


def _dipy(images: np.ndarray, masks: np.ndarray | None, **_: Any) -> Run:
    from dipy.denoise.noise_estimate import estimate_sigma

    def one(image: np.ndarray) -> float:
        return float(estimate_sigma(np.atleast_3d(image), disable_background_masking=True))

    return lambda: np.array(list(thread_pool().map(one, images)), np.float32)[:, None]


def _refuses(dtype: str, *, model: str) -> str:
    return "" if model == "gaussian" else f"it has no {model} model"


def _near(ours: Any, theirs: np.ndarray, **_: Any) -> str:
    values = ours[0] if isinstance(ours, tuple) else ours
    apart = float(np.abs(np.asarray(values) / theirs - 1).max())
    return f"sigma differs by {apart:.1%}" if apart > _WITHIN else ""


PEERS = (
    Peer(
        name="skimage.restoration:estimate_sigma",
        package="skimage",
        distribution="scikit-image",
        modes={"image pool": _skimage},
        refuses=_refuses,
        difference=_near,
        agreement="within 10 % (db2 against Haar, all coefficients against a sample)",
    ),
    Peer(
        name="dipy.denoise.noise_estimate:estimate_sigma",
        package="dipy",
        distribution="dipy",
        modes={"image pool": _dipy},
        refuses=_refuses,
        difference=_near,
        agreement="within 10 % (local residuals against differences)",
    ),
)

ROWS = (
    Row("image-1024", "float32"),
    Row("ct-chest-64x512x512", "uint16"),
    Row("ct-chest-64x512x512", "uint16", {"model": "poisson"}),
)
