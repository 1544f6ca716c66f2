"""Measure a thousand cells at once: one row a region, one column a feature, into Parquet."""

import tempfile
from pathlib import Path

import numpy as np

from medkern import kernels as mk
from medkern.engine.features import Features

rng = np.random.default_rng(0)
cells = rng.integers(0, 4096, (1000, 64, 64)).astype(np.uint16)
cells[500:] = mk.median(cells[500:], radius=1)  # the second half has a smoother texture
y, x = np.indices((64, 64)) - 31.5
masks = np.broadcast_to((x**2 + y**2 < 28**2).astype(np.uint8), cells.shape)

values, names = mk.glcm(cells, masks, levels=32, distance=1)
table = Features(values, names, tuple(f"cell-{i}" for i in range(len(cells))))

path = Path(tempfile.mkdtemp()) / "cells.parquet"
table.to_parquet(path)
contrast = table.select(["glcm.contrast.d1.averaged"]).values[:, 0]
print(f"{values.shape[1]} features of {values.shape[0]} regions in {path.name}")
print(f"contrast {contrast[:500].mean():.0f} (noisy), {contrast[500:].mean():.0f} (smooth)")
