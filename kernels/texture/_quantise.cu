// Intensities to grey levels 1..Ng inside a region, 0 outside: see _quantise.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
#include "_cuda.cuh"

__device__ __forceinline__ bool inside(float v, uint8 mask, double first, double last) {
  return mask != 0 && v >= first && v < last;
}

// The order of the operations is that of the CPU code; a division is rounded alike everywhere.
__device__ __forceinline__ int level(float v, double gain, double origin, double step, double top) {
  const double t = gain * ((double)v - origin) / step;
  return (int)(t < top ? t : top) + 1;
}

extern "C" __global__ void __launch_bounds__(256)
quantise(const PIXEL* __restrict__ images, const uint8* __restrict__ masks,
         uint16* __restrict__ levels, int* __restrict__ tops, int regions, long long pixels,
         int count, int fixed, double given_origin, double given_step, double first, double last) {
  __shared__ uint32 scratch[8];
  const double top = count - 1.0;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const PIXEL* image = images + region * pixels;
    const uint8* mask = masks + region * pixels;
    uint32 low = 0xffffffffu, high = 0;
    for (long long at = threadIdx.x; at < pixels; at += blockDim.x) {
      const float v = (float)image[at];
      if (inside(v, mask[at], first, last)) {
        const uint32 key = float_to_key(v);
        low = min(low, key);
        high = max(high, key);
      }
    }
    low = block_reduce(low, scratch, Min());
    high = block_reduce(high, scratch, Max());

    double gain = 1.0, origin = given_origin, step = given_step;
    if (!fixed) {
      gain = count;
      origin = key_to_float(low);
      step = (double)key_to_float(high) - origin;
      if (step == 0.0) step = 1.0;
    }
    const bool empty = low > high;
    if (threadIdx.x == 0)
      tops[region] = empty ? 0 : level(key_to_float(high), gain, origin, step, top);
    uint16* out = levels + region * pixels;
    for (long long at = threadIdx.x; at < pixels; at += blockDim.x) {
      const float v = (float)image[at];
      out[at] = inside(v, mask[at], first, last) ? level(v, gain, origin, step, top) : 0;
    }
  }
}
