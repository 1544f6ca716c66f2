// Colours as numbers of 24 bits: see _packed.py. A block packs as many pixels as it has threads; the
// bytes come through shared memory, so that whole sectors are read.
#include "_cuda.cuh"

using int64 = long long;

enum : int { THREADS = 256 };

extern "C" __global__ void __launch_bounds__(THREADS)
pack(const uint8* __restrict__ colours, uint32* __restrict__ numbers, int64 pixels) {
  __shared__ uint8 bytes[3 * THREADS];
  const int64 first = (int64)blockIdx.x * THREADS, at = first + threadIdx.x;
#pragma unroll
  for (int k = threadIdx.x; k < 3 * THREADS; k += THREADS)
    if (3 * first + k < 3 * pixels) bytes[k] = colours[3 * first + k];
  __syncthreads();
  const uint8* colour = bytes + 3 * threadIdx.x;
  if (at < pixels) numbers[at] = colour[0] | colour[1] << 8 | colour[2] << 16;
}
