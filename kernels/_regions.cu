// Boxes of labelled objects: see _regions.py. Boxes are reset to (size, 0) on every axis before.
#include "_cuda.cuh"

extern "C" __global__ void __launch_bounds__(256)
boxes(const int* __restrict__ labels, int* __restrict__ boxes, int n, int d, int h, int w,
      int count) {
  const uint64 pixels = (uint64)d * h * w, all = n * pixels;
  for (uint64 at = blockIdx.x * 256ull + threadIdx.x; at < all; at += gridDim.x * 256ull) {
    const int label = labels[at];
    if (label <= 0) continue;
    const uint64 place = at % pixels;
    const int z = place / ((uint64)h * w), y = place / w % h, x = place % w;
    int* box = boxes + ((at / pixels) * count + label) * 6;
    atomicMin(&box[0], z);
    atomicMax(&box[1], z + 1);
    atomicMin(&box[2], y);
    atomicMax(&box[3], y + 1);
    atomicMin(&box[4], x);
    atomicMax(&box[5], x + 1);
  }
}
