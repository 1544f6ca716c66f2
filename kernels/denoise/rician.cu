// Variance stabilisation of Rician magnitudes, and its exact unbiased inverse. A row of the grid an
// image; the table, `CELLS` cells, A_CELL of them a unit, lies in shared memory.
#include "_cuda.cuh"

enum : int { THREADS = 256 };
enum : bool { WHOLE = (PIXEL)0.5f == 0 };

struct Table {
  float values[CELLS + 1], slopes[CELLS + 1];

  __device__ void load(const float* table) {
    for (int i = threadIdx.x; i <= CELLS; i += THREADS) {
      values[i] = table[i];
      slopes[i] = i < CELLS ? table[i + 1] - table[i] : 0.0f;
    }
    __syncthreads();
  }

  __device__ float look_up(float place) const {
    const float last = CELLS;
    place = place > 0.0f ? place : 0.0f;
    place = place < last ? place : last;
    const int cell = (int)place;
    return values[cell] + (place - (float)cell) * slopes[cell];
  }
};

// Calls visit(image, k) for every pixel k of the batch.
template <typename Visit>
__device__ void for_each_pixel(int n, uint64 pixels, Visit visit) {
  for (int image = blockIdx.y; image < n; image += gridDim.y)
    for (uint64 k = blockIdx.x * (uint64)THREADS + threadIdx.x; k < pixels;
         k += gridDim.x * (uint64)THREADS)
      visit(image, image * pixels + k);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    stable(const PIXEL* __restrict__ images, float* __restrict__ out,
           const float* __restrict__ sigma, const float* __restrict__ values, int n,
           long long pixels) {
  __shared__ Table table;
  table.load(values);
  for_each_pixel(n, pixels, [&](int image, uint64 k) {
    float z = (float)images[k] * (1.0f / sigma[image]);
    z = z < 0.0f ? 0.0f : z;
    out[k] = z + table.look_up(z * A_CELL);
  });
}

extern "C" __global__ void __launch_bounds__(THREADS)
    levels(const float* __restrict__ images, PIXEL* __restrict__ out,
           const float* __restrict__ sigma, const float* __restrict__ values, float least,
           float constant, int n, long long pixels) {
  __shared__ Table table;
  table.load(values);
  for_each_pixel(n, pixels, [&](int image, uint64 k) {
    const float z = images[k] - constant;
    float square = z * z + table.look_up((images[k] - least) * A_CELL);
    if (images[k] <= least || square < 0.0f) square = 0.0f;
    const float level = sigma[image] * sqrtf(square);
    set_pixel(out[k], WHOLE && level != level ? 0.0f : level);  // of whole numbers NaN is 0
  });
}
