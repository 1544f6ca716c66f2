"""Radiomics of a volume and its mask, in the standard's order: resample, re-segment, measure."""

import numpy as np

from medkern.engine.radiomics import Case, Radiomics

# a bright ball of 9 mm in a darker, noisy volume of 3 x 1 x 1 mm voxels, in Hounsfield units
place = (np.indices((12, 36, 36)) - [[[[5.5]]], [[[17.5]]], [[[17.5]]]]) * [
    [[[3]]],
    [[[1]]],
    [[[1]]],
]
mask = (place**2).sum(axis=0) < 9**2
image = np.random.default_rng(0).normal(np.where(mask, 60, -80), 25)

chain = Radiomics(
    spacing=(1, 1, 1), interpolation="cubic", range=(-200, 300), binning="width", width=25,
    families=("statistics", "glcm"),  # without this: all eleven families of the standard
)  # fmt: skip
table = chain.table([Case("ball", image, mask, spacing=(3.0, 1.0, 1.0))])
row = dict(zip(table.names, table.values[0].tolist(), strict=True))

print(
    f"{len(row)} columns; {row['region.voxels']:.0f} voxels, a ball has {4 / 3 * np.pi * 9**3:.0f}"
)
print(f"mean {row['statistics.mean']:.0f} HU, contrast {row['glcm.contrast.d1.averaged']:.2f}")
