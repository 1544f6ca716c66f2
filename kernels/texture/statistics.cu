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

extern "C" __global__ void __launch_bounds__(256)
measure(const float* __restrict__ gathered, const int64* __restrict__ spans,
        float* __restrict__ out, int regions) {
  __shared__ Selection<RANKS> chosen;
  __shared__ float found[RANKS];
  __shared__ double scratch[WARPS];
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
    const double p10 = percentile(found, count, 0), p50 = percentile(found, count, 2);
    const double p90 = percentile(found, count, 4);
    const Extent ends = extent(values, count, (uint32*)scratch);
    const double least = ends.least, greatest = ends.greatest;
    const double mean = mean_between(values, count, least, greatest, least, scratch).mean;
    const double about_mean = deviation_between(values, count, least, greatest, mean, scratch);
    const double about_median = deviation_between(values, count, least, greatest, p50, scratch);
    const Mean robust = mean_between(values, count, p10, p90, least, scratch);
    const double about_robust = deviation_between(values, count, p10, p90, robust.mean, scratch);
    const Powers sums = powers(values, count, mean, scratch);
    if (threadIdx.x == 0) {
      const double p25 = percentile(found, count, 1);
      const double p75 = percentile(found, count, 3);
      const double variance = sums.second / count, square = variance + mean * mean;
      const double features[FEATURES] = {
          mean,
          variance,
          variance > 0.0 ? sums.third / count / (variance * sqrt(variance)) : 0.0,
          variance > 0.0 ? sums.fourth / count / (variance * variance) - 3.0 : 0.0,
          p50,
          least,
          p10,
          p90,
          greatest,
          p75 - p25,
          greatest - least,
          about_mean / count,
          about_robust / robust.count,
          about_median / count,
          sqrt(variance) / mean,
          (p75 - p25) / (p75 + p25),
          square * count,
          sqrt(square),
      };
#pragma unroll
      for (int k = 0; k < FEATURES; k++) row[k] = features[k];
    }
    __syncthreads();
  }
}
