"""Models for runtimes that know no medkern: ONNX, with its fidelity measured; see `onnx`."""

from .onnx import BOUND, export

__all__ = ["export", "BOUND"]
