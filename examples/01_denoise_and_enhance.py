"""Clean and enhance a whole batch of slices, on the device the array lives on."""

import numpy as np

from medkern import kernels as mk

rng = np.random.default_rng(0)
y, x = np.indices((256, 256))
anatomy = 1500 + 900 * np.sin(y / 31.0) * np.cos(x / 23.0)
slices = rng.normal(anatomy, 150, (32, 256, 256)).clip(0, 4095).astype(np.uint16)  # 12-bit data

clean = mk.nlm(slices)  # the noise is measured; (n, h, w) in, the same shape and dtype out
clear = mk.clahe(clean, tiles=(4, 4), clip=2.0, bits=12)

noise = [float((batch[0].astype(float) - anatomy).std()) for batch in (slices, clean)]
(found, *_), _ = mk.noise(slices)
print(f"measured noise {found[0]:.0f}; {mk.recommend(slices, 'CT').reason}")
print(f"noise {noise[0]:.0f} -> {noise[1]:.0f} grey levels, result {clear.shape} {clear.dtype}")

# The same lines run on a GPU: the array decides.
#     import cupy
#     clean = mk.nlm(cupy.asarray(slices))
