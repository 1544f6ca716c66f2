// One axis of a separable filter: correlates the lines of an array (lines, size, inner) with
// 2 RADIUS + 1 taps, and puts, adds or compares the sums. Sums have the order of the CPU code.
#include "_borders.cuh"

enum : int {
  TAPS = 2 * RADIUS + 1,
  THREADS = 256,
  ADD = 1,
  LARGEST = 2,
  BOTH = 4,
};

__device__ __forceinline__ float load(const PIXEL* pixel) {
  const float value = ABSOLUTE ? fabsf((float)*pixel) : (float)*pixel;
  return fabsf(value) < __int_as_float(0x7f800000) ? value : __int_as_float(0x7fc00000);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    separable_pass(const PIXEL* __restrict__ pixels, float* __restrict__ out,
                   const float* __restrict__ taps, unsigned long long total, int size,
                   unsigned long long inner, int how) {
  __shared__ float weights[TAPS];
  for (int k = threadIdx.x; k < TAPS; k += THREADS) weights[k] = taps[k];
  __syncthreads();
  const uint64 at = (uint64)blockIdx.x * THREADS + threadIdx.x;
  if (at >= total) return;
  const int i = (int)(at / inner % size);
  float sum = 0.0f;
  if (i >= RADIUS && i + RADIUS < size) {
    const PIXEL* pixel = pixels + at - RADIUS * inner;
#pragma unroll 4
    for (int k = 0; k < TAPS; k++) sum += weights[k] * load(pixel + k * inner);
  } else {
    const PIXEL* line = pixels + at - i * inner;
    for (int k = 0; k < TAPS; k++) {
      const int j = place(i - RADIUS + k, size);
      sum += weights[k] * (j < 0 ? 0.0f : load(line + j * inner));
    }
  }
  if (how & BOTH) sum = fabsf(sum);
  if (how & ADD) sum = out[at] + sum;
  if (how & LARGEST) {
    const float old = out[at];
    if (sum <= old || old != old) sum = old;
  }
  out[at] = sum;
}
