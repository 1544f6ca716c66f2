"""Learning and judging: what leads from images and features to scores with intervals.

    labels      label texts and the numbers that stand for them
    duplicates  images that look the same
    split       train, val and test that no group straddles; split_file: the same as a checked CSV
    seen        which images a model has already seen
    cohort      labelled images and their features, row by row
    cnn/        networks in plain JAX: layers, training, prediction
    classical/  SVM, trees, forests, logistic regression: fitting, arrays, prediction
    judge/      metrics with intervals, calibration, prediction sets, novelty
    model       the bundle of them all
    bundle      fits it on one part; adjust: what another part decides about it
    file/       one file, JSON and arrays, no code
    train       the way from labelled images to a model
    folds       the same way, fold by fold, to judge all images
    explain/    what a model looked at

What is imported here needs NumPy alone. A model with a network brings JAX when it is loaded;
scikit-learn and optax come with `from medkern.engine.learn.train import train`.
"""

from .errors import LearnError, ModelError
from .file import identity, load, save
from .judge.metrics import metrics
from .model import Look, Model, evaluate
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
    "Look",
    "evaluate",
    "metrics",
    "load",
    "save",
    "identity",
    "devices",
    "LearnError",
    "ModelError",
]
