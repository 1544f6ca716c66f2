// Size zones and the 16 features of _emphasis.py, of grey levels 1..Ng, 0 outside.
// One block of 256 threads a region; blocks go on with region + gridDim.x.
//
// parents, sizes: global scratch, a cell for each of `levels`. TABLED: sizes that have a row in the
// table, which lies in shared memory (IN_SHARED = 1) or in global scratch. MOST: levels. All counts
// are made with integer atomics; the features are those of the CPU, bit for bit.
#include "_zones.cuh"

__device__ void count_zones(const uint16* __restrict__ levels, int size, const uint32* parents,
                            uint32* sizes, uint32* counts, int side, int64* beyond, int* listed) {
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x) sizes[pixel] = 0;
  __syncthreads();
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x)
    if (levels[pixel]) atomicAdd(&sizes[root_of(parents, pixel)], 1u);
  __syncthreads();
  for (int pixel = threadIdx.x; pixel < size; pixel += blockDim.x)
    if (sizes[pixel]) count(counts, side, TABLED, beyond, listed, levels[pixel], sizes[pixel]);
}

extern "C" __global__ void __launch_bounds__(256, 2)
measure(const uint16* __restrict__ levels, const int64* __restrict__ crops,
        const int64* __restrict__ steps, const uint16* __restrict__ rest,
        uint32* __restrict__ parents, uint32* __restrict__ sizes, uint32* __restrict__ tables,
        int64* __restrict__ lists, float* __restrict__ out, int regions, int most, int room,
        int neighbours, int sliced) {
#if IN_SHARED
  extern __shared__ uint32 counts[];
#else
  uint32* counts = tables + (size_t)blockIdx.x * (TABLED + 1) * (most + 1 | 1);
#endif
  int64* beyond = lists + (size_t)blockIdx.x * room;
  __shared__ Emphasis margins;
  __shared__ int64 scratch[8], offsets[NEIGHBOURS];
  __shared__ double values[EMPHASES];
  __shared__ int listed;
  for (int region = blockIdx.x; region < regions; region += gridDim.x) {
    const int64* crop = crops + region * CROP_COLUMNS;
    const int top = crop[TOP], side = top + 1 | 1;
    const int64 slab = crop[SLAB];
    const int pieces = sliced ? crop[DEPTH] : 1, size = sliced ? slab : crop[DEPTH] * slab;
    int found = 0;
    if (threadIdx.x < EMPHASES) values[threadIdx.x] = 0.0;
    place(steps, neighbours, crop, offsets);
    for (int piece = 0; piece < pieces; piece++) {
      const int64 first = crop[START] + piece * slab;
      for (int k = threadIdx.x; k < (TABLED + 1) * side; k += blockDim.x) counts[k] = 0;
      if (threadIdx.x == 0) listed = 0;
      __syncthreads();
      join_zones(levels + first, size, offsets, rest, neighbours, parents + first);
      count_zones(levels + first, size, parents + first, sizes + first, counts, side, beyond,
                  &listed);
      __syncthreads();
      sort(beyond, listed);
      summarise(counts, side, top, TABLED, beyond, listed, margins, scratch);
      if (margins.total == 0) continue;
      found++;
      if (threadIdx.x == 0) add_features(margins, top, margins.sizes, values);
    }
    __syncthreads();
    if (threadIdx.x < EMPHASES)
      out[(size_t)region * EMPHASES + threadIdx.x] =
          found ? (float)(values[threadIdx.x] / found) : __int_as_float(0x7fc00000);
    __syncthreads();
  }
}
