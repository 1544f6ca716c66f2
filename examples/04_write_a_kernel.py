"""Box mean over a square window.

    out[i, y, x] = mean of images[i, y-r : y+r+1, x-r : x+r+1]

images  (n, h, w) float32, any intensity unit; out has the same shape and unit
borders nearest pixel repeated
cost    (2r+1)^2 additions and one read and write a pixel; no workspace
nan     spreads to every window that holds it
source  Gonzalez & Woods, Digital Image Processing, 4th ed., section 3.5

A kernel is this file and the CUDA source of the same name beside it. Run it to see it checked:
reference = CPU = GPU code, the last one in the PTX interpreter where there is no card.
"""

import numpy as np
from numba import prange

from medkern.bench.ptx import Interpreter
from medkern.kernels import Cost, Filter, Parameter
from medkern.kernels._cpu import compiled
from medkern.kernels._cuda import Cuda, running


def reference(images, *, radius=1):
    """The definition, in float64."""
    h, w = images.shape[1:]
    total = np.zeros(images.shape)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            rows = np.clip(np.arange(h) + dy, 0, h - 1)
            columns = np.clip(np.arange(w) + dx, 0, w - 1)
            total += images[:, rows[:, None], columns]
    return (total / (2 * radius + 1) ** 2).astype(np.float32)


@compiled(parallel=True)
def _mean(images, out, radius):
    n, h, w = images.shape
    for row in prange(n * h):
        i, y = np.int64(row) // h, np.int64(row) % h
        for x in range(w):
            total = np.float32(0)
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    total += images[i, min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)]
            out[i, y, x] = total / np.float32((2 * radius + 1) ** 2)


def cpu(images, out, *, radius):
    _mean(images, out, radius)


cuda = Cuda(__file__)


def gpu(images, out, *, radius):
    n, h, w = images.shape
    grid = ((w + 31) // 32, (h + 7) // 8, min(n, 65535))
    cuda.function("box_mean")(grid, (32, 8), images, out, n, h, w, radius)


box_mean = Filter(
    name="box_mean",
    family="denoise",
    reference=reference,
    cpu=cpu,
    gpu=gpu,
    dtypes=("float32",),
    parameters={"radius": Parameter(1, "half side of the window", low=0, high=50, unit="px")},
    cost=lambda itemsize, radius: Cost(bytes=2 * itemsize, operations=(2 * radius + 1) ** 2),
    peers=("scipy.ndimage:uniform_filter",),
    tolerance=1e-6,
)

if __name__ == "__main__":
    batch = np.random.default_rng(0).random((3, 37, 41), dtype=np.float32)
    on_cpu = box_mean(batch, radius=3)
    on_gpu = np.empty_like(batch)
    with running(Interpreter()) as run:
        gpu(batch, on_gpu, radius=3)
    print("CPU against the definition:", np.abs(on_cpu - reference(batch, radius=3)).max())
    print("GPU code equals CPU, bit for bit:", np.array_equal(on_cpu, on_gpu))
