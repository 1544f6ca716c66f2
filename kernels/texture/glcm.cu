// Co-occurrence matrices and the 25 features of _glcm_features.py, of grey levels 1..Ng, 0 outside.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// U_ij (i <= j) is counted with integer atomics in four tables, one a direction, four directions at
// a time: triangles of top (top + 1) / 2 cells, in shared memory (IN_SHARED = 1) or in global
// scratch. MOST: levels. Floating point
// sums are made by one thread in the order of the CPU code, everything before is integer: the same
// bits as there.
#include "_information.cuh"

enum : int { TABLES = 4, FEATURES = 25 };

struct Matrix {  // what the features need, in shared memory
  uint32 sums[2 * MOST + 1], differences[MOST], marginal[MOST + 1];  // S, D, H
  int64 pairs, greatest, squares;
  int64 joint, of_sums, of_differences, of_marginal;  // information
  double mean, tendency, contrast;
};

// Cell of the pair of levels a and b, 1..top, in a triangle whose rows are i <= j <= top.
__device__ __forceinline__ int cell(int a, int b, int top) {
  const int i = min(a, b) - 1, j = max(a, b) - 1;
  return i * (2 * top - i - 1) / 2 + j;
}

// Adds the pairs of `size` levels for directions first .. first + 3; table m starts at m cells.
__device__ void count_pairs(const uint16* __restrict__ levels, uint32* tables, int cells, int size,
                            int row, int64 slab, int distance, int first, int directions, int top) {
  int64 offsets[TABLES];
  for (int m = 0; m < TABLES; m++) {
    const int k = first + m;  // east, south-east, south, south-west; then the nine of the next slab
    const int z = k >= 4, y = z ? (k - 4) / 3 - 1 : k > 0, x = z ? (k - 4) % 3 - 1 : k == 3 ? -1 : k != 2;
    offsets[m] = distance * (z * slab + y * row + x);
  }
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    const int a = levels[at];
    if (a == 0) continue;
    for (int m = 0; m < min(TABLES, directions - first); m++) {
      const int b = levels[at + offsets[m]];
      if (b != 0) atomicAdd(&tables[m * cells + cell(a, b, top)], 1u);
    }
  }
}

// S, D, H and what is needed of U itself; a warp a row of the triangle.
__device__ void fold(const uint32* table, int top, Matrix& matrix, int64* scratch) {
  for (int k = threadIdx.x; k <= 2 * top; k += blockDim.x) {
    matrix.sums[k] = 0;
    if (k < top) matrix.differences[k] = 0;
    if (k <= top) matrix.marginal[k] = 0;
  }
  __syncthreads();
  int64 pairs = 0, joint = 0, squares = 0, greatest = 0;
  for (int k = threadIdx.x; k < top * (top + 1) / 2; k += blockDim.x) pairs += table[k];
  pairs = block_reduce(pairs, scratch, Sum());
  const double unit = unit_of(2 * pairs);
  for (int i = 1 + threadIdx.x / WARP; i <= top; i += blockDim.x / WARP) {
    for (int j = i + threadIdx.x % WARP; j <= top; j += WARP) {
      const uint32 found = table[cell(i, j, top)];
      if (found == 0) continue;
      const uint32 count = i == j ? 2 * found : found;  // N p_ij
      const int times = i == j ? 1 : 2;                 // cells of the symmetric matrix
      atomicAdd(&matrix.sums[i + j], found);
      atomicAdd(&matrix.differences[j - i], found);
      atomicAdd(&matrix.marginal[i], count);
      if (i != j) atomicAdd(&matrix.marginal[j], count);
      greatest = max(greatest, (int64)count);
      squares += times * ((int64)count * count);
      joint += times * information(count, unit);
    }
  }
  joint = block_reduce(joint, scratch, Sum());
  squares = block_reduce(squares, scratch, Sum());
  greatest = block_reduce(greatest, scratch, Max());
  const int64 of_sums = information_of(matrix.sums, 2 * top + 1, unit, scratch);
  const int64 of_differences = information_of(matrix.differences, top, unit, scratch);
  const int64 of_marginal = information_of(matrix.marginal, top + 1, unit, scratch);
  if (threadIdx.x == 0) {
    matrix.pairs = pairs;
    matrix.joint = joint;
    matrix.squares = squares;
    matrix.greatest = greatest;
    matrix.of_sums = of_sums;
    matrix.of_differences = of_differences;
    matrix.of_marginal = of_marginal;
  }
  __syncthreads();
}

// ---- the features, each added to `values` by one thread, as in _glcm_features.py

__device__ void add_moments(Matrix& matrix, int top, double* values) {
  int64 first = 0;
  for (int k = 2; k <= 2 * top; k++) first += (int64)k * matrix.sums[k];
  const double pairs = matrix.pairs, mean = first / pairs;
  double second = 0.0, third = 0.0, fourth = 0.0;
  for (int k = 2; k <= 2 * top; k++) {
    const double from_mean = k - mean, square = from_mean * from_mean;
    const double count = matrix.sums[k];
    second += square * count;
    third += square * from_mean * count;
    fourth += square * square * count;
  }
  matrix.mean = mean;
  matrix.tendency = second / pairs;
  values[1] += mean / 2.0;
  values[7] += mean;
  values[8] += second / pairs;
  values[20] += second / pairs;
  values[21] += third / pairs;
  values[22] += fourth / pairs;
}

