// Colour co-occurrence: the matrices of six pairs of channels and their features, of levels 1..Ng, 0
// outside; see colour_glcm.py. One block of 256 threads a region; blocks go on with
// region + gridDim.x. MOST: levels.
//
// Counts are made with integer atomics in shared memory, one direction at a time. Floating point
// sums are made by one thread in the order of the CPU code, everything before is integer: the same
// bits as there.
#include "_information.cuh"

enum : int { CHANNELS = 3, PAIRS = 6, DIRECTIONS = 4, FEATURES = 16 };

// Channels of a pair: rr, gg, bb, rg, rb, gb.
__device__ __forceinline__ int first_of(int pair) { return pair < 3 ? pair : pair == 5; }
__device__ __forceinline__ int second_of(int pair) { return pair < 3 ? pair : pair == 3 ? 1 : 2; }

struct Matrix {  // what the features need, in shared memory
  uint32 sums[2 * MOST + 1], differences[MOST], rows[MOST + 1], columns[MOST + 1];
  int64 pairs, greatest, squares;
  int64 joint, of_sums, of_differences, of_rows, of_columns;  // information
};

// Adds each two neighbours p and q = p + offset of a crop, in both orders, to N p_ij of all pairs.
__device__ void count_pairs(const uint16* const* levels, uint32 (*counts)[MOST * MOST], int size,
                            int64 offset) {
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    int p[CHANNELS], q[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) {
      p[c] = levels[c][at];
      q[c] = levels[c][at + offset];
    }
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
      const int a = first_of(pair), b = second_of(pair);
      if (p[a] && q[b]) atomicAdd(&counts[pair][(p[a] - 1) * MOST + q[b] - 1], 1u);
      if (q[a] && p[b]) atomicAdd(&counts[pair][(q[a] - 1) * MOST + p[b] - 1], 1u);
    }
  }
}

__device__ void summarise(const uint32* counts, int levels, Matrix& matrix, int64* scratch) {
  for (int k = threadIdx.x; k <= 2 * levels; k += blockDim.x) {
    matrix.sums[k] = 0;
    if (k < levels) matrix.differences[k] = 0;
    if (k <= levels) matrix.rows[k] = matrix.columns[k] = 0;
  }
  __syncthreads();
  int64 pairs = 0, joint = 0, squares = 0, greatest = 0;
  for (int k = threadIdx.x; k < levels * MOST; k += blockDim.x) pairs += counts[k];
  pairs = block_reduce(pairs, scratch, Sum());
  if (threadIdx.x == 0) matrix.pairs = pairs;
  if (pairs == 0) return __syncthreads();
  const double unit = unit_of(pairs);
  for (int k = threadIdx.x; k < levels * MOST; k += blockDim.x) {
    const uint32 count = counts[k];
    if (count == 0) continue;
    const int i = 1 + k / MOST, j = 1 + k % MOST;
    atomicAdd(&matrix.sums[i + j], count);
    atomicAdd(&matrix.differences[abs(i - j)], count);
    atomicAdd(&matrix.rows[i], count);
    atomicAdd(&matrix.columns[j], count);
    greatest = max(greatest, (int64)count);
    squares += (int64)count * count;
    joint += information(count, unit);
  }
  joint = block_reduce(joint, scratch, Sum());
  squares = block_reduce(squares, scratch, Sum());
  greatest = block_reduce(greatest, scratch, Max());
  const int64 of_sums = information_of(matrix.sums, 2 * levels + 1, unit, scratch);
  const int64 of_differences = information_of(matrix.differences, levels, unit, scratch);
  const int64 of_rows = information_of(matrix.rows, levels + 1, unit, scratch);
  const int64 of_columns = information_of(matrix.columns, levels + 1, unit, scratch);
  if (threadIdx.x == 0) {
    matrix.joint = joint;
    matrix.squares = squares;
    matrix.greatest = greatest;
    matrix.of_sums = of_sums;
    matrix.of_differences = of_differences;
    matrix.of_rows = of_rows;
    matrix.of_columns = of_columns;
  }
  __syncthreads();
}

// ---- the features, each added to `values` by one thread, as in colour_glcm.py

struct Moments {
  double mean, square, variance;
};

__device__ Moments moments(const uint32* counts, int n, int64 pairs) {
  int64 first = 0, second = 0;
  for (int k = 0; k < n; k++) {
    first += (int64)k * counts[k];
    second += (int64)k * k * counts[k];
  }
  const double mean = (double)first / pairs;
  double central = 0.0;
  for (int k = 0; k < n; k++) central += (k - mean) * (k - mean) * (double)counts[k];
  return {mean, (double)second / pairs, central / pairs};
}

