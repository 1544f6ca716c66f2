// The strength of speckle: the variation of every block of 8 x 8 pixels, and their median.
#include "_cuda.cuh"

enum : int { THREADS = 256, BLOCK = 8 };

__device__ float infinity() { return __int_as_float(0x7f800000); }

// The sum of eight neighbouring lanes.
__device__ float sum8(float value) {
  for (int step = BLOCK / 2; step > 0; step /= 2)
    value += __shfl_xor_sync(FULL_WARP, value, step);
  return value;
}

// A thread a column of a block, eight threads a block.
extern "C" __global__ void __launch_bounds__(THREADS)
    variations(const PIXEL* __restrict__ images, float* __restrict__ values, int n, int h, int w,
               int rows, int columns, int step, int bands, int log) {
  const int across = w / columns;
  const int block = (blockIdx.x * THREADS + threadIdx.x) / BLOCK, column = threadIdx.x % BLOCK;
  const bool mine = block < across && column < columns;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int band = blockIdx.y; band < bands; band += gridDim.y) {
      const PIXEL* corner = images + ((uint64)image * h + (uint64)band * step * rows) * w;
      corner += min(block, across - 1) * columns;
      const float origin = corner[0];
      float sum = 0, squares = 0;
      for (int j = 0; j < rows && mine; j++) {
        const float d = (float)corner[(uint64)j * w + column] - origin;
        sum += d;
        squares += d * d;
      }
      const float share = 1.0f / (float)(rows * columns);
      const float shift = sum8(sum) * share, square = sum8(squares) * share;
      const float variance = square - shift * shift, mean = origin + shift;
      float value = sqrtf(variance);
      if (!log) value /= fabsf(mean);
      if (!(variance > 0 && variance < infinity() && (log || mean != 0))) value = infinity();
      if (column == 0 && block < across)
        values[((uint64)image * bands + band) * across + block] = value;
    }
}

// 1.3 times the lower median of an image's values a block of threads, bit after bit from the top.
extern "C" __global__ void __launch_bounds__(THREADS)
    medians(const float* __restrict__ values, float* __restrict__ levels, int n, int length) {
  __shared__ int scratch[THREADS / WARP];
  for (int image = blockIdx.x; image < n; image += gridDim.x) {
    const float* all = values + (uint64)image * length;
    int present = 0, median = 0;
    for (int k = threadIdx.x; k < length; k += THREADS) present += all[k] < infinity();
    present = block_reduce(present, scratch, Sum());
    for (int bit = 30; bit >= 0; bit--) {
      const int limit = median | 1 << bit;
      int below = 0;
      for (int k = threadIdx.x; k < length; k += THREADS)
        below += __float_as_int(all[k]) < limit;
      below = block_reduce(below, scratch, Sum());
      if (below <= (present - 1) / 2) median = limit;
    }
    if (threadIdx.x == 0) levels[image] = present > 0 ? 1.3f * __int_as_float(median) : 0.0f;
  }
}
