"""Learning and judging: what leads from images and features to scores with intervals.

    split       train, val and test that no group straddles
    seen        which images a model has already seen
    cnn/        networks in plain JAX: layers, training, prediction
    classical/  SVM, trees, forests, logistic regression: fitting, arrays, prediction
    judge/      metrics with intervals
    model       the bundle of them all
    file/       one file, JSON and arrays, no code
    train       the way from labelled images to a model

What is imported here needs NumPy alone. A model with a network brings JAX when it is loaded;
scikit-learn and optax come with `from medkern.engine.learn.train import train`.
"""

from .errors import LearnError, ModelError
from .file import identity, load, save
from .judge.metrics import metrics
from .model import Model, evaluate
from .settings import MODELS, Progress, Settings
from .split import Split, split


def devices() -> tuple[str, ...]:
    """The devices networks can run on; brings JAX."""
    from .cnn import _jax

    return _jax.devices()


__all__ = [
    "Split",
    "split",
    "Settings",
    "MODELS",
    "Progress",
    "Model",
    "evaluate",
    "metrics",
    "load",
    "save",
    "identity",
    "devices",
    "LearnError",
    "ModelError",
]
