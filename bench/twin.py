"""The residual network once more, in PyTorch with the same weights: what ours is held against.

Written as a PyTorch user would: modules, channels_last, everything PyTorch fuses by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """Convolution and batch normalisation, from our arrays (kh, kw, in, out)."""

    def __init__(self, params: Mapping[str, Any], state: Mapping[str, Any], stride: int = 1):
        super().__init__()
        weight = np.moveaxis(np.asarray(params["weight"]), (-1, -2), (0, 1))
        rank, outside = weight.ndim - 2, weight.shape[0]
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if rank == 2 else (nn.Conv3d, nn.BatchNorm3d)
        size = weight.shape[2]
        self.conv = conv(weight.shape[1], outside, size, stride, size // 2, bias=False)
        self.norm: Any = norm(outside)
        with torch.no_grad():
            for parameter, array in (
                (self.conv.weight, weight),
                (self.norm.weight, params["scale"]), (self.norm.bias, params["offset"]),
                (self.norm.running_mean, state["mean"]), (self.norm.running_var, state["var"]),
            ):  # fmt: skip
                parameter.copy_(torch.from_numpy(np.array(array)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


class Block(nn.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + shortcut(x))."""

    def __init__(self, params: Mapping[str, Any], state: Mapping[str, Any]):
        super().__init__()
        halves = "shortcut" in params
        self.first = ConvNorm(params["first"], state["first"], 2 if halves else 1)
        self.second = ConvNorm(params["second"], state["second"])
        self.shortcut = ConvNorm(params["shortcut"], state["shortcut"]) if halves else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.shortcut is not None:
            x = self.shortcut(_halve(x))
        return F.relu(x + y)


class Twin(nn.Module):
    """Images (n, c, h, w) or (n, c, d, h, w) -> logits, from our parameters and state."""

    def __init__(
        self, params: Mapping[str, Any], state: Mapping[str, Any], stride: int, pool: bool
    ):
        super().__init__()
        self.stem = ConvNorm(params["stem"], state["stem"], stride)
        self.pool = pool
        names = sorted(name for name in params if name.startswith("stage"))
        self.blocks = nn.Sequential(*(Block(params[name], state[name]) for name in names))
        weight = torch.from_numpy(np.array(params["dense"]["weight"])).T
        self.dense = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.dense.weight.copy_(weight)
            self.dense.bias.copy_(torch.from_numpy(np.array(params["dense"]["bias"])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        if self.pool:
            x = (F.max_pool2d if x.ndim == 4 else F.max_pool3d)(x, 3, 2, 1)
        return self.dense(self.blocks(x).flatten(2).mean(2))


def _halve(x: torch.Tensor) -> torch.Tensor:
    """Mean over 2 along every side, the last of an odd side repeated."""
    border = [part for side in reversed(x.shape[2:]) for part in (0, side % 2)]
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    return pool(F.pad(x, border, mode="replicate") if any(border) else x, 2)
