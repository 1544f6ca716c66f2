// Neighbourhood grey tone differences and their 5 features, of grey levels 1..Ng, 0 outside.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// A pixel's difference from the mean of its neighbours goes into s_i as a whole number of units,
// see ngtdm.py: integer atomics, the same sum in any order. A thread adds a level's row of
// complexity, one thread all that is left, both in the order of the CPU code: the same bits.
#include "_neighbours.cuh"

enum : int { FEATURES = 5 };

struct Tones {  // by level, in shared memory
  int64* sums;     // s_i in units
  double* rows;    // of complexity
  uint32* counts;  // n_i
};

// s_i, kept in the place of its units.
__device__ __forceinline__ double& difference(const Tones& tones, int i) {
  return *reinterpret_cast<double*>(tones.sums + i);
}

__device__ void add_differences(const Neighbourhood& near, Piece piece, double unit,
                                const Tones& tones, uint32 (*tiles)[TILE]) {
  for (int start = 0; start < piece.size; start += blockDim.x) {
    const int own = start + threadIdx.x;
    const int i = own < piece.size ? near.levels[piece.first + own] : 0;
    if (!__syncthreads_or(i)) continue;
    int count = -1, total = -i;
    around(near, piece.first + start, tiles, [&](int found) {
      count += found != 0;
      total += found;
    });
    if (i == 0 || count == 0) continue;
    const int64 units = (int64)((double)abs(i * count - total) * (unit / count));
    atomicAdd(&tones.counts[i], 1u);
    atomicAdd((uint64*)&tones.sums[i], (uint64)units);
  }
}

// Fills the rows of complexity; every thread gets the sum of |i n_i - j n_j| over i < j.
__device__ int64 compare_levels(const Tones& tones, int top, int64* scratch) {
  int64 uneven = 0;
  for (int a = 1 + threadIdx.x; a <= top; a += blockDim.x) {
    const uint32 count = tones.counts[a];
    const double n = count, weighted = n * difference(tones, a);
    double sum = 0.0;
#pragma unroll 1  // lanes read neighbouring levels together
    for (int b = a + 1; b <= top; b++) {
      const uint32 other = tones.counts[b];
      const double both = weighted + other * difference(tones, b);
      const bool present = count != 0 && other != 0;
      sum += present ? (b - a) * both / (n + other) : 0.0;
      uneven += present ? abs((int64)b * other - (int64)a * count) : 0;
    }
    tones.rows[a] = sum;
  }
  return block_reduce(uneven, scratch, Sum());
}

// Adds the features to `values`, by one thread; whether there are any.
__device__ bool add_features(const Tones& tones, int top, int64 uneven, double* values) {
  int64 present = 0, pixels = 0, of_levels = 0, of_squares = 0, first = 0, strength = 0;
  double total = 0.0, coarse = 0.0, spread = 0.0, complexity = 0.0;
  for (int64 i = 1; i <= top; i++) {
    const int64 count = tones.counts[i];
    if (count == 0) continue;
    const double s = difference(tones, i);
    total += s;
    coarse += count * s;
    complexity += tones.rows[i];
    first += i * count;
    pixels += count;
    of_levels += i;
    of_squares += i * i;
    present++;
  }
  if (present == 0) return false;
  const double mean = (double)first / (double)pixels;
  for (int64 i = 1; i <= top; i++) {
    const int64 count = tones.counts[i];
    if (count == 0) continue;
    spread += count * ((i - mean) * (i - mean));
    strength += count * (present * i * i - 2 * i * of_levels + of_squares);
  }
  const int64 pairs = max(present * (present - 1), 1LL);
  const double coarseness = pixels / coarse;
  values[0] += coarseness < 1e6 ? coarseness : 1e6;
  values[1] += 2.0 * spread / pixels / pairs * total / pixels;
  values[2] += uneven > 0 ? coarse / (2.0 * uneven) : 0.0;
  values[3] += 2.0 * complexity / pixels;
  values[4] += total > 0.0 ? 2.0 * strength / pixels / total : 0.0;
  return true;
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        float* __restrict__ out, int64 words, int regions, int most, int distance, int plane,
        int sliced) {
  extern __shared__ int64 memory[];
  __shared__ uint32 tiles[2][TILE];
  __shared__ int64 scratch[8];
  __shared__ double values[FEATURES];
  const Tones tones = {memory, (double*)(memory + most + 1), (uint32*)(memory + 2 * (most + 1))};
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + (int64)region * CROP_COLUMNS;
    const int top = crop[TOP];
    const Neighbourhood near = {levels, words, (int)crop[ROW], crop[SLAB], distance, plane != 0};
    const double unit = 32.0 * unit_of(crop[TOP] * crop[VOXELS]);
    int found = 0;
    if (threadIdx.x < FEATURES) values[threadIdx.x] = 0.0;
    for (int number = 0; number < (sliced ? crop[DEPTH] : 1); number++) {
      for (int i = threadIdx.x; i <= top; i += blockDim.x) tones.counts[i] = tones.sums[i] = 0;
      __syncthreads();
      add_differences(near, piece(crop, number, sliced), unit, tones, tiles);
      __syncthreads();
      for (int i = threadIdx.x; i <= top; i += blockDim.x)
        difference(tones, i) = tones.sums[i] / unit;
      __syncthreads();
      const int64 uneven = compare_levels(tones, top, scratch);
      if (threadIdx.x == 0) found += add_features(tones, top, uneven, values);
      __syncthreads();
    }
    if (threadIdx.x == 0)
      for (int k = 0; k < FEATURES; k++)
        out[(int64)region * FEATURES + k] =
            found ? (float)(values[k] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