__device__ void add_moments(const Matrix& matrix, int levels, double* values) {
  const int64 pairs = matrix.pairs;
  const Moments sums = moments(matrix.sums, 2 * levels + 1, pairs);
  const Moments differences = moments(matrix.differences, levels, pairs);
  const Moments rows = moments(matrix.rows, levels + 1, pairs);
  const Moments columns = moments(matrix.columns, levels + 1, pairs);
  const double shift = rows.mean - columns.mean, scatter = rows.variance * columns.variance;
  const double covariance = (sums.variance - (differences.square - shift * shift)) / 4.0;
  values[3] += sums.mean;
  values[4] += sums.variance;
  values[6] += differences.mean;
  values[7] += differences.variance;
  values[9] += differences.square;
  values[13] += scatter > 0.0 ? covariance / sqrt(scatter) : 1.0;
}

__device__ void add_inverse_differences(const Matrix& matrix, int levels, double* values) {
  const double pairs = matrix.pairs;
  double plain = 0.0, moment = 0.0, variance = 0.0;
#pragma unroll 1
  for (int k = 0; k < levels; k++) {
    const double d = k, count = matrix.differences[k];
    plain += count / (1.0 + d);
    moment += count / (1.0 + d * d);
    if (k > 0) variance += count / (d * d);
  }
  values[10] += plain / pairs;
  values[11] += moment / pairs;
  values[12] += variance / pairs;
}

__device__ void add_entropies(const Matrix& matrix, int levels, double* values) {
  const int64 pairs = matrix.pairs;
  const double unit = unit_of(pairs), hxy = entropy(matrix.joint, pairs, unit);
  const double hx = entropy(matrix.of_rows, pairs, unit);
  const double hy = entropy(matrix.of_columns, pairs, unit);
  double mutual = hx + hy - hxy;
  if (mutual < 1e-9 || hx == 0.0 || hy == 0.0) mutual = 0.0;
  values[0] += matrix.greatest / (double)pairs;
  values[1] += hxy;
  values[2] += (double)matrix.squares / (double)pairs / (double)pairs;
  values[5] += entropy(matrix.of_sums, pairs, unit);
  values[8] += entropy(matrix.of_differences, pairs, unit);
  values[14] += mutual > 0.0 ? -mutual / max(hx, hy) : 0.0;
  values[15] += sqrt(1.0 - exp_minus(2.0 * mutual));
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ red, const uint16* __restrict__ green,
        const uint16* __restrict__ blue, const int64* __restrict__ crops, float* __restrict__ out,
        int regions, int levels, int distance, int merged) {
  __shared__ uint32 counts[PAIRS][MOST * MOST];
  __shared__ Matrix matrix;
  __shared__ int64 scratch[8];
  __shared__ double values[PAIRS][FEATURES];
  __shared__ int found[PAIRS];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int64 start = crop[START];
    const uint16* planes[CHANNELS] = {red + start, green + start, blue + start};
    for (int k = threadIdx.x; k < PAIRS * FEATURES; k += blockDim.x) (&values[0][0])[k] = 0.0;
    if (threadIdx.x < PAIRS) found[threadIdx.x] = 0;
    for (int m = 0; m < DIRECTIONS; m++) {
      if (m == 0 || !merged)
        for (int k = threadIdx.x; k < PAIRS * MOST * MOST; k += blockDim.x) (&counts[0][0])[k] = 0;
      __syncthreads();
      const int y = m > 0, x = m == 3 ? -1 : m != 2;  // east, south-east, south, south-west
      count_pairs(planes, counts, crop[SLAB], distance * (y * crop[ROW] + x));
      __syncthreads();
      for (int pair = 0; pair < PAIRS && (!merged || m == DIRECTIONS - 1); pair++) {
        summarise(counts[pair], levels, matrix, scratch);
        if (matrix.pairs == 0) continue;
        if (threadIdx.x == 0) {
          found[pair]++;
          add_moments(matrix, levels, values[pair]);
        }
        if (threadIdx.x == WARP) add_inverse_differences(matrix, levels, values[pair]);
        if (threadIdx.x == 2 * WARP) add_entropies(matrix, levels, values[pair]);
        __syncthreads();
      }
    }
    __syncthreads();
    for (int k = threadIdx.x; k < PAIRS * FEATURES; k += blockDim.x) {
      const int matrices = found[k / FEATURES];
      out[(size_t)region * PAIRS * FEATURES + k] =
          matrices ? (float)((&values[0][0])[k] / matrices) : __int_as_float(0x7fc00000);
    }
    __syncthreads();
  }
}
