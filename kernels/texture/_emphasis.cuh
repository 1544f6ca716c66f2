// The 16 features of counts n_ij of levels i and sizes j; the twin of _emphasis.py, where rows
// and the list `beyond` are explained. By a block of 256 threads; MOST: levels.
#pragma once
#include "_information.cuh"

enum : int { EMPHASES = 16, LEVEL_BITS = 11, LEVEL = (1 << LEVEL_BITS) - 1 };

struct Emphasis {                    // what the features need, in shared memory; levels 1..MOST
  int64 of_level[MOST], high[MOST];  // n_i. and sum of j^2 n_ij
  double low[MOST];                  // sum of n_ij / j^2
  int64 total, sizes, size_squares, information;
};

// Adds what one thread knows to what the block knows.
__device__ void add_cell(Emphasis& margins, int level, int64 size, uint32 count) {
  const int64 square = size * size;
  margins.of_level[level - 1] += count;
  margins.high[level - 1] += square * count;
  margins.low[level - 1] += 1.0 / (double)square * (double)count;
}

// Elements of sizes beyond the last row, sorted; by one thread, in their order.
__device__ void add_beyond(Emphasis& margins, const int64* beyond, int listed, double unit) {
  for (int at = 0; at < listed;) {
    const int64 size = beyond[at] >> LEVEL_BITS, first = at;
    while (at < listed && beyond[at] >> LEVEL_BITS == size) {
      const int64 element = beyond[at];
      uint32 count = 0;
      for (; at < listed && beyond[at] == element; at++) count++;
      add_cell(margins, (int)(element & LEVEL), size, count);
      margins.information += information(count, unit);
    }
    margins.sizes += size * (at - first);
    margins.size_squares += (at - first) * (at - first);
  }
}

// A thread a level, then a warp a size: both read rows without a bank conflict.
__device__ void summarise(const uint32* counts, int side, int top, int last, const int64* beyond,
                          int listed, Emphasis& margins, int64* scratch) {
  int64 total = 0;
  for (int level = 1 + threadIdx.x; level <= top; level += blockDim.x) {
    margins.of_level[level - 1] = margins.high[level - 1] = 0;
    margins.low[level - 1] = 0.0;
#pragma unroll 1
    for (int size = 1; size <= last; size++) {
      const uint32 count = counts[(int64)size * side + level];
      if (count) add_cell(margins, level, size, count);
    }
    total += margins.of_level[level - 1];
  }
  total = block_reduce(total, scratch, Sum()) + listed;
  const double unit = unit_of(total);
  int64 sizes = 0, size_squares = 0, bits = 0;
  for (int size = 1 + threadIdx.x / WARP; size <= last; size += blockDim.x / WARP) {
    int64 of_size = 0;
#pragma unroll 1
    for (int level = 1 + threadIdx.x % WARP; level <= top; level += WARP) {
      const uint32 count = counts[(int64)size * side + level];
      of_size += count;
      bits += information(count, unit);
    }
    of_size = warp_reduce(of_size, Sum());
    if (threadIdx.x % WARP == 0) {
      sizes += size * of_size;
      size_squares += of_size * of_size;
    }
  }
  sizes = block_reduce(sizes, scratch, Sum());
  size_squares = block_reduce(size_squares, scratch, Sum());
  bits = block_reduce(bits, scratch, Sum());
  if (threadIdx.x == 0) {
    margins.total = total;
    margins.sizes = sizes;
    margins.size_squares = size_squares;
    margins.information = bits;
    add_beyond(margins, beyond, listed, unit);
  }
  __syncthreads();
}

// Counts an element, in the table or, if its size has no row there, in the list.
__device__ __forceinline__ void count(uint32* counts, int side, int rows, int64* beyond,
                                      int* listed, int level, int64 size) {
  if (size <= rows)
    atomicAdd(&counts[(int)size * side + level], 1u);
  else
    beyond[atomicAdd(listed, 1)] = size << LEVEL_BITS | level;
}

// Bitonic sort of a list with room up to the next power of two.
__device__ void sort(int64* list, int listed) {
  if (listed < 2) return;
  int size = 2;
  while (size < listed) size *= 2;
  for (int k = listed + threadIdx.x; k < size; k += blockDim.x) list[k] = 0x7fffffffffffffffLL;
  __syncthreads();
  for (int span = 2; span <= size; span *= 2) {
    for (int step = span / 2; step > 0; step /= 2) {
      for (int k = threadIdx.x; k < size / 2; k += blockDim.x) {
        const int at = 2 * step * (k / step) + k % step;
        const int64 a = list[at], b = list[at + step];
        if ((a > b) == ((at & span) == 0)) {
          list[at] = b;
          list[at + step] = a;
        }
      }
      __syncthreads();
    }
  }
}

// ---- the features, each by one thread, as in _emphasis.py

__device__ double variance(int64 total, int64 first, int64 second) {
  const double n = total;
  const int64 whole = (int64)((double)first / n);
  const double rest = first - whole * total;
  const int64 about_whole = second - whole * (2 * first - whole * total);
  return ((double)about_whole - rest * rest / n) / n;
}

__device__ void add_sums(const Emphasis& margins, int top, int64 voxels, double* values) {
  int64 first = 0, second = 0, level_squares = 0, squares = 0;
#pragma unroll 1
  for (int k = 0; k < top; k++) {
    const int64 level = k + 1, count = margins.of_level[k];
    first += level * count;
    second += level * level * count;
    level_squares += count * count;
    squares += margins.high[k];
  }
  const int64 total = margins.total;
  const double n = total;
  values[1] += (double)squares / n;
  values[3] += (double)second / n;
  values[8] += (double)level_squares / n;
  values[9] += (double)level_squares / n / n;
  values[10] += (double)margins.size_squares / n;
  values[11] += (double)margins.size_squares / n / n;
  values[12] += n / (double)voxels;
  values[13] += variance(total, first, second);
  values[14] += variance(total, margins.sizes, squares);
  values[15] += entropy(margins.information, total, unit_of(total));
}

__device__ void add_emphases(const Emphasis& margins, int top, double* values) {
  double shorts = 0.0, dim = 0.0;
  double short_dim = 0.0, short_bright = 0.0, long_dim = 0.0, long_bright = 0.0;
#pragma unroll 1
  for (int k = 0; k < top; k++) {
    const double level = k + 1, square = level * level;
    const double low = margins.low[k], high = margins.high[k];
    if (margins.of_level[k] == 0) continue;
    shorts += low;
    dim += (double)margins.of_level[k] / square;
    short_dim += low / square;
    short_bright += low * square;
    long_dim += high / square;
    long_bright += high * square;
  }
  const double n = margins.total;
  values[0] += shorts / n;
  values[2] += dim / n;
  values[4] += short_dim / n;
  values[5] += short_bright / n;
  values[6] += long_dim / n;
  values[7] += long_bright / n;
}

__device__ void add_features(const Emphasis& margins, int top, int64 voxels, double* values) {
  add_emphases(margins, top, values);
  add_sums(margins, top, voxels, values);
}