__device__ void add_differences(Matrix& matrix, int top, double* values) {
  int64 first = 0, second = 0;
  for (int k = 0; k < top; k++) {
    first += (int64)k * matrix.differences[k];
    second += (int64)k * k * matrix.differences[k];
  }
  const double pairs = matrix.pairs, mean = first / pairs, ng = top;
  double spread = 0.0, plain = 0.0, normal = 0.0, moment = 0.0, normal_moment = 0.0, inverse = 0.0;
#pragma unroll 1
  for (int k = 0; k < top; k++) {
    const double d = k, count = matrix.differences[k], relative = d / ng;
    spread += (d - mean) * (d - mean) * count;
    plain += count / (1.0 + d);
    normal += count / (1.0 + relative);
    moment += count / (1.0 + d * d);
    normal_moment += count / (1.0 + relative * relative);
    if (k > 0) inverse += count / (d * d);
  }
  matrix.contrast = second / pairs;
  values[4] += mean;
  values[5] += spread / pairs;
  values[11] += second / pairs;
  values[12] += mean;
  values[13] += plain / pairs;
  values[14] += normal / pairs;
  values[15] += moment / pairs;
  values[16] += normal_moment / pairs;
  values[17] += inverse / pairs;
}

__device__ void add_entropies(const Matrix& matrix, double* values) {
  const int64 pairs = matrix.pairs, both = 2 * pairs;
  const double unit = unit_of(both);
  const double joint_entropy = entropy(matrix.joint, both, unit);
  const double level_entropy = entropy(matrix.of_marginal, both, unit);
  double mutual = 2.0 * level_entropy - joint_entropy;
  if (mutual < 1e-9) mutual = 0.0;
  values[0] += matrix.greatest / (double)both;
  values[3] += joint_entropy;
  values[6] += entropy(matrix.of_differences, pairs, unit);
  values[9] += entropy(matrix.of_sums, pairs, unit);
  values[10] += (double)matrix.squares / (double)both / (double)both;
  values[23] += level_entropy > 0.0 ? -mutual / level_entropy : 0.0;
  values[24] += sqrt(1.0 - exp_minus(2.0 * mutual));
}

__device__ void add_covariances(const Matrix& matrix, double* values) {
  const double scatter = matrix.tendency + matrix.contrast;
  const double covariance = matrix.tendency - matrix.contrast;
  values[2] += scatter / 4.0;
  values[18] += scatter > 0.0 ? covariance / scatter : 1.0;
  values[19] += (covariance + matrix.mean * matrix.mean) / 4.0;
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        uint32* __restrict__ workspace, float* __restrict__ out, int regions, int most,
        int distance, int directions, int merged, int sliced) {
#if IN_SHARED
  extern __shared__ uint32 tables[];
#else
  uint32* tables = workspace + (size_t)blockIdx.x * TABLES * (most * (most + 1) / 2);
#endif
  __shared__ Matrix matrix;
  __shared__ int64 scratch[8];
  __shared__ double values[FEATURES];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int top = crop[TOP], cells = top * (top + 1) / 2, row = crop[ROW];
    const int64 slab = crop[SLAB];
    const int pieces = sliced ? crop[DEPTH] : 1, size = sliced ? slab : crop[DEPTH] * slab;
    int found = 0;
    for (int k = threadIdx.x; k < FEATURES; k += blockDim.x) values[k] = 0.0;
    for (int piece = 0; piece < pieces; piece++) {
      for (int first = 0; first < directions; first += TABLES) {
        if (first == 0 || !merged)
          for (int k = threadIdx.x; k < TABLES * cells; k += blockDim.x) tables[k] = 0;
        __syncthreads();
        count_pairs(levels + crop[START] + (int64)piece * size, tables, cells, size, row, slab,
                    distance, first, directions, top);
        __syncthreads();
        if (merged && first + TABLES < directions) continue;
        if (merged) {
          for (int k = threadIdx.x; k < cells; k += blockDim.x)
            tables[k] += tables[cells + k] + tables[2 * cells + k] + tables[3 * cells + k];
          __syncthreads();
        }
        for (int m = 0; m < (merged ? 1 : min(TABLES, directions - first)); m++) {
          fold(tables + m * cells, top, matrix, scratch);
          if (matrix.pairs == 0) continue;
          found++;
          if (threadIdx.x == 0) add_moments(matrix, top, values);
          if (threadIdx.x == WARP) add_differences(matrix, top, values);
          if (threadIdx.x == 2 * WARP) add_entropies(matrix, values);
          __syncthreads();
          if (threadIdx.x == 0) add_covariances(matrix, values);
        }
      }
    }
    __syncthreads();
    for (int k = threadIdx.x; k < FEATURES; k += blockDim.x)
      out[(size_t)region * FEATURES + k] =
          found ? (float)(values[k] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
