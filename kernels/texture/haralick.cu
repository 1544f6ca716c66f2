// Haralick's features, see haralick.py: greys of whole images, then one block of 256 threads a
// region; blocks go on with region + gridDim.x.
//
// Pairs are counted with integer atomics in a square of (range + 2)^2 cells, in shared memory
// (IN_SHARED = 1) or in global scratch, one direction after the other. A second visit to the pairs
// takes each cell's count and leaves 0: no cell is visited or cleared that has none. Floating point
// sums are made by one thread in the order of the CPU code, everything before is integer: the same
// bits as there.
#include "_information.cuh"

enum : int { DIRECTIONS = 4, FEATURES = 13, MOST = 256 };  // levels, level 0 with them

// A block a row; `rows` are those of all images.
extern "C" __global__ void __launch_bounds__(256)
find_greys(const PIXEL* __restrict__ images, const float* __restrict__ white,
           const uint8* __restrict__ table, uint8* __restrict__ greys, int rows, int height,
           int width) {
  for (int row = blockIdx.x; row < rows; row += gridDim.x) {
    const float most = white[row / height];
    for (int x = threadIdx.x; x < width; x += blockDim.x) {
      const int64 at = (int64)row * width + x;
      float v = (float)images[at];
      v = fabsf(v) < __int_as_float(0x7f800000) ? fminf(fmaxf(v, 0.0f), most) : 0.0f;
      greys[at] = table[(int)rint((double)(255.0f * v) / (double)most)];
    }
  }
}

struct Matrix {  // what the features need of one direction, in shared memory
  uint32 sums[2 * MOST], differences[MOST], marginal[MOST];
  int64 pairs, squares;
  int64 joint, of_sums, of_differences, of_marginal;  // information
  double tendency, contrast;
};

struct Region {
  const uint16* levels;
  int size, below, side;  // cells of the crop; the lowest level less 1, the range of levels + 1
};

// The levels of pixel `at` and of its neighbour, less `below`; false where there is no pair.
__device__ __forceinline__ bool pair_at(const Region& region, int at, int64 offset, int& i, int& j) {
  const int a = region.levels[at];
  const int b = a ? region.levels[at + offset] : 0;
  i = min(a, b) - region.below;
  j = max(a, b) - region.below;
  return b != 0;
}

// `table` is all 0 before and after.
__device__ void count(const Region& region, int64 offset, uint32* table, Matrix& matrix,
                      int64* scratch) {
  for (int k = threadIdx.x; k < 2 * MOST; k += blockDim.x) {
    matrix.sums[k] = 0;
    if (k < MOST) matrix.differences[k] = matrix.marginal[k] = 0;
  }
  __syncthreads();
  int i, j;
  int64 pairs = 0, joint = 0, squares = 0;
  for (int at = threadIdx.x; at < region.size; at += blockDim.x) {
    if (!pair_at(region, at, offset, i, j)) continue;
    atomicAdd(&table[i * region.side + j], 1u);
    atomicAdd(&matrix.sums[i + j], 1u);
    atomicAdd(&matrix.differences[j - i], 1u);
    atomicAdd(&matrix.marginal[i], 1u);
    atomicAdd(&matrix.marginal[j], 1u);
    pairs++;
  }
  pairs = block_reduce(pairs, scratch, Sum());
  const double unit = unit_of(2 * pairs);
  for (int at = threadIdx.x; at < region.size; at += blockDim.x) {
    if (!pair_at(region, at, offset, i, j)) continue;
    const uint32 found = atomicExch(&table[i * region.side + j], 0u);
    const int64 count = i == j ? 2 * found : found;  // N p_ij
    const int times = i == j ? 1 : 2;                // cells of the symmetric matrix
    squares += times * (count * count);
    joint += times * information((uint32)count, unit);
  }
  joint = block_reduce(joint, scratch, Sum());
  squares = block_reduce(squares, scratch, Sum());
  const int64 of_sums = information_of(matrix.sums, 2 * region.side, unit, scratch);
  const int64 of_differences = information_of(matrix.differences, region.side, unit, scratch);
  const int64 of_marginal = information_of(matrix.marginal, region.side, unit, scratch);
  if (threadIdx.x == 0) {
    matrix.pairs = pairs;
    matrix.joint = joint;
    matrix.squares = squares;
    matrix.of_sums = of_sums;
    matrix.of_differences = of_differences;
    matrix.of_marginal = of_marginal;
  }
  __syncthreads();
}

// ---- the features of a direction, each put into `values` by one thread, as on the CPU

