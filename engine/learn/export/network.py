"""Our networks as ONNX operators: `cnn.trained.scale` and `cnn.network.apply` of a fixed design, in
float32, from the pixels on.

Channels are first here (NCHW), as ONNX has them; the fixed normalisation goes into the weights, as
it does in `network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from .graph import Graph

if TYPE_CHECKING:
    from ..cnn.trained import Cnn, Design


def pixel_type(design: Design) -> type[np.uint8] | type[np.uint16]:
    """The type of the input "pixels"."""
    return np.uint8 if design.bits <= 8 else np.uint16


def add_cnn(graph: Graph, cnn: Cnn, pixels: str) -> tuple[str, str]:
    """Probabilities (n, k) and features (n, f), float32, of `pixels` as `Cnn.predict` takes them.

    ModelError for a network of one's own, whose operators nobody here knows.
    """
    from ..cnn.network import PLANS

    if cnn.design.architecture not in PLANS:
        raise ModelError("export: a network of one's own has no ONNX form here")
    return _Exporter(graph, cnn).answers(pixels)


class _Exporter:
    """The graph of one network. `sides` follows the maps' lengths, to know where one is odd."""

    def __init__(self, graph: Graph, cnn: Cnn):
        self.graph, self.design = graph, cnn.design
        self.params: Any = cnn.params
        self.state: Any = cnn.state
        self.sides = cnn.design.size

    def answers(self, pixels: str) -> tuple[str, str]:
        from ..cnn.network import stem

        graph, params = self.graph, self.params
        _, stride, pooled = stem(self.design.architecture, self.design.size)
        x = self._scaled(pixels)
        x = graph("Relu", self._conv(x, params["stem"], self.state["stem"], stride))
        if pooled:
            x = self._largest(x)
        for name in sorted(key for key in params if key.startswith("stage")):
            x = self._block(x, params[name], self.state[name])
        features = graph("ReduceMean", x, self._positions(), keepdims=0)
        dense = {key: graph.constant(array, np.float32) for key, array in params["dense"].items()}
        logits = graph("Add", graph("MatMul", features, dense["weight"]), dense["bias"])
        return self._probabilities(logits), features

    def _scaled(self, pixels: str) -> str:
        """Standardised float32 (n, c, h, w) or (n, c, d, h, w)."""
        from ..cnn.trained import FLOOR

        graph, design = self.graph, self.design
        x = graph("Div", graph.cast(pixels, np.float32), self._number(2**design.bits - 1))
        if design.channels == 1:
            x = graph("Unsqueeze", x, graph.whole(1))
        else:
            last = design.rank + 1
            x = graph("Transpose", x, perm=[0, last, *range(1, last)])
        if design.standardise == "data":
            x = graph("Sub", x, self._number(design.mean))
            return graph("Div", x, self._number(design.deviation + FLOOR))
        axes = graph.whole(*range(1, design.rank + 2))
        x = graph("Sub", x, graph("ReduceMean", x, axes, keepdims=1))
        variance = graph("ReduceMean", graph("Mul", x, x), axes, keepdims=1)
        return graph("Div", x, graph("Add", graph("Sqrt", variance), self._number(FLOOR)))

    def _block(self, x: str, params: Any, state: Any) -> str:
        """y = relu(norm(conv3(relu(norm(conv3(x))))) + shortcut(x))."""
        graph, sides = self.graph, self.sides
        halved = "shortcut" in params
        y = self._conv(x, params["first"], state["first"], 2 if halved else 1)
        y = self._conv(graph("Relu", y), params["second"], state["second"])
        if halved:
            x = self._conv(self._halved(x, sides), params["shortcut"], state["shortcut"])
        return graph("Relu", graph("Add", y, x))

    def _conv(self, x: str, params: Any, state: Any, stride: int = 1) -> str:
        """Convolution and fixed normalisation."""
        from ..cnn.network import EPSILON

        gain = params["scale"] / np.sqrt(state["var"] + np.float32(EPSILON))
        shift = params["offset"] - state["mean"] * gain
        weight = np.asarray(params["weight"] * gain)
        rank, border = self.design.rank, weight.shape[0] // 2
        self.sides = tuple((side + stride - 1) // stride for side in self.sides)
        return self.graph(
            "Conv",
            x,
            self.graph.constant(weight.transpose(rank + 1, rank, *range(rank)), np.float32),
            self.graph.constant(shift, np.float32),
            strides=[stride] * rank,
            pads=[border] * 2 * rank,
        )

    def _halved(self, x: str, sides: tuple[int, ...]) -> str:
        """Mean over 2 along every side; an odd last row stands for itself twice."""
        rank = self.design.rank
        if any(side % 2 for side in sides):
            after = [0, 0, *(side % 2 for side in sides)]
            x = self.graph("Pad", x, self.graph.whole(*[0] * (rank + 2), *after), mode="edge")
        self.sides = tuple((side + 1) // 2 for side in sides)
        return self.graph("AveragePool", x, kernel_shape=[2] * rank, strides=[2] * rank)

    def _largest(self, x: str) -> str:
        """Maximum over 3 with stride 2 along every side."""
        rank = self.design.rank
        self.sides = tuple((side + 1) // 2 for side in self.sides)
        shape = {"kernel_shape": [3] * rank, "strides": [2] * rank, "pads": [1] * 2 * rank}
        return self.graph("MaxPool", x, **shape)

    def _number(self, value: float) -> str:
        return self.graph.constant(value, np.float32)

    def _positions(self) -> str:
        return self.graph.whole(*range(2, self.design.rank + 2))

    def _probabilities(self, logits: str) -> str:
        """See `cnn.loss.probabilities`."""
        graph, design = self.graph, self.design
        if design.task == "classes":
            return graph("Softmax", logits, axis=1)
        if design.task == "labels":
            return graph("Sigmoid", logits)
        cuts = design.classes - 1
        falling, _ = graph.two("TopK", logits, graph.whole(cuts), axis=1, largest=1, sorted=1)
        # p_0 = 1 - q_0, p_j = q_(j-1) - q_j, p_(k-1) = q_(k-2)
        step = np.eye(cuts, cuts + 1, 1) - np.eye(cuts, cuts + 1)
        shares = graph("MatMul", graph("Sigmoid", falling), graph.constant(step, np.float32))
        return graph("Add", shares, graph.constant(np.eye(1, cuts + 1)[0], np.float32))
