// Statistics of the amount of each stain in packed colours, gathered by _values.cu: see stains.py.
// One block of 256 threads a region and stain; blocks go on with job + gridDim.x. A thread sums every
// 256th amount and the tree over threads is that of the CPU code: the same bits as there.
#include "_colour.cuh"
#include "_values.cuh"

enum : int { THREADS = 256, DYES = 3, FEATURES = 5 + PERCENTS };

__device__ void absorb(const float* numbers, int count, const float* density, const float* weights,
                       float* amounts) {
  for (int at = threadIdx.x; at < count; at += THREADS) {
    const int number = (int)numbers[at];
    amounts[at] = stain(density[number & 255], density[number >> 8 & 255], density[number >> 16],
                        weights);
  }
}

// The features that are not percentiles; `out` at the first of this stain.
__device__ void describe(const float* amounts, int count, double least, float threshold,
                         double* scratch, float* out) {
  double sum = 0.0;
  for (int at = threadIdx.x; at < count; at += THREADS) sum += amounts[at] - least;
  const double mean = least + block_reduce(sum, scratch, Sum()) / count;
  double second = 0.0, third = 0.0, fourth = 0.0;
  int positive = 0;
  for (int at = threadIdx.x; at < count; at += THREADS) {
    const double from_mean = amounts[at] - mean, square = from_mean * from_mean;
    second += square;
    third += square * from_mean;
    fourth += square * square;
    positive += amounts[at] > threshold;
  }
  const double variance = block_reduce(second, scratch, Sum()) / count;
  third = block_reduce(third, scratch, Sum()) / count;
  fourth = block_reduce(fourth, scratch, Sum()) / count;
  positive = block_reduce(positive, (int*)scratch, Sum());
  if (threadIdx.x != 0) return;
  out[0] = (float)mean;
  out[DYES] = (float)sqrt(variance);
  out[2 * DYES] = variance > 0.0 ? (float)(third / (variance * sqrt(variance))) : 0.0f;
  out[3 * DYES] = variance > 0.0 ? (float)(fourth / (variance * variance) - 3.0) : 0.0f;
  out[(4 + PERCENTS) * DYES] = (float)((double)positive / count);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
measure(const float* __restrict__ gathered, const int64* __restrict__ spans,
        const float* __restrict__ densities, const float* __restrict__ weights, float* workspace,
        float* __restrict__ out, int regions, int64 cells, float threshold) {
  __shared__ Selection<RANKS> chosen;
  __shared__ float found[RANKS], density[THREADS];
  __shared__ double scratch[WARPS];
  density[threadIdx.x] = densities[threadIdx.x];
  for (int64 job = blockIdx.x; job < (int64)DYES * regions; job += gridDim.x) {
    const int64 region = job / DYES, start = spans[2 * region];
    const int dye = job % DYES, count = spans[2 * region + 1];
    float* row = out + region * FEATURES * DYES + dye;
    if (count == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x * DYES] = __int_as_float(0x7fc00000);
      continue;
    }
    float* amounts = workspace + dye * cells + start;
    if (threadIdx.x == 0) percentile_ranks(chosen.rank[0], count);
    __syncthreads();
    absorb(gathered + start, count, density, weights + 3 * dye, amounts);
    __syncthreads();
    order_statistics<RANKS>(amounts, count, chosen, found);
    if (threadIdx.x < PERCENTS)
      row[(4 + threadIdx.x) * DYES] = (float)percentile(found, count, threadIdx.x);
    const double least = extent(amounts, count, (uint32*)scratch).least;
    describe(amounts, count, least, threshold, scratch, row);
    __syncthreads();
  }
}
