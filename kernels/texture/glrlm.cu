// Run lengths and the 16 features of _emphasis.py, of grey levels 1..Ng, 0 outside.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// A thread that meets the first pixel of a run walks to its end, and counts it with an integer
// atomic. TABLED: lengths that have a row in the table, which lies in shared memory (IN_SHARED = 1)
// or in global scratch. MOST: levels. The features are those of the CPU, bit for bit.
#include "_emphasis.cuh"

__device__ void count_runs(const uint16* __restrict__ levels, int size, int64 offset,
                           uint32* counts, int side, int rows, int64* beyond, int* listed) {
  for (int at = threadIdx.x; at < size; at += blockDim.x) {
    const uint16* next = levels + at;
    const int level = *next;
    if (level == 0 || *(next - offset) == level) continue;
    int length = 0;
    for (; *next == level; next += offset) length++;
    count(counts, side, rows, beyond, listed, level, length);
  }
}

extern "C" __global__ void __launch_bounds__(256, 2)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        const int64* __restrict__ steps, uint32* __restrict__ tables,
        int64* __restrict__ lists, float* __restrict__ out, int regions, int most, int room,
        int directions, int merged, int sliced) {
#if IN_SHARED
  extern __shared__ uint32 counts[];
#else
  uint32* counts = tables + (size_t)blockIdx.x * (TABLED + 1) * (most + 1 | 1);
#endif
  int64* beyond = lists + (size_t)blockIdx.x * room;
  __shared__ Emphasis margins;
  __shared__ int64 scratch[8];
  __shared__ double values[EMPHASES];
  __shared__ int listed;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int top = crop[TOP], side = top + 1 | 1;
    const int rows = min((int64)TABLED, max(max(crop[DEPTH], crop[HEIGHT]), crop[WIDTH]));
    const int64 slab = crop[SLAB];
    const int pieces = sliced ? crop[DEPTH] : 1, size = sliced ? slab : crop[DEPTH] * slab;
    int found = 0;
    if (threadIdx.x < EMPHASES) values[threadIdx.x] = 0.0;
    for (int piece = 0; piece < pieces; piece++) {
      const uint16* first = levels + crop[START] + piece * slab;
      for (int m = 0; m < directions; m++) {
        if (m == 0 || !merged) {
          for (int k = threadIdx.x; k < (rows + 1) * side; k += blockDim.x) counts[k] = 0;
          if (threadIdx.x == 0) listed = 0;
          __syncthreads();
        }
        const int64 offset = steps[3 * m] * slab + steps[3 * m + 1] * crop[ROW] + steps[3 * m + 2];
        count_runs(first, size, offset, counts, side, rows, beyond, &listed);
        if (merged && m + 1 < directions) continue;
        __syncthreads();
        sort(beyond, listed);
        summarise(counts, side, top, rows, beyond, listed, margins, scratch);
        if (margins.total == 0) continue;
        found++;
        if (threadIdx.x == 0) add_features(margins, top, margins.sizes, values);
      }
    }
    __syncthreads();
    if (threadIdx.x < EMPHASES)
      out[(size_t)region * EMPHASES + threadIdx.x] =
          found ? (float)(values[threadIdx.x] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
