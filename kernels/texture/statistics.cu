// The 18 statistics of the intensities of every region, gathered by _values.cu: see statistics.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x. A thread sums every 256th
// value and the tree over threads is that of the CPU code: the same bits as there.
#include "_values.cuh"

enum : int { FEATURES = 18 };

struct Mean {
  double mean;
  int count;
};

// Of the values low .. high, summed as distances from `origin`.
__device__ Mean mean_between(const float* values, int size, double low, double high, double origin,
                             double* scratch) {
  double sum = 0.0;
  int count = 0;
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    const double v = values[at];
    if (v >= low && v <= high) {
      sum += v - origin;
      count++;
    }
  }
  sum = block_reduce(sum, scratch, Sum());
  count = block_reduce(count, (int*)scratch, Sum());
  return {origin + sum / count, count};
}

__device__ double deviation_between(const float* values, int size, double low, double high,
                                    double middle, double* scratch) {
  double sum = 0.0;
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    const double v = values[at];
    if (v >= low && v <= high) sum += fabs(v - middle);
  }
  return block_reduce(sum, scratch, Sum());
}

struct Powers {
  double second, third, fourth;
};

__device__ Powers powers(const float* values, int size, double mean, double* scratch) {
  Powers sums = {0.0, 0.0, 0.0};
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    const double from_mean = values[at] - mean, square = from_mean * from_mean;
    sums.second += square;
    sums.third += square * from_mean;
    sums.fourth += square * square;
  }
  sums.second = block_reduce(sums.second, scratch, Sum());
  sums.third = block_reduce(sums.third, scratch, Sum());
  sums.fourth = block_reduce(sums.fourth, scratch, Sum());
  return sums;
}

// ---- features, each group written by one thread as soon as it is known: few registers stay in use

__device__ void describe_order(const float* found, int count, Extent ends, double* out) {
  const double p25 = percentile(found, count, 1), p75 = percentile(found, count, 3);
  out[4] = percentile(found, count, 2);
  out[5] = ends.least;
  out[6] = percentile(found, count, 0);
  out[7] = percentile(found, count, 4);
  out[8] = ends.greatest;
  out[9] = p75 - p25;
  out[10] = ends.greatest - ends.least;
  out[15] = (p75 - p25) / (p75 + p25);
}

__device__ void describe_moments(const Powers& sums, double mean, int count, double* out) {
  const double variance = sums.second / count, square = variance + mean * mean;
  out[0] = mean;
  out[1] = variance;
  out[2] = variance > 0.0 ? sums.third / count / (variance * sqrt(variance)) : 0.0;
  out[3] = variance > 0.0 ? sums.fourth / count / (variance * variance) - 3.0 : 0.0;
  out[14] = sqrt(variance) / mean;
  out[16] = square * count;
  out[17] = sqrt(square);
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const float* __restrict__ gathered, const int64* __restrict__ spans,
        float* __restrict__ out, int regions) {
  __shared__ Selection<RANKS> chosen;
  __shared__ float found[RANKS];
  __shared__ double scratch[WARPS], features[FEATURES];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const float* values = gathered + spans[2 * region];
    const int count = spans[2 * region + 1];
    float* row = out + (size_t)region * FEATURES;
    if (count == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    if (threadIdx.x == 0) percentile_ranks(chosen.rank[0], count);
    order_statistics<RANKS>(values, count, chosen, found);
    const Extent ends = extent(values, count, (uint32*)scratch);
    if (threadIdx.x == 0) describe_order(found, count, ends, features);
    __syncthreads();
    const double least = ends.least, greatest = ends.greatest;
    const double mean = mean_between(values, count, least, greatest, least, scratch).mean;
    const double about_mean = deviation_between(values, count, least, greatest, mean, scratch);
    if (threadIdx.x == 0) features[11] = about_mean / count;
    const double p10 = features[6], p90 = features[7];
    const Mean robust = mean_between(values, count, p10, p90, least, scratch);
    const double about_robust = deviation_between(values, count, p10, p90, robust.mean, scratch);
    if (threadIdx.x == 0) features[12] = about_robust / robust.count;
    const double p50 = features[4];
    const double about_median = deviation_between(values, count, least, greatest, p50, scratch);
    if (threadIdx.x == 0) features[13] = about_median / count;
    const Powers sums = powers(values, count, mean, scratch);
    if (threadIdx.x == 0) describe_moments(sums, mean, count, features);
    __syncthreads();
    if (threadIdx.x < FEATURES) row[threadIdx.x] = features[threadIdx.x];
    __syncthreads();
  }
}
