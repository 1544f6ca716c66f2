// Neighbouring grey level dependences and their 17 features, of grey levels 1..Ng, 0 outside.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// n_ij is counted with integer atomics in cell j side + i, in shared memory (IN_SHARED = 1) or in
// global scratch. MOST: levels. All else is that of _emphasis.cuh: the bits of the CPU code.
#include "_emphasis.cuh"
#include "_neighbours.cuh"

enum : int { FEATURES = EMPHASES + 1 };

__device__ void add_dependences(const Neighbourhood& near, Piece piece, int coarseness, int side,
                                uint32* counts, uint32 (*tiles)[TILE]) {
  for (int start = 0; start < piece.size; start += blockDim.x) {
    const int own = start + threadIdx.x;
    const int i = own < piece.size ? near.levels[piece.first + own] : 0;
    if (!__syncthreads_or(i)) continue;
    int j = 0;
    around(near, piece.first + start, tiles,
           [&](int found) { j += found != 0 && abs(found - i) <= coarseness; });
    if (i != 0) atomicAdd(&counts[j * side + i], 1u);
  }
}

// Sum of n_ij^2; every thread gets it.
__device__ int64 squares_of(const uint32* counts, int side, int last, int64* scratch) {
  int64 total = 0;
  for (int k = side + threadIdx.x; k < (last + 1) * side; k += blockDim.x)
    total += (int64)counts[k] * counts[k];
  return block_reduce(total, scratch, Sum());
}

extern "C" __global__ void __launch_bounds__(256, 3)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        uint32* __restrict__ workspace, float* __restrict__ out, int64 words, int regions,
        int cells, int distance, int coarseness, int plane, int sliced) {
#if IN_SHARED
  extern __shared__ uint32 counts[];
#else
  uint32* counts = workspace + (int64)blockIdx.x * cells;
#endif
  __shared__ Emphasis margins;
  __shared__ uint32 tiles[2][TILE];
  __shared__ int64 scratch[8];
  __shared__ double values[FEATURES];
  const int width = 2 * distance + 1, most = plane ? width * width : width * width * width;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + (int64)region * CROP_COLUMNS;
    const Neighbourhood near = {levels, words, (int)crop[ROW], crop[SLAB], distance, plane != 0};
    const int top = crop[TOP], side = top + 1, last = min((int64)most, crop[VOXELS]);
    int found = 0;
    if (threadIdx.x < FEATURES) values[threadIdx.x] = 0.0;
    for (int number = 0; number < (sliced ? crop[DEPTH] : 1); number++) {
      for (int k = threadIdx.x; k < (last + 1) * side; k += blockDim.x) counts[k] = 0;
      __syncthreads();
      add_dependences(near, piece(crop, number, sliced), coarseness, side, counts, tiles);
      __syncthreads();
      summarise(counts, side, top, last, nullptr, 0, margins, scratch);
      const int64 squares = squares_of(counts, side, last, scratch);
      const int64 total = margins.total;
      if (total > 0) found++;
      if (total > 0 && threadIdx.x == 0) {
        add_features(margins, top, total, values);
        values[EMPHASES] += (double)squares / (double)total / (double)total;
      }
      __syncthreads();
    }
    for (int k = threadIdx.x; k < FEATURES; k += blockDim.x)
      out[(int64)region * FEATURES + k] =
          found ? (float)(values[k] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
