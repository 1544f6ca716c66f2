// Anscombe's transform and its exact unbiased inverse. A row of the grid an image.
#include "_cuda.cuh"

enum : int { THREADS = 256 };

// Calls visit(image, k) for every pixel k of the batch.
template <typename Begin, typename Visit>
__device__ void for_each_pixel(int n, uint64 pixels, Begin begin, Visit visit) {
  for (int image = blockIdx.y; image < n; image += gridDim.y) {
    begin(image);
    for (uint64 k = blockIdx.x * (uint64)THREADS + threadIdx.x; k < pixels;
         k += gridDim.x * (uint64)THREADS)
      visit(image, image * pixels + k);
  }
}

#ifndef CELLS

extern "C" __global__ void __launch_bounds__(THREADS)
    roots(const PIXEL* __restrict__ images, float* __restrict__ out,
          const float* __restrict__ gain, const float* __restrict__ sigma, float offset, int n,
          long long pixels) {
  float factor, rest;
  for_each_pixel(
      n, pixels,
      [&](int image) {
        const float s = sigma[image] / gain[image];
        factor = 1.0f / gain[image];
        rest = 0.375f + s * s;
      },
      [&](int, uint64 k) {
        const float y = ((float)images[k] - offset) * factor + rest;
        out[k] = 2.0f * sqrtf(y < 0.0f ? 0.0f : y);
      });
}

#else

enum : bool { WHOLE = (PIXEL)0.5f == 0 };

__device__ float look_up(const float* values, const float* slopes, float place) {
  const float last = CELLS;
  place = place > 0.0f ? place : 0.0f;
  place = place < last ? place : last;
  const int cell = (int)place;
  return values[cell] + (place - (float)cell) * slopes[cell];
}

extern "C" __global__ void __launch_bounds__(THREADS)
    counts(const float* __restrict__ images, PIXEL* __restrict__ out,
           const float* __restrict__ gain, const float* __restrict__ sigma, float offset,
           const float* __restrict__ table, int n, long long pixels) {
  __shared__ float values[CELLS + 1], slopes[CELLS + 1];
  float scale, rest, factor;
  for_each_pixel(
      n, pixels,
      [&](int image) {
        const float s = sigma[image] / gain[image];
        const float place = s / (1.0f + s) * LEVELS;
        const int level = min((int)place, LEVELS - 1);
        const float share = place - (float)level;
        const float* low = table + level * (CELLS + 1);
        const float* high = low + CELLS + 1;
        __syncthreads();  // the row of the image before is done with
        for (int i = threadIdx.x; i <= CELLS; i += THREADS)
          values[i] = low[i] + share * (high[i] - low[i]);
        __syncthreads();
        for (int i = threadIdx.x; i <= CELLS; i += THREADS)
          slopes[i] = i < CELLS ? values[i + 1] - values[i] : 0.0f;
        __syncthreads();
        scale = 2.0f * sqrtf(0.375f + s * s) * CELLS_A_UNIT;
        rest = 0.125f + s * s;
        factor = gain[image];
      },
      [&](int, uint64 k) {
        const float z = images[k];
        float y = 0.25f * (z * z) - rest + look_up(values, slopes, scale / (z > 1e-3f ? z : 1e-3f));
        if (y < 0.0f || z <= 0.0f) y = 0.0f;
        y = y * factor + offset;
        set_pixel(out[k], WHOLE && y != y ? 0.0f : y);  // of whole numbers NaN is 0
      });
}

#endif
