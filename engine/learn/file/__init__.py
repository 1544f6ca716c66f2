"""The model file: JSON and arrays, no code; see `model_file`."""

from .model_file import identity, load, save, sign

__all__ = ["identity", "load", "save", "sign"]
