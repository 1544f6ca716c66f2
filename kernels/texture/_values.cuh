// Sums and order statistics of the values of one region; the twin of _values.py.
// All threads of a block of 256 take part.
#pragma once
#include "_cuda.cuh"

using int64 = long long;

enum : int { WARPS = 8, DIGITS = 256, DIGIT_BITS = 8 };

// Value number rank[k] of the sorted values is found digit by digit of its key, the highest first:
// `prefix` are the digits known so far, `rank` is its number among the values that have them.
template <int N> struct Selection {
  uint32 counts[N][DIGITS];
  uint32 prefix[2][N], rank[2][N];  // of this round and of the next
};

// One table counts for all that have the same prefix: the first one's.
__device__ __forceinline__ int table_of(const uint32* prefix, uint32 wanted) {
  int k = 0;
  while (prefix[k] != wanted) k++;
  return k;
}

// found[k] = value number chosen.rank[0][k], which one thread has set.
template <int N>
__device__ void order_statistics(const float* values, int count, Selection<N>& chosen,
                                 float* found) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (threadIdx.x < N) chosen.prefix[0][threadIdx.x] = 0;
  for (int round = 0; round < 4; round++) {
    const int now = round % 2, then = 1 - now, shift = 24 - DIGIT_BITS * round;
    const uint32 *prefix = chosen.prefix[now], *rank = chosen.rank[now];
    for (int k = threadIdx.x; k < N * DIGITS; k += blockDim.x) (&chosen.counts[0][0])[k] = 0;
    __syncthreads();
    for (int at = threadIdx.x; at < count; at += blockDim.x) {
      const uint32 key = float_to_key(values[at]);
      const uint32 known = round ? key >> (shift + DIGIT_BITS) : 0;
      for (int k = 0; k < N; k++)
        if (known == prefix[k]) {
          atomicAdd(&chosen.counts[k][key >> shift & (DIGITS - 1)], 1u);
          break;
        }
    }
    __syncthreads();
    for (int k = warp; k < N; k += WARPS) {  // a warp a rank
      const uint32* counts = chosen.counts[table_of(prefix, prefix[k])];
      uint32 before = 0;
      for (int first = 0; first < DIGITS; first += WARP) {
        const uint32 here = counts[first + lane], up_to = before + warp_scan(here);
        if (rank[k] < up_to && rank[k] >= up_to - here) {
          chosen.prefix[then][k] = prefix[k] << DIGIT_BITS | (first + lane);
          chosen.rank[then][k] = rank[k] - (up_to - here);
        }
        before = __shfl_sync(FULL_WARP, up_to, WARP - 1);
      }
    }
    __syncthreads();
  }
  if (threadIdx.x < N) found[threadIdx.x] = key_to_float(chosen.prefix[0][threadIdx.x]);
  __syncthreads();
}

enum : int { PERCENTS = 5, RANKS = 2 * PERCENTS };

__device__ __forceinline__ int percent(int k) { return k == 0 ? 10 : k == 4 ? 90 : 25 * k; }

// The numbers of the two order statistics between which a percentile lies, and the percentile.
__device__ __forceinline__ void percentile_ranks(uint32* ranks, int count) {
  for (int k = 0; k < PERCENTS; k++) {
    ranks[2 * k] = (int64)percent(k) * (count - 1) / 100;
    ranks[2 * k + 1] = min(ranks[2 * k] + 1, count - 1);
  }
}
__device__ __forceinline__ double percentile(const float* found, int count, int k) {
  const double hundredths = (int64)percent(k) * (count - 1) % 100, low = found[2 * k];
  return low + hundredths / 100.0 * ((double)found[2 * k + 1] - low);
}

struct Extent {
  double least, greatest;
};

__device__ Extent extent(const float* values, int count, uint32* scratch) {
  uint32 low = 0xffffffffu, high = 0;
  for (int at = threadIdx.x; at < count; at += blockDim.x) {
    const uint32 key = float_to_key(values[at]);
    low = min(low, key);
    high = max(high, key);
  }
  low = block_reduce(low, scratch, Min());
  high = block_reduce(high, scratch, Max());
  return {key_to_float(low), key_to_float(high)};
}
