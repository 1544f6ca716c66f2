// The 23 features of the histogram of grey levels 1..Ng, 0 outside: see histogram.py.
// One block of 256 threads a region; blocks go on with region + gridDim.x. Counts are integers;
// floating point sums are made by one thread in the order of the CPU code: the same bits as there.
#include "_information.cuh"
#include "_values.cuh"

enum : int { FEATURES = 23 };

struct Mean {
  double mean;
  int64 total;
};

// Of the levels low .. high.
__device__ Mean mean_between(const uint32* counts, int top, double low, double high) {
  int64 first = 0, total = 0;
  for (int i = 1; i <= top; i++)
    if (low <= i && i <= high) {
      first += (int64)i * counts[i];
      total += counts[i];
    }
  return {(double)first / (double)total, total};
}

__device__ double deviation_between(const uint32* counts, int top, double low, double high,
                                    double middle) {
  double total = 0.0;
  for (int i = 1; i <= top; i++)
    if (low <= i && i <= high) total += fabs(i - middle) * counts[i];
  return total;
}

// ---- features, each group by one thread

__device__ void describe_mean(const uint32* counts, int top, int64 total, double* out) {
  const double mean = mean_between(counts, top, 1.0, top).mean;
  double second = 0.0, third = 0.0, fourth = 0.0;
  for (int i = 1; i <= top; i++) {
    const double from_mean = i - mean, square = from_mean * from_mean, count = counts[i];
    second += square * count;
    third += square * from_mean * count;
    fourth += square * square * count;
  }
  int lowest = 1;
  while (counts[lowest] == 0) lowest++;
  const double variance = second / total;
  out[0] = mean;
  out[1] = variance;
  out[2] = lowest < top ? third / total / (variance * sqrt(variance)) : 0.0;
  out[3] = lowest < top ? fourth / total / (variance * variance) - 3.0 : 0.0;
  out[5] = lowest;
  out[8] = top;
  out[11] = top - lowest;
  out[12] = deviation_between(counts, top, 1.0, top, mean) / total;
  out[15] = sqrt(variance) / mean;
}

// Level number `rank` of the sorted levels.
__device__ int level_at(const uint32* counts, uint32 rank) {
  int level = 0;
  for (uint32 up_to = 0; up_to <= rank;) up_to += counts[++level];
  return level;
}

__device__ void describe_percentiles(const uint32* counts, int top, int64 total, double* out) {
  uint32 ranks[RANKS];
  float found[RANKS];
  double points[PERCENTS];
  percentile_ranks(ranks, total);
#pragma unroll
  for (int k = 0; k < RANKS; k++) found[k] = level_at(counts, ranks[k]);
#pragma unroll
  for (int k = 0; k < PERCENTS; k++) points[k] = percentile(found, total, k);
  const Mean robust = mean_between(counts, top, points[0], points[4]);
  out[4] = points[2];
  out[6] = points[0];
  out[7] = points[4];
  out[10] = points[3] - points[1];
  out[13] = deviation_between(counts, top, points[0], points[4], robust.mean) / robust.total;
  out[14] = deviation_between(counts, top, 1.0, top, points[2]) / total;
  out[16] = (points[3] - points[1]) / (points[3] + points[1]);
}

__device__ void describe_shape(const uint32* counts, int top, int64 total, double* out) {
  int64 first = 0, squares = 0, nearest = 0;
  for (int i = 1; i <= top; i++) {
    first += (int64)i * counts[i];
    squares += (int64)counts[i] * counts[i];
  }
  int best = 1;
  double rise = 0.0, fall = 0.0;
  int rise_at = 1, fall_at = 1;
  for (int i = 1; i <= top; i++) {
    const int64 away = llabs(i * total - first);
    if (i == 1 || counts[i] > counts[best] || (counts[i] == counts[best] && away < nearest)) {
      best = i;
      nearest = away;
    }
    const int before = max(i - 1, 1), after = min(i + 1, top);
    const double difference = (double)counts[after] - (double)counts[before];
    const double gradient = after > before ? difference / (after - before) : 0.0;
    if (i == 1 || gradient > rise) {
      rise = gradient;
      rise_at = i;
    }
    if (i == 1 || gradient < fall) {
      fall = gradient;
      fall_at = i;
    }
  }
  out[9] = best;
  out[18] = (double)squares / (double)total / (double)total;
  out[19] = rise;
  out[20] = rise_at;
  out[21] = fall;
  out[22] = fall_at;
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        float* __restrict__ out, int regions) {
  __shared__ uint32 counts[MOST + 1];
  __shared__ int64 scratch[WARPS];
  __shared__ double features[FEATURES];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int top = crop[TOP], cells = crop[DEPTH] * crop[SLAB];
    const int64 total = crop[VOXELS];
    float* row = out + (size_t)region * FEATURES;
    if (total == 0) {
      if (threadIdx.x < FEATURES) row[threadIdx.x] = __int_as_float(0x7fc00000);
      continue;
    }
    for (int i = threadIdx.x; i <= top; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    for (int at = threadIdx.x; at < cells; at += blockDim.x) {
      const int level = levels[crop[START] + at];
      if (level != 0) atomicAdd(&counts[level], 1u);
    }
    __syncthreads();
    const double unit = unit_of(total);
    const int64 bits = information_of(counts + 1, top, unit, scratch);
    if (threadIdx.x == 0) describe_mean(counts, top, total, features);
    if (threadIdx.x == WARP) describe_percentiles(counts, top, total, features);
    if (threadIdx.x == 2 * WARP) describe_shape(counts, top, total, features);
    if (threadIdx.x == 3 * WARP) features[17] = entropy(bits, total, unit);
    __syncthreads();
    if (threadIdx.x < FEATURES) row[threadIdx.x] = features[threadIdx.x];
    __syncthreads();
  }
}
