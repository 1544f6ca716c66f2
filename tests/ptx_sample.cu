// A kernel with every sort of parameter, for the tests of the launcher and of the static report.
#include "_cuda.cuh"

using Count = uint32;

extern "C" __global__ void __launch_bounds__(128)
    scaled(const PIXEL* __restrict__ in, PIXEL* __restrict__ out, /* null: */ const float* weights,
           int n, float scale, unsigned char offset, Count* sum) {
  __shared__ Count scratch[4];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  Count value = 0;
  if (i < n) {
    value = (Count)(in[i] * scale * (weights ? weights[i] : 1.f)) + offset;
    out[i] = (PIXEL)value;
  }
  value = block_reduce(value, scratch, Sum());
  if (threadIdx.x == 0) atomicAdd(sum, value);
}

#ifdef DOUBLE
extern "C" __global__ void doubled(double* data) { data[threadIdx.x] = 2.0 * data[threadIdx.x] + 1; }
#endif

#ifdef SPILLS
// a local array with a computed index needs a stack
extern "C" __global__ void stacked(int* data, int n) {
  int own[64];
  for (int i = 0; i < 64; ++i) own[i] = data[i + threadIdx.x];
  for (int i = 0; i < n; ++i) own[data[i] & 63] += i;
  data[threadIdx.x] = own[data[threadIdx.x] & 63];
}
#endif
