"""A graph of ONNX operators that grows call by call: `y = graph("Add", x, graph.constant(bias))`.

Names are made up; a value is known by the name that the call returns. The operators are those of
opset 18 and of ai.onnx.ml 3, which every runtime since 2023 has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ML = "ai.onnx.ml"
OPSETS = {"": 18, ML: 3}
IR_VERSION = 9  # the file's own version, of the same age


class Graph:
    """Nodes and constants so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output, and give the output's name."""
        from onnx import helper

        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def two(self, operator: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add an operator with two outputs."""
        from onnx import helper

        names = [f"{operator}_{len(self.nodes)}_{part}" for part in (0, 1)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0], names[1]

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """An array or number, and its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(np.asarray(values, dtype)).reshape(np.shape(values))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def whole(self, *values: int) -> str:
        """Whole numbers, such as axes."""
        return self.constant(values, np.int64)

    def cast(self, x: str, dtype: Any) -> str:
        """x in another type."""
        from onnx import helper

        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
