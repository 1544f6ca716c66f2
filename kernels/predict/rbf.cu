// Decisions of RBF support vector machines: see rbf.py. VALUE is the type of the rows.
// A block of 32 x 8 threads takes 32 rows through all vectors of a machine, 32 at a time: each
// thread has one vector (x) and four rows (y, y + 8, ...). Squares of 32 features are summed in
// float32, then added to a float64 sum.
#include "_cuda.cuh"

using int64 = long long;

enum : int { TILE = 32, TALL = 8, EACH = TILE / TALL };

extern "C" __global__ void __launch_bounds__(256)
fill(const VALUE* __restrict__ values, const double* __restrict__ mean,
     const double* __restrict__ scale, float* __restrict__ z, int64 rows, int features) {
  const int64 all = rows * features, step = (int64)gridDim.x * blockDim.x;
#pragma unroll 1
  for (int64 at = (int64)blockIdx.x * blockDim.x + threadIdx.x; at < all; at += step) {
    const double x = values[at];
    const int c = at % features;
    const double found = fabs(x) <= 3.4028234663852886e38 ? (x - mean[c]) / scale[c] : 0.0;
    z[at] = (float)fmin(fmax(found, -3.4028234663852886e38), 3.4028234663852886e38);
  }
}

// tile[j][k] = points[first + j][left + k], 0 outside
__device__ __forceinline__ void load(float (*tile)[TILE + 1], const float* points, int64 first,
                                     int64 count, int left, int features) {
  const int k = left + threadIdx.x;
#pragma unroll
  for (int j = threadIdx.y; j < TILE; j += TALL)
    tile[j][threadIdx.x] =
        first + j < count && k < features ? points[(first + j) * features + k] : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256, 2)
decide(const float* __restrict__ z, const float* __restrict__ vectors,
       const double* __restrict__ dual, const int64* __restrict__ stop,
       const double* __restrict__ gamma, const double* __restrict__ bias,
       double* __restrict__ found, int64 rows, int features, int machines) {
  __shared__ float row[TILE][TILE + 1], vector[TILE][TILE + 1];
  const int64 first = (int64)blockIdx.x * TILE;
  for (int machine = blockIdx.y; machine < machines; machine += gridDim.y) {
    const int64 end = stop[machine];
    const double width = -gamma[machine];
    double sum[EACH] = {};
    for (int64 start = machine ? stop[machine - 1] : 0; start < end; start += TILE) {
      double apart[EACH] = {};
      for (int left = 0; left < features; left += TILE) {
        load(row, z, first, rows, left, features);
        load(vector, vectors, start, end, left, features);
        __syncthreads();
        float part[EACH] = {};
#pragma unroll 4
        for (int k = 0; k < TILE; k++)
#pragma unroll
          for (int e = 0; e < EACH; e++) {
            const float difference =
                row[threadIdx.y + e * TALL][k] - vector[threadIdx.x][k];
            part[e] += difference * difference;
          }
#pragma unroll
        for (int e = 0; e < EACH; e++) apart[e] += part[e];
        __syncthreads();
      }
      if (start + threadIdx.x < end)
#pragma unroll
        for (int e = 0; e < EACH; e++)
          sum[e] += dual[start + threadIdx.x] * exp(width * apart[e]);
    }
#pragma unroll
    for (int e = 0; e < EACH; e++) {
      const int64 i = first + threadIdx.y + e * TALL;
      const double total = warp_reduce(sum[e], Sum());
      if (threadIdx.x == 0 && i < rows) found[i * machines + machine] = bias[machine] + total;
    }
  }
}
