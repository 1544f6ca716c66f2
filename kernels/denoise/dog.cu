// Both Gaussians of a tile and their difference. The pixels are read once: of the run that a thread
// holds in registers it makes the sums of both widths along y, which meet in shared memory with
// their neighbours along x. LOW and HIGH are the radii. Every sum has the order of the CPU code.
#include "_cuda.cuh"

enum : int {
  TILE_W = 128,
  TILE_H = 32,
  SECTOR = 32,
  RUN = HIGH <= 4 ? 16 : 8,  // pixels in a column that a thread sums
  PAD = ceil_div(HIGH * (int)sizeof(PIXEL), (int)SECTOR) * SECTOR / (int)sizeof(PIXEL),
  SLOTS = TILE_W + 2 * PAD,  // columns of a tile with borders in whole sectors
  THREADS = SLOTS * TILE_H / RUN,
  RESIDENT = THREADS < 512 ? 1024 / THREADS : 1,  // blocks a multiprocessor: 64 or 80 registers
};

// The symmetric sum around v[0].
template <int radius>
__device__ __forceinline__ float sum_around(const float* v, const float (&weights)[17]) {
  float sum = weights[0] * v[0];
#pragma unroll
  for (int k = 1; k <= radius; k++) sum += weights[k] * (v[-k] + v[k]);
  return sum;
}

extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    dog_tile(const PIXEL* __restrict__ images, float* __restrict__ out, int n, int h, int w,
             float a0, float a1, float a2, float a3, float a4, float a5, float a6, float a7,
             float a8, float a9, float a10, float a11, float a12, float a13, float a14, float a15,
             float a16, float b0, float b1, float b2, float b3, float b4, float b5, float b6,
             float b7, float b8, float b9, float b10, float b11, float b12, float b13, float b14,
             float b15, float b16) {
  __shared__ float low[TILE_H][SLOTS], high[TILE_H][SLOTS];
  const float a[] = {a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16};
  const float b[] = {b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15, b16};
  const int left = blockIdx.x * TILE_W;
  const int column = threadIdx.x % SLOTS, first = threadIdx.x / SLOTS * RUN;
  const bool needed = column >= PAD - HIGH && left - PAD + column < w + HIGH;
  for (int image = blockIdx.z; image < n; image += gridDim.z)
    for (int y = blockIdx.y * TILE_H; y < h; y += gridDim.y * TILE_H) {
      const uint64 start = (uint64)image * h * w;
      if (needed) {
        const PIXEL* top = images + start + clamp_index(left - PAD + column, w);
        float v[RUN + 2 * HIGH];
#pragma unroll
        for (int j = 0; j < RUN + 2 * HIGH; j++)
          v[j] = (float)top[(uint64)clamp_index(y + first - HIGH + j, h) * w];
#pragma unroll
        for (int j = 0; j < RUN; j++) {
          low[first + j][column] = sum_around<LOW>(v + j + HIGH, a);
          high[first + j][column] = sum_around<HIGH>(v + j + HIGH, b);
        }
      }
      __syncthreads();
      for (int e = threadIdx.x; e < TILE_W * TILE_H; e += THREADS) {
        const int j = e / TILE_W, x = e % TILE_W;
        if (left + x < w && y + j < h)
          out[start + (uint64)(y + j) * w + left + x] =
              sum_around<LOW>(low[j] + PAD + x, a) - sum_around<HIGH>(high[j] + PAD + x, b);
      }
      __syncthreads();
    }
}
