"""The nystroem model on arrays of any kind: what lies on a GPU is fitted and predicted there.

    gaps -> NaN -> StandardScaler -> NaN -> 0 -> Nystroem -> LogisticRegression

Every step of scikit-learn here follows the array API: arrays of CuPy, PyTorch or NumPy in, arrays
of the same kind on the same device out, and nothing but the weights (k s numbers a turn of the
optimiser) passes through the host. A support vector machine has no such form, and costs O(n^2):
for many rows, or rows on a device, this is its replacement.

Arrays other than NumPy's need SCIPY_ARRAY_API=1 in the environment before Python starts.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ..errors import LearnError
from .export import nystroem
from .heads import Head
from .models import Landmarks
from .warn import refuse_classes


def fit(
    values: Any,
    truth: Any,
    seed: int = 0,
    C: float = 10.0,
    gamma: float | None = None,
    landmarks: int = 300,
) -> tuple[Pipeline, Head]:
    """The fitted chain, whose arrays lie where `values` lie, and the same model as a `Head`.

    values  (n, f) float32 or float64 of any array library; NaN and infinite values are gaps
    truth   (n,) class numbers of the same library, each of 0 .. k-1 present
    C, gamma, landmarks  as of `models.nystroem`

    The head's probabilities are the chain's within 1e-6 in float64, 1e-3 in float32.
    LearnError where a class is missing, or where scikit-learn cannot follow the arrays.
    Cost O(n s (f + k)) a turn of the optimiser, s landmarks.
    """
    refuse_classes(host(truth))
    steps = Pipeline(
        [
            ("gaps", FunctionTransformer(_mark)),
            ("standardise", StandardScaler()),
            ("fill", FunctionTransformer(_fill)),
            ("landmarks", Landmarks(gamma=gamma, n_components=landmarks, random_state=seed)),
            ("model", LogisticRegression(C=C, class_weight="balanced", max_iter=5000)),
        ]
    )
    with _following(values):
        steps.fit(values, truth)
    mean, scale = (host(steps["standardise"].__dict__[name]) for name in ("mean_", "scale_"))
    arrays = {
        "mean": np.where(np.isfinite(mean), mean, 0),  # of a column without a value there is none
        "scale": np.where(np.isfinite(scale), scale, 1),
        **nystroem(steps["landmarks"], steps["model"], host),
    }
    return steps, Head("nystroem", {name: a.astype(np.float64) for name, a in arrays.items()})


def predict(chain: Pipeline, values: Any) -> Any:
    """Probabilities (n, k) in the library, on the device and of the dtype of `values`."""
    with _following(values):
        return chain.predict_proba(values)


def host(array: Any) -> np.ndarray:
    """A copy in the host's memory of an array of NumPy, CuPy or PyTorch."""
    if hasattr(array, "cpu"):
        array = array.cpu()
    return array.get() if hasattr(array, "get") else np.asarray(array)


def _following(values: Any) -> AbstractContextManager[None]:
    if isinstance(values, np.ndarray):
        return nullcontext()
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        raise LearnError(
            f"nystroem: arrays of {type(values).__module__} need SCIPY_ARRAY_API=1 in the "
            f"environment before Python starts"
        )
    return sklearn.config_context(array_api_dispatch=True)


def _mark(x: Any) -> Any:
    """NaN for what is not finite: x - x is 0 or NaN."""
    with np.errstate(invalid="ignore"):
        return x + (x - x)


def _fill(z: Any) -> Any:
    """0, the mean, for NaN; z is the scaler's own array."""
    z[z != z] = 0
    return z
