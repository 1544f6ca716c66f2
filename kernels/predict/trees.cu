// Sums over decision trees: see trees.py. VALUE is the type of the rows, REAL that of a comparison.
#include "_cuda.cuh"

using int64 = long long;

enum : int { TILE = 32, TALL = 8 };

__device__ __forceinline__ float narrow(double z, float) {
  return (float)fmin(fmax(z, -3.4028234663852886e38), 3.4028234663852886e38);
}
__device__ __forceinline__ double narrow(double z, double) {
  return fmin(fmax(z, -1.7976931348623157e308), 1.7976931348623157e308);
}

// z[c][i] = row start + i standardised; of 2 f columns the first half holds -infinity for a gap,
// the second +infinity. Blocks of 32 x 8 threads turn a tile of 32 x 32 over in shared memory.
extern "C" __global__ void __launch_bounds__(256)
fill(const VALUE* __restrict__ values, const double* __restrict__ mean,
     const double* __restrict__ scale, REAL* __restrict__ z, int64 start, int rows, int features,
     int columns) {
  __shared__ REAL tile[TILE][TILE + 1];
  const int first = blockIdx.x * TILE;
  const double infinity = __longlong_as_double(0x7ff0000000000000ll);
  const bool twice = columns != features;
  for (int left = blockIdx.y * TILE; left < features; left += gridDim.y * TILE) {
    const int c = left + threadIdx.x;
    for (int j = threadIdx.y; j < TILE && first + j < rows && c < features; j += TALL) {
      const double x = values[(start + first + j) * features + c];
      const bool known = fabs(x) <= 3.4028234663852886e38;
      const REAL gap = twice ? (REAL)(infinity - infinity) : (REAL)0;
      tile[j][threadIdx.x] = known ? narrow((x - mean[c]) / scale[c], (REAL)0) : gap;
    }
    __syncthreads();
    const int i = first + threadIdx.x;
    for (int j = threadIdx.y; j < TILE && left + j < features && i < rows; j += TALL) {
      const REAL x = tile[threadIdx.x][j];
      z[(int64)(left + j) * rows + i] = x == x ? x : (REAL)-infinity;
      if (twice) z[(int64)(features + left + j) * rows + i] = x == x ? x : (REAL)infinity;
    }
    __syncthreads();
  }
}

// sums[score][start + i] of row i: one thread takes it through all trees, in their order.
extern "C" __global__ void __launch_bounds__(128)
add_trees(const REAL* __restrict__ z, const uint32* __restrict__ roots,
          const int* __restrict__ first, const uint32* __restrict__ column,
          const REAL* __restrict__ threshold, const uint32* __restrict__ child,
          const double* __restrict__ value, double* __restrict__ sums, int64 start, int rows,
          int64 all, int trees, int width, int scores) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows) return;
  double* own = sums + start + i;
  for (int score = 0; score < scores; score++) own[score * all] = 0.0;
  for (int tree = 0; tree < trees; tree++) {
    uint32 node = roots[tree], before;
    do {
      before = node;
      node = child[node] + (z[(int64)column[node] * rows + i] > threshold[node] ? 1u : 0u);
    } while (node != before);
    for (int c = 0; c < width; c++)
      own[(first[tree] + c) * all] += value[(int64)node * width + c];
  }
}