__device__ void put_sums(const Region& region, Matrix& matrix, double (*values)[DIRECTIONS]) {
  int64 first = 0;
  for (int k = 2; k < 2 * region.side; k++) first += (int64)k * matrix.sums[k];
  const double pairs = matrix.pairs, mean = first / pairs;
  double second = 0.0;
  for (int k = 2; k < 2 * region.side - 1; k++) {
    const double from_mean = k - mean;
    second += from_mean * from_mean * (double)matrix.sums[k];
  }
  matrix.tendency = second / pairs;
  *values[5] = mean + 2.0 * region.below;
  *values[6] = second / pairs;
}

__device__ void put_differences(const Region& region, Matrix& matrix,
                                double (*values)[DIRECTIONS]) {
  int64 second = 0, squares = 0;
  double inverse = 0.0;
  for (int k = 0; k < region.side - 1; k++) {
    const int64 count = matrix.differences[k];
    second += (int64)k * k * count;
    squares += count * count;
    inverse += (double)count / (1.0 + (double)(k * k));
  }
  const double pairs = matrix.pairs;
  const int64 number = region.below + region.side;
  const int64 spare = number * squares - matrix.pairs * matrix.pairs;
  matrix.contrast = second / pairs;
  *values[1] = second / pairs;
  *values[4] = inverse / pairs;
  *values[9] = (double)spare / pairs / pairs / (double)(number * number);
}

__device__ void put_entropies(const Matrix& matrix, double (*values)[DIRECTIONS]) {
  const int64 pairs = matrix.pairs, both = 2 * pairs;
  const double unit = unit_of(both);
  const double joint_entropy = entropy(matrix.joint, both, unit);
  const double level_entropy = entropy(matrix.of_marginal, both, unit);
  double mutual = 2.0 * level_entropy - joint_entropy;
  if (mutual < 1e-9) mutual = 0.0;
  *values[0] = (double)matrix.squares / (double)both / (double)both;
  *values[7] = entropy(matrix.of_sums, pairs, unit);
  *values[8] = joint_entropy;
  *values[10] = entropy(matrix.of_differences, pairs, unit);
  *values[11] = level_entropy > 0.0 ? -mutual / level_entropy : 0.0;
  *values[12] = sqrt(1.0 - exp_minus(2.0 * mutual));
}

__device__ void put_covariances(const Matrix& matrix, double (*values)[DIRECTIONS]) {
  const double scatter = matrix.tendency + matrix.contrast;
  *values[2] = scatter > 0.0 ? (matrix.tendency - matrix.contrast) / scatter : 1.0;
  *values[3] = scatter / 4.0;
}

// `workspace`: for each block levels^2 cells, all 0.
extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        uint32* __restrict__ workspace, float* __restrict__ out, int regions, int most,
        int distance) {
  const int cells = most * most;
#if IN_SHARED
  extern __shared__ uint32 table[];
  for (int k = threadIdx.x; k < cells; k += blockDim.x) table[k] = 0;
#else
  uint32* table = workspace + (size_t)blockIdx.x * cells;
#endif
  __shared__ Matrix matrix;
  __shared__ int64 scratch[8];
  __shared__ double values[FEATURES][DIRECTIONS];
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int row = crop[ROW], size = crop[DEPTH] * crop[SLAB];
    Region here = {levels + crop[START], size, 0, 0};
    int lowest = MOST;
    for (int at = threadIdx.x; at < size; at += blockDim.x)
      if (here.levels[at] != 0) lowest = min(lowest, (int)here.levels[at]);
    here.below = block_reduce((int64)lowest, scratch, Min()) - 1;
    here.side = crop[TOP] - here.below + 1;
    bool known = crop[TOP] > 0;
    for (int m = 0; m < DIRECTIONS && known; m++) {
      // east, south-east, south, south-west
      const int64 offset = (int64)distance * ((m > 0) * row + (m == 3 ? -1 : m != 2));
      count(here, offset, table, matrix, scratch);
      known = matrix.pairs > 0;
      double(*of_direction)[DIRECTIONS] = (double(*)[DIRECTIONS])(&values[0][m]);
      if (known && threadIdx.x == 0) put_sums(here, matrix, of_direction);
      if (known && threadIdx.x == WARP) put_differences(here, matrix, of_direction);
      if (known && threadIdx.x == 2 * WARP) put_entropies(matrix, of_direction);
      __syncthreads();
      if (known && threadIdx.x == 0) put_covariances(matrix, of_direction);
    }
    __syncthreads();
    for (int k = threadIdx.x; k < FEATURES * DIRECTIONS; k += blockDim.x)
      out[(size_t)region * FEATURES * DIRECTIONS + k] =
          known ? (float)values[k / DIRECTIONS][k % DIRECTIONS] : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
