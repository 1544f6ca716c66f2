"""Learning and judging: what leads from images and features to scores with intervals.

    split       train, val and test that no group straddles
    network     a small residual network in plain JAX
    cnn         a trained network and its prediction
    train_cnn   how it is trained
    classical   SVM, tree, forest and logistic regression, fitted by scikit-learn
    heads       the same models as checked arrays, predicted by NumPy
    evaluate    AUC, accuracy, sensitivity, specificity with bootstrap intervals
    model       the bundle of them all
    model_file  one file, JSON and arrays, no code
    train       the way from labelled images to a model

What is imported here needs NumPy alone. A model with a network brings JAX when it is loaded;
scikit-learn and optax come with `from medkern.engine.learn.train import train`.
"""

from .evaluate import metrics
from .heads import ModelError
from .model import Model, evaluate
from .model_file import identity, load, save
from .settings import MODELS, LearnError, Progress, Settings
from .split import Split, split


def devices() -> tuple[str, ...]:
    """The devices networks can run on; brings JAX."""
    from . import _jax

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
